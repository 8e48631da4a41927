"""Byte objects over any store: chunked, checked, streamed, replaced as a whole or not at all.

An object is its chunks plus one manifest row, written last: a crash leaves the old object or the new one. Every put
writes under a new object id, so readers of the old bytes are never given a mixture. Chunks that no manifest names are
what a crash left behind; `collect_orphans` deletes them.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import structlog

from gridwatch.containers.catalog import ARTIFACT_CHUNKS, ARTIFACTS
from gridwatch.containers.store import Store
from gridwatch.errors import ObjectCorruptError, ObjectNotFoundError, StoreError, ValueRefusedError

__all__ = ["CHUNK_BYTES", "ObjectInfo", "ObjectStore", "ObjectWriter"]

log = structlog.get_logger(__name__)

CHUNK_BYTES = 2 * 1024 * 1024
"""A GridDB server with its default memory limit put a row of 32 MiB and could not read it back; a few MiB are safe,
and larger chunks were not faster."""

GRACE_MS = 24 * 3_600_000
"""Chunks younger than a day may belong to a writer that has not committed yet."""

_PATH_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object; `size` in bytes, `sha256` in hex, `stored_ms` in UTC epoch ms."""

    path: str
    size: int
    sha256: str
    stored_ms: int
    object_id: str
    chunks: int


