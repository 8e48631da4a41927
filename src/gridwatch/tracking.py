"""MLflow: runs, models and the champion of each dataset. The only home of MLflow besides `mlflow_plugins`."""
