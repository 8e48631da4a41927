"""Rows of one container or of several: put, query, delete."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gridwatch.containers import ColumnType, ContainerInfo
from gridwatch.errors import ValueRefusedError
from gridwatch.server.griddb_webapi import bodies
from gridwatch.server.griddb_webapi.answers import columns_of, rows_text
from gridwatch.server.griddb_webapi.cells import cell_reader
from gridwatch.server.griddb_webapi.columns import Written, rows_table
from gridwatch.server.griddb_webapi.containers import counted, found
from gridwatch.server.griddb_webapi.errors import ApiError, named, told
from gridwatch.server.griddb_webapi.limits import LIMIT_MAX, check_response, native_bytes
from gridwatch.server.metrics import count_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gridwatch.containers import Store

__all__ = [
    "MULTI_PUT",
    "QUERY",
    "check_query",
    "delete",
    "put",
    "put_many",
    "query",
    "row_arrays",
    "select",
    "stored",
]

T = ColumnType

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:@[A-Za-z0-9_]+)?")

QUERY = bodies.fields(
    {
        "limit": bodies.integer,
        "offset": bodies.integer,
        "condition": bodies.text,
        "sort": bodies.text,
        "fileNameCol": bodies.text,
    },
    {"limit": 0, "offset": 0},
)
MULTI_PUT = bodies.each(
    bodies.fields({"containerName": bodies.text, "rows": bodies.each(bodies.any_array)}, {}),
)


def _arrays(value: Any) -> list[list[Any]]:
    """Return every array at the top of a body, those inside its objects included, as GridDB's single put reads it."""
    if not isinstance(value, list):
        return []
    if set(map(type, value)) <= {list}:
        return value
    rows: list[list[Any]] = []
    waiting: list[Any] = value[::-1]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            rows.append(one)
        elif isinstance(one, dict):
            waiting.extend(reversed(one.values()))
    return rows


def row_arrays(content: str) -> list[list[Any]]:
    """Return the rows of a body of a single put.

    Raises:
        ApiError: It is no JSON, or null.
    """
    value = bodies.parsed(content)
    if value is None:
        raise ApiError(400, "Rows data is empty")
    return _arrays(value)


def put(store: Store, name: str, rows: list[list[Any]], content: str) -> int:
    """Upsert the rows of a body; return how many there were.

    Raises:
        ApiError: The container is missing, a row or a value is refused; nothing was stored.
    """
    return stored(store, {name: rows_table(found(store, name), rows, Written(content, _arrays))})


def put_many(store: Store, asked: Sequence[dict[str, Any] | None]) -> list[dict[str, Any]]:
    """Upsert rows into several containers, all or none; return the count of each.

    A container that is named twice keeps the rows of the last place only, as in GridDB, and both are counted.

    Raises:
        ApiError: A container is missing, a row or a value is refused; nothing was stored.
    """
    tables, counts = {}, []
    for one in asked:
        if one is None or not (one["containerName"] or "").strip():
            raise ApiError(400, "The container is invalid")
        if not one["rows"] or None in one["rows"]:
            raise ApiError(400, "Row data is invalid")
        name = one["containerName"]
        tables[name] = rows_table(found(store, name), one["rows"])
        counts.append({"containerName": name, "updatedRows": len(one["rows"])})
    stored(store, tables)
    return counts


def stored(store: Store, tables: dict[str, pa.Table]) -> int:
    """Upsert tables by container, all or none; return how many rows there were.

    Raises:
        ApiError: The store refuses a value.
    """
    try:
        count = store.put_many(tables)
    except ValueRefusedError as error:
        # What the Web API itself checks has no number of GridDB's; what the server or the client library checks has.
        if error.code in {60079, 145006}:
            raise
        raise ApiError(400, told(error)) from error
    count_rows("in", count)
    return count


def check_query(asked: dict[str, Any]) -> None:
    """Refuse a query without a limit, or with a NUL character.

    Raises:
        ApiError: One of them.
    """
    if asked["limit"] <= 0:
        raise ApiError(400, "'limit' is invalid")
    if asked["offset"] < 0:
        raise ApiError(400, "'offset' is invalid")
    if any("\0" in (asked[name] or "") for name in ("condition", "sort")):
        raise ApiError(400, "Invalid character(s) found")


def select(store: Store, info: ContainerInfo, name: str, asked: Mapping[str, Any]) -> tuple[pa.Table, dict[str, Any]]:
    """Return the rows of a query, and the fields of its answer besides `columns` and `rows`.

    Raises:
        ApiError: Too many bytes, or a container that cannot be queried.
        StoreError: The condition or the sort is refused.
    """
    limit = min(asked["limit"], LIMIT_MAX)
    where = f" where {asked['condition']}" if asked["condition"] else ""
    order = f" order by {asked['sort']}" if asked["sort"] else ""
    offset = f" offset {asked['offset']}" if asked["offset"] else ""
    if info.partitioning is not None:
        raise ApiError(400, "Unsupported partition table type")
    if not _PLAIN_NAME.fullmatch(name):
        # TQL ends the name in FROM where its own grammar does, and then it is the name of another container.
        code = 151002 if name[:1].isdecimal() else 150010
        raise ApiError(400, named(code, f"Rows of {name!r} cannot be queried: TQL reads no such name"), code)
    # The caller's own TQL, as GridDB's Web API puts it together; `tql` reads one SELECT on this container and no more.
    statement = f"select * from {name}{where}{order} limit {limit}{offset}"  # noqa: S608
    table = store.tql(name, statement, rows_max=LIMIT_MAX)
    return table, {"offset": asked["offset"], "limit": limit, "total": counted(store, name, f" from {name}{where}")}


def query(store: Store, name: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of a row query, its rows as JSON text."""
    info = found(store, name)
    table, rest = select(store, info, name, asked)
    check_response(native_bytes(column) for column in table.columns)
    count_rows("out", table.num_rows)
    return {"columns": columns_of(info.columns), "rows": rows_text(table), **rest}


def delete(store: Store, name: str, keys: Sequence[Any]) -> int:
    """Delete rows by key; unknown keys, and values that can be no key, are passed over as in GridDB.

    Raises:
        ApiError: No container of this name, or it has no key of one column.
    """
    info = found(store, name)
    if not info.row_key:
        raise ApiError(400, "Row key does not exist")
    if len(info.row_key) > 1:
        raise ApiError(400, "This method cannot be used for composite row key")
    kind = info.column(info.row_key[0]).type
    return store.delete(name, [key for key in (_deletable(kind, one) for one in keys) if key is not None])


def _deletable(kind: ColumnType, value: Any) -> Any:
    """Return a JSON value as a key, or None: here text is no number, unlike in a put."""
    wanted = str if kind is T.STRING or kind is T.TIMESTAMP else int
    # GridDB's Web API reads any time as one of milliseconds, which is no key of a column of finer ones.
    if type(value) is not wanted or kind in {T.TIMESTAMP_6, T.TIMESTAMP_9}:
        return None
    try:
        return key_of(kind, value)
    except ApiError:
        return None


def key_of(kind: ColumnType, value: Any) -> Any:
    """Return a JSON value as a row key; a time is of the type of its column."""
    read = cell_reader(kind)(value)
    if kind is T.STRING:
        if "\0" in read:
            raise ApiError(400, named(145006, "Illegal '\\0' character found"), 145006)
        try:
            read.encode()
        except UnicodeEncodeError as error:
            raise ApiError(400, f"The key is not Unicode: {error}") from error
    if kind.precision and kind is not T.TIMESTAMP:
        return pa.scalar(read, kind.arrow).as_py()
    return read
