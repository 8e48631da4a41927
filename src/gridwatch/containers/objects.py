"""Byte objects over any store: chunked, checked, streamed, replaced as a whole or not at all.

An object is its chunks plus one manifest row, written last: a crash leaves the old object or the new one. Every put
writes under a new object id, so readers of the old bytes are never given a mixture. Chunks that no manifest names are
what a crash left behind; `object_check` finds and collects them.
"""

from __future__ import annotations

import io
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

from gridwatch.containers._object_files import reserve
from gridwatch.containers._object_reader import read_chunks
from gridwatch.containers._object_rows import (
    CHUNK_BYTES,
    ObjectInfo,
    check_path,
    delete_chunks,
    delete_manifests,
    find_sound,
    first_below,
    infos_of,
    list_rows,
    refuse_conflict,
    write_manifest,
)
from gridwatch.containers._object_writer import GRACE_MS, ObjectWriter
from gridwatch.containers.catalog import ARTIFACT_CHUNKS, ARTIFACTS
from gridwatch.containers.object_check import Findings, Orphan, check_objects, delete_orphans
from gridwatch.containers.store import Store
from gridwatch.errors import ObjectNotFoundError

__all__ = ["CHUNK_BYTES", "GRACE_MS", "ObjectInfo", "ObjectStore", "ObjectWriter", "check_path"]

T = TypeVar("T")

_ATTEMPTS = 10
"""How often a read starts again when the object is replaced under it."""

