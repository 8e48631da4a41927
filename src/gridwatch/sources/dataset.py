"""What to watch: one dataset file is one series, from its source to the people who are told."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gridwatch.containers.catalog import score_container
from gridwatch.errors import DatasetError
from gridwatch.sources.dataset_model import (
    AlphaVantageSource,
    CsvFolderSource,
    Dataset,
    DateRange,
    DetectorChoice,
    LstmModel,
    Retention,
    SampleSource,
    Schedule,
    Threshold,
    ValueColumn,
)

__all__ = [
    "AlphaVantageSource",
    "CsvFolderSource",
    "Dataset",
    "DateRange",
    "DetectorChoice",
    "LstmModel",
    "Retention",
    "SampleSource",
    "Schedule",
    "Threshold",
    "ValueColumn",
    "load_dataset",
    "load_datasets",
    "topics_pattern",
]


def load_dataset(path: Path) -> Dataset:
    """Read one dataset file.

    Raises:
        DatasetError: It is missing, is not JSON, or a field is wrong; names the file and the field.
    """
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"No dataset file {str(path)!r}; `gridwatch init DIR` lays out examples.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DatasetError(f"Cannot read dataset file {str(path)!r}: {error}.") from error
    try:
        dataset = Dataset.model_validate(raw)
    except ValidationError as error:
        wrong = "; ".join(_told(item) for item in error.errors(include_url=False))
        raise DatasetError(f"Dataset file {str(path)!r} is wrong: {wrong}. See docs/datasets.md.") from None
    if dataset.name != path.stem:
        raise DatasetError(
            f"Dataset file {str(path)!r} has the name {dataset.name!r}; name the file {dataset.name}.json."
        )
    source = dataset.source
    if isinstance(source, CsvFolderSource) and not source.path.is_absolute():
        # A flow's working folder is not the user's: only the file itself stays where it is.
        folder = (path.parent / source.path.expanduser()).absolute()
        dataset = dataset.model_copy(update={"source": source.model_copy(update={"path": folder})})
    return dataset


def _told(item: Any) -> str:
    """Return one of pydantic's errors as `field: what is wrong (got value)`."""
    place = [str(part) for part in item["loc"]]
    if item["type"] == "extra_forbidden":
        known = _fields_at(place[:-1])
        near = difflib.get_close_matches(place[-1], known, n=1)
        hint = f"did you mean {near[0]!r}" if near else f"there are {', '.join(known)}"
        return f"{'.'.join(place)}: unknown field, {hint}"
    text = item["msg"].removeprefix("Value error, ")
    if item["type"] == "missing":
        return f"{'.'.join(place)}: is missing"
    got = "" if isinstance(item["input"], dict) else f" (got {item['input']!r})"
    return f"{'.'.join(place) or 'dataset'}: {text}{got}"


def _fields_at(place: list[str]) -> list[str]:
    """Return the fields that an object of a dataset file may have."""
    parts: dict[str, type[BaseModel]] = {
        "sample": SampleSource, "alpha_vantage": AlphaVantageSource, "csv_folder": CsvFolderSource,
        "columns": ValueColumn, "training": DateRange, "scoring": DateRange, "model": LstmModel,
        "detector": DetectorChoice, "threshold": Threshold,
        "schedule": Schedule, "retention": Retention,
    }  # fmt: skip
    named = [part for part in place if part in parts]
    return list((parts[named[-1]] if named else Dataset).model_fields)


def load_datasets(folder: Path, names: list[str] | None = None, *, disabled: bool = True) -> list[Dataset]:
    """Read the named datasets of a folder, or all of them, sorted by name.

    Args:
        folder: Where the files are.
        names: Which; None or empty: all.
        disabled: With no names, whether to return those with `"enabled": false` too.

    Raises:
        DatasetError: A file is missing or wrong, or two datasets write to one container.
    """
    if not folder.is_dir():
        raise DatasetError(
            f"No dataset folder {str(folder)!r}; set GRIDWATCH_DATASETS_DIR or run `gridwatch init DIR`."
        )
    everything = [load_dataset(path) for path in sorted(folder.glob("*.json"))]
    _refuse_shared(everything)
    if names is None or not names:
        return [dataset for dataset in everything if dataset.enabled or disabled]
    known = {dataset.name: dataset for dataset in everything}
    missing = [name for name in names if name not in known]
    if missing:
        raise DatasetError(f"No dataset {', '.join(map(repr, missing))} in {str(folder)!r}; there are {sorted(known)}.")
    return [known[name] for name in names]


def _refuse_shared(datasets: Iterable[Dataset]) -> None:
    """Refuse datasets that write to one container, be it their rows or their scores; case counts for nothing."""
    taken: dict[str, Dataset] = {}
    for dataset in datasets:
        for container, what in ((score_container(dataset.symbol), "scores"), (dataset.container, "rows")):
            other = taken.setdefault(container.lower(), dataset)
            if other is not dataset:
                raise DatasetError(
                    f"Datasets {other.name!r} ({other.symbol!r}) and {dataset.name!r} ({dataset.symbol!r}) both map to "
                    f"container {container!r}, and their {what} would overwrite each other; "
                    f"{'rename one symbol' if what == 'scores' else 'give one another `container`'}."
                )


def topics_pattern(containers: Iterable[str]) -> str:
    r"""Return a regular expression for the topics of these containers and of any dataset that names none of its own.

    >>> topics_pattern(["pump", "INTRADAY_AAPL"])
    '^(?:INTRADAY_[A-Za-z0-9_]+|pump)$'
    """
    usual = "INTRADAY_[A-Za-z0-9_]+"
    own = sorted(re.escape(name) for name in containers if not re.fullmatch(usual, name))
    return f"^(?:{'|'.join([usual, *own])})$"
