"""What MLflow loads for each scheme when it is imported itself: light, and whole even in the middle of that import."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow_griddb.repository import GridDBArtifactRepository

__all__ = ["repository"]


def repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> GridDBArtifactRepository:
    """Return the repository at a URI; the arguments are MLflow's."""
    # The class needs MLflow, whose import brings this module in: named here, it would not be there yet for a program
    # that imports `mlflow_griddb` first.
    from mlflow_griddb.repository import GridDBArtifactRepository

    return GridDBArtifactRepository(artifact_uri, tracking_uri=tracking_uri, registry_uri=registry_uri)
