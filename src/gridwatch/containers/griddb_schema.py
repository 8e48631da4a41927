"""Containers' schemas, as GridDB's Java client has them and as `ContainerInfo`."""

from __future__ import annotations

from typing import Any

from gridwatch.containers.griddb_columns import kind_of
from gridwatch.containers.jvm import java_class
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.errors import SchemaError

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
    for column in info.columns:
        if kind_of(column.type) is None:
            raise SchemaError(
                f"Container {info.name!r}: column {column.name!r} is a {column.type}, which gridwatch does not carry "
                "to a GridDB cluster.",
                container=info.name,
            )
        builder = java_class(f"{_GS}.ColumnInfo$Builder")()
        builder.setName(column.name)
        plain = ColumnType.TIMESTAMP if column.type in _PRECISIONS else column.type
        builder.setType(java_class(f"{_GS}.GSType").valueOf(plain.value))
        builder.setNullable(jpype.JObject(jpype.JBoolean(column.nullable), "java.lang.Boolean"))
        if column.type in _PRECISIONS:
            builder.setTimePrecision(java_class(f"{_GS}.TimePrecision").valueOf(_PRECISIONS[column.type]))
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
    keys = [int(place) for place in found.getRowKeyColumnList()]
    indexes = []
    for index in found.getIndexInfoList():
        names = [str(name) for name in index.getColumnNameList()]
        if len(names) == 1 and names[0] not in indexes:
            indexes.append(names[0])
    return ContainerInfo(
        str(found.getName()),
        ContainerType(str(found.getType().name())),
        tuple(columns),
        tuple(columns[place].name for place in keys),
        tuple(indexes),
    )


def _type(column: Any) -> ColumnType:
    name = str(column.getType().name())
    if name == "TIMESTAMP":
        precision = column.getTimePrecision()
        return _TYPES.get(str(precision.name()) if precision is not None else "", ColumnType.TIMESTAMP)
    return ColumnType(name)
