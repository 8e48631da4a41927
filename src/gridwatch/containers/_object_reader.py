"""Gives the bytes of one object chunk by chunk, each checked; the next batch is read while the caller has this one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

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
    sha256 = hashlib.sha256()
    size = 0
    for number, data, stored in _rows(store, info):
        if data is None:
            raise _missing(store, info, number)
        sha256.update(data)
        # The digest of everything up to here: what went before has been checked already.
        if sha256.copy().hexdigest() != stored:
            raise corrupt(info, f"chunk {number} does not match its sha256")
        size += len(data)
        yield data
    if (size, sha256.hexdigest()) != (info.size, info.sha256):
        raise corrupt(info, f"{size} bytes do not match the sha256 of {info.size} bytes that were stored")


def _rows(store: Store, info: ObjectInfo) -> Iterator[tuple[int, memoryview | None, str | None]]:
    """Yield number, bytes and stored digest of each chunk; bytes are None where the chunk is missing."""
    starts = range(0, info.chunks, BATCH_CHUNKS)
    if len(starts) <= 1:
        for start in starts:
            yield from _batch(store, info, start)
        return
    threads = ThreadPoolExecutor(1, "object-reader")
    try:
        coming = threads.submit(_batch, store, info, 0)
        for start in starts:
            rows = coming.result()
            if start + BATCH_CHUNKS < info.chunks:
                coming = threads.submit(_batch, store, info, start + BATCH_CHUNKS)
            yield from rows
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _batch(store: Store, info: ObjectInfo, start: int) -> list[tuple[int, memoryview | None, str | None]]:
    numbers = range(start, min(start + BATCH_CHUNKS, info.chunks))
    rows = store.get(ARTIFACT_CHUNKS.name, [(info.object_id, number) for number in numbers])
    found = {
        chunk.as_py(): (_view(data), stored.as_py())
        for chunk, data, stored in zip(*(rows.column(name) for name in ("chunk", "data", "sha256")), strict=True)
    }
    return [(number, *found.get(number, (None, None))) for number in numbers]


def _view(data: pa.BinaryScalar) -> memoryview | None:
    # Straight from Arrow's buffer: `as_py` would copy it.
    return memoryview(data.as_buffer()) if data.is_valid else None


def _missing(store: Store, info: ObjectInfo, number: int) -> Exception:
    now = find_sound(store, info.path)
    if now is None or now.object_id != info.object_id:
        return ObjectNotFoundError(
            f"Object {info.path!r} was replaced or deleted while it was read; read it again.", path=info.path
        )
    return corrupt(info, f"chunk {number} of {info.chunks} is missing")
