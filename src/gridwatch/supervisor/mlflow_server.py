"""MLflow's own server in one process: `python -m gridwatch.supervisor.mlflow_server`.

`mlflow server` imports MLflow once to migrate the database and again in the uvicorn process that it starts, and adds
eight processes for jobs that gridwatch does not use; here the same application starts in half the time.
"""

from __future__ import annotations

import argparse
import os
import uuid
import warnings
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve MLflow's API and UI until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--backend", required=True, help="SQLAlchemy URL of the tracking database")
    parser.add_argument("--artifact-root", required=True, help="artifact location of new experiments")
    options = parser.parse_args(arguments)

    import uvicorn
    from mlflow.server import constants
    from mlflow.server.handlers import initialize_backend_stores

    # What `mlflow server` hands its workers; the application reads it when it is imported.
    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = options.backend
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = options.artifact_root
    os.environ["_MLFLOW_SGI_NAME"] = "uvicorn"
    os.environ["_MLFLOW_SERVER_BOOT_ID"] = uuid.uuid4().hex
    initialize_backend_stores(options.backend, None, options.artifact_root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # MLflow's own, of starlette's WSGI bridge
        uvicorn.run("mlflow.server.fastapi_app:app", host="127.0.0.1", port=options.port, log_level="info")


if __name__ == "__main__":
    main()
