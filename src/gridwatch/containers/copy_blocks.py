"""A container's rows in blocks that fit into memory, in the order of its key, and the same rows of another store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from typing_extensions import override

from gridwatch.containers._literals import name_sql
from gridwatch.containers.schema import ColumnType, ContainerInfo, ContainerType
from gridwatch.containers.store import Store

__all__ = ["BLOCK_BYTES", "BLOCK_ROWS", "Block", "blocks_of"]

BLOCK_ROWS = 100_000
"""Most rows of a block."""

BLOCK_BYTES = 16 * 1024 * 1024
"""Aim for the bytes of a block with BLOBs."""

_FIRST_BLOBS = 4


class Block(ABC):
    """Some rows of a container."""

    @abstractmethod
    def rows(self) -> pa.Table:
        """Return the rows."""

    @abstractmethod
    def same_of(self, store: Store, info: ContainerInfo) -> pa.Table:
        """Return what another store holds in the place of these rows."""


@dataclass(frozen=True, slots=True)
class _Window(Block):
    """A range of time of a series, both ends included."""

    store: Store
    info: ContainerInfo
    start_ms: int
    end_ms: int

    @override
    def rows(self) -> pa.Table:
        return self.store.read(self.info.name, self.start_ms, self.end_ms)

    @override
    def same_of(self, store: Store, info: ContainerInfo) -> pa.Table:
        return store.read(info.name, self.start_ms, self.end_ms)


@dataclass(frozen=True, slots=True)
class _Keyed(Block):
    """Rows that were read, and their keys."""

    table: pa.Table
    keys: list[Any]

    @override
    def rows(self) -> pa.Table:
        return self.table

    @override
    def same_of(self, store: Store, info: ContainerInfo) -> pa.Table:
        return store.get(info.name, self.keys)


@dataclass(frozen=True, slots=True)
class _Placed(Block):
    """Rows of a collection without a key, which are told apart by their place alone."""

    table: pa.Table

    @override
    def rows(self) -> pa.Table:
        return self.table

    @override
    def same_of(self, store: Store, info: ContainerInfo) -> pa.Table:
        return store.read(info.name)


def blocks_of(store: Store, info: ContainerInfo) -> Iterator[Block]:
    """Yield the container's rows in blocks, in the order of its key, or of insertion where it has none."""
    if info.type is ContainerType.TIME_SERIES:
        yield from _windows(store, info)
    elif not info.row_key:
        yield _Placed(store.read(info.name))
    elif any(column.type in {ColumnType.BLOB, ColumnType.GEOMETRY} or column.type.element for column in info.columns):
        yield from _with_blobs(store, info)
    else:
        yield from _plain(store, info)


def _windows(store: Store, info: ContainerInfo) -> Iterator[_Window]:
    """Halve the range of time until each part has few enough rows; gaps are left out."""
    pending = [part for part in [_part(store, info, "")] if part is not None]
    while pending:
        start_ms, end_ms, rows = pending.pop()
        if rows <= BLOCK_ROWS or start_ms == end_ms:
            yield _Window(store, info, start_ms, end_ms)
            continue
        time, middle_ms = name_sql(info.columns[0].name), (start_ms + end_ms) // 2
        halves = ((middle_ms + 1, end_ms), (start_ms, middle_ms))
        conditions = (
            f" WHERE {time} >= TO_TIMESTAMP_MS({low}) AND {time} <= TO_TIMESTAMP_MS({high})" for low, high in halves
        )
        parts = (_part(store, info, condition) for condition in conditions)
        pending += [part for part in parts if part is not None]


def _part(store: Store, info: ContainerInfo, where: str) -> tuple[int, int, int] | None:
    """Return the first and last time of a part of a series and its number of rows; None when it has none."""
    name, time = name_sql(info.name), name_sql(info.columns[0].name)
    first, last, count = store.sql(f"SELECT MIN({time}), MAX({time}), COUNT(*) FROM {name}{where}").columns
    rows = int(count[0].as_py())
    return (_ms(first), _ms(last), rows) if rows else None


def _ms(column: pa.ChunkedArray) -> int:
    return int(column.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())[0].as_py())


def _keys_of(table: pa.Table, info: ContainerInfo) -> list[Any]:
    columns = [table.column(info.column(name).name).to_pylist() for name in info.row_key]
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def _plain(store: Store, info: ContainerInfo) -> Iterator[_Keyed]:
    rows = store.read(info.name)
    for start in range(0, rows.num_rows, BLOCK_ROWS):
        part = rows.slice(start, BLOCK_ROWS)
        yield _Keyed(part, _keys_of(part, info))


def _with_blobs(store: Store, info: ContainerInfo) -> Iterator[_Keyed]:
    """Read the keys first, then as many rows at once as their bytes allow."""
    keys = _keys_of(store.read(info.name, columns=list(info.row_key)), info)
    place, size = 0, _FIRST_BLOBS
    while place < len(keys):
        part = keys[place : place + size]
        rows = store.get(info.name, part)
        yield _Keyed(rows, part)
        place += len(part)
        size = max(1, min(BLOCK_ROWS, 2 * size, BLOCK_BYTES * len(part) // max(1, rows.nbytes)))
