"""Containers' schemas, as GridDB's Java client has them and as `ContainerInfo`."""

from __future__ import annotations

from typing import Any

from gridwatch.containers.griddb_columns import kinds_of
from gridwatch.containers.jvm import java_class
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType, Index

__all__ = ["from_java", "to_java"]

_GS = "com.toshiba.mwcloud.gs"
_PRECISIONS = {ColumnType.TIMESTAMP_6: "MICROSECOND", ColumnType.TIMESTAMP_9: "NANOSECOND"}
_TYPES = {precision: kind for kind, precision in _PRECISIONS.items()}


def to_java(info: ContainerInfo) -> Any:
    """Return the Java client's `ContainerInfo`, without indexes.

    Raises:
        SchemaError: A column is an array or GEOMETRY, which this backend cannot carry.
    """
    import jpype

    columns = java_class("java.util.ArrayList")()
    kinds_of(info)
    for column in info.columns:
        builder = java_class(f"{_GS}.ColumnInfo$Builder")()
        builder.setName(column.name)
        plain = ColumnType.TIMESTAMP if column.type in _PRECISIONS else column.type
        builder.setType(java_class(f"{_GS}.GSType").valueOf(plain.value))
        builder.setNullable(jpype.JObject(jpype.JBoolean(column.nullable), "java.lang.Boolean"))
        if column.type in _PRECISIONS:
            builder.setTimePrecision(java_class(f"{_GS}.TimeUnit").valueOf(_PRECISIONS[column.type]))
        columns.add(builder.toInfo())
    made = java_class(f"{_GS}.ContainerInfo")()
    made.setName(info.name)
    made.setType(java_class(f"{_GS}.ContainerType").valueOf(info.type.value))
    made.setColumnInfoList(columns)
    keys = java_class("java.util.ArrayList")()
    for place in range(len(info.row_key)):
        keys.add(jpype.JObject(jpype.JInt(place), "java.lang.Integer"))
    made.setRowKeyColumnList(keys)
    return made


def from_java(found: Any) -> ContainerInfo:
    """Return the `ContainerInfo` of one that the Java client found."""
    columns = []
    for place in range(found.getColumnCount()):
        column = found.getColumnInfo(place)
        nullable = column.getNullable()
        columns.append(Column(str(column.getName()), _type(column), nullable is None or bool(nullable)))
    row_key = tuple(columns[int(place)].name for place in found.getRowKeyColumnList())
    indexes, named = _indexes(found.getIndexInfoList(), row_key)
    return ContainerInfo(
        str(found.getName()),
        ContainerType(str(found.getType().name())),
        tuple(columns),
        row_key,
        tuple(indexes),
        tuple(named),
    )


def _indexes(found: Any, row_key: tuple[str, ...]) -> tuple[list[str], list[Index]]:
    """Return the columns with an index of their own, and the indexes that have a name or several columns."""
    indexes: list[str] = []
    named: list[Index] = []
    for index in found:
        names = tuple(str(name) for name in index.getColumnNameList())
        name = "" if index.getName() is None else str(index.getName())
        # SQL makes an index for the key it declares; for the native client a key needs none. Both behave alike.
        if names == row_key and not name:
            continue
        if len(names) == 1 and names[0] not in indexes:
            indexes.append(names[0])
        if name or len(names) > 1:
            named.append(Index(names, name))
    return indexes, named


def _type(column: Any) -> ColumnType:
    name = str(column.getType().name())
    if name == "TIMESTAMP":
        precision = column.getTimePrecision()
        return _TYPES.get(str(precision.name()) if precision is not None else "", ColumnType.TIMESTAMP)
    return ColumnType(name)
