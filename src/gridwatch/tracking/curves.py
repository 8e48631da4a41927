"""What MLflow keeps of how a training went: its metrics epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwatch.tracking.client import mlflow_client

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["Curves", "training_curves"]

Curves = dict[str, list[tuple[int, float]]]
"""By metric, its (epoch from 1, value), in the order of epochs."""


def training_curves(settings: Settings, run_id: str) -> Curves | None:
    """Return the metrics of a run that have epochs; None where MLflow has no such run.

    Raises:
        TrackingError: MLflow failed.
    """
    from mlflow.exceptions import MlflowException

    with mlflow_client(settings) as client:
        try:
            names = sorted(client.get_run(run_id).data.metrics)
        except MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise
        found = {name: client.get_metric_history(run_id, name) for name in names}
    # What was measured once, after the training, has the step 0.
    by_epoch = {
        name: {one.step: float(one.value) for one in history if one.step > 0} for name, history in found.items()
    }
    return {name: sorted(values.items()) for name, values in by_epoch.items() if len(values) > 1}
