"""The champion of a dataset: asked for by its alias, its two files kept in the home folder once downloaded."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridwatch.errors import TrackingError
from gridwatch.folders import make_private
from gridwatch.tracking.client import ALIAS, mlflow_client
from gridwatch.tracking.registry import Learnt, Registered, peek

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = [
    "ChampionModel",
    "cached_parts",
    "champion",
    "digest_of",
    "download",
    "find_champion",
    "keep",
    "model_versions",
]

_VERSIONS_MAX = 200


@dataclass(frozen=True, slots=True)
class ChampionModel:
    """The model that scores a dataset.

    Attributes:
        uri: `models:/<name>/<version>`.
        version: Version of the registered model.
        run_id: MLflow run that trained it.
        sha256: Hex digest over `parts`.
        parts: The saved detector, by file name.
        learnt: The rows that it was trained on.
    """

    uri: str
    version: str
    run_id: str
    sha256: str
    parts: dict[str, bytes] = field(repr=False)
    learnt: Learnt = field(default_factory=Learnt)


def champion(settings: Settings, model_name: str, dataset: str) -> ChampionModel:
    """Return the champion of a dataset, its two files downloaded.

    Raises:
        TrackingError: No model has been trained, none is champion, its bytes are not those that were registered, or
            MLflow failed.
    """
    found = find_champion(settings, model_name)
    if found is None:
        raise TrackingError(
            f"Dataset {dataset!r} has no champion model ({model_name!r} has no alias {ALIAS!r}); first run "
            f"`gridwatch train {dataset}`.",
            dataset=dataset,
        )
    return found


def find_champion(settings: Settings, model_name: str) -> ChampionModel | None:
    """Return the champion of a registered model, or None where there is none.

    Raises:
        TrackingError: Its bytes are missing or not those that were registered, or MLflow failed.
    """
    seen = peek(settings.tracking_uri, model_name)
    parts = _cached(settings, seen) if seen else None
    if seen and parts:
        return _model(model_name, seen, parts)
    with mlflow_client(settings) as client:
        version = _by_alias(client, model_name)
        if version is None:
            return None
        registered = Registered.of(version.version, version.run_id, version.tags)
        parts = _cached(settings, registered) or download(client, version, registered.files)
    found = _model(model_name, registered, parts)
    if not parts or digest_of(parts) != registered.sha256:
        raise TrackingError(
            f"The files {list(registered.files)} of {found.uri} have the sha256 {digest_of(parts)}, but "
            f"{registered.sha256 or 'none'} was registered; they were changed or are not gridwatch's. Train again.",
            uri=found.uri,
        )
    keep(settings, registered.sha256, parts)
    return found


def model_versions(settings: Settings, model_name: str) -> list[dict[str, Any]]:
    """Return the versions of a registered model, newest first; none where it was never trained.

    Returns:
        A dict a version: `model`, `version`, `champion`, `made_ms`, `run_id`, `sha256`, `detector`, and `metrics`
        of its run.

    Raises:
        TrackingError: MLflow failed.
    """
    from mlflow.exceptions import MlflowException

    with mlflow_client(settings) as client:
        try:
            aliases = client.get_registered_model(model_name).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return []
            raise
        found = client.search_model_versions(f"name = '{model_name}'", max_results=_VERSIONS_MAX)
        rows = [
            {
                "model": model_name,
                "version": str(one.version),
                "champion": str(aliases.get(ALIAS)) == str(one.version),
                "made_ms": one.creation_timestamp,
                "run_id": one.run_id,
                "sha256": one.tags.get("gridwatch.sha256"),
                "detector": one.tags.get("gridwatch.detector"),
                "metrics": dict(client.get_run(one.run_id).data.metrics) if one.run_id else {},
            }
            for one in found
        ]
    return sorted(rows, key=lambda row: int(row["version"]), reverse=True)


def _by_alias(client: Any, model_name: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(model_name, ALIAS)
    except MlflowException as error:
        # MLflow answers a missing alias as a wrong parameter.
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def _model(model_name: str, registered: Registered, parts: dict[str, bytes]) -> ChampionModel:
    uri = f"models:/{model_name}/{registered.version}"
    return ChampionModel(uri, registered.version, registered.run_id, registered.sha256, parts, registered.learnt)


def digest_of(parts: Mapping[str, bytes]) -> str:
    """Return the sha256 (hex) over files by name, as a saved detector's fingerprint."""
    return hashlib.sha256(b"".join(parts[name] for name in sorted(parts))).hexdigest()


def keep(settings: Settings, sha256: str, parts: Mapping[str, bytes]) -> None:
    """Keep the files of a model in the home folder, so that the next process need not download them."""
    folder = _folder(settings, sha256)
    make_private(folder)
    for name, content in parts.items():
        # A file that is cut short by a crash fails its digest and is downloaded again.
        (folder / Path(name).name).write_bytes(content)


def _cached(settings: Settings, registered: Registered) -> dict[str, bytes] | None:
    """Return the files of a model that is kept, or None if one is missing or damaged."""
    folder = _folder(settings, registered.sha256)
    try:
        parts = {name: (folder / Path(name).name).read_bytes() for name in registered.files}
    except OSError:
        return None
    return parts if parts and digest_of(parts) == registered.sha256 else None


def cached_parts(settings: Settings, sha256: str) -> dict[str, bytes] | None:
    """Return the files of a model that is kept under this digest, or None if there are none or they are damaged."""
    try:
        parts = {path.name: path.read_bytes() for path in _folder(settings, sha256).iterdir()} if sha256 else {}
    except OSError:
        return None
    return parts if parts and digest_of(parts) == sha256 else None


def _folder(settings: Settings, sha256: str) -> Path:
    # Only letters and digits: what the registry says names a folder here.
    return settings.home / "models" / "".join(letter for letter in sha256 if letter.isalnum())


def download(client: Any, version: Any, names: Sequence[str]) -> dict[str, bytes]:
    """Return files of a version, by name, as the artifact store has them."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    model = client.get_logged_model(version.model_id or version.source.rpartition("/")[2])
    repository = get_artifact_repository(model.artifact_location, tracking_uri=client.tracking_uri)
    with tempfile.TemporaryDirectory(prefix="gridwatch-") as folder:
        return {name: Path(repository.download_artifacts(name, folder)).read_bytes() for name in names}
