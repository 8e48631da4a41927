"""Containers as entries of FROM."""

from __future__ import annotations

from gridwatch.containers._sqlite_format import quoted, readable, row_number_of
from gridwatch.containers.dialect.kinds import UNREADABLE, Expr
from gridwatch.containers.dialect.scope import Context, Source
from gridwatch.containers.schema import ContainerInfo, ContainerType

__all__ = ["source_columns", "table_source"]


def table_source(context: Context, info: ContainerInfo, name: str) -> Source:
    """Return a container as an entry of FROM."""
    alias, columns = source_columns(context, info)
    order = ""
    if info.type is ContainerType.TIME_SERIES:
        order = f"{alias}.{quoted(info.row_key[0])}"
    elif not info.row_key:
        order = f"{alias}.{row_number_of(info)}"
    # An index may be read instead, in its own order.
    whole = not info.indexes and info.partitioning is None
    key = f"{alias}.{quoted(info.row_key[0])}" if len(info.row_key) == 1 else ""
    return Source(name, f"{readable(info)} AS {alias}", columns, order if whole else "", key)


def source_columns(context: Context, info: ContainerInfo) -> tuple[str, tuple[tuple[str, Expr], ...]]:
    """Return a new alias for a container and its columns under it."""
    alias = context.source_name()
    columns = []
    for column in info.columns:
        if column.type in UNREADABLE:
            columns.append((column.name, Expr("NULL", None)))
            continue
        sql = f"{alias}.{quoted(column.name)}"
        columns.append((column.name, Expr(sql, column.type, nullable=column.nullable, free=frozenset({sql}))))
    return alias, tuple(columns)
