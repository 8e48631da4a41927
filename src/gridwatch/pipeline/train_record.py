"""What MLflow is given of a training: parameters, figures, tags, plots, the model's bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridwatch.detectors import fingerprint
from gridwatch.pipeline.models import rule_of

if TYPE_CHECKING:
    from gridwatch.pipeline.lesson import Lesson
    from gridwatch.pipeline.series import Series
    from gridwatch.pipeline.trial import Trial
    from gridwatch.pipeline.validate import ValidationReport
    from gridwatch.sources.dataset import Dataset
    from gridwatch.tracking import Training

__all__ = ["for_mlflow"]


def for_mlflow(
    dataset: Dataset,
    series: Series,
    lesson: Lesson,
    trial: Trial,
    validation: ValidationReport | None,
    flow_run_id: str | None,
    now_ms: int,
    elapsed_s: float,
) -> Training:
    """Return what is recorded of a training.

    Args:
        dataset: What was learnt.
        series: Its rows.
        lesson: The challenger.
        trial: How it did beside the champion.
        validation: Validation of the rows.
        flow_run_id: Prefect flow run that asked for it.
        now_ms: When it began, UTC epoch ms.
        elapsed_s: How long it took, in seconds.
    """
    from gridwatch.tracking import Training

    rule = rule_of(dataset, lesson.model)
    chosen = {"detector": dataset.detector.type, "feature": dataset.feature, **lesson.params}
    sha256 = series.sha256()
    return Training(
        dataset=dataset.name,
        model_name=dataset.model_name,
        container=dataset.container,
        kind=lesson.model.kind,
        network=lesson.network,
        parts=lesson.parts,
        sha256=fingerprint(lesson.parts),
        example=lesson.example,
        params={**chosen, "threshold_rule": rule.name, "threshold": rule.value, "rows": len(series)},
        epochs=lesson.epochs,
        metrics=_metrics(lesson, trial, elapsed_s),
        tags={
            "gridwatch.became_champion": str(trial.better).lower(),
            "gridwatch.why": trial.why,
            "gridwatch.validation_id": validation.id if validation else "",
            "gridwatch.validation_passed": str(validation.success).lower() if validation else "missing",
            "gridwatch.flow_run_id": flow_run_id or "",
        },
        rows={
            # MLflow's datasets take 36 characters.
            "digest": sha256[:16],
            "sha256": sha256,
            "rows": len(series),
            "from_ms": int(series.times_ms[0]),
            "to_ms": int(series.times_ms[-1]),
            "columns": {"ts": "datetime", dataset.value: "double"},
        },
        files=_files(dataset, lesson, trial),
        started_ms=now_ms,
        ended_ms=now_ms + round(elapsed_s * 1000),
    )


def _metrics(lesson: Lesson, trial: Trial, elapsed_s: float) -> dict[str, float]:
    found = {
        "best_val_loss": lesson.val_loss,
        "best_epoch": float(lesson.best_epoch) if lesson.epochs else None,
        "val_mae": trial.val_mae,
        "naive_mae": trial.naive_mae,
        "val_skill": 1.0 - trial.val_mae / trial.naive_mae if trial.naive_mae else 0.0,
        "anomaly_rate": trial.anomaly_rate,
        "val_anomaly_rate": trial.val_anomaly_rate,
        "train_seconds": elapsed_s,
        "became_champion": float(trial.better),
        "champion_mae": trial.champion_mae,
        "champion_anomaly_rate": trial.champion_anomaly_rate,
    }
    return {name: value for name, value in found.items() if value is not None and np.isfinite(value)}


def _files(dataset: Dataset, lesson: Lesson, trial: Trial) -> dict[str, bytes]:
    from gridwatch.pipeline.training_plots import alarms, loss_curve, predictions

    scored, flagged = lesson.scored, rule_of(dataset, lesson.model).flags(lesson.scored)
    loss = {"plots/loss.png": loss_curve(lesson.epochs, lesson.best_epoch)} if lesson.epochs else {}
    online = lesson.model.rule.name == "alarm"
    found = {"plots/alarms.png": alarms(scored, flagged, lesson.held, value=dataset.value)} if online else {}
    return {
        **loss,
        **found,
        "plots/predictions.png": predictions(trial.scored, trial.champion_scored, value=dataset.value),
        "dataset.json": dataset.model_dump_json(indent=1).encode(),
    }
