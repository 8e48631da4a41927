"""Arrow tables and the Java side's columns, whole arrays at a time; nothing here loops over rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gridwatch.containers.jvm import java_class
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo
from gridwatch.errors import SchemaError

__all__ = ["NO_KIND", "batches", "kind_of", "kinds_of", "listed", "rows_in", "tables_out"]

_T = ColumnType
_KINDS = {
    _T.BOOL: 0,
    _T.STRING: 1,
    _T.BYTE: 2,
    _T.SHORT: 3,
    _T.INTEGER: 4,
    _T.LONG: 5,
    _T.FLOAT: 6,
    _T.DOUBLE: 7,
    _T.TIMESTAMP: 8,
    _T.BLOB: 9,
    _T.TIMESTAMP_6: 10,
    _T.TIMESTAMP_9: 11,
}
"""The numbers of Kind.java."""

NO_KIND = 12
"""A column without values, which SQL calls UNKNOWN."""

_NUMPY = {
    _T.BYTE: np.int8,
    _T.SHORT: np.int16,
    _T.INTEGER: np.int32,
    _T.LONG: np.int64,
    _T.FLOAT: np.float32,
    _T.DOUBLE: np.float64,
}
_OUT_ROWS = 131_072
_IN_ROWS = 20_000
_IN_BYTES = 16 * 1024 * 1024


def kind_of(kind: ColumnType) -> int | None:
    """Return the Java side's number of a column type; None for arrays and GEOMETRY."""
    return _KINDS.get(kind)


def kinds_of(info: ContainerInfo, columns: Sequence[Column] | None = None) -> list[int]:
    """Return the Java side's numbers of the types of some of a container's columns; of all if none are given.

    Raises:
        SchemaError: One is an array or GEOMETRY.
    """
    numbers = []
    for column in info.columns if columns is None else columns:
        number = kind_of(column.type)
        if number is None:
            raise SchemaError(
                f"Container {info.name!r}: column {column.name!r} is a {column.type}, which gridwatch neither reads "
                "from a cluster nor writes to one; use the cluster's Web API (griddb+http://...) for this container.",
                container=info.name,
            )
        numbers.append(number)
    return numbers


def batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """Cut a table into what one request to GridDB carries: at most 20,000 rows, and about 16 MiB."""
    table = table.combine_chunks()
    step = _IN_ROWS
    if table.num_rows and table.nbytes > _IN_BYTES:
        step = max(1, min(step, table.num_rows * _IN_BYTES // table.nbytes))
    yield from table.to_batches(max_chunksize=step)


def rows_in(batch: pa.RecordBatch, kinds: Sequence[ColumnType]) -> Any:
    """Hand a batch to Java, where it becomes rows; return the `RowsIn`."""
    rows = java_class("gridwatch.griddb.RowsIn")(batch.num_rows)
    for column, kind in zip(batch.columns, kinds, strict=True):
        rows.add(_KINDS[kind], *_arrays(column, kind))
    return rows


def _arrays(column: pa.Array, kind: ColumnType) -> tuple[Any, Any, Any]:
    """Return data, offsets (None but for text and blobs) and valid bits (None without nulls) as Java arrays."""
    count = len(column)
    valid = _bytes(_bits(column.buffers()[0], column.offset, count)) if column.null_count else None
    if kind in {_T.STRING, _T.BLOB}:
        _, places, data = column.buffers()
        offsets = np.frombuffer(places, np.int32)[column.offset : column.offset + count + 1]
        first, last = (int(offsets[0]), int(offsets[-1])) if count else (0, 0)
        content = np.frombuffer(data, np.uint8)[first:last] if data is not None else np.empty(0, np.uint8)
        return _bytes(content), _array("int", offsets - first), valid
    data = column.buffers()[1]
    if kind is _T.BOOL:
        return _bytes(_bits(data, column.offset, count)), None, valid
    values = np.frombuffer(data, _NUMPY.get(kind, np.int64))[column.offset : column.offset + count]
    return _array(_JAVA[values.dtype.type], values), None, valid


def _bits(buffer: pa.Buffer, offset: int, count: int) -> np.ndarray[Any, Any]:
    """Return Arrow's bits from `offset` on so that the first is the lowest bit of the first byte."""
    data = np.frombuffer(buffer, np.uint8)
    if offset % 8 == 0:
        return data[offset // 8 : (offset + count + 7) // 8]
    return np.packbits(np.unpackbits(data, bitorder="little")[offset : offset + count], bitorder="little")


_JAVA = {
    np.int8: "byte",
    np.int16: "short",
    np.int32: "int",
    np.int64: "long",
    np.float32: "float",
    np.float64: "double",
}


def _bytes(values: np.ndarray[Any, Any]) -> Any:
    return _array("byte", values.view(np.int8))


def _array(kind: str, values: Any) -> Any:
    import jpype

    types = {
        "byte": jpype.JByte,
        "short": jpype.JShort,
        "int": jpype.JInt,
        "long": jpype.JLong,
        "float": jpype.JFloat,
        "double": jpype.JDouble,
    }
    return jpype.JArray(types[kind])(np.ascontiguousarray(values) if isinstance(values, np.ndarray) else values)


def tables_out(
    schema: pa.Schema, kinds: Sequence[int], fields: Sequence[int], take: Callable[[Any, int], int], rows_max: int
) -> pa.Table:
    """Collect what a Java `RowsOut` takes from its source.

    Args:
        schema: Of the result, a field for each kind.
        kinds: The Java side's numbers.
        fields: Where each column stands in the source's rows, from 0.
        take: Called with the `RowsOut` and the most rows to take; returns how many it took, 0 at the end.
        rows_max: Stops after one row more, so that the caller can tell "exactly full" from "cut short".
    """
    out = java_class("gridwatch.griddb.RowsOut")(_array("int", list(kinds)), _array("int", list(fields)))
    parts: list[pa.RecordBatch] = []
    left = rows_max + 1
    while left and (count := int(take(out, min(left, _OUT_ROWS)))):
        columns = [_column(out, place, field.type, count) for place, field in enumerate(schema)]
        parts.append(pa.RecordBatch.from_arrays(columns, schema=schema))
        left -= count
    return pa.Table.from_batches(parts, schema=schema)


def listed(schema: pa.Schema, kinds: Sequence[int], rows: Any) -> pa.Table:
    """Return a Java list of rows as a table; `schema` and `kinds` are those of all their columns."""
    left = [rows]
    return tables_out(
        schema, kinds, range(len(kinds)), lambda out, _: out.take(left.pop()) if left else 0, rows_max=rows.size()
    )


def _column(out: Any, place: int, kind: pa.DataType, count: int) -> pa.Array:
    if pa.types.is_null(kind):
        return pa.nulls(count)
    valid = out.valid(place)
    buffers = [None if valid is None else pa.py_buffer(memoryview(valid))]
    offsets = out.offsets(place)
    if offsets is not None:
        buffers.append(pa.py_buffer(memoryview(offsets)))
    buffers.append(pa.py_buffer(memoryview(out.data(place))))
    return pa.Array.from_buffers(kind, count, buffers)
