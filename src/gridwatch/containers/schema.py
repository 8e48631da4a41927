"""GridDB's container model: types, columns, keys, and the Arrow schema each container has."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa

from gridwatch.errors import SchemaError

__all__ = ["Column", "ColumnType", "ContainerInfo", "ContainerType"]


class ContainerType(StrEnum):
    """GridDB's two kinds of container."""

    COLLECTION = "COLLECTION"
    TIME_SERIES = "TIME_SERIES"


class ColumnType(StrEnum):
    """GridDB's column types; arrays and GEOMETRY are refused by name."""

    BOOL = "BOOL"
    STRING = "STRING"
    BYTE = "BYTE"
    SHORT = "SHORT"
    INTEGER = "INTEGER"
    LONG = "LONG"
    FLOAT = "FLOAT"
    DOUBLE = "DOUBLE"
    TIMESTAMP = "TIMESTAMP"
    BLOB = "BLOB"

    @property
    def arrow(self) -> pa.DataType:
        """Arrow type of a column of this type; TIMESTAMP is `timestamp[ms, UTC]`."""
        return _ARROW[self]


_ARROW = {
    ColumnType.BOOL: pa.bool_(),
    ColumnType.STRING: pa.string(),
    ColumnType.BYTE: pa.int8(),
    ColumnType.SHORT: pa.int16(),
    ColumnType.INTEGER: pa.int32(),
    ColumnType.LONG: pa.int64(),
    ColumnType.FLOAT: pa.float32(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.TIMESTAMP: pa.timestamp("ms", tz="UTC"),
    ColumnType.BLOB: pa.binary(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column; a row key column is never null."""

    name: str
    type: ColumnType
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """Name, type, columns and row key of a container.

    Args:
        name: Container name; compared without case, kept as first written.
        type: TIME_SERIES containers have one TIMESTAMP row key, the first column.
        columns: In order; GridDB keeps row key columns first.
        row_key: Names of the key columns; empty for a collection without a row key.
        indexes: Names of the columns with a TREE index.
    """

    name: str
    type: ContainerType
    columns: tuple[Column, ...]
    row_key: tuple[str, ...] = ()
    indexes: tuple[str, ...] = field(default=(), compare=False)

    def column(self, name: str) -> Column:
        """Return the column of this name, compared without case.

        Raises:
            SchemaError: There is none.
        """
        for column in self.columns:
            if column.name.lower() == name.lower():
                return column
        known = ", ".join(column.name for column in self.columns)
        raise SchemaError(f"Container {self.name!r} has no column {name!r}; it has {known}.", container=self.name)

    @property
    def arrow(self) -> pa.Schema:
        """Arrow schema of the container's rows, columns in order."""
        return pa.schema([pa.field(c.name, c.type.arrow, nullable=c.nullable) for c in self.columns])
