"""Gives the bytes of one object chunk by chunk, each checked; the next batch is read while the caller has this one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from gridwatch.containers._object_rows import BATCH_CHUNKS, ObjectInfo, corrupt, find_sound
from gridwatch.containers.catalog import ARTIFACT_CHUNKS
from gridwatch.containers.store import Store
from gridwatch.errors import ObjectNotFoundError

__all__ = ["read_chunks"]


def read_chunks(store: Store, info: ObjectInfo) -> Iterator[memoryview]:
    """Yield an object's chunks in order, each after its sha256 was checked; at most two batches are in memory.

    Raises:
        ObjectNotFoundError: The object was replaced or deleted while it was read.
        ObjectCorruptError: Bytes are missing or are not the ones that were stored.
    """
    starts = range(0, info.chunks, BATCH_CHUNKS)
    batches = _Batches(store, info)
    if len(starts) <= 1:
        for start in starts:
            yield from batches.read(start)
        batches.finish()
        return
    # Fetched and hashed there while the caller works on the batch before; neither holds Python's lock.
    threads = ThreadPoolExecutor(1, "object-reader")
    try:
        coming = threads.submit(batches.read, 0)
        for start in starts:
            chunks = coming.result()
            if start + BATCH_CHUNKS < info.chunks:
                coming = threads.submit(batches.read, start + BATCH_CHUNKS)
            yield from chunks
        batches.finish()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


class _Batches:
    """Chunks of one object, fetched a batch at a time, in order, and checked."""

    def __init__(self, store: Store, info: ObjectInfo) -> None:
        self._store = store
        self._info = info
        self._sha256 = hashlib.sha256()
        self._size = 0

    def read(self, start: int) -> list[memoryview]:
        """Return the chunks of the batch that begins with number `start`, each checked."""
        numbers = range(start, min(start + BATCH_CHUNKS, self._info.chunks))
        rows = self._store.get(ARTIFACT_CHUNKS.name, [(self._info.object_id, number) for number in numbers])
        found = dict(zip(rows.column("chunk").to_pylist(), range(rows.num_rows), strict=True))
        checked = []
        for number in numbers:
            if number not in found:
                raise _missing(self._store, self._info, number)
            data, stored = (rows.column(name)[found[number]] for name in ("data", "sha256"))
            # Straight from Arrow's buffer: `as_py` would copy it.
            view = memoryview(data.as_buffer() if data.is_valid else b"")
            self._sha256.update(view)
            # The digest of everything up to here: what went before has been checked already.
            if self._sha256.copy().hexdigest() != stored.as_py():
                raise corrupt(self._info, f"chunk {number} does not match its sha256")
            self._size += len(view)
            checked.append(view)
        return checked

    def finish(self) -> None:
        """Check the whole."""
        info = self._info
        if (self._size, self._sha256.hexdigest()) != (info.size, info.sha256):
            raise corrupt(info, f"{self._size} bytes do not match the sha256 of {info.size} bytes that were stored")


def _missing(store: Store, info: ObjectInfo, number: int) -> Exception:
    now = find_sound(store, info.path)
    if now is None or now.object_id != info.object_id:
        return ObjectNotFoundError(
            f"Object {info.path!r} was replaced or deleted while it was read; read it again.", path=info.path
        )
    return corrupt(info, f"chunk {number} of {info.chunks} is missing")