_NO_BYTES = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def _size_of(stream: BinaryIO) -> int:
    """Return how many bytes a file still has, 0 for what is no file."""
    try:
        return max(0, os.fstat(stream.fileno()).st_size - stream.tell())
    except (AttributeError, OSError):
        return 0


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class ObjectStore:
    """Byte objects in the artifact containers of a store, which are made when missing. Safe to use from many threads.

    Args:
        store: Any backend; stays open, and the caller closes it.
        now_ms: The clock, UTC epoch ms.
    """

    def __init__(self, store: Store, *, now_ms: Callable[[], int] = _now_ms) -> None:
        self.store = store
        self._now_ms = now_ms
        # Stores of an earlier gridwatch may lack the last column.
        store.put_container(ARTIFACTS, modifiable=True)
        store.put_container(ARTIFACT_CHUNKS)

    def start(self, path: str, *, expected: int = 0) -> ObjectWriter:
        """Begin an object that is written piece by piece; the caller commits or aborts it.

        Args:
            path: Relative, parts joined by `/`.
            expected: How many bytes will come, where that is known.

        Raises:
            ValueRefusedError: The path is refused.
            ObjectConflictError: The path is a folder of other objects, or below an object.
        """
        return ObjectWriter(self.store, path, self._now_ms, expected)

    def put(self, path: str, source: BinaryIO | bytes, *, progress: Callable[[int], None] | None = None) -> ObjectInfo:
        """Store an object, in place of one of the same path.

        Args:
            path: Relative, parts joined by `/`.
            source: The bytes, or a file opened for reading; read a chunk at a time.
            progress: Called with the number of bytes of each piece that was taken.

        Raises:
            ValueRefusedError: The path is refused.
            ObjectConflictError: The path is a folder of other objects, or below an object.
        """
        stream = io.BytesIO(source) if isinstance(source, bytes) else source
        writer = self.start(path, expected=_size_of(stream))
        try:
            while size := writer.write_from(stream):
                if progress:
                    progress(size)
            return writer.commit()
        except BaseException:
            writer.abort()
            raise

    def put_folder(self, path: str) -> None:
        """Remember an empty folder; nothing happens when there is something in it.

        Raises:
            ValueRefusedError: The path is refused.
            ObjectConflictError: There is an object of this name, or above it.
        """
        if first_below(self.store, check_path(path)) is not None:
            return
        # With the slash, an object of the same name counts as one above it.
        refuse_conflict(self.store, f"{path}/")
        write_manifest(self.store, ObjectInfo(f"{path}/", 0, _NO_BYTES, self._now_ms(), uuid.uuid4().hex, 0))

    def is_folder(self, path: str) -> bool:
        """Tell whether there is anything below this path, or an empty folder was stored under it."""
        return first_below(self.store, check_path(path) if path else path) is not None

    def info(self, path: str) -> ObjectInfo:
        """Return what is known of an object without reading it.

        Raises:
            ObjectNotFoundError: There is none.
            ObjectCorruptError: Its manifest was changed.
        """
        found = find_sound(self.store, check_path(path))
        if found is None:
            # Without the store's URL: MLflow's server gives the message to its clients.
            raise ObjectNotFoundError(f"No object {path!r} in the store.", path=path, store=self.store.url)
        return found

    def open(self, path: str) -> Iterator[memoryview]:
        """Return the object's chunks in order, each checked against its sha256 before it is handed out.

        Raises:
            ObjectNotFoundError: There is none, or it was replaced or deleted while it was read.
            ObjectCorruptError: Bytes are missing or are not the ones that were stored.
        """
        return read_chunks(self.store, self.info(path))

    def read(self, path: str) -> bytes:
        """Return all bytes of an object, checked; for large ones use `open` or `download`.

        Raises:
            ObjectNotFoundError: There is none.
            ObjectCorruptError: Bytes are missing or are not the ones that were stored.
        """
        return self._again(path, lambda info: b"".join(read_chunks(self.store, info)))

    def _again(self, path: str, work: Callable[[ObjectInfo], T]) -> T:
        """Do what reads an object, again if it was replaced meanwhile: the new one is there then, whole."""
        for _ in range(_ATTEMPTS - 1):
            # Where there is none, this says so.
            info = self.info(path)
            try:
                return work(info)
            except ObjectNotFoundError:
                continue
        return work(self.info(path))

    def download(self, path: str, target: Path, *, progress: Callable[[int], None] | None = None) -> ObjectInfo:
        """Write an object to a local file, which appears when all of it has been checked, in place of an older one.

        Args:
            path: The object.
            target: The file; its folder exists.
            progress: Called with the number of bytes of each piece that was written.

        Raises:
            ObjectNotFoundError: There is none.
            ObjectCorruptError: Bytes are missing or are not the ones that were stored; `target` is as it was.
            OSError: The file cannot be written.
        """
        return self._again(path, lambda info: self._download(info, target, progress))

    def _download(self, info: ObjectInfo, target: Path, progress: Callable[[int], None] | None) -> ObjectInfo:
        part = target.with_name(f".{uuid.uuid4().hex}.part")
        try:
            # Chunks are large; a buffer in between would only copy them.
            with part.open("xb", buffering=0) as file:
                # Else some file systems write all of it to the disk when it takes another's place.
                reserve(file.fileno(), info.size)
                for chunk in read_chunks(self.store, info):
                    left = chunk
                    while left:
                        left = left[file.write(left) :]
                    if progress:
                        progress(len(chunk))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return info

    def delete(self, path: str) -> bool:
        """Delete an object; return whether there was one."""
        return self._delete([info for info in self.list(path) if info.path == path]) > 0

    def delete_tree(self, prefix: str = "") -> int:
        """Delete everything below a folder, or the one object of this path; return how many objects that were."""
        return self._delete(self.list(prefix, folders=True))

    def _delete(self, infos: Sequence[ObjectInfo]) -> int:
        # The manifests first: a crash in between leaves orphan chunks, not a broken object.
        deleted = delete_manifests(self.store, [info.path for info in infos])
        delete_chunks(self.store, infos)
        return deleted

    def check(self, *, grace_ms: int = GRACE_MS) -> Findings:
        """Return what is wrong with the objects, as far as it shows without reading them; see `check_objects`."""
        return check_objects(self.store, now_ms=self._now_ms, grace_ms=grace_ms)

    def collect_orphans(self, *, grace_ms: int = GRACE_MS) -> int:
        """Delete chunks that no object names and whose upload began before the grace; return how many."""
        return self.delete_orphans(self.check(grace_ms=grace_ms).orphans)

    def delete_orphans(self, orphans: Sequence[Orphan]) -> int:
        """Delete what `check` found to belong to no object; return how many chunks it found."""
        return delete_orphans(self.store, orphans)

    def list(self, prefix: str = "", *, folders: bool = False) -> list[ObjectInfo]:
        """Return the objects below a folder (`""` is everything), or the one object of this path, sorted by path.

        Args:
            prefix: The folder.
            folders: Also the marks of empty folders, whose paths end with a slash.
        """
        return [info for info in infos_of(list_rows(self.store, prefix)) if folders or not info.is_folder]
