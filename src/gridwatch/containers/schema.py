"""GridDB's container model: types, columns, keys, and the Arrow schema each container has."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa

from gridwatch.errors import SchemaError

__all__ = [
    "FLOATING",
    "INTEGRAL",
    "PLAIN_TYPES",
    "TIMESTAMP_MS_MAX",
    "Column",
    "ColumnType",
    "ContainerInfo",
    "ContainerType",
    "Index",
    "Partitioning",
    "View",
]

TIMESTAMP_MS_MAX = 253_402_300_799_999
"""Last instant that GridDB takes, 9999-12-31T23:59:59.999Z, in UTC epoch ms; the first is 0."""


class ContainerType(StrEnum):
    """GridDB's two kinds of container."""

    COLLECTION = "COLLECTION"
    TIME_SERIES = "TIME_SERIES"


class ColumnType(StrEnum):
    """GridDB's column types; those after BLOB are for the few who need them (see `PLAIN_TYPES`)."""

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
    TIMESTAMP_6 = "TIMESTAMP(6)"
    TIMESTAMP_9 = "TIMESTAMP(9)"
    GEOMETRY = "GEOMETRY"
    BOOL_ARRAY = "BOOL_ARRAY"
    STRING_ARRAY = "STRING_ARRAY"
    BYTE_ARRAY = "BYTE_ARRAY"
    SHORT_ARRAY = "SHORT_ARRAY"
    INTEGER_ARRAY = "INTEGER_ARRAY"
    LONG_ARRAY = "LONG_ARRAY"
    FLOAT_ARRAY = "FLOAT_ARRAY"
    DOUBLE_ARRAY = "DOUBLE_ARRAY"
    TIMESTAMP_ARRAY = "TIMESTAMP_ARRAY"

    @property
    def arrow(self) -> pa.DataType:
        """Arrow type of a column of this type: TIMESTAMP is `timestamp[ms, UTC]`, GEOMETRY its WKT as large_string."""
        return _ARROW[self]

    @property
    def precision(self) -> int | None:
        """Decimals of a second that a time of this type has: 3, 6 or 9; None for what is no time."""
        return _PRECISIONS.get(self)

    @property
    def element(self) -> ColumnType | None:
        """Type of an array's elements; None for what is no array."""
        return ColumnType(self.value.removesuffix("_ARRAY")) if self.value.endswith("_ARRAY") else None


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
    ColumnType.TIMESTAMP_6: pa.timestamp("us", tz="UTC"),
    ColumnType.TIMESTAMP_9: pa.timestamp("ns", tz="UTC"),
    # Another type than a STRING's, so that a column of a table tells which it is.
    ColumnType.GEOMETRY: pa.large_string(),
}
_ARROW |= {kind: pa.list_(_ARROW[kind.element]) for kind in ColumnType if kind.element}
_PRECISIONS = {ColumnType.TIMESTAMP: 3, ColumnType.TIMESTAMP_6: 6, ColumnType.TIMESTAMP_9: 9}

PLAIN_TYPES = tuple(ColumnType)[:10]
"""The types of ordinary data, BOOL to BLOB: what datasets, records and models are made of."""


INTEGRAL = frozenset({ColumnType.BYTE, ColumnType.SHORT, ColumnType.INTEGER, ColumnType.LONG})
FLOATING = frozenset({ColumnType.FLOAT, ColumnType.DOUBLE})


@dataclass(frozen=True, slots=True)
class Column:
    """One column; a row key column is never null. Its type tells the precision of a time."""

    name: str
    type: ColumnType
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Index:
    """A TREE index that has a name or several columns, as CREATE INDEX makes it."""

    columns: tuple[str, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Partitioning:
    """How a table's rows are spread: by hash, by interval, or by interval and then by hash.

    Args:
        column: The partitioning column; a key column when there is a key.
        hash_count: Parts by hash: of `column`, or of `sub_column` when there is an interval. 0 for none.
        interval: Width of one part in `interval_unit`, or in whole numbers for an integer column. 0 for none.
        interval_unit: "DAY" or "HOUR" for a TIMESTAMP column, else empty.
        sub_column: Column of the hash beside an interval.
        expiration: After how many `expiration_unit` a part is dropped; 0 for never. Needs an interval of time.
        expiration_unit: "DAY", "HOUR", "MINUTE", "SECOND" or "MILLISECOND".
    """

    column: str
    hash_count: int = 0
    interval: int = 0
    interval_unit: str = ""
    sub_column: str = ""
    expiration: int = 0
    expiration_unit: str = "DAY"


@dataclass(frozen=True, slots=True)
class View:
    """A named SELECT, which SQL reads like a container."""

    name: str
    select: str


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """Name, type, columns and row key of a container.

    Args:
        name: Container name; compared without case, kept as first written.
        type: TIME_SERIES containers have one TIMESTAMP row key, the first column.
        columns: In order; GridDB keeps row key columns first.
        row_key: Names of the key columns; empty for a collection without a row key.
        indexes: Names of the columns with a TREE index of their own.
        named_indexes: Those of them that have a name, and indexes of several columns.
        partitioning: How the rows are spread; None for an ordinary container.
    """

    name: str
    type: ContainerType
    columns: tuple[Column, ...]
    row_key: tuple[str, ...] = ()
    indexes: tuple[str, ...] = field(default=(), compare=False)
    named_indexes: tuple[Index, ...] = field(default=(), compare=False)
    partitioning: Partitioning | None = None

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
