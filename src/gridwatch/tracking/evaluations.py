"""An evaluation in MLflow: a run with the figures, and what the detector said of each file as artifacts."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.tracking.client import mlflow_client
from gridwatch.tracking.recording import experiment_of

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["Evaluation", "record_evaluation"]

log = structlog.get_logger(__name__)

_BATCH = 100  # MLflow's limit of parameters in one request; that of metrics is higher


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What one evaluation hands to MLflow.

    Attributes:
        detector: Its name.
        params: What was judged, and how.
        metrics: Figures by name, finite.
        files: Files to keep, by their path in the run.
        started_ms: When it began, UTC epoch ms.
        ended_ms: When it ended.
    """

    detector: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    files: Mapping[str, Path]
    started_ms: int
    ended_ms: int


def record_evaluation(settings: Settings, evaluation: Evaluation) -> str:
    """Write an evaluation to MLflow as a run of the experiment's sibling `...-evaluations`; return the run's id.

    Raises:
        TrackingError: MLflow refused or failed; a run that had begun is marked FAILED.
    """
    from mlflow.entities import Metric, Param

    with mlflow_client(settings) as client:
        experiment_id = experiment_of(client, settings, "-evaluations")
        tags = {
            "mlflow.source.name": "gridwatch",
            "mlflow.source.type": "PROJECT",
            "gridwatch.detector": evaluation.detector,
        }
        # Runs over several folders stand in one list: those on the same rows are told by their names.
        on = Path(str(evaluation.params.get("folder", ""))).name
        name = f"{evaluation.detector} on {on}" if on else evaluation.detector
        run = client.create_run(experiment_id, start_time=evaluation.started_ms, tags=tags, run_name=name)
        run_id = str(run.info.run_id)
        status = "FAILED"
        try:
            params = [Param(name, str(value)) for name, value in evaluation.params.items()]
            metrics = [Metric(name, value, evaluation.ended_ms, 0) for name, value in evaluation.metrics.items()]
            for start in range(0, max(len(params), len(metrics)), _BATCH):
                some = slice(start, start + _BATCH)
                client.log_batch(run_id, params=params[some], metrics=metrics[some])
            with tempfile.TemporaryDirectory(prefix="gridwatch-") as folder:
                for path, source in evaluation.files.items():
                    target = Path(folder) / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, target)
                client.log_artifacts(run_id, folder)
            status = "FINISHED"
        finally:
            client.set_terminated(run_id, status, end_time=evaluation.ended_ms)
    log.info("evaluation_recorded", detector=evaluation.detector, run_id=run_id)
    return run_id
