"""Train a dataset's model, compare it with the champion on the same rows, and record both figures in MLflow."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import structlog

from gridwatch.detectors import LstmDetector, Scores, fingerprint
from gridwatch.errors import DetectorError
from gridwatch.pipeline.series import Series, gate, limit_of, new_detector, read_series
from gridwatch.pipeline.train_report import write_training

if TYPE_CHECKING:
    from gridwatch.containers.store import Store
    from gridwatch.pipeline.validate import ValidationReport
    from gridwatch.settings import Settings
    from gridwatch.sources.dataset import Dataset
    from gridwatch.tracking import ChampionModel, Recorded

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
        val_loss: Mean squared error on the validation rows, in standard deviations of the feature.
        val_mae: Mean absolute error on them, in the value's own units.
        champion_mae: The same of the champion so far, on the same rows; None if there was none.
        naive_mae: The same of expecting the value of the row before.
        anomaly_rate: Share of the learnt rows at or above the threshold.
        validation_id: Validation of the rows.
        seconds: Duration.
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
    val_loss: float
    val_mae: float
    champion_mae: float | None
    naive_mae: float
    anomaly_rate: float
    validation_id: str | None
    seconds: float


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
    detector = new_detector(dataset, None if progress is None else lambda epoch, most, _row: progress(epoch, most))
    detector.learn(series.times_ms, series.values)
    reigning = tracking.find_champion(settings, dataset.model_name)
    trial = _Trial.run(dataset, series, detector, reigning)
    elapsed_s = time.monotonic() - started_s
    recorded = tracking.record(
        settings,
        _for_mlflow(dataset, series, detector, trial, validation, flow_run_id, now_ms, elapsed_s),
    )
    if trial.better:
        tracking.crown(settings, dataset.model_name, recorded.model_version)
    seconds = time.monotonic() - started_s
    report = _report(dataset, series, detector, trial, recorded, validation, seconds)
    write_training(report, store, now_ms=now_ms, flow_run_id=flow_run_id)
    log.info(
        "trained",
        dataset=dataset.name,
        version=recorded.model_version,
        champion=trial.better,
        seconds=round(seconds, 1),
    )
    return report


def _report(
    dataset: Dataset,
    series: Series,
    detector: LstmDetector,
    trial: _Trial,
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
        sha256=fingerprint(detector.save()),
        champion=trial.better,
        why=trial.why,
        rows=len(series),
        validation_rows=trial.rows,
        from_ms=int(series.times_ms[0]),
        to_ms=int(series.times_ms[-1]),
        epochs=len(_trained(detector).history),
        val_loss=trial.val_loss,
        val_mae=trial.val_mae,
        champion_mae=trial.champion_mae,
        naive_mae=trial.naive_mae,
        anomaly_rate=trial.anomaly_rate,
        validation_id=validation.id if validation else None,
        seconds=seconds,
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


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """Champion and challenger on the same rows, the newest, which the challenger was not trained on."""

    rows: int
    times_ms: Any
    scores: Scores
    champion_scores: Scores | None
    val_loss: float
    val_mae: float
    champion_mae: float | None
    naive_mae: float
    anomaly_rate: float
    val_anomaly_rate: float
    better: bool
    why: str

    @classmethod
    def run(cls, dataset: Dataset, series: Series, detector: LstmDetector, reigning: ChampionModel | None) -> _Trial:
        held = detector.validation_rows(len(series))
        scores = detector.score(series.times_ms, series.values)
        flagged = detector.limit.flags(scores)
        newest = _last(scores, held)
        ours = _mae(newest)
        theirs, their_scores = None, None
        if reigning is not None:
            rival = LstmDetector.load(reigning.parts).with_limit(limit_of(dataset))
            first = max(len(series) - held - rival.context_rows, 0)
            their_scores = _last(rival.score(series.times_ms[first:], series.values[first:]), held)
            theirs = _mae(their_scores)
        better = theirs is None or ours < theirs
        trained = _trained(detector)
        return cls(
            rows=held,
            times_ms=series.times_ms[-held:],
            scores=newest,
            champion_scores=their_scores,
            val_loss=trained.history[trained.best_epoch - 1]["val_loss"],
            val_mae=ours,
            champion_mae=theirs,
            naive_mae=float(np.abs(np.diff(series.values)[-held:]).mean()),
            anomaly_rate=float(flagged[scores.scored].mean()),
            val_anomaly_rate=float(flagged[-held:].mean()),
            better=better,
            why=_why(dataset, held, ours, theirs, reigning),
        )


def _why(dataset: Dataset, held: int, ours: float, theirs: float | None, reigning: ChampionModel | None) -> str:
    what = f"mean absolute error {ours:.6g} in {dataset.value} on the newest {held} rows"
    if theirs is None or reigning is None:
        return f"First model of this dataset: {what}."
    if ours < theirs:
        return f"Better than version {reigning.version}: {what}, where that one has {theirs:.6g}."
    return f"Not better than version {reigning.version}: {what}, where that one has {theirs:.6g}."


def _last(scores: Scores, rows: int) -> Scores:
    return Scores(**{name: column[-rows:] for name, column in scores.columns().items()})


def _mae(scores: Scores) -> float:
    """Mean absolute error of the rows that were scored; infinite if the window of a model left none."""
    errors = np.abs(scores.actual - scores.expected)[scores.scored]
    return float(errors.mean()) if len(errors) else float("inf")


def _trained(detector: LstmDetector) -> Any:
    if detector.trained is None:
        raise DetectorError("The detector has not been trained in this process.")
    return detector.trained


def _for_mlflow(
    dataset: Dataset,
    series: Series,
    detector: LstmDetector,
    trial: _Trial,
    validation: ValidationReport | None,
    flow_run_id: str | None,
    now_ms: int,
    elapsed_s: float,
) -> Any:
    from gridwatch.pipeline.training_plots import loss_curve, predictions
    from gridwatch.tracking import Training

    trained, parts = _trained(detector), detector.save()
    metrics = {
        "best_val_loss": trial.val_loss,
        "best_epoch": float(trained.best_epoch),
        "val_mae": trial.val_mae,
        "naive_mae": trial.naive_mae,
        "val_skill": 1.0 - trial.val_mae / trial.naive_mae if trial.naive_mae else 0.0,
        "anomaly_rate": trial.anomaly_rate,
        "val_anomaly_rate": trial.val_anomaly_rate,
        "train_seconds": elapsed_s,
        "became_champion": float(trial.better),
    }
    if trial.champion_mae is not None and np.isfinite(trial.champion_mae):
        metrics["champion_mae"] = trial.champion_mae
    tags = {
        "gridwatch.became_champion": str(trial.better).lower(),
        "gridwatch.why": trial.why,
        "gridwatch.validation_id": validation.id if validation else "",
        "gridwatch.validation_passed": str(validation.success).lower() if validation else "missing",
        "gridwatch.flow_run_id": flow_run_id or "",
    }
    threshold = {"threshold_rule": dataset.threshold.rule, "threshold": dataset.threshold.value}
    files = {
        "plots/loss.png": loss_curve(trained.history, trained.best_epoch),
        "plots/predictions.png": predictions(trial.times_ms, trial.scores, trial.champion_scores, value=dataset.value),
        "dataset.json": dataset.model_dump_json(indent=1).encode(),
    }
    digest = hashlib.sha256(series.times_ms.tobytes() + series.values.tobytes()).hexdigest()[:16]
    rows = {
        "digest": digest,
        "rows": len(series),
        "from_ms": int(series.times_ms[0]),
        "to_ms": int(series.times_ms[-1]),
        "columns": {"ts": "datetime", dataset.value: "double"},
    }
    return Training(
        dataset=dataset.name,
        model_name=dataset.model_name,
        container=dataset.container,
        network=trained.model,
        parts=parts,
        sha256=fingerprint(parts),
        example=detector.example(series.times_ms, series.values),
        params={"feature": dataset.feature, **dataset.model.model_dump(), **threshold, "rows": len(series)},
        epochs=trained.history,
        metrics=metrics,
        tags=tags,
        rows=rows,
        files=files,
        started_ms=now_ms,
        ended_ms=now_ms + round(elapsed_s * 1000),
    )
