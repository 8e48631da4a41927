"""MLflow artifacts as byte objects of a container store."""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import AsyncIterable, Callable, Iterator
from concurrent.futures import wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import structlog
from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    DATA_LOSS,
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
)
from mlflow.store.artifact.artifact_repo import ArtifactRepository, StreamUploadMixin
from mlflow.utils.uri import validate_path_is_safe
from typing_extensions import override

from mlflow_griddb.location import locate
from mlflow_griddb.stores import forget, objects_at

if TYPE_CHECKING:
    from gridwatch.containers.objects import ObjectStore

__all__ = ["GridDBArtifactRepository"]

log = structlog.get_logger(__name__)


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
        self._location = locate(artifact_uri)

    def _path(self, artifact_path: str | None, *names: str) -> str:
        """Return the object path of an artifact path; a trailing slash, which MLflow's gc sends, means nothing."""
        relative = (artifact_path or "").rstrip("/")
        if relative or artifact_path:
            _check(relative)
        for name in names:
            _check(name)
        return "/".join(part for part in (self._location.path, relative, *names) if part)

    def _relative(self, path: str) -> str:
        return path[len(self._location.path) :].lstrip("/")

    @contextmanager
    def _objects(self) -> Iterator[ObjectStore]:
        """Lend the store's objects; gridwatch's errors leave as MLflow's, so that its server answers 404, 400 or 500.

        Those about an object keep their message. Others may name the store's URL or a path of this machine, which are
        nothing for the server's clients: they are logged, and are the cause of what is raised.
        A store that has gone away costs one error: the next use opens it anew.
        """
        from gridwatch.errors import (
            GridwatchError,
            ObjectConflictError,
            ObjectCorruptError,
            ObjectNotFoundError,
            StoreBusyError,
            StoreError,
            ValueRefusedError,
        )

        objects: ObjectStore | None = None
        try:
            objects = objects_at(self._location)
            yield objects
        except ObjectNotFoundError as error:
            raise MlflowException(str(error), error_code=RESOURCE_DOES_NOT_EXIST) from error
        except ObjectConflictError as error:
            raise MlflowException(str(error), error_code=RESOURCE_ALREADY_EXISTS) from error
        except ValueRefusedError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error
        except ObjectCorruptError as error:
            raise MlflowException(str(error), error_code=DATA_LOSS) from error
        except GridwatchError as error:
            if objects is not None and isinstance(error, StoreError) and not isinstance(error, StoreBusyError):
                forget(objects)
            log.error("artifact_store_failed", error=str(error))  # noqa: TRY400 - whoever handles it has the traceback
            number = f" (GridDB's error {error.code})" if isinstance(error, StoreError) and error.code else ""
            state = "is busy; try again" if isinstance(error, StoreBusyError) else "failed"
            raise MlflowException(
                f"The artifact store {state}{number}. The log of the process that uses it says more.",
                error_code=INTERNAL_ERROR,
            ) from error

    @override
    def log_artifact(self, local_file: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        path = self._path(artifact_path, Path(local_file).name)
        with self._objects() as objects, Path(local_file).open("rb", buffering=0) as source:
            objects.put(path, source)

    @override
    def log_artifacts(self, local_dir: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        files, empty = _tree(Path(local_dir))
        below = [part for part in (artifact_path,) if part]
        for folder in empty:
            path = self._path("/".join((*below, folder)))
            with self._objects() as objects:
                objects.put_folder(path)

        def log_one(file: str) -> None:
            folder = posixpath.dirname(file)
            self.log_artifact(Path(local_dir, file), "/".join((*below, folder) if folder else below) or None)

        # Uploads wait for the disk or the network most of the time; the first error is raised after all have ended.
        done = [self.thread_pool.submit(log_one, file) for file in files]
        wait(done)
        for one in done:
            one.result()

    @override
    def log_artifact_from_stream(
        self, stream: BinaryIO, artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        path = self._path(artifact_path, posixpath.basename(artifact_file_name))
        with self._objects() as objects:
            objects.put(path, stream)

    @override
    async def log_artifact_from_async_stream(
        self, chunks: AsyncIterable[bytes], artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        path = self._path(artifact_path, posixpath.basename(artifact_file_name))
        await _upload(self._objects, path, chunks)

    @override
    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        folder = self._path(path)
        with self._objects() as objects:
            found = objects.list(folder, folders=True)
        direct: dict[str, FileInfo] = {}
        for info in found:
            if info.path == folder:
                # MLflow takes an empty listing to mean "a file".
                return []
            name, slash, _ = info.path[len(folder) :].lstrip("/").partition("/")
            if not name:
                # The mark of this very folder, which is empty or was.
                continue
            child = self._relative(f"{folder}/{name}")
            direct[child] = FileInfo(child, True, None) if slash else FileInfo(child, False, info.size)
        return [direct[child] for child in sorted(direct)]

    @override
    def _is_directory(self, artifact_path: str | None) -> bool:
        with self._objects() as objects:
            return objects.is_folder(self._path(artifact_path))

    @override
    def _download_file(self, remote_file_path: str, local_path: str | os.PathLike[str]) -> None:
        path = self._path(remote_file_path)
        with self._objects() as objects:
            objects.download(path, Path(local_path))

    @override
    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        path = self._path(artifact_path)
        with self._objects() as objects:
            objects.delete_tree(path)


def _check(path: str) -> None:
    """Refuse a path that leaves its folder, as MLflow's server does: INVALID_PARAMETER_VALUE, HTTP 400.

    '#' is the one character that MLflow refuses and that a file's name may well hold; it is a name like others here.
    """
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise MlflowException.invalid_parameter_value(
            f"Invalid artifact path {path!r}: it has an empty, '.' or '..' part; name a file or folder below the root."
        )
    # For its refusals only: it returns the path with %-escapes decoded, which would be another object.
    validate_path_is_safe(path.replace("#", "_"))


def _tree(folder: Path) -> tuple[list[str], list[str]]:
    """Return the files and the empty folders below a folder, as relative paths joined by `/`; links are followed."""
    files: list[str] = []
    empty: list[str] = []
    for place, folders, names in os.walk(folder, followlinks=True):
        below = Path(place).relative_to(folder).as_posix()
        if Path(place).is_symlink() and Path(place).resolve() in Path(place).absolute().parents:
            raise MlflowException.invalid_parameter_value(f"Folder {place!r} is a link to a folder above it.")
        files += [name if below == "." else f"{below}/{name}" for name in names]
        if not folders and not names and below != ".":
            empty.append(below)
    return sorted(files), sorted(empty)


async def _upload(
    lend: Callable[[], AbstractContextManager[ObjectStore]], path: str, chunks: AsyncIterable[bytes]
) -> None:
    """Store what comes in; the store is only ever waited for in another thread."""
    from gridwatch.containers.objects import CHUNK_BYTES

    with ExitStack() as stack:
        objects = await asyncio.to_thread(stack.enter_context, lend())
        writer = await asyncio.to_thread(objects.start, path)
        try:
            # Servers give pieces of 64 KiB; a change of threads for each would cost more than the storing.
            pieces, size = [], 0
            async for piece in chunks:
                pieces.append(piece)
                size += len(piece)
                if size >= CHUNK_BYTES:
                    await asyncio.to_thread(writer.write, b"".join(pieces))
                    pieces, size = [], 0
            if pieces:
                await asyncio.to_thread(writer.write, b"".join(pieces))
            await asyncio.to_thread(writer.commit)
        except BaseException:
            # Not awaited: where the task is cancelled there is no more waiting.
            writer.abort()
            raise
