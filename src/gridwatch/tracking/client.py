"""A client of MLflow for the settings at hand; its errors leave as TrackingError."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gridwatch.errors import TrackingError
from gridwatch.folders import make_private

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["ALIAS", "mlflow_client", "shown"]

ALIAS = "champion"


@contextmanager
def mlflow_client(settings: Settings) -> Iterator[Any]:
    """Yield an MLflow client of the settings' tracking store; its errors leave as TrackingError."""
    quiet = {
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient, set_tracking_uri

    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if settings.tracking_uri.startswith("sqlite:"):
        make_private(settings.home)
    # The client's own URIs are not enough: MLflow's registry looks a model up through the process's.
    set_tracking_uri(settings.tracking_uri)
    try:
        yield MlflowClient(settings.tracking_uri, settings.tracking_uri)
    except MlflowException as error:
        raise TrackingError(
            f"MLflow at {shown(settings.tracking_uri)} answered {error.error_code}: {error.message}"
        ) from error


def shown(uri: str) -> str:
    """Return a tracking URI without the user and password that it may carry."""
    scheme, mark, rest = uri.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"
