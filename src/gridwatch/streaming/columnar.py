"""JSON objects to columns at once, in C: for the many records of which each is plainly a row.

Anything that might come out otherwise than value by value is not read at all here: it is told by None, and its
records are looked at one by one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from gridwatch.containers import TIMESTAMP_MS_MAX, Column, ColumnType, ContainerInfo
from gridwatch.streaming.values import FLOAT_MAX

__all__ = ["ColumnReader"]

_T = ColumnType
# As they are read; times are read as numbers, since Arrow takes texts for some of them as well, and floats in full,
# since they are not to be rounded twice.
_READ_AS: dict[ColumnType, pa.DataType] = {
    _T.BOOL: pa.bool_(),
    _T.STRING: pa.string(),
    _T.BYTE: pa.int8(),
    _T.SHORT: pa.int16(),
    _T.INTEGER: pa.int32(),
    _T.LONG: pa.int64(),
    _T.FLOAT: pa.float64(),
    _T.DOUBLE: pa.float64(),
    _T.TIMESTAMP: pa.int64(),
}
_BLOCK_BYTES = 1 << 20
# JSON's integer -0 is 0 for Python and for GridDB's integers, but -0.0 for whoever reads it as a float.
_MINUS_ZERO = re.compile(rb"-0(?![.0-9eE])")


class ColumnReader:
    """Reads the rows of one container.

    Args:
        info: The container.
    """

    def __init__(self, info: ContainerInfo) -> None:
        self._info = info
        fields = [(column.name, _READ_AS.get(column.type)) for column in info.columns]
        self._options = (
            pj.ParseOptions(explicit_schema=pa.schema(fields), unexpected_field_behavior="error")
            if all(kind is not None for _, kind in fields)
            else None
        )

    def read(self, rows: Sequence[bytes]) -> pa.Table | None:
        """Return a table of JSON objects, or None when one of them is no row or needs a closer look.

        Args:
            rows: Each begins with `{` and ends with `}`: so no two can make one object, and as many rows as objects
                means one of each.
        """
        if self._options is None or not rows:
            return None
        text = b"\n".join(rows)
        if _MINUS_ZERO.search(text) or not _is_text(text):
            return None
        try:
            read = pj.read_json(pa.BufferReader(text), pj.ReadOptions(block_size=_BLOCK_BYTES), self._options)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return None
        if read.num_rows != len(rows):
            return None
        arrays = []
        for column in self._info.columns:
            values = read.column(column.name)
            if not _fits(column, values):
                return None
            arrays.append(values.cast(column.type.arrow))
        return pa.Table.from_arrays(arrays, schema=self._info.arrow)


def _is_text(text: bytes) -> bool:
    try:
        return text.isascii() or bool(text.decode())
    except UnicodeDecodeError:
        return False


def _fits(column: Column, values: pa.ChunkedArray) -> bool:
    if values.null_count and not column.nullable:
        return False
    if column.type not in {_T.TIMESTAMP, _T.FLOAT, _T.DOUBLE} or values.null_count == len(values):
        return True
    # Arrow reads NaN and Infinity, which are no JSON, and infinity comes from numbers such as 1e999.
    if column.type is not _T.TIMESTAMP and not pc.all(pc.is_finite(values)).as_py():
        return False
    bounds = pc.min_max(values).as_py()
    if column.type is _T.TIMESTAMP:
        return bool(bounds["min"] >= 0 and bounds["max"] <= TIMESTAMP_MS_MAX)
    return column.type is _T.DOUBLE or bool(bounds["min"] >= -FLOAT_MAX and bounds["max"] <= FLOAT_MAX)
