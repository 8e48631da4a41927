"""Row keys as callers give them, checked and made ready for SQL."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gridwatch.containers.schema import TIMESTAMP_MS_MAX, Column, ColumnType, ContainerInfo
from gridwatch.errors import SchemaError, ValueRefusedError

__all__ = ["instant_of", "key_batches", "key_rows", "moment_of", "ms_of"]

_BATCH = 50_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LIMITS = {
    ColumnType.INTEGER: (-(2**31), 2**31 - 1),
    ColumnType.LONG: (-(2**63), 2**63 - 1),
    ColumnType.TIMESTAMP: (0, TIMESTAMP_MS_MAX),
    ColumnType.TIMESTAMP_6: (0, TIMESTAMP_MS_MAX * 1000 + 999),
    ColumnType.TIMESTAMP_9: (0, 2**63 - 1),
}


def ms_of(moment: datetime) -> int:
    """Return UTC epoch ms of a datetime; a naive one means UTC.

    Raises:
        ValueError: It is finer than a millisecond.
    """
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    ms = (aware - _EPOCH) // timedelta(milliseconds=1)
    if moment.microsecond % 1000 or getattr(moment, "nanosecond", 0):
        msg = f"{moment.isoformat()} is finer than a millisecond"
        raise ValueError(msg)
    return ms


def moment_of(ms: int) -> datetime:
    """Return the datetime of an instant, UTC epoch ms."""
    return _EPOCH + timedelta(milliseconds=ms)


def instant_of(value: int, precision: int) -> datetime:
    """Return the datetime of a time in its own unit since the epoch, UTC.

    Args:
        value: In ms, µs or ns.
        precision: Decimals of a second of that unit: 3, 6 or 9.

    >>> instant_of(1_500, 3).isoformat(), instant_of(1_000_001, 6).isoformat(), instant_of(1_000_000_001, 9).isoformat()
    ('1970-01-01T00:00:01.500000+00:00', '1970-01-01T00:00:01.000001+00:00', '1970-01-01T00:00:01.000000001+00:00')
    """
    if precision < 9:
        return _EPOCH + timedelta(microseconds=value * 10 ** (6 - precision))
    # Python's own datetime has no nanoseconds.
    import pandas as pd

    moment: datetime = pd.Timestamp(value, unit="ns", tz="UTC")
    return moment


def _fine(moment: datetime, precision: int) -> int:
    """Return UTC epoch µs or ns of a datetime; a naive one means UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    nanoseconds = (aware - _EPOCH) // timedelta(microseconds=1) * 1000 + getattr(moment, "nanosecond", 0)
    if nanoseconds % 10 ** (9 - precision):
        msg = f"{moment.isoformat()} is finer than a microsecond"
        raise ValueError(msg)
    return int(nanoseconds // 10 ** (9 - precision))


def key_rows(info: ContainerInfo, keys: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the keys as tuples of str and int (a time in its own unit), repeats left out, in their order.

    Raises:
        SchemaError: The container has no row key.
        ValueRefusedError: A key is of another shape or type.
    """
    if not info.row_key:
        raise SchemaError(f"Container {info.name!r} has no row key.", code=145024, container=info.name)
    columns = [info.column(name) for name in info.row_key]
    return list(dict.fromkeys(_row(info, columns, key) for key in keys))


def key_batches(info: ContainerInfo, keys: Sequence[Any]) -> Iterator[str]:
    """Yield the keys as JSON arrays of arrays, in batches that stay well under SQLite's limits; see `key_rows`."""
    rows = key_rows(info, keys)
    for start in range(0, len(rows), _BATCH):
        yield json.dumps(rows[start : start + _BATCH])


def _row(info: ContainerInfo, columns: list[Column], key: Any) -> tuple[Any, ...]:
    values = key if isinstance(key, tuple) else (key,)
    if len(values) != len(columns):
        raise ValueRefusedError(
            f"Key {key!r} of container {info.name!r} must have {len(columns)} value(s): {', '.join(info.row_key)}.",
            container=info.name,
        )
    try:
        return tuple(_value(column, value) for column, value in zip(columns, values, strict=True))
    except (TypeError, ValueError) as error:
        raise ValueRefusedError(
            f"Key {key!r} of container {info.name!r} is wrong: {error}.", code=145002, container=info.name
        ) from error


def _value(column: Column, value: Any) -> Any:
    if column.type is ColumnType.STRING:
        if not isinstance(value, str) or "\0" in value:
            msg = f"column {column.name!r} takes text without NUL"
            raise TypeError(msg)
        value.encode()
        return value
    if column.type.precision and isinstance(value, datetime):
        value = ms_of(value) if column.type is ColumnType.TIMESTAMP else _fine(value, column.type.precision)
    if isinstance(value, bool):
        msg = f"column {column.name!r} is a {column.type}"
        raise TypeError(msg)
    number = operator.index(value)
    low, high = _LIMITS[column.type]
    if not low <= number <= high:
        msg = f"column {column.name!r} takes {low} to {high}"
        raise ValueError(msg)
    return number
