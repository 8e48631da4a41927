"""Takes the bytes of one object piece by piece: hashed by the caller's thread, stored by another."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

import pyarrow as pa
import structlog

from gridwatch.containers._object_rows import (
    BATCH_CHUNKS,
    CHUNK_BYTES,
    ObjectInfo,
    check_path,
    delete_chunk_keys,
    delete_chunks,
    find,
    refuse_conflict,
    write_manifest,
)
from gridwatch.containers.catalog import ARTIFACT_CHUNKS
from gridwatch.containers.store import Store
from gridwatch.errors import StoreError

__all__ = ["GRACE_MS", "ObjectWriter"]

log = structlog.get_logger(__name__)

_BATCH_BYTES = BATCH_CHUNKS * CHUNK_BYTES

GRACE_MS = 24 * 3_600_000
"""Chunks younger than a day may belong to a writer that has not committed yet."""


class ObjectWriter:
    """Takes the bytes of one object piece by piece; nothing is seen of them before `commit`.

    One thread at a time may write; `abort` may come from another. At most two batches of chunks are in memory: one
    that is filled and one that the store is taking.

    Args:
        store: Where the object goes.
        path: Its path.
        now_ms: The clock, UTC epoch ms.

    Raises:
        ValueRefusedError: The path is refused.
        ObjectConflictError: The path is a folder, or below an object.
    """

    def __init__(self, store: Store, path: str, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._path = check_path(path)
        # Before the bytes come, for they may be many.
        refuse_conflict(store, path)
        self._now_ms = now_ms
        self._stored_ms = now_ms()
        # The time comes first, so that chunks without a manifest show their age.
        self._object_id = f"{self._stored_ms:012x}{uuid.uuid4().hex[:20]}"
        # Filled from one end to the other, used again and again: fresh memory costs more than the copying.
        self._buffer = pa.allocate_buffer(_BATCH_BYTES)
        self._spare: pa.Buffer | None = None
        self._filled = 0
        self._digests: list[str] = []
        self._sha256 = hashlib.sha256()
        self._chunks = 0
        self._size = 0
        self._threads: ThreadPoolExecutor | None = None
        self._storing: Future[None] | None = None
        self._lock = threading.Lock()
        self._over = False

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take some bytes.

        Raises:
            StoreError: The store refused an earlier chunk; the caller aborts.
        """
        with memoryview(data).cast("B") as left:
            taken = 0
            while taken < len(left):
                with self._room() as room:
                    size = min(len(room), len(left) - taken)
                    room[:size] = left[taken : taken + size]
                self._take(size)
                taken += size
        return taken

    def write_from(self, source: BinaryIO) -> int:
        """Take bytes of a stream, at most to the end of a chunk; return how many, 0 at its end.

        Raises:
            StoreError: The store refused an earlier chunk; the caller aborts.
        """
        with self._room() as room:
            if hasattr(source, "readinto"):
                size = source.readinto(room) or 0
            else:
                data = source.read(len(room))
                size = len(data)
                room[:size] = data
        self._take(size)
        return size

    def _room(self) -> memoryview:
        """Return what is left of the chunk that is being filled."""
        end = (self._filled // CHUNK_BYTES + 1) * CHUNK_BYTES
        return memoryview(self._buffer).cast("B")[self._filled : end]

    def _take(self, size: int) -> None:
        self._filled += size
        if size and self._filled % CHUNK_BYTES == 0:
            self._seal()
            if self._filled == _BATCH_BYTES:
                self._hand_over()

    def _seal(self) -> None:
        """Close the chunk that is being filled."""
        start = len(self._digests) * CHUNK_BYTES
        with memoryview(self._buffer)[start : self._filled] as chunk:
            # Each chunk has the digest of everything up to its end: one pass of hashing serves chunks and the whole.
            self._sha256.update(chunk)
            self._size += len(chunk)
        self._digests.append(self._sha256.copy().hexdigest())

    def _hand_over(self) -> None:
        """Have the other thread store the full batch, and go on with the other buffer."""
        self._stored()
        rows = self._rows()
        with self._lock:
            if self._over:
                raise self._given_up()
            if self._threads is None:
                self._threads = ThreadPoolExecutor(1, "object-writer")
            self._storing = self._threads.submit(self._put, rows)
            self._chunks += len(self._digests)
        self._buffer, self._spare = self._spare or pa.allocate_buffer(_BATCH_BYTES), self._buffer
        self._filled, self._digests = 0, []

    def _rows(self) -> pa.Table:
        """Return the sealed chunks as rows; the bytes are the buffer's own."""
        count = len(self._digests)
        ends = [min(CHUNK_BYTES * place, self._filled) for place in range(count + 1)]
        data = [None, pa.array(ends, pa.int32()).buffers()[1], self._buffer]
        return pa.table(
            {
                "object_id": [self._object_id] * count,
                "chunk": pa.array(range(self._chunks, self._chunks + count), pa.int32()),
                "data": pa.BinaryArray.from_buffers(pa.binary(), count, data),
                "sha256": self._digests,
            }
        )

    def _put(self, rows: pa.Table) -> None:
        self._store.put(ARTIFACT_CHUNKS.name, rows)

    def _stored(self) -> None:
        """Wait for the batch that is being stored."""
        storing, self._storing = self._storing, None
        if storing is not None:
            storing.result()

    def commit(self) -> ObjectInfo:
        """Make the object visible in place of an older one of the same path, whose chunks are deleted afterwards.

        Two writers that commit an object and its own folder in the same moment may both come through: between the last
        look for a conflict and the manifest no lock is held. `check_objects` reports that.

        Raises:
            ObjectConflictError: The path has become a folder, or come to be below an object, since the start.
            StoreError: The store failed, or `abort` came first; the older object stays.
        """
        if self._filled % CHUNK_BYTES:
            self._seal()
        self._stored()
        if self._digests:
            rows = self._rows()
            self._chunks += rows.num_rows
            self._put(rows)
        if not self._end():
            self._throw_away()
            raise self._given_up()
        self._close()
        info = ObjectInfo(
            self._path, self._size, self._sha256.hexdigest(), self._stored_ms, self._object_id, self._chunks
        )
        self._refuse_late()
        try:
            refuse_conflict(self._store, self._path)
            old = find(self._store, self._path)
        except StoreError:
            # An abort comes too late to do this.
            self._throw_away()
            raise
        write_manifest(self._store, info)
        if old is not None:
            try:
                delete_chunks(self._store, [old])
            except StoreError as error:
                # The new object is there; what is left of the old one is an orphan.
                log.warning("old_chunks_left", path=self._path, object_id=old.object_id, error=str(error))
        return info

    def _refuse_late(self) -> None:
        """Refuse an upload that took so long that its chunks may have been collected as orphans."""
        if self._now_ms() - self._stored_ms > GRACE_MS:
            self._throw_away()
            raise StoreError(
                f"Object {self._path!r} took longer than {GRACE_MS // 3_600_000} hours to upload; store it again.",
                path=self._path,
            )

    def abort(self) -> None:
        """Throw the bytes away, unless `commit` has begun: its manifest may name them already.

        A caller that is cancelled may abort while another thread commits, so whoever comes first decides.
        """
        if not self._end():
            return
        self._close()
        self._throw_away()

    def _throw_away(self) -> None:
        try:
            delete_chunk_keys(self._store, [(self._object_id, chunk) for chunk in range(self._chunks)])
        except StoreError as error:
            # No manifest names them: orphans. What made the caller give up must not be hidden by this.
            log.warning("chunks_left", path=self._path, object_id=self._object_id, error=str(error))

    def _given_up(self) -> StoreError:
        return StoreError(f"Object {self._path!r} was given up before its commit; store it again.", path=self._path)

    def _close(self) -> None:
        """End the storing thread, after the batch it is at."""
        if self._threads is not None:
            self._threads.shutdown()

    def _end(self) -> bool:
        """Take the right to end this object; true once."""
        with self._lock:
            over, self._over = self._over, True
        return not over
