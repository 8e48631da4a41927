"""The state of an analysis as bytes, and back: no pickle, and nothing that does not fit the job is taken."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridwatch.errors import JobsRequestError
from gridwatch.jobs.analysis.gaps import Gaps
from gridwatch.jobs.analysis.rows import Rows
from gridwatch.jobs.analysis.silence import Silence

if TYPE_CHECKING:
    from gridwatch.detectors.online.bank import Bank
    from gridwatch.jobs.analysis.analyzer import Analyzer
    from gridwatch.jobs.analysis.detector import RunningDetector
    from gridwatch.jobs.analysis.models import Models

__all__ = ["restore", "save", "write"]

_FORMAT = 2
_CREDIT = "credit"
_META, _MODELS, _ROWS = "analysis.json", "models.npz", "open.parquet"


def save(analyzer: Analyzer) -> dict[str, bytes]:
    """Return `analysis.json`, `models.npz` and, where buckets are open, `open.parquet`."""
    file = io.BytesIO()
    np.savez(file, **_arrays(analyzer))
    parts = {_META: _meta(analyzer), _MODELS: file.getvalue(), **_network(analyzer)}
    rows = analyzer.open_rows()
    return {**parts, _ROWS: rows.to_bytes()} if len(rows) else parts


def write(analyzer: Analyzer, archive: zipfile.ZipFile) -> None:
    """Write the same into an archive, the models without another copy of them in memory."""
    archive.writestr(_META, _meta(analyzer))
    for name, content in _network(analyzer).items():
        archive.writestr(name, content)
    with archive.open(_MODELS, "w", force_zip64=True) as file:
        np.savez(file, **_arrays(analyzer))
    rows = analyzer.open_rows()
    if len(rows):
        archive.writestr(_ROWS, rows.to_bytes())


def _meta(analyzer: Analyzer) -> bytes:
    meta = {
        "format": _FORMAT,
        "model": asdict(analyzer.model),
        "next_bucket": analyzer.next_bucket,
        "counts": asdict(analyzer.counts),
        "detectors": [_detector_meta(detector) for detector in analyzer.detectors],
    }
    if analyzer.course is not None:
        meta["course"] = analyzer.course.save()[0]
    return json.dumps(meta, sort_keys=True, allow_nan=False).encode()


def _network(analyzer: Analyzer) -> dict[str, bytes]:
    return {} if analyzer.course is None else analyzer.course.save()[1]


def _arrays(analyzer: Analyzer) -> dict[str, Any]:
    arrays = {}
    for index, detector in enumerate(analyzer.detectors):
        for metric, models in detector.models.items():
            for name, array in models.own_arrays().items():
                arrays[f"{index}/{metric}/own/{name}"] = array
            for page, bank in enumerate(models.pages):
                for name, array in bank.state._asdict().items():
                    arrays[f"{index}/{metric}/{page}/{name}"] = array
                arrays[f"{index}/{metric}/{page}/{_CREDIT}"] = models.credits[page]
                for name, array in _beside(models, page):
                    arrays[f"{index}/{metric}/{page}/{name}"] = array
    return arrays


def restore(analyzer: Analyzer, parts: Mapping[str, Any]) -> None:
    """Bring a new analyzer of the same job to the state that was saved.

    Args:
        analyzer: The new one.
        parts: Bytes by name; the models may be a file.

    Raises:
        JobsRequestError: A part is missing or damaged, or it is of another job or version.
    """
    missing = [name for name in (_META, _MODELS) if name not in parts]
    if missing:
        raise JobsRequestError(f"the saved analysis lacks {', '.join(missing)}; it has {sorted(parts)}. Reset the job.")
    try:
        meta = json.loads(parts[_META])
        _check_meta(analyzer, meta)
        if analyzer.course is not None:
            analyzer.course.restore(meta["course"], parts, analyzer.detectors)
        for detector, one in zip(analyzer.detectors, meta["detectors"], strict=True):
            detector.series.restore([tuple(key) for key in one["keys"]])
            detector.first_bucket = np.array(one["first_bucket"], np.int64)
            detector.last_bucket = np.array(one["last_bucket"], np.int64)
        models = parts[_MODELS]
        with np.load(io.BytesIO(models) if isinstance(models, bytes) else models, allow_pickle=False) as file:
            for index, detector in enumerate(analyzer.detectors):
                _restore_models(detector, index, meta["detectors"][index]["pages"], file)
        analyzer.next_bucket = meta["next_bucket"]
        for name, value in meta["counts"].items():
            setattr(analyzer.counts, name, value)
        if _ROWS in parts:
            analyzer.keep(Rows.from_bytes(parts[_ROWS], analyzer.columns))
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise JobsRequestError(f"the saved analysis is damaged ({error!r}); reset the job.") from error


def _detector_meta(detector: RunningDetector) -> dict[str, Any]:
    return {
        "keys": [list(key) for key in detector.series.keys],
        "first_bucket": detector.first_bucket.tolist(),
        "last_bucket": detector.last_bucket.tolist(),
        "pages": {metric: [len(page) for page in models.pages] for metric, models in detector.models.items()},
    }


def _check_meta(analyzer: Analyzer, meta: Any) -> None:
    if meta["format"] != _FORMAT:
        raise JobsRequestError(
            f"the saved analysis has format {meta['format']!r}, this version reads {_FORMAT}; reset the job."
        )
    # Through JSON, as what was stored: tuples are lists there.
    if meta["model"] != json.loads(json.dumps(asdict(analyzer.model))):
        raise JobsRequestError("the saved analysis has other models than this version makes; reset the job.")
    if len(meta["detectors"]) != len(analyzer.detectors):
        raise JobsRequestError(
            f"the saved analysis has {len(meta['detectors'])} detectors, the job {len(analyzer.detectors)}."
        )


def _restore_models(detector: RunningDetector, index: int, pages: Mapping[str, list[int]], file: Any) -> None:
    for metric, models in detector.models.items():
        models.restore_own({name: file[f"{index}/{metric}/own/{name}"] for name in models.own_arrays()})
        for page, size in enumerate(pages[metric]):
            bank = models.bank(size)
            arrays = {name: file[f"{index}/{metric}/{page}/{name}"] for name in bank.state._asdict()}
            _check_fits(bank, arrays)
            bank.state = type(bank.state)(**arrays)
            credit = file[f"{index}/{metric}/{page}/{_CREDIT}"]
            if credit.shape != (size,) or credit.dtype != np.int64:
                raise JobsRequestError(f"the saved analysis is damaged: {_CREDIT} is {credit.shape}; reset the job.")
            models.pages.append(bank)
            models.credits.append(credit)
            models.gaps.append(Gaps(size, models.slots))
            models.silences.append(Silence(size, models.zeros_span_ms))
            for name, array in _beside(models, page):
                # Refuses another shape; what is of another type becomes what it was.
                array[...] = file[f"{index}/{metric}/{page}/{name}"]


def _beside(models: Models, page: int) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield name and array of what is kept of the series of a page beside the bank."""
    for name, part in (("gaps", models.gaps[page]), ("silence", models.silences[page])):
        for place, array in enumerate(part.arrays):
            yield f"{name}{place}", array


def _check_fits(bank: Bank, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    for name, array in bank.state._asdict().items():
        if arrays[name].shape != array.shape or arrays[name].dtype != array.dtype:
            raise JobsRequestError(
                f"the saved analysis is damaged: {name} is {arrays[name].dtype} {arrays[name].shape}, not "
                f"{array.dtype} {array.shape}; reset the job."
            )
