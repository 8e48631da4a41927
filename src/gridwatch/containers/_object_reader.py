"""Gives the bytes of one object chunk by chunk, each checked; the next are read while the caller has these."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from gridwatch.containers._object_files import KeepsFiles
from gridwatch.containers._object_rows import BATCH_CHUNKS, ObjectInfo, corrupt, find_sound
from gridwatch.containers.catalog import ARTIFACT_CHUNKS
from gridwatch.containers.store import Store
from gridwatch.errors import ObjectNotFoundError

__all__ = ["read_chunks"]

_Fetched = list[tuple[int, "memoryview | None", "str | None"]]


def read_chunks(store: Store, info: ObjectInfo) -> Iterator[memoryview]:
    """Yield an object's chunks in order, each after its sha256 was checked; at most three batches are in memory.

    Raises:
        ObjectNotFoundError: The object was replaced or deleted while it was read.
        ObjectCorruptError: Bytes are missing or are not the ones that were stored.
    """
    starts = range(0, info.chunks, BATCH_CHUNKS)
    batches = _Batches(store, info)
    if len(starts) <= 1:
        for start in starts:
            yield from batches.checked(batches.fetched(start))
        batches.finish()
        return
    # One batch is fetched and one hashed while the caller works on a third; neither holds Python's lock for long.
    with ExitStack() as ending:
        fetching, hashing = (ThreadPoolExecutor(1, f"object-{work}") for work in ("fetch", "check"))
        for threads in (hashing, fetching):
            ending.callback(threads.shutdown, wait=False, cancel_futures=True)
        fetched = fetching.submit(batches.fetched, 0)
        checked: Future[list[memoryview]] | None = None
        for start in (*starts[1:], None):
            coming, fetched = fetched, fetching.submit(batches.fetched, start) if start is not None else fetched
            ready, checked = checked, hashing.submit(batches.checked_of, coming)
            if ready is not None:
                yield from ready.result()
        if checked is not None:
            yield from checked.result()
        batches.finish()


class _Batches:
    """Chunks of one object, fetched a batch at a time, in order, and checked."""

    def __init__(self, store: Store, info: ObjectInfo) -> None:
        self._store = store
        self._info = info
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._digests: dict[int, str] = {}

    def fetched(self, start: int) -> _Fetched:
        """Return number, bytes and digest of each chunk of the batch that begins with number `start`."""
        numbers = range(start, min(start + BATCH_CHUNKS, self._info.chunks))
        if isinstance(self._store, KeepsFiles):
            found = self._store.files.read(self._info.object_id, start, len(numbers))
            if found is not None:
                # The rows would bring the same bytes; a statement for each batch would cost as much as the reading.
                self._digests = self._digests or self._all_digests()
                return [
                    (number, chunk, self._digests.get(number)) for number, chunk in zip(numbers, found, strict=True)
                ]
        return self._fetched_rows(numbers)

    def _all_digests(self) -> dict[int, str]:
        query = f"SELECT chunk, sha256 FROM {ARTIFACT_CHUNKS.name} WHERE object_id = ?"
        rows = self._store.sql(query, [self._info.object_id])
        return dict(zip(*(column.to_pylist() for column in rows.columns), strict=True))

    def _fetched_rows(self, numbers: range) -> _Fetched:
        rows = self._store.get(ARTIFACT_CHUNKS.name, [(self._info.object_id, number) for number in numbers])
        found = dict(zip(rows.column("chunk").to_pylist(), range(rows.num_rows), strict=True))
        chunks = []
        for number in numbers:
            if number not in found:
                raise _missing(self._store, self._info, number)
            data, digest = (rows.column(name)[found[number]] for name in ("data", "sha256"))
            # Straight from Arrow's buffer: `as_py` would copy it.
            chunks.append((number, memoryview(data.as_buffer()) if data.is_valid else None, digest.as_py()))
        return chunks

    def checked(self, fetched: _Fetched) -> list[memoryview]:
        """Return the bytes of the following chunks, each checked."""
        views = []
        for number, data, digest in fetched:
            if data is None or digest is None:
                # Where a file is gone, the object may have been replaced since.
                raise _missing(self._store, self._info, number)
            self._sha256.update(data)
            # The digest of everything up to here: what went before has been checked already.
            if self._sha256.copy().hexdigest() != digest:
                raise corrupt(self._info, f"chunk {number} does not match its sha256")
            self._size += len(data)
            views.append(data)
        return views

    def checked_of(self, fetching: Future[_Fetched]) -> list[memoryview]:
        """Return `checked` of a batch that is still being fetched."""
        return self.checked(fetching.result())

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