def check_path(path: str) -> str:
    """Return the path of an object, or refuse it.

    Raises:
        ValueRefusedError: It is empty, absolute, longer than 4096 bytes or no Unicode, or has an empty, '.' or '..'
            part or NUL.
    """
    parts = path.split("/")
    if (
        not path
        or "\0" in path
        or any(part in {"", ".", ".."} for part in parts)
        # A file name that is not UTF-8 comes as half of surrogate pairs.
        or any("\ud800" <= character <= "\udfff" for character in path)
        or len(path.encode()) > _PATH_BYTES_MAX
    ):
        raise ValueRefusedError(
            f"Object path {path[:200]!r} is refused; use a relative path such as models/a/model.onnx without empty "
            f"parts, '.', '..', NUL or broken Unicode, at most {_PATH_BYTES_MAX} bytes.",
            path=path,
        )
    return path


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class ObjectWriter:
    """Takes the bytes of one object piece by piece; nothing is seen of them before `commit`."""

    def __init__(self, store: Store, path: str, stored_ms: int) -> None:
        self._store = store
        self._path = check_path(path)
        self._stored_ms = stored_ms
        # The time comes first, so that `collect_orphans` knows the age of chunks without a manifest.
        self._object_id = f"{stored_ms:012x}{uuid.uuid4().hex[:20]}"
        self._pending = bytearray()
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._chunks = 0
        self._lock = threading.Lock()
        self._over = False

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take some bytes; at most one chunk and these are held in memory."""
        self._pending += data
        while len(self._pending) >= CHUNK_BYTES:
            self._flush(CHUNK_BYTES)
        return len(data)

    def _flush(self, size: int) -> None:
        data = bytes(self._pending[:size])
        del self._pending[:size]
        digest = hashlib.sha256(data).hexdigest()
        row = {"object_id": [self._object_id], "chunk": [self._chunks], "data": [data], "sha256": [digest]}
        self._store.put(ARTIFACT_CHUNKS.name, pa.table(row))
        self._sha256.update(data)
        self._size += size
        self._chunks += 1

    def commit(self) -> ObjectInfo:
        """Make the object visible in place of an older one of the same path, whose chunks are deleted afterwards.

        Raises:
            StoreError: The store failed, or `abort` came first; the older object stays.
        """
        if self._pending:
            self._flush(len(self._pending))
        if not self._end():
            raise StoreError(f"Object {self._path!r} was given up before its commit; store it again.", path=self._path)
        info = ObjectInfo(
            self._path, self._size, self._sha256.hexdigest(), self._stored_ms, self._object_id, self._chunks
        )
        old = _find(self._store, self._path)
        row = {
            "path": [info.path],
            "object_id": [info.object_id],
            "size": [info.size],
            "sha256": [info.sha256],
            "chunks": [info.chunks],
            "chunk_size": [CHUNK_BYTES],
            "stored_ms": [info.stored_ms],
        }
        self._store.put(ARTIFACTS.name, pa.table(row))
        if old is not None:
            try:
                _delete_chunks(self._store, old.object_id, old.chunks)
            except StoreError as error:
                # The new object is there; what is left of the old one is an orphan.
                log.warning("old_chunks_left", path=self._path, object_id=old.object_id, error=str(error))
        return info

    def abort(self) -> None:
        """Throw the bytes away, unless `commit` has begun: its manifest may name them already.

        A caller that is cancelled may abort while another thread commits, so whoever comes first decides.
        """
        if self._end():
            self._pending.clear()
            _delete_chunks(self._store, self._object_id, self._chunks)

    def _end(self) -> bool:
        """Take the right to end this object; true once."""
        with self._lock:
            over, self._over = self._over, True
        return not over


def _find(store: Store, path: str) -> ObjectInfo | None:
    rows = store.get(ARTIFACTS.name, [path])
    return _infos(rows)[0] if rows.num_rows else None


def _infos(rows: pa.Table) -> list[ObjectInfo]:
    names = ("path", "size", "sha256", "stored_ms", "object_id", "chunks")
    return [ObjectInfo(**{name: row[name] for name in names}) for row in rows.to_pylist()]


def _delete_chunks(store: Store, object_id: str, chunks: int) -> None:
    if chunks:
        store.delete(ARTIFACT_CHUNKS.name, [(object_id, chunk) for chunk in range(chunks)])


class ObjectStore:
    """Byte objects in the artifact containers of a store, which are made when missing.

    Args:
        store: Any backend; stays open, and the caller closes it.
        now_ms: The clock, UTC epoch ms.
    """

    def __init__(self, store: Store, *, now_ms: Callable[[], int] = _now_ms) -> None:
        self._store = store
        self._now_ms = now_ms
        store.put_container(ARTIFACTS)
        store.put_container(ARTIFACT_CHUNKS)

    def start(self, path: str) -> ObjectWriter:
        """Begin an object that is written piece by piece; the caller commits or aborts it."""
        return ObjectWriter(self._store, path, self._now_ms())

    def put(self, path: str, source: BinaryIO | bytes) -> ObjectInfo:
        """Store an object, in place of one of the same path.

        Args:
            path: Relative, parts joined by `/`.
            source: The bytes, or a file opened for reading; read a chunk at a time.

        Raises:
            ValueRefusedError: The path is refused.
        """
        stream = io.BytesIO(source) if isinstance(source, bytes) else source
        writer = self.start(path)
        try:
            while data := stream.read(CHUNK_BYTES):
                writer.write(data)
        except BaseException:
            writer.abort()
            raise
        return writer.commit()

    def info(self, path: str) -> ObjectInfo:
        """Return what is known of an object without reading it.

        Raises:
            ObjectNotFoundError: There is none.
        """
        found = _find(self._store, check_path(path))
        if found is None:
            raise ObjectNotFoundError(f"No object {path!r} in store {self._store.url!r}.", path=path)
        return found

    def open(self, path: str) -> Iterator[bytes]:
        """Return the object's chunks in order, each checked against its sha256 before it is handed out.

        Raises:
            ObjectNotFoundError: There is none, or it was replaced or deleted while it was read.
            ObjectCorruptError: Bytes are missing or are not the ones that were stored.
        """
        return self._chunks(self.info(path))

    def _chunks(self, info: ObjectInfo) -> Iterator[bytes]:
        sha256 = hashlib.sha256()
        size = 0
        for chunk in range(info.chunks):
            rows = self._store.get(ARTIFACT_CHUNKS.name, [(info.object_id, chunk)])
            if not rows.num_rows:
                raise self._missing(info, chunk)
            data = rows.column("data")[0].as_py()
            if data is None or hashlib.sha256(data).hexdigest() != rows.column("sha256")[0].as_py():
                raise _corrupt(info, f"chunk {chunk} does not match its sha256")
            sha256.update(data)
            size += len(data)
            yield data
        if (size, sha256.hexdigest()) != (info.size, info.sha256):
            raise _corrupt(info, f"{size} bytes do not match the sha256 of {info.size} bytes that were stored")

    def _missing(self, info: ObjectInfo, chunk: int) -> Exception:
        now = _find(self._store, info.path)
        if now is None or now.object_id != info.object_id:
            return ObjectNotFoundError(
                f"Object {info.path!r} was replaced or deleted while it was read; read it again.", path=info.path
            )
        return _corrupt(info, f"chunk {chunk} of {info.chunks} is missing")

    def read(self, path: str) -> bytes:
        """Return all bytes of an object, checked; for large ones use `open`."""
        return b"".join(self.open(path))

    def list(self, prefix: str = "") -> list[ObjectInfo]:
        """Return the objects below a folder (`""` is everything), or the one object of this path, sorted by path."""
        columns = "path, size, sha256, stored_ms, object_id, chunks"
        query = f"SELECT {columns} FROM {ARTIFACTS.name}"
        if not prefix:
            return _infos(self._store.sql(f"{query} ORDER BY path"))
        # '0' is the character after '/': a range by the key, where LIKE would take _ and % in names for wildcards.
        query += " WHERE path = ? OR (path > ? AND path < ?) ORDER BY path"
        return _infos(self._store.sql(query, [check_path(prefix), f"{prefix}/", f"{prefix}0"]))

    def delete(self, path: str) -> bool:
        """Delete an object; return whether there was one."""
        found = _find(self._store, check_path(path))
        if found is None:
            return False
        # The manifest first: a crash in between leaves orphan chunks, not a broken object.
        self._store.delete(ARTIFACTS.name, [path])
        _delete_chunks(self._store, found.object_id, found.chunks)
        return True

    def collect_orphans(self, *, grace_ms: int = GRACE_MS) -> int:
        """Delete chunks that no object names and that are older than `grace_ms`; return how many.

        Args:
            grace_ms: Longer than any writer takes from its first chunk to its commit.
        """
        chunks = self._store.read(ARTIFACT_CHUNKS.name, columns=["object_id", "chunk"])
        known = {info.object_id for info in self.list()}
        youngest_ms = self._now_ms() - grace_ms
        orphans = [
            (row["object_id"], row["chunk"])
            for row in chunks.to_pylist()
            if row["object_id"] not in known and int(row["object_id"][:12], 16) < youngest_ms
        ]
        deleted = self._store.delete(ARTIFACT_CHUNKS.name, orphans) if orphans else 0
        log.info("orphan_chunks_deleted", store=self._store.url, chunks=deleted)
        return deleted


def _corrupt(info: ObjectInfo, why: str) -> ObjectCorruptError:
    return ObjectCorruptError(
        f"Object {info.path!r} (id {info.object_id}) is corrupt: {why}. Store it again, or restore the store from a "
        "backup.",
        path=info.path,
    )
