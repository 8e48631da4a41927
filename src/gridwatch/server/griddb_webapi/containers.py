"""List, make, drop and describe containers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.errors import ContainerExistsError
from gridwatch.server.griddb_webapi import bodies
from gridwatch.server.griddb_webapi.answers import columns_of
from gridwatch.server.griddb_webapi.errors import ApiError, named
from gridwatch.server.griddb_webapi.limits import LIMIT_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridwatch.containers import Store

__all__ = ["CONTAINER", "counted", "create", "describe", "drop", "found", "listed"]

_FOREIGN = re.compile(r"[^A-Za-z0-9_\-./=@#]")
_INDEXES = ("TREE", "HASH", "SPATIAL")
# In GridDB's order: a number in place of a name means its place.
_SCALARS = ("STRING", "BOOL", "BYTE", "SHORT", "INTEGER", "LONG", "FLOAT", "DOUBLE", "TIMESTAMP")
_TYPES = (*_SCALARS, "GEOMETRY", "BLOB", *(f"{name}_ARRAY" for name in _SCALARS))
_UNITS = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND", "NANOSECOND")

_COLUMN = bodies.fields(
    {
        "name": bodies.text,
        "type": bodies.choice(*_TYPES),
        "index": bodies.each(bodies.choice(*_INDEXES)),
        "timePrecision": bodies.choice(*_UNITS),
    },
    {},
)
CONTAINER = bodies.fields(
    {
        "container_name": bodies.text,
        "container_type": bodies.choice("COLLECTION", "TIME_SERIES"),
        "rowkey": bodies.flag,
        "columns": bodies.each(_COLUMN),
    },
    {"rowkey": False},
)


def listed(store: Store, kind: str | None, limit: int, offset: int, *, descending: bool) -> dict[str, Any]:
    """Return one page of the container names, sorted by character code.

    Raises:
        ApiError: A negative limit or offset.
    """
    if offset < 0:
        raise ApiError(400, "'offset' is invalid")
    if limit < 0:
        raise ApiError(400, "'limit' is invalid")
    names = sorted(store.containers(), reverse=descending)
    if kind is not None:
        infos = ((name, store.container(name)) for name in names)
        names = [name for name, info in infos if info is not None and info.type.value == kind]
    if 0 < offset <= len(names) and offset + limit >= 2**31:
        raise ApiError(400, "'limit' is invalid: with 'offset' it is more than 32 bits hold")
    page = names[offset : offset + min(limit, LIMIT_MAX)]
    return {"names": page, "total": len(names), "offset": offset, "limit": min(limit, LIMIT_MAX)}


def found(store: Store, name: str) -> ContainerInfo:
    """Return a container.

    Raises:
        ApiError: There is none (404), or it can have no such name (400).
    """
    info = store.container(name)
    if info is None:
        foreign = _FOREIGN.search(name)
        if foreign:
            raise ApiError(400, named(145007, f"Illegal character found (character={foreign.group()!r})"), 145007)
        raise ApiError(404, "Container not existed")
    return info


def counted(store: Store, name: str, rest: str) -> int:
    """Return how many rows of a container TQL counts; `rest` follows its `select count(*)`.

    Raises:
        StoreError: The statement is refused.
    """
    table = store.tql(name, f"select count(*){rest}")
    return int(table.column(0)[0].as_py()) if table.num_rows else 0


def describe(info: ContainerInfo) -> dict[str, Any]:
    """Return a container as the Web API describes it."""
    indexed = {name.lower() for name in info.indexes}
    # The key of a collection has an index of its own; the rows of a time series lie in the order of time.
    if info.type is ContainerType.COLLECTION and len(info.row_key) == 1:
        indexed.add(info.row_key[0].lower())
    columns = []
    for column, shown in zip(info.columns, columns_of(info.columns), strict=True):
        precision = shown.pop("timePrecision", None)
        shown["index"] = ["TREE"] if column.name.lower() in indexed else []
        columns.append(shown | ({"timePrecision": precision} if precision else {}))
    return {
        "container_name": info.name,
        "container_type": info.type.value,
        "rowkey": bool(info.row_key),
        "columns": columns,
    }


def checked(asked: dict[str, Any]) -> None:
    """Refuse a container without name, type or columns.

    Raises:
        ApiError: One of them is missing.
    """
    if not asked["container_name"]:
        raise ApiError(400, "Container name is invalid")
    if asked["container_type"] is None:
        raise ApiError(400, "'container_type' is required")
    if not asked["columns"]:
        raise ApiError(400, "'columns' is required")


def create(store: Store, asked: dict[str, Any]) -> None:
    """Make a container.

    Raises:
        ApiError: It exists (409), or its definition is refused.
        StoreError: The store refuses it.
    """
    name = asked["container_name"]
    parts = name.split("@")
    if len(parts) > 1 and ("" in parts or (len(parts) == 3 and not parts[1].isdecimal())):
        raise ApiError(500, named(145006, f"{name!r} is no name with a group of nodes, such as base@group"), 145006)
    if store.container(name) is not None:
        raise ApiError(409, "Container already existed")
    names = [(one or {}).get("name") for one in asked["columns"]]
    if len({(one or "").lower() for one in names}) < len(names):
        raise ApiError(500, named(145023, "Duplicate column name"), 145023)
    columns = [_column(place, one, key=asked["rowkey"]) for place, one in enumerate(asked["columns"])]
    indexes = tuple(column.name for column, one in zip(columns, asked["columns"], strict=True) if one["index"])
    kind = ContainerType(asked["container_type"])
    if kind is ContainerType.TIME_SERIES and not asked["rowkey"]:
        raise ApiError(500, named(145023, "Key must be required for time series"), 145023)
    key = (columns[0].name,) if asked["rowkey"] else ()
    if kind is ContainerType.TIME_SERIES and asked["columns"][0]["index"]:
        raise ApiError(400, named(60081, "the row key of a time series has no index"), 60081)
    try:
        store.put_container(ContainerInfo(name, kind, tuple(columns), key, indexes))
    except ContainerExistsError as error:
        raise ApiError(409, "Container already existed") from error


def _column(place: int, asked: dict[str, Any] | None, *, key: bool) -> Column:
    if asked is None or asked["type"] is None:
        raise ApiError(400, "Empty column type")
    if not asked["name"]:
        raise ApiError(400, named(145001, "Empty column name"), 145001)
    kind = ColumnType(asked["type"])
    if kind is ColumnType.TIMESTAMP:
        kind = {"MICROSECOND": ColumnType.TIMESTAMP_6, "NANOSECOND": ColumnType.TIMESTAMP_9}.get(
            asked["timePrecision"], kind
        )
    for index in asked["index"] or ():
        if index != "TREE":
            raise ApiError(400, named(1007, f"{index} index of column {asked['name']!r}"), 1007)
    return Column(asked["name"], kind, nullable=not (key and place == 0))


def drop(store: Store, names: Sequence[str | None]) -> None:
    """Drop containers; one that is not there is no error.

    Raises:
        ApiError: A name is null; nothing was dropped.
    """
    if None in names:
        raise ApiError(400, "A container name is null")
    for name in names:
        store.drop_container(str(name))
