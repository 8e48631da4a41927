"""The `griddb://` artifact repository of MLflow."""

from mlflow_griddb.repository import GridDBArtifactRepository

__all__ = ["GridDBArtifactRepository"]
