"""What GridDB refuses in a container's name, columns and key, with its error numbers."""

from __future__ import annotations

import re

from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.errors import ContainerExistsError, SchemaError

__all__ = ["check_container_name", "check_info", "merged"]

CONTAINER_NAME_MAX = 16_384
COLUMN_NAME_MAX = 256
COLUMNS_MAX = 1024
KEY_COLUMNS_MAX = 16
KEY_TYPES = frozenset({ColumnType.STRING, ColumnType.INTEGER, ColumnType.LONG, ColumnType.TIMESTAMP})

_FOREIGN = re.compile(r"[^A-Za-z0-9_\-./=]")


def check_container_name(name: str) -> None:
    """Refuse a container name that GridDB refuses.

    Raises:
        SchemaError: It is empty or too long, or has a character outside A-Z a-z 0-9 _ - . / = (145007).
    """
    _check_name("Container", name, CONTAINER_NAME_MAX, 145007)


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
    for name in info.indexes:
        if info.column(name).type is ColumnType.BLOB:
            raise SchemaError(f"Container {info.name!r}: BLOB column {name!r} cannot have an index.", code=60015)
    _check_key(info)


def _check_key(info: ContainerInfo) -> None:
    key = [info.column(name) for name in info.row_key]
    if info.type is ContainerType.TIME_SERIES:
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
    return ContainerInfo(old.name, old.type, old.columns + added, old.row_key, indexes)


def _check_same(old: ContainerInfo, new: ContainerInfo, ours: Column, theirs: Column) -> None:
    if ours.name.lower() != theirs.name.lower():
        if ours.name.lower() in {column.name.lower() for column in new.columns}:
            raise _exists(
                old, f"its columns are in another order ({ours.name!r} stands where {theirs.name!r} is given)", 145023
            )
        raise _exists(old, f"its column {ours.name!r} is called {theirs.name!r} here", 60016)
    if (ours.type, ours.nullable) != (theirs.type, theirs.nullable):
        raise _exists(old, f"its column {ours.name!r} is {_kind(ours)}, not {_kind(theirs)}", 60149)


def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


def _kind(column: Column) -> str:
    return f"{column.type}{'' if column.nullable else ' NOT NULL'}"


def _exists(info: ContainerInfo, why: str, code: int) -> ContainerExistsError:
    return ContainerExistsError(f"Container {info.name!r} exists: {why}.", code=code, container=info.name)
