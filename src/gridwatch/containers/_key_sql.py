"""SQL that finds rows by their keys, and what it finds brought into the keys' order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gridwatch.containers._keys import instant_of
from gridwatch.containers._literals import literal, name_sql, tuple_sql
from gridwatch.containers.schema import Column, ContainerInfo, ContainerType

__all__ = ["Key", "condition", "in_order"]

Key = tuple[Any, ...]
"""Of a row, as `_keys.key_rows` gives it."""


def condition(info: ContainerInfo, keys: Sequence[Key]) -> str:
    """Return the condition that matches these keys; a time is in its own unit."""
    columns = [info.column(name) for name in info.row_key]
    if info.type is ContainerType.TIME_SERIES:
        # Not `ts IN (times)`: a DELETE with a hundred of them crashes GridDB 5.9.0.
        time, instants = name_sql(columns[0].name), sorted(key[0] for key in keys)
        first, last = (literal(_value(columns[0], instant)) for instant in (instants[0], instants[-1]))
        inside = f"{time} >= {first} AND {time} <= {last}"
        return inside if len(keys) == 1 else f"{inside} AND TO_EPOCH_MS({time}) IN {tuple_sql(instants)}"
    groups: dict[Key, list[Any]] = {}
    for key in keys:
        groups.setdefault(key[:-1], []).append(key[-1])
    last_column = columns[-1]
    parts = []
    for head, tails in groups.items():
        equal = [
            f"{name_sql(column.name)} = {literal(_value(column, value))}"
            for column, value in zip(columns, head, strict=False)
        ]
        values = [_value(last_column, value) for value in tails]
        name = name_sql(last_column.name)
        equal.append(f"{name} = {literal(values[0])}" if len(values) == 1 else f"{name} IN {tuple_sql(values)}")
        parts.append(" AND ".join(equal))
    return parts[0] if len(parts) == 1 else " OR ".join(f"({part})" for part in parts)


def _value(column: Column, value: Any) -> Any:
    return value if column.type.precision is None else instant_of(value, column.type.precision)


def in_order(info: ContainerInfo, rows: pa.Table, keys: Sequence[Key]) -> pa.Table:
    """Return the rows in the order of their keys; keys without a row are left out.

    Args:
        info: The container.
        rows: Some of its rows, all columns.
        keys: As `_keys.key_rows` gives them.
    """
    if not rows.num_rows:
        return rows
    columns = [rows.column(info.column(name).name) for name in info.row_key]
    plain = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in columns]
    if len(plain) == 1:
        places = pc.index_in(pa.array([key[0] for key in keys], plain[0].type), plain[0].combine_chunks())
    else:
        found = {key: place for place, key in enumerate(zip(*(c.to_pylist() for c in plain), strict=True))}
        places = pa.array([found.get(key) for key in keys], pa.int64())
    return rows.take(places.drop_null())
