"""Judge a detector on a labelled folder: run it over every file, write what it said, and count how good that was."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import structlog

from gridwatch.detectors.evaluation import probation_rows
from gridwatch.detectors.registry import Entry, Judged, entry
from gridwatch.errors import ConfigError, DetectorError
from gridwatch.pipeline.evaluation_report import EvaluationReport, JudgedFile, plain, summarise
from gridwatch.sources.labelled import LabelledSeries, read_labelled

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["evaluate", "evaluate_series"]

log = structlog.get_logger(__name__)

Progress = Callable[[int, "int | None"], None]


def evaluate(
    folder: Path,
    detector_name: str,
    *,
    out: Path | None = None,
    plots: bool = False,
    jobs: int = 1,
    splits: int = 50,
    seed: int = 1,
    settings: Settings | None = None,
    now_ms: int = 0,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Judge a detector on every file of a labelled folder.

    Args:
        folder: With `data/GROUP/FILE.csv` and `labels/combined_windows.json`.
        detector_name: One of the registry's.
        out: Where `GROUP/FILE.csv` with the scores, `report.json` and the plots go; None writes none.
        plots: Draw each file, beside its scores as `GROUP/FILE.png`.
        jobs: Processes that judge files at the same time; the result is the same.
        splits: Random halves for the cross-half score.
        seed: Of these halves.
        settings: Where MLflow is; None records no run.
        now_ms: The present, UTC epoch ms, for the run.
        progress: Told the files done, of how many.

    Raises:
        ConfigError: No detector has this name, a number makes no sense, or `out` cannot be made.
        SourceError: The folder cannot be read.
        DetectorError: The detector cannot judge a file; names it.
        TrackingError: MLflow failed; what was written to `out` is there.
    """
    return evaluate_series(
        str(folder),
        lambda: read_labelled(folder),
        detector_name,
        out=out,
        plots=plots,
        jobs=jobs,
        splits=splits,
        seed=seed,
        settings=settings,
        now_ms=now_ms,
        progress=progress,
    )


