"""MLflow artifacts as byte objects of a container store."""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.artifact_repo import ArtifactRepository, StreamUploadMixin, verify_artifact_path
from mlflow.utils.uri import validate_path_is_safe
from typing_extensions import override

from mlflow_griddb.location import Location
from mlflow_griddb.stores import objects_at

if TYPE_CHECKING:
    from gridwatch.containers.objects import ObjectStore

__all__ = ["GridDBArtifactRepository"]


class GridDBArtifactRepository(ArtifactRepository, StreamUploadMixin):  # type: ignore[misc]  # mlflow is untyped
    """Keeps artifacts in the store at GRIDWATCH_STORE_URL; the URI names the folder.

    Args:
        artifact_uri: `griddb:///folder`, or `griddb://host:port/cluster/database/folder`.
        tracking_uri: As MLflow gives it.
        registry_uri: As MLflow gives it.

    Raises:
        MlflowException: The URI is wrong.
    """

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self._location = Location.parse(artifact_uri)

    @property
    def _objects(self) -> ObjectStore:
        return objects_at(self._location.authority)

    def _path(self, artifact_path: str | None, *names: str) -> str:
        """Return the object path of an artifact path; a trailing slash, which MLflow's gc sends, means nothing."""
        relative = (artifact_path or "").rstrip("/")
        if relative:
            verify_artifact_path(relative)
            # For its refusals only: it returns the path with %-escapes decoded, which would be another object.
            validate_path_is_safe(relative)
        return "/".join(part for part in (self._location.root, relative, *names) if part)

    def _relative(self, path: str) -> str:
        return path[len(self._location.root) :].lstrip("/")

    @override
    def log_artifact(self, local_file: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        path = self._path(artifact_path, Path(local_file).name)
        with _translated(), Path(local_file).open("rb") as source:
            self._objects.put(path, source)

    @override
    def log_artifacts(self, local_dir: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        folder = Path(local_dir)
        files = sorted(path for path in folder.rglob("*") if path.is_file())

        def log_one(file: Path) -> None:
            below = file.relative_to(folder).parent.as_posix()
            self.log_artifact(file, "/".join(part for part in (artifact_path, below) if part and part != ".") or None)

        # Uploads wait for the disk or the network most of the time; the first error is raised after all have ended.
        for done in [self.thread_pool.submit(log_one, file) for file in files]:
            done.result()

    @override
    def log_artifact_from_stream(
        self, stream: BinaryIO, artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        path = self._path(artifact_path, posixpath.basename(artifact_file_name))
        with _translated():
            self._objects.put(path, stream)

    @override
    async def log_artifact_from_async_stream(
        self, chunks: AsyncIterable[bytes], artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        path = self._path(artifact_path, posixpath.basename(artifact_file_name))
        with _translated():
            objects = await asyncio.to_thread(lambda: self._objects)
            writer = objects.start(path)
            try:
                async for chunk in chunks:
                    await asyncio.to_thread(writer.write, chunk)
                await asyncio.to_thread(writer.commit)
            except BaseException:
                writer.abort()
                raise

    @override
    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        folder = self._path(path)
        with _translated():
            found = self._objects.list(folder)
        direct: dict[str, FileInfo] = {}
        for info in found:
            if info.path == folder:
                # MLflow takes an empty listing to mean "a file".
                return []
            name, _, below = info.path[len(folder) :].lstrip("/").partition("/")
            child = self._relative(f"{folder}/{name}")
            direct[child] = FileInfo(child, True, None) if below else FileInfo(child, False, info.size)
        return [direct[child] for child in sorted(direct)]

    @override
    def _download_file(self, remote_file_path: str, local_path: str | os.PathLike[str]) -> None:
        path, target = self._path(remote_file_path), Path(local_path)
        with _translated():
            chunks = self._objects.open(path)
            try:
                with target.open("wb") as file:
                    for chunk in chunks:
                        file.write(chunk)
            except BaseException:
                # Half a file, or a corrupt one, must not be taken for the artifact.
                target.unlink(missing_ok=True)
                raise

    @override
    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        with _translated():
            for info in self._objects.list(self._path(artifact_path)):
                self._objects.delete(info.path)


@contextmanager
def _translated() -> Iterator[None]:
    """Raise gridwatch's errors as MLflow's, so that its server answers 404 for what is not there."""
    from gridwatch.errors import GridwatchError, ObjectNotFoundError

    try:
        yield
    except ObjectNotFoundError as error:
        raise MlflowException(str(error), error_code=RESOURCE_DOES_NOT_EXIST) from error
    except GridwatchError as error:
        raise MlflowException(str(error), error_code=INTERNAL_ERROR) from error
