"""The `griddb://` artifact repository of MLflow."""
