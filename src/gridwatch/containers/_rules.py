"""What GridDB refuses in a container's name, columns and key, with its error numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType, Partitioning
from gridwatch.errors import ContainerExistsError, RangeTooLargeError, SchemaError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "check_answer",
    "check_container_name",
    "check_count",
    "check_index_name",
    "check_info",
    "check_range",
    "check_series",
    "merged",
]

CONTAINER_NAME_MAX = 16_384
COLUMN_NAME_MAX = 256
COLUMNS_MAX = 1024
KEY_COLUMNS_MAX = 16
KEY_TYPES = frozenset(
    {
        *(ColumnType.STRING, ColumnType.INTEGER, ColumnType.LONG),
        *(ColumnType.TIMESTAMP, ColumnType.TIMESTAMP_6, ColumnType.TIMESTAMP_9),
    }
)
HASH_COUNT_MAX = 1024
INTERVAL_MIN_OF_LONG = 1000
_INTERVAL_MAX = {ColumnType.BYTE: 2**7 - 1, ColumnType.SHORT: 2**15 - 1, ColumnType.INTEGER: 2**31 - 1}

_FOREIGN = re.compile(r"[^A-Za-z0-9_\-./=]")


def check_container_name(name: str) -> None:
    """Refuse a container name that GridDB refuses.

    A name may end with `@` and a group of nodes to keep the container on, which is a part of the name here.

    Raises:
        SchemaError: It is empty or too long, or has a character outside A-Z a-z 0-9 _ - . / = (145007).
    """
    base, sign, group = name.partition("@")
    _check_name("Container", base, CONTAINER_NAME_MAX, 145007)
    if sign:
        _check_name("The group of nodes in the container", group, CONTAINER_NAME_MAX, 145007)


def check_index_name(name: str) -> None:
    """Refuse a name of an index that GridDB refuses.

    Raises:
        SchemaError: It has a character outside A-Z a-z 0-9 _ - . / = (1008).
    """
    _check_name("Index", name, CONTAINER_NAME_MAX, 1008)


def _check_name(what: str, name: str, length_max: int, code: int) -> None:
    if not name:
        raise SchemaError(f"{what} name is empty.", code=code)
    if len(name) > length_max:
        raise SchemaError(f"{what} name {name[:40]!r}... has {len(name)} characters; at most {length_max}.", code=1008)
    foreign = _FOREIGN.search(name)
    if foreign:
        hint = "use A-Z a-z 0-9 _ - . / ="
        raise SchemaError(f"{what} name {name!r} has the character {foreign.group()!r}; {hint}.", code=code)


def check_info(info: ContainerInfo) -> None:
    """Refuse a schema that GridDB refuses.

    Raises:
        SchemaError: A name, a column or the row key is wrong; carries GridDB's code.
    """
    check_container_name(info.name)
    if not 1 <= len(info.columns) <= COLUMNS_MAX:
        raise SchemaError(
            f"Container {info.name!r} has {len(info.columns)} columns; from 1 to {COLUMNS_MAX} are allowed.", code=60015
        )
    seen: set[str] = set()
    for column in info.columns:
        _check_name("Column", column.name, COLUMN_NAME_MAX, 1008)
        if column.name.lower() in seen:
            raise SchemaError(
                f"Container {info.name!r} has column {column.name!r} twice (names are compared without case).",
                code=60015,
            )
        seen.add(column.name.lower())
    for name in [*info.indexes, *(name for index in info.named_indexes for name in index.columns)]:
        kind = info.column(name).type
        if kind in {ColumnType.BLOB, ColumnType.GEOMETRY} or kind.element:
            raise SchemaError(f"Container {info.name!r}: {kind} column {name!r} cannot have a TREE index.", code=1007)
    for index in info.named_indexes:
        if index.name:
            check_index_name(index.name)
    _check_key(info)
    if info.partitioning is not None:
        _check_partitioning(info, info.partitioning)


def _check_key(info: ContainerInfo) -> None:
    key = [info.column(name) for name in info.row_key]
    if info.type is ContainerType.TIME_SERIES:
        if not key:
            raise SchemaError(f"TIME_SERIES container {info.name!r} needs a row key.", code=145023)
        if len(key) != 1 or key[0].type is not ColumnType.TIMESTAMP:
            raise SchemaError(
                f"TIME_SERIES container {info.name!r} needs one TIMESTAMP row key, got {info.row_key}.", code=145009
            )
    elif len(key) > KEY_COLUMNS_MAX:
        raise SchemaError(f"Container {info.name!r} has {len(key)} key columns; at most {KEY_COLUMNS_MAX}.", code=60015)
    # GridDB keeps row key columns first, in the order of the columns.
    if list(info.columns[: len(key)]) != key:
        raise SchemaError(
            f"Row key {info.row_key} of container {info.name!r} must be its first columns, in order.", code=145025
        )
    for column in key:
        if column.type not in KEY_TYPES:
            raise SchemaError(
                f"Key column {column.name!r} of container {info.name!r} is a {column.type}; "
                "a row key is STRING, INTEGER, LONG or TIMESTAMP.",
                code=145009,
            )
        if column.nullable:
            raise SchemaError(
                f"Key column {column.name!r} of container {info.name!r} must not be nullable.", code=145023
            )


def _check_partitioning(info: ContainerInfo, how: Partitioning) -> None:
    if "@" in info.name:
        raise SchemaError(f"Partitioned container {info.name!r} cannot have a group of nodes in its name.", code=280023)
    if not (how.hash_count or how.interval):
        raise SchemaError(f"Partitioning of container {info.name!r} has neither a hash_count nor an interval.")
    keys = _names(info.row_key)
    for name in [how.column, *([how.sub_column] if how.sub_column else [])]:
        column = next((column for column in info.columns if column.name.lower() == name.lower()), None)
        if column is None:
            raise SchemaError(f"Partitioning column {name!r} of {info.name!r} does not exist.", code=280013)
        if keys and column.name.lower() not in keys:
            raise SchemaError(f"Partitioning column {name!r} of {info.name!r} must be a key column.", code=280013)
    if how.hash_count > HASH_COUNT_MAX:
        raise SchemaError(f"{how.hash_count} partitions of {info.name!r}; at most {HASH_COUNT_MAX}.", code=280012)
    if how.interval:
        _check_interval(info, how)
    if how.expiration and not (how.interval and info.column(how.column).type.precision):
        raise SchemaError(f"An expiration of {info.name!r} needs an interval of a TIMESTAMP column.", code=280012)


def _check_interval(info: ContainerInfo, how: Partitioning) -> None:
    column = info.column(how.column)
    if column.nullable:
        raise SchemaError(f"Partitioning column {column.name!r} of {info.name!r} must be NOT NULL.", code=280013)
    what = f"An interval of {how.interval} {how.interval_unit}".rstrip() + f" for {column.type} column {column.name!r}"
    if column.type.precision:
        if how.interval_unit not in {"DAY", "HOUR"}:
            raise SchemaError(f"{what}: the unit of a time is DAY or HOUR.", code=280012)
        return
    least = INTERVAL_MIN_OF_LONG * max(1, how.hash_count)
    if column.type is not ColumnType.LONG and column.type not in _INTERVAL_MAX:
        raise SchemaError(f"{what}: only whole numbers and times have intervals.", code=280012)
    if how.interval_unit:
        raise SchemaError(f"{what}: only a TIMESTAMP has a unit.", code=280012)
    if column.type is ColumnType.LONG and how.interval < least:
        raise SchemaError(f"{what}: at least {least}.", code=280012)
    if how.interval > _INTERVAL_MAX.get(column.type, 2**63 - 1):
        raise SchemaError(f"{what}: at most {_INTERVAL_MAX[column.type]}.", code=280012)


def merged(old: ContainerInfo, new: ContainerInfo, *, modifiable: bool) -> ContainerInfo:
    """Return `old` with the columns and indexes that `new` adds.

    Raises:
        ContainerExistsError: The kind, the key or a column differs (60026, 60149, 145023), or there are more columns
            and `modifiable` is false (60016).
    """
    if old.type is not new.type:
        raise _exists(old, f"it is a {old.type} container, not {new.type}", 60026)
    if _names(old.row_key) != _names(new.row_key):
        raise _exists(old, f"its row key is {old.row_key}, not {new.row_key}", 60149)
    shared = len(old.columns)
    if len(new.columns) < shared:
        raise _exists(old, f"it has {shared} columns, not {len(new.columns)}", 60016)
    for ours, theirs in zip(old.columns, new.columns[:shared], strict=True):
        _check_same(old, new, ours, theirs)
    added = new.columns[shared:]
    if added and not modifiable:
        names = ", ".join(column.name for column in added)
        raise _exists(old, f"it has no column {names}; pass modifiable=True to add columns at the end", 60016)
    for column in added:
        if not column.nullable:
            raise _exists(old, f"the added column {column.name!r} must be nullable", 60149)
    known = {name.lower() for name in old.indexes}
    indexes = old.indexes + tuple(name for name in new.indexes if name.lower() not in known)
    known_sets = {_names(index.columns) for index in old.named_indexes}
    named = tuple(index for index in new.named_indexes if _names(index.columns) not in known_sets)
    if new.partitioning not in (None, old.partitioning):
        raise _exists(old, f"its partitioning is {old.partitioning}, not {new.partitioning}", 60149)
    return replace(old, columns=old.columns + added, indexes=indexes, named_indexes=old.named_indexes + named)


def _check_same(old: ContainerInfo, new: ContainerInfo, ours: Column, theirs: Column) -> None:
    if ours.name.lower() != theirs.name.lower():
        if ours.name.lower() in {column.name.lower() for column in new.columns}:
            raise _exists(
                old, f"its columns are in another order ({ours.name!r} stands where {theirs.name!r} is given)", 145023
            )
        raise _exists(old, f"its column {ours.name!r} is called {theirs.name!r} here", 60016)
    if (ours.type, ours.nullable) != (theirs.type, theirs.nullable):
        raise _exists(old, f"its column {ours.name!r} is {_kind(ours)}, not {_kind(theirs)}", 60149)


def check_count(info: ContainerInfo, rows: pa.Table, rows_max: int) -> None:
    """Refuse the rows of a read that has more than its caller allowed.

    Raises:
        RangeTooLargeError: There are more than `rows_max`.
    """
    if rows.num_rows > rows_max:
        raise RangeTooLargeError(
            f"Container {info.name!r} has more than {rows_max} rows in this range; ask for a shorter one or raise "
            "rows_max.",
            container=info.name,
            rows_max=rows_max,
        )


def check_answer(rows: int, rows_max: int) -> None:
    """Refuse the answer to a query that has more rows than its caller allowed.

    Raises:
        RangeTooLargeError: There are more than `rows_max`.
    """
    if rows > rows_max:
        raise RangeTooLargeError(
            f"The query has more than {rows_max} rows; add a LIMIT or raise rows_max.", rows_max=rows_max
        )


def check_series(info: ContainerInfo) -> None:
    """Refuse a container that time-series operations do not know.

    Raises:
        SchemaError: It is a collection.
    """
    if info.type is not ContainerType.TIME_SERIES:
        raise SchemaError(f"Container {info.name!r} is a collection; this needs a time series.", container=info.name)


def check_range(info: ContainerInfo, start_ms: int | None, end_ms: int | None) -> None:
    """Refuse a range of time, in ms, both ends optional, that no read can have.

    Raises:
        SchemaError: The container is a collection and a bound is given.
        ValueError: The range is reversed.
    """
    if (start_ms, end_ms) != (None, None) and info.type is not ContainerType.TIME_SERIES:
        raise SchemaError(f"Container {info.name!r} is a collection; only a time series has a range of time.")
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        msg = f"start_ms must not be above end_ms, got {start_ms} and {end_ms}."
        raise ValueError(msg)


def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


def _kind(column: Column) -> str:
    return f"{column.type}{'' if column.nullable else ' NOT NULL'}"


def _exists(info: ContainerInfo, why: str, code: int) -> ContainerExistsError:
    return ContainerExistsError(f"Container {info.name!r} exists: {why}.", code=code, container=info.name)
