"""SQL text for a container's table: names, what to read, how to write, in which order."""

from __future__ import annotations

from collections.abc import Sequence

from gridwatch.containers.operations import FIXED_MS
from gridwatch.containers.schema import ContainerInfo, ContainerType
from gridwatch.errors import SchemaError

__all__ = ["order_of", "quoted", "readable", "row_number_of", "table_of", "unexpired", "upsert"]


def quoted(name: str) -> str:
    """Return a name as a quoted SQLite identifier."""
    return '"' + name.replace('"', '""') + '"'


def table_of(info: ContainerInfo) -> str:
    """Return the quoted name of a container's table; the prefix keeps clear of SQLite's own names and ours."""
    return quoted(f"c_{info.name.lower()}")


def readable(info: ContainerInfo) -> str:
    """Return a container as an entry of FROM to read it: without the rows whose partition has expired."""
    condition = unexpired(info)
    if not condition:
        return table_of(info)
    number = "" if info.type is ContainerType.TIME_SERIES else f"{row_number_of(info)}, "
    return f"(SELECT {number}* FROM {table_of(info)} WHERE {condition})"


def unexpired(info: ContainerInfo) -> str:
    """Return the condition for rows whose partition has not expired; empty where nothing does.

    A partition expires when all of its interval is older than the expiration; SQLite asks the clock.
    """
    how = info.partitioning
    if how is None or not how.expiration:
        return ""
    column = info.column(how.column)
    scale = 10 ** ((column.type.precision or 3) - 3)
    width, age = how.interval * FIXED_MS[how.interval_unit], how.expiration * FIXED_MS[how.expiration_unit]
    now = "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    return f"{quoted(column.name)} >= ({now} - {age}) / {width} * {width * scale}"


def row_number_of(info: ContainerInfo) -> str:
    """Return SQLite's row number of a collection: the order of insertion, kept when a row is put again.

    In a store of format version 1 a collection with one whole-number key is in the order of its keys.

    Raises:
        SchemaError: The container has columns of all three names that SQLite knows it by.
    """
    taken = {column.name.lower() for column in info.columns}
    for name in ("rowid", "oid", "_rowid_"):
        if name not in taken:
            return name
    raise SchemaError(f"Container {info.name!r}, a collection, cannot have columns rowid, oid and _rowid_ at once.")


def order_of(info: ContainerInfo) -> str:
    """Return SQL to order a container's rows by as GridDB does: a series by time, a collection by insertion."""
    return quoted(info.columns[0].name) if info.type is ContainerType.TIME_SERIES else row_number_of(info)


def upsert(info: ContainerInfo, columns: Sequence[str], rows: str) -> str:
    """Return the INSERT of rows (VALUES or SELECT ... WHERE) by key; without a key it only adds.

    A collection's row keeps its number, and so its place; a series' number is its time. Columns that are not given
    become null.
    """
    names = ", ".join(quoted(name) for name in columns)
    if info.type is ContainerType.TIME_SERIES:
        return f"INSERT OR REPLACE INTO {table_of(info)} ({names}) {rows}"
    insert = f"INSERT INTO {table_of(info)} ({names}) {rows}"
    if not info.row_key:
        return insert
    keys = {name.lower() for name in info.row_key}
    others = [quoted(column.name) for column in info.columns if column.name.lower() not in keys]
    action = f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in others)}" if others else "NOTHING"
    key = ", ".join(quoted(info.column(name).name) for name in info.row_key)
    return f"{insert} ON CONFLICT ({key}) DO {action}"
