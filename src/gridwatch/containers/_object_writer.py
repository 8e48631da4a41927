"""Takes the bytes of one object piece by piece; other threads hash and store them."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

import pyarrow as pa
import structlog

from gridwatch.containers._object_batch import BATCH_BYTES, Batch, FileSink, Sink, rows_of, sink_of
from gridwatch.containers._object_files import KeepsFiles
from gridwatch.containers._object_rows import (
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

_BATCHES_MAX = 3

GRACE_MS = 24 * 3_600_000
"""Chunks younger than a day may belong to a writer that has not committed yet."""


class ObjectWriter:
    """Takes the bytes of one object piece by piece; nothing is seen of them before `commit`.

    One thread at a time may write; `abort` may come from another. At most three batches of chunks are in memory: one
    that is filled, the others being hashed and stored by other threads, which do not hold Python's lock. An object
    that fills a batch goes to a file where the store keeps such files, a smaller one into rows.

    Args:
        store: Where the object goes.
        path: Its path.
        now_ms: The clock, UTC epoch ms.
        expected: How many bytes will come, where that is known; others may come all the same.

    Raises:
        ValueRefusedError: The path is refused.
        ObjectConflictError: The path is a folder, or below an object.
    """

    def __init__(self, store: Store, path: str, now_ms: Callable[[], int], expected: int = 0) -> None:
        self._store = store
        self._path = check_path(path)
        # Before the bytes come, for they may be many.
        refuse_conflict(store, path)
        self._now_ms = now_ms
        self._stored_ms = now_ms()
        # The time comes first, so that chunks without a manifest show their age.
        self._object_id = f"{self._stored_ms:012x}{uuid.uuid4().hex[:20]}"
        self._expected = expected
        self._batch = Batch()
        self._begun: deque[Batch] = deque()
        self._sink: Sink | None = None
        self._hashing: ThreadPoolExecutor | None = None
        self._sha256 = hashlib.sha256()
        self._digests: list[str] = []
        self._size = 0
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
                with self._batch.room() as room:
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
        with self._batch.room() as room:
            if hasattr(source, "readinto"):
                size = source.readinto(room) or 0
            else:
                data = source.read(len(room))
                size = len(data)
                room[:size] = data
        self._take(size)
        return size

    def _take(self, size: int) -> None:
        self._batch.filled += size
        if self._batch.filled == BATCH_BYTES:
            self._hand_over()

    def _hand_over(self) -> None:
        """Have other threads hash and store the full batch, and go on with another."""
        batch = self._batch
        with self._lock:
            if self._over:
                raise self._given_up()
            if self._sink is None or self._hashing is None:
                self._sink = sink_of(self._store, self._object_id, self._expected)
                self._hashing = ThreadPoolExecutor(1, "object-hash")
            batch.hashed = self._hashing.submit(self._hash, batch)
            batch.stored = self._sink.take(batch)
        self._begun.append(batch)
        # Used again and again: fresh memory costs more than the copying.
        following = Batch() if len(self._begun) < _BATCHES_MAX else self._begun.popleft()
        following.wait()
        self._batch = following.begin(batch.first + batch.chunks)

    def _hash(self, batch: Batch) -> list[str]:
        """Return the digest of each chunk: of everything up to its end, so that one pass serves chunks and whole."""
        digests = []
        for chunk in batch.pieces():
            self._sha256.update(chunk)
            digests.append(self._sha256.copy().hexdigest())
        self._size += batch.filled
        self._digests += digests
        return digests

    def _stored(self) -> None:
        """Wait for the batches that are being hashed and stored."""
        while self._begun:
            self._begun.popleft().wait()

    def commit(self) -> ObjectInfo:
        """Make the object visible in place of an older one of the same path, whose chunks are deleted afterwards.

        Two writers that commit an object and its own folder in the same moment may both come through: between the last
        look for a conflict and the manifest no lock is held. `check_objects` reports that.

        Raises:
            ObjectConflictError: The path has become a folder, or come to be below an object, since the start.
            StoreError: The store failed, or `abort` came first; the older object stays.
        """
        self._stored()
        last = self._batch
        last.hashed = Future()
        last.hashed.set_result(self._hash(last))
        try:
            held = self._finish(last)
        except StoreError as error:
            if self._over:
                raise self._given_up() from error
            raise
        if not self._end():
            self._throw_away()
            raise self._given_up()
        self._close()
        info = ObjectInfo(
            self._path, self._size, self._sha256.hexdigest(), self._stored_ms, self._object_id, len(self._digests)
        )
        self._refuse_late()
        try:
            refuse_conflict(self._store, self._path)
            old = find(self._store, self._path)
        except StoreError:
            # An abort comes too late to do this.
            self._throw_away()
            raise
        write_manifest(self._store, info, held)
        if old is not None:
            try:
                delete_chunks(self._store, [old])
            except StoreError as error:
                # The new object is there; what is left of the old one is an orphan.
                log.warning("old_chunks_left", path=self._path, object_id=old.object_id, error=str(error))
        return info

    def _finish(self, last: Batch) -> pa.Table | None:
        """Store the last batch; return the rows that are left to be stored together with the manifest."""
        if isinstance(self._sink, FileSink):
            self._sink.finish(last)
            return rows_of(self._object_id, 0, self._digests, None)
        rows = last.rows(self._object_id)
        if isinstance(self._store, KeepsFiles):
            # Where both come or none there is no need to write one before the other, which would be a second commit.
            return rows
        if rows.num_rows:
            self._store.put(ARTIFACT_CHUNKS.name, rows)
        return None

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
            if isinstance(self._sink, FileSink):
                self._sink.discard()
            else:
                chunks = self._batch.first + self._batch.chunks
                delete_chunk_keys(self._store, [(self._object_id, chunk) for chunk in range(chunks)])
        except StoreError as error:
            # No manifest names them: orphans. What made the caller give up must not be hidden by this.
            log.warning("chunks_left", path=self._path, object_id=self._object_id, error=str(error))

    def _given_up(self) -> StoreError:
        return StoreError(f"Object {self._path!r} was given up before its commit; store it again.", path=self._path)

    def _close(self) -> None:
        """End the other threads, after what they are at."""
        if self._hashing is not None:
            self._hashing.shutdown()
        if self._sink is not None:
            self._sink.close()

    def _end(self) -> bool:
        """Take the right to end this object; true once."""
        with self._lock:
            over, self._over = self._over, True
        return not over
