"""Records without a value, which delete the row of their key where that is allowed."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa

from gridwatch.containers import Column, ColumnType, ContainerInfo
from gridwatch.streaming.times import TimeFormat
from gridwatch.streaming.values import RecordError, json_kind, value_of

__all__ = ["Place", "doomed", "row_key"]

_WHOLE = (ColumnType.INTEGER, ColumnType.LONG, ColumnType.TIMESTAMP)
_DIGITS_MAX = 19

Place = tuple[int, int]
"""Partition and offset of a record in its topic."""


def row_key(info: ContainerInfo, key: bytes | None, times: TimeFormat) -> tuple[Any, ...]:
    """Return the row key that a record's key tells, as `encode` writes it.

    That is the one value as text (epoch ms of a time, or as times are written), or JSON: a list in the order of the
    key's columns, or an object by their names.

    Raises:
        RecordError: The container has no row key, or this is none of its.
    """
    names = ", ".join(info.row_key)
    if not info.row_key:
        raise RecordError(f"container {info.name!r} has no row key")
    columns = [info.column(name) for name in info.row_key]
    single_text = len(columns) == 1 and columns[0].type is ColumnType.STRING
    if key is None or (not key and not single_text):
        raise RecordError(f"the record has no key, and {names} would come from it")
    try:
        text = key.decode()
    except UnicodeDecodeError as error:
        raise RecordError(f"the record's key is not UTF-8 (byte {error.start})") from None
    values = [text] if single_text else _values(text, columns, names)
    return tuple(_value(column, value, times) for column, value in zip(columns, values, strict=True))


def _values(text: str, columns: list[Column], names: str) -> list[Any]:
    if len(columns) == 1 and not text.lstrip().startswith(("[", "{")):
        return [text]
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        raise RecordError(f"the record's key is {text[:60]!r}, not a JSON list of {names}") from None
    if isinstance(parsed, dict):
        given = {str(name).lower(): value for name, value in parsed.items()}
        for column in columns:
            if column.name.lower() not in given:
                raise RecordError(f"the record's key has no field {column.name!r}")
        return [given[column.name.lower()] for column in columns]
    if not isinstance(parsed, list):
        raise RecordError(f"the record's key is {json_kind(parsed)}, but the row key is {names}")
    if len(parsed) != len(columns):
        raise RecordError(f"the record's key has {len(parsed)} values, but the row key is {names}")
    return parsed


def _value(column: Column, value: Any, times: TimeFormat) -> Any:
    if isinstance(value, str) and column.type in _WHOLE:
        digits = value.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX:
            value = int(value)
    try:
        return value_of(column, value, times)
    except RecordError as error:
        raise RecordError(f"the record's key: {error}") from None


def doomed(
    info: ContainerInfo,
    tombstones: Sequence[Any],
    rows: pa.Table | None,
    sources: Sequence[Any],
    refused: Collection[Place],
    times: TimeFormat,
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, str]]]:
    """Return the keys to delete once the rows are written, and the tombstones that name none, with their reasons.

    Args:
        info: The container.
        tombstones: Records without a value.
        rows: The rows of the same batch; None without any.
        sources: The record of each row. Of one key, all are in one partition.
        refused: Those of them that the store refused.
        times: How times that come as text are written.
    """
    last: dict[tuple[Any, ...], Place] = {}
    if rows is not None:
        columns = [_plain(rows.column(name)) for name in info.row_key]
        for source, key in zip(sources, zip(*columns, strict=True), strict=True):
            if (source.partition, source.offset) not in refused:
                last[key] = source.partition, source.offset
    keys: dict[tuple[Any, ...], None] = {}
    bad: list[tuple[Any, str]] = []
    for record in tombstones:
        try:
            key = row_key(info, record.key, times)
        except RecordError as error:
            bad.append((record, str(error)))
            continue
        partition, offset = last.get(key, (-1, -1))
        # A row that came after the tombstone stays.
        if not (partition == record.partition and offset > record.offset):
            keys[key] = None
    return list(keys), bad


def _plain(column: pa.ChunkedArray) -> list[Any]:
    values: list[Any] = (column.cast("int64") if pa.types.is_timestamp(column.type) else column).to_pylist()
    return values