def evaluate_series(
    called: str,
    read: Callable[[], Sequence[LabelledSeries]],
    detector_name: str,
    *,
    out: Path | None = None,
    plots: bool = False,
    jobs: int = 1,
    splits: int = 50,
    seed: int = 1,
    settings: Settings | None = None,
    now_ms: int = 0,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Judge a detector on labelled series from anywhere; see `evaluate`.

    Args:
        called: What the report calls them.
        read: Returns the series; called when the rest is known to make sense.
        detector_name: As `evaluate` takes it, and what follows.
        out: Folder to write to.
        plots: Draw each series.
        jobs: Processes.
        splits: Random halves.
        seed: Of these.
        settings: Where MLflow is.
        now_ms: The present.
        progress: Told the series done.
    """
    for name, value, least in (("jobs", jobs, 1), ("splits", splits, 0)):
        if value < least:
            raise ConfigError(f"{value} {name} make no sense; give {least} or more.")
    started_s, detector = time.monotonic(), entry(detector_name)
    if out is not None:
        # Now, for a long run must not end in a folder that cannot be made.
        _make(out)
    series = read()
    repeats = {one.name: one.repeats for one in series if one.repeats}
    if repeats:
        log.info("rows_not_after_the_one_before", files=len(repeats), rows=sum(repeats.values()))
    files = _judge_all(detector, series, jobs, progress)
    report = summarise(detector, called, files, splits=splits, seed=seed, seconds=time.monotonic() - started_s)
    if out is not None or settings is not None:
        with _folder(out) as written:
            _write(written, detector, files, report, plots=plots)
            if settings is not None:
                report = _record(settings, report, written, now_ms)
    log.info("evaluated", detector=detector.name, files=len(files), seconds=round(report.seconds, 1))
    return report


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"Cannot make the folder {str(folder)!r}: {error.strerror}.", folder=str(folder)) from error


@contextlib.contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """Yield the folder to write to: the one asked for, or one that is gone afterwards."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="gridwatch-") as folder:
        yield Path(folder)


def _judge_all(
    detector: Entry, series: Sequence[LabelledSeries], jobs: int, progress: Progress | None
) -> list[JudgedFile]:
    """Judge the files, in their order."""
    judged: dict[int, JudgedFile] = {}

    def done(number: int, file: JudgedFile) -> None:
        judged[number] = file
        if progress is not None:
            progress(len(judged), len(series))

    if progress is not None:
        progress(0, len(series))
    if min(jobs, len(series)) == 1:
        for number, one in enumerate(series):
            done(number, _judge(detector.name, one))
    else:
        # Spawned: a forked TensorFlow or NumPy may hang on the locks of threads that are not there.
        with ProcessPoolExecutor(min(jobs, len(series)), get_context("spawn")) as pool:
            running = {pool.submit(_judge, detector.name, one): number for number, one in enumerate(series)}
            try:
                for future in as_completed(running):
                    done(running[future], future.result())
            except BrokenProcessPool as error:
                raise DetectorError(
                    f"A process that judged files with {detector.name} died after {len(judged)} of {len(series)} "
                    "files; was there too little memory? Try fewer jobs.",
                    jobs=jobs,
                ) from error
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [judged[number] for number in range(len(series))]


def _judge(detector_name: str, series: LabelledSeries) -> JudgedFile:
    """Run a detector over one file.

    Raises:
        DetectorError: It cannot judge the file, or said less or more than a score a row.
    """
    judge = entry(detector_name).judge
    try:
        # Once for nothing, so that the time does not count what is imported and compiled in a new process.
        judge(series.times_ms[:2], series.values[:2], 0)
        started_s = time.process_time()
        judged = judge(series.times_ms, series.values, series.lead + probation_rows(len(series) - series.lead))
    except DetectorError as error:
        raise DetectorError(f"{detector_name} cannot judge {series.name}: {error}") from error
    cpu_s = time.process_time() - started_s
    for name in ("anomaly_score", "segment_score", "p_value"):
        if getattr(judged, name).shape != series.values.shape:
            raise DetectorError(
                f"{detector_name} gave {name} of the shape {getattr(judged, name).shape} for the {len(series)} rows of "
                f"{series.name}; expected one number a row."
            )
    counted, said = _counted(series, judged)
    # Of the time, too, only the part of the rows that count, so that rows per second are those of the detector.
    scoring_s = (cpu_s - judged.learn_s) * len(counted) / max(len(series), 1)
    return JudgedFile.of(counted, said, judged.learn_s + scoring_s)


def _counted(series: LabelledSeries, judged: Judged) -> tuple[LabelledSeries, Judged]:
    """Return the rows that count, and what was said of them: nothing where they are not to be judged."""
    if not series.lead and not series.unjudged:
        return series, judged
    lead, left_out = series.lead, np.zeros(len(series), bool)
    for first, last in series.unjudged:
        left_out[first : last + 1] = True
    anomaly_score, segment_score, p_value = (
        np.where(left_out, np.nan, column)[lead:]
        for column in (judged.anomaly_score, judged.segment_score, judged.p_value)
    )
    windows, unjudged = (
        tuple((first - lead, last - lead) for first, last in places) for places in (series.windows, series.unjudged)
    )
    counted = replace(
        series,
        timestamps=series.timestamps[lead:],
        times_ms=series.times_ms[lead:],
        values=series.values[lead:],
        windows=windows,
        lead=0,
        unjudged=unjudged,
    )
    return counted, replace(judged, anomaly_score=anomaly_score, segment_score=segment_score, p_value=p_value)


def _write(out: Path, detector: Entry, files: Sequence[JudgedFile], report: EvaluationReport, *, plots: bool) -> None:
    for file in files:
        path = out / file.series.name
        path.parent.mkdir(parents=True, exist_ok=True)
        frame = pd.DataFrame(
            {
                "timestamp": file.series.timestamps,
                "value": file.series.values,
                # Other scorers take numbers only; a row that was not judged is below every threshold here too.
                "anomaly_score": np.nan_to_num(file.judged.anomaly_score),
                "segment_score": np.nan_to_num(file.judged.segment_score),
            }
        )
        frame.to_csv(path, index=False)
        if plots:
            from gridwatch.pipeline.evaluation_plots import judged_plot

            path.with_suffix(".png").write_bytes(judged_plot(file, detector.threshold))
    _write_report(out, report)


def _write_report(out: Path, report: EvaluationReport) -> None:
    (out / "report.json").write_text(json.dumps(plain(report), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _record(settings: Settings, report: EvaluationReport, written: Path, now_ms: int) -> EvaluationReport:
    from gridwatch.tracking import Evaluation, record_evaluation

    names = ("detector", "folder", "files", "rows", "windows", "threshold", "splits", "seed")
    paths = [written / "report.json", *(written / file.file for file in report.per_file)]
    pictures = [path.with_suffix(".png") for path in paths[1:]]
    files = {path.relative_to(written).as_posix(): path for path in (*paths, *pictures) if path.exists()}
    run_id = record_evaluation(
        settings,
        Evaluation(
            detector=report.detector,
            params={name: getattr(report, name) for name in names},
            metrics=report.metrics(),
            files=files,
            started_ms=now_ms,
            ended_ms=now_ms + round(report.seconds * 1000),
        ),
    )
    return replace(report, run_id=run_id)
