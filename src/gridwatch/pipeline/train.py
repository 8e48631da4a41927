"""Train a dataset's model, compare it with the champion on the same rows, and record both figures in MLflow."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import structlog

from gridwatch.containers.catalog import series_name
from gridwatch.detectors import fingerprint
from gridwatch.errors import DetectorError
from gridwatch.pipeline.labels import read_labels
from gridwatch.pipeline.lesson import Lesson, learn
from gridwatch.pipeline.series import Series, gate, read_series
from gridwatch.pipeline.train_record import for_mlflow
from gridwatch.pipeline.train_report import write_training
from gridwatch.pipeline.trial import Trial

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.detectors.base import Times
    from gridwatch.pipeline.validate import ValidationReport
    from gridwatch.settings import Settings
    from gridwatch.sources.dataset import Dataset
    from gridwatch.tracking import Recorded

__all__ = ["TrainReport", "train", "training_series"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a training did.

    Attributes:
        dataset: Name of the dataset.
        run_id: MLflow run.
        model_name: Registered model.
        model_version: Version of it that was made.
        model_uri: `models:/<name>/<version>`.
        sha256: Digest of the bytes that score.
        champion: Whether the new model is the champion now.
        why: Why it is, or is not, in one sentence with both figures.
        rows: Rows that were learnt, those kept for validation included.
        validation_rows: Newest rows, kept from training.
        from_ms: Time of the first row, UTC epoch ms.
        to_ms: Time of the last.
        epochs: Epochs that were trained.
        val_loss: Mean squared error on the validation rows, in standard deviations of the feature; None for a
            detector that is not trained.
        val_mae: Mean absolute error on them, in the value's own units.
        champion_mae: The same of the champion so far, on the same rows; None if there was none.
        naive_mae: The same of expecting the value of the row before.
        anomaly_rate: Share of the learnt rows at or above the threshold.
        validation_id: Validation of the rows.
        seconds: Duration.
        detector: Kind of detector that learnt.
    """

    dataset: str
    run_id: str
    model_name: str
    model_version: str
    model_uri: str
    sha256: str
    champion: bool
    why: str
    rows: int
    validation_rows: int
    from_ms: int
    to_ms: int
    epochs: int
    val_loss: float | None
    val_mae: float
    champion_mae: float | None
    naive_mae: float
    anomaly_rate: float
    validation_id: str | None
    seconds: float
    detector: str


def train(
    dataset: Dataset,
    store: Store,
    settings: Settings,
    *,
    now_ms: int,
    flow_run_id: str | None = None,
    force: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> TrainReport:
    """Train a model of a dataset; it becomes champion if there is none, or if it is better on the same rows.

    Args:
        dataset: What to learn.
        store: Where its rows are.
        settings: MLflow.
        now_ms: The present, UTC epoch ms; later rows are not learnt.
        flow_run_id: Prefect flow run to name in the MLflow run.
        force: Go on although the newest validation failed, is missing or older than the rows.
        progress: Told the epochs done, of at most how many.

    Raises:
        ContainerNotFoundError: Nothing has been loaded.
        ValidationFailedError: The newest validation failed, is missing or too old, and `force` is not set.
        DetectorError: Too few rows, or rows that cannot be learnt.
        TrackingError: MLflow failed.
    """
    from gridwatch import tracking

    started_s = time.monotonic()
    series = training_series(dataset, store, now_ms)
    validation = gate(dataset, store, series, force=force, what="train")
    labels = read_labels(store, series_name(dataset.symbol), now_ms)

    def away(times_ms: Times) -> npt.NDArray[np.bool_]:
        return labels.away(times_ms, now_ms)

    lesson = learn(dataset, series, progress, away=away(series.times_ms))
    reigning = tracking.find_champion(settings, dataset.model_name)
    trial = Trial.run(dataset, store, series, lesson, reigning, away=away)
    elapsed_s = time.monotonic() - started_s
    recorded = tracking.record(
        settings,
        for_mlflow(dataset, series, lesson, trial, validation, flow_run_id, now_ms, elapsed_s),
    )
    if trial.better:
        tracking.crown(settings, dataset.model_name, recorded.model_version)
    seconds = time.monotonic() - started_s
    report = _report(dataset, series, lesson, trial, recorded, validation, seconds)
    write_training(report, store, now_ms=now_ms, flow_run_id=flow_run_id)
    log.info(
        "trained",
        dataset=dataset.name,
        detector=report.detector,
        version=recorded.model_version,
        champion=trial.better,
        seconds=round(seconds, 1),
    )
    return report


def _report(
    dataset: Dataset,
    series: Series,
    lesson: Lesson,
    trial: Trial,
    recorded: Recorded,
    validation: ValidationReport | None,
    seconds: float,
) -> TrainReport:
    return TrainReport(
        dataset=dataset.name,
        run_id=recorded.run_id,
        model_name=dataset.model_name,
        model_version=recorded.model_version,
        model_uri=recorded.model_uri,
        sha256=fingerprint(lesson.parts),
        champion=trial.better,
        why=trial.why,
        rows=len(series),
        validation_rows=lesson.held,
        from_ms=int(series.times_ms[0]),
        to_ms=int(series.times_ms[-1]),
        epochs=len(lesson.epochs),
        val_loss=lesson.val_loss,
        val_mae=trial.val_mae,
        champion_mae=trial.champion_mae,
        naive_mae=trial.naive_mae,
        anomaly_rate=trial.anomaly_rate,
        validation_id=validation.id if validation else None,
        seconds=seconds,
        detector=lesson.model.kind,
    )


def training_series(dataset: Dataset, store: Store, now_ms: int) -> Series:
    """Return the rows to learn: the training range, or the newest `train_months` up to its end or the newest row.

    Raises:
        ContainerNotFoundError: Nothing has been loaded.
        DetectorError: No row lies in the range.
    """
    start_ms, end_ms = dataset.range_ms(dataset.training)
    end_ms = now_ms if end_ms is None else min(end_ms, now_ms)
    series = read_series(dataset, store, start_ms, end_ms)
    if not len(series):
        raise DetectorError(
            f"Container {dataset.container!r} has no rows in the training range of dataset {dataset.name!r} "
            f"({dataset.training.start or 'its beginning'} to {dataset.training.end or 'now'}); load them, or correct "
            '"training" in the dataset file.'
        )
    if start_ms is None and dataset.train_months is not None:
        newest = pd.Timestamp(int(series.times_ms[-1]), unit="ms", tz="UTC")
        first_ms = int((newest - pd.DateOffset(months=dataset.train_months)).timestamp() * 1000)
        first = int(np.searchsorted(series.times_ms, first_ms))
        series = Series(series.times_ms[first:], series.values[first:], series.nulls)
    if series.nulls:
        log.warning("rows_without_a_value", dataset=dataset.name, column=dataset.value, rows=series.nulls)
    return series
