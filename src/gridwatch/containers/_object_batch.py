"""Chunks on their way into the store: a batch of them in memory, and where full batches go."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, Self

import pyarrow as pa

from gridwatch.containers._object_files import KeepsFiles, ObjectFiles, whole_pages
from gridwatch.containers._object_rows import BATCH_CHUNKS, CHUNK_BYTES
from gridwatch.containers.catalog import ARTIFACT_CHUNKS
from gridwatch.containers.store import Store

__all__ = ["BATCH_BYTES", "Batch", "FileSink", "RowSink", "Sink", "rows_of", "sink_of"]

BATCH_BYTES = BATCH_CHUNKS * CHUNK_BYTES


class Batch:
    """Chunks that follow each other, in memory that begins at a page.

    Attributes:
        first: Number of the first one.
        filled: Bytes that are in it.
        hashed: The digest of each chunk, when it is being hashed.
        stored: Done when its bytes are stored.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, BATCH_BYTES)
        self.begin(0)

    def begin(self, first: int) -> Self:
        """Empty it, for chunks from this number on."""
        self.first = first
        self.filled = 0
        self.hashed: Future[list[str]] | None = None
        self.stored: Sequence[Future[None]] = ()
        return self

    @property
    def chunks(self) -> int:
        """How many chunks there are, the last one perhaps begun only."""
        return -(-self.filled // CHUNK_BYTES)

    def room(self) -> memoryview:
        """Return what is left of the chunk that is being filled."""
        end = (self.filled // CHUNK_BYTES + 1) * CHUNK_BYTES
        return memoryview(self._memory)[self.filled : end]

    def pieces(self, size: int | None = None) -> list[memoryview]:
        """Return the chunks, to the end of what is filled or of so many bytes."""
        end = self.filled if size is None else size
        return [memoryview(self._memory)[at : min(at + CHUNK_BYTES, end)] for at in range(0, end, CHUNK_BYTES)]

    def wait(self) -> None:
        """Wait until its memory is free; what failed is raised."""
        if self.hashed is not None:
            self.hashed.result()
        for one in self.stored:
            one.result()

    def rows(self, object_id: str) -> pa.Table:
        """Return the chunks as rows, when they are hashed; the bytes are the memory's own."""
        digests = self.hashed.result() if self.hashed else []
        ends = pa.array([min(CHUNK_BYTES * place, self.filled) for place in range(len(digests) + 1)], pa.int32())
        buffers = [None, ends.buffers()[1], pa.py_buffer(self._memory)]
        data = pa.BinaryArray.from_buffers(pa.binary(), len(digests), buffers)
        return rows_of(object_id, self.first, digests, data)


def rows_of(object_id: str, first: int, digests: Sequence[str], data: pa.Array | None) -> pa.Table:
    """Return rows of chunks, without data where that lies in a file."""
    count = len(digests)
    return pa.table(
        {
            "object_id": pa.array([object_id] * count, pa.string()),
            "chunk": pa.array(range(first, first + count), pa.int32()),
            "data": pa.nulls(count, pa.binary()) if data is None else data,
            "sha256": pa.array(digests, pa.string()),
        }
    )


class Sink(Protocol):
    """Where full batches go."""

    def take(self, batch: Batch) -> Sequence[Future[None]]:
        """Begin to store a batch."""

    def close(self) -> None:
        """Wait for what was begun, and take no more."""


class RowSink:
    """Puts batches into the container of chunks, one after the other."""

    def __init__(self, store: Store, object_id: str) -> None:
        self._store = store
        self._object_id = object_id
        self._threads = ThreadPoolExecutor(1, "object-writer")

    def take(self, batch: Batch) -> Sequence[Future[None]]:
        """Begin to store a batch."""
        return [self._threads.submit(self._put, batch)]

    def _put(self, batch: Batch) -> None:
        self._store.put(ARTIFACT_CHUNKS.name, batch.rows(self._object_id))

    def close(self) -> None:
        """Wait for what was begun, and take no more."""
        self._threads.shutdown()


class FileSink:
    """Writes batches into the object's file."""

    def __init__(self, files: ObjectFiles, object_id: str, expected: int) -> None:
        self._file = files.start(object_id, expected)

    def take(self, batch: Batch) -> Sequence[Future[None]]:
        """Begin to store a batch."""
        return self._file.write(batch.first * CHUNK_BYTES, batch.pieces())

    def finish(self, last: Batch) -> None:
        """Write the last batch, and wait until the whole is on the disk."""
        begun = self._file.write(last.first * CHUNK_BYTES, last.pieces(whole_pages(last.filled)))
        for one in begun:
            one.result()
        self._file.finish(last.first * CHUNK_BYTES + last.filled)

    def discard(self) -> None:
        """Delete the file."""
        self._file.discard()

    def close(self) -> None:
        """Wait for what was begun, and take no more."""
        self._file.close()


def sink_of(store: Store, object_id: str, expected: int) -> Sink:
    """Return where the batches of a large object go, of which so many bytes are expected, or 0."""
    return FileSink(store.files, object_id, expected) if isinstance(store, KeepsFiles) else RowSink(store, object_id)
