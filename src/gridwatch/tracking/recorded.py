"""One version of a registered model as it is recorded: its run, what it learnt, and its bytes as they are stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gridwatch.errors import GridwatchError, TrackingError
from gridwatch.tracking.champions import cached_parts, digest_of, download
from gridwatch.tracking.client import mlflow_client, shown
from gridwatch.tracking.registry import Learnt, Registered

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["RecordedVersion", "kept_parts", "recorded_version", "server_away"]

_TIMEOUT_S = 5.0
_GONE = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}


@dataclass(frozen=True, slots=True)
class RecordedVersion:
    """What MLflow has of a version.

    Attributes:
        uri: `models:/<name>/<version>`.
        run_id: The run that trained it.
        sha256: As it was registered.
        learnt: The rows that it was trained on.
        parts: Its files as the artifact store gives them now, by name; empty where they are gone.
        parts_sha256: Hex digest over those; "" where they are gone.
        parts_error: Why they could not be read.
        run_name: Name of the run; None where the run is gone.
        run_stage: `active` or `deleted`.
        experiment_id: Experiment of the run.
        dataset_digest: What the run names as the digest of its rows.
    """

    uri: str
    run_id: str
    sha256: str
    learnt: Learnt
    parts: dict[str, bytes] = field(repr=False)
    parts_sha256: str
    parts_error: str | None
    run_name: str | None
    run_stage: str | None
    experiment_id: str | None
    dataset_digest: str | None


def recorded_version(settings: Settings, uri: str) -> RecordedVersion | None:
    """Look a version up, its bytes read from the artifact store and never from what the home folder keeps.

    Args:
        settings: Where MLflow is.
        uri: `models:/<name>/<version>`.

    Returns:
        None where MLflow has no such version.

    Raises:
        TrackingError: `uri` is no such address, or MLflow failed.
    """
    from mlflow.exceptions import MlflowException

    name, _, number = uri.removeprefix("models:/").rpartition("/")
    if not uri.startswith("models:/") or not name or not number.isdigit():
        raise TrackingError(f"{uri!r} is not the address of a model version, models:/<name>/<version>.", uri=uri)
    with mlflow_client(settings) as client:
        try:
            version = client.get_model_version(name, number)
        except MlflowException as error:
            if error.error_code in _GONE:
                return None
            raise
        registered = Registered.of(version.version, version.run_id, version.tags)
        parts, wrong = _parts(client, version, registered)
        run = _run(client, registered.run_id)
    inputs = run.inputs.dataset_inputs if run is not None and run.inputs else []
    return RecordedVersion(
        uri=uri,
        run_id=registered.run_id,
        sha256=registered.sha256,
        learnt=registered.learnt,
        parts=parts,
        parts_sha256=digest_of(parts) if parts else "",
        parts_error=wrong,
        run_name=None if run is None else run.info.run_name,
        run_stage=None if run is None else run.info.lifecycle_stage,
        experiment_id=None if run is None else str(run.info.experiment_id),
        dataset_digest=inputs[0].dataset.digest if inputs else None,
    )


def server_away(settings: Settings) -> str | None:
    """Return why MLflow's server cannot be asked, in a sentence; None where it answers, or is a database.

    MLflow's own client would try for half a minute before it says so.
    """
    import requests

    uri = settings.tracking_uri
    if not uri.startswith(("http://", "https://")):
        return None
    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=_TIMEOUT_S)
    except requests.RequestException as error:
        return f"MLflow at {shown(uri)} does not answer ({type(error).__name__})."
    return None


def kept_parts(settings: Settings, sha256: str) -> dict[str, bytes] | None:
    """Return the files of a model that the home folder keeps; None unless all are there and have this digest."""
    return cached_parts(settings, sha256)


def _parts(client: Any, version: Any, registered: Registered) -> tuple[dict[str, bytes], str | None]:
    """Return the stored files of a version; where they cannot be read, none and why."""
    from mlflow.exceptions import MlflowException

    try:
        return download(client, version, registered.files), None
    except (MlflowException, GridwatchError, OSError) as error:
        # MLflow writes one failure a file, each on lines of its own.
        return {}, " ".join(str(error).split()).rstrip(".")


def _run(client: Any, run_id: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id) if run_id else None
    except MlflowException as error:
        if error.error_code in _GONE:
            return None
        raise
