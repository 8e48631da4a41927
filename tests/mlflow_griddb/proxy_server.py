"""MLflow's server application as `mlflow server --artifacts-destination DESTINATION` runs it, in one process."""

from __future__ import annotations

import os
import sys
import warnings


def main(port: int, backend: str, destination: str) -> None:
    """Serve until killed."""
    import uvicorn
    from mlflow.server import constants
    from mlflow.server.handlers import initialize_backend_stores

    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = backend
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = "mlflow-artifacts:/"
    os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = destination
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    os.environ["_MLFLOW_SGI_NAME"] = "uvicorn"
    os.environ["_MLFLOW_SERVER_BOOT_ID"] = "test"
    initialize_backend_stores(backend, None, "mlflow-artifacts:/")
    warnings.simplefilter("ignore", DeprecationWarning)
    uvicorn.run("mlflow.server.fastapi_app:app", host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
