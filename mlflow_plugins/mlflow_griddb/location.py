"""What an artifact URI names, with MLflow's own errors for one that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

if TYPE_CHECKING:
    from gridwatch.containers.object_uri import ObjectUri

__all__ = ["locate"]


def locate(uri: str) -> ObjectUri:
    """Read `griddb:///folder`, which MLflow shortens to `griddb:/folder`, or `griddb://host:port/cluster/db/folder`.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE, which its server answers with 400.
    """
    # MLflow imports this plugin into every one of its processes, so what is heavy comes with the first use.
    from gridwatch.containers.object_uri import ObjectUri
    from gridwatch.errors import ConfigError

    try:
        return ObjectUri.parse(uri)
    except ConfigError as error:
        # Without the cause, which may hold what the message leaves out.
        raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None
