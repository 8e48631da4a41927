"""JSON rows as an Arrow table, column by column; only a column with unusual values is read cell by cell."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gridwatch.containers import INTEGRAL, Column, ColumnType
from gridwatch.server.griddb_webapi.bodies import parsed
from gridwatch.server.griddb_webapi.cells import cell_reader, refused
from gridwatch.server.griddb_webapi.errors import ApiError
from gridwatch.server.griddb_webapi.limits import REQUEST_BYTES_MAX, native_bytes

if TYPE_CHECKING:
    from gridwatch.containers import ContainerInfo

__all__ = ["Written", "rows_table"]

T = ColumnType

_NONE = type(None)
# A zero with an exponent, and exponents that can make a number too small for a DOUBLE.
_EXPONENT = re.compile(r"(?<![0-9.])0(?:\.0*)?[eE]|[eE]-[0-9]{3}")
_ZEROS_MAX = 200
_LOST_BITS = 2**29 - 1
# Exactly what the API writes; anything else goes through the lenient reader.
_USUAL_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"


@dataclass
class Written:
    """The rows of a body again, with their numbers as they were written.

    Args:
        body: The JSON text.
        rows: Finds the rows in what the text holds.
    """

    body: str
    rows: Callable[[Any], Sequence[Sequence[Any]]]
    _columns: list[tuple[Any, ...]] = field(default_factory=list)

    def column(self, place: int) -> tuple[Any, ...]:
        """Return one column, numbers as `Raw`; the text is read again once, when this is first asked."""
        if not self._columns:
            self._columns = list(zip(*self.rows(parsed(self.body, written=True)), strict=True))
        return self._columns[place]

    @functools.cached_property
    def plain(self) -> bool:
        """Whether no number can be too small, by an exponent or many zeros: what reads as 0 was written as 0."""
        if "0" * _ZEROS_MAX in self.body:
            return False
        # Most bodies hold no such letter at all, which is much quicker to tell.
        return not ("e" in self.body or "E" in self.body) or _EXPONENT.search(self.body) is None


def rows_table(
    info: ContainerInfo,
    rows: Sequence[Sequence[Any]],
    written: Written | None = None,
    *,
    blob: Callable[[Any], bytes | None] | None = None,
) -> pa.Table:
    """Return JSON rows as a table of the container's schema.

    Args:
        info: The container.
        rows: One array a row, all columns in order, numbers as numbers.
        written: The same rows with numbers as text, for the put that reads them so; used only when it makes a
            difference. None where JSON's types count.
        blob: Reads a BLOB from its JSON value, where that is not base64.

    Raises:
        ApiError: A row has another number of values, a value is not of its column's type, or all are too many bytes.
    """
    if any(width != len(info.columns) for width in set(map(len, rows))):
        raise ApiError(400, "Row data is invalid")
    columns = list(zip(*rows, strict=True))
    arrays = []
    for place, column in enumerate(info.columns):
        array = _usual(column.type, columns[place], written)
        if array is None:
            array = _unusual(column, written.column(place) if written else columns[place], blob)
        arrays.append(array)
    table = pa.Table.from_arrays(arrays, schema=_nullable(info))
    if sum(native_bytes(column) for column in table.columns) > REQUEST_BYTES_MAX:
        raise ApiError(400, "Too many rows data")
    return table


def _nullable(info: ContainerInfo) -> pa.Schema:
    # The store says which column must not be null, by GridDB's number; Arrow would only say that one was.
    return pa.schema([pa.field(column.name, column.type.arrow) for column in info.columns])


def _usual(kind: ColumnType, values: Sequence[Any], written: Written | None) -> pa.Array | None:
    """Return the column if all its values are of the one JSON type that one expects; None to look at each."""
    found = set(map(type, values)) - {_NONE}
    try:
        if not found:
            return pa.nulls(len(values), kind.arrow)
        if kind is T.BOOL and found == {bool}:
            return pa.array(values, kind.arrow)
        if kind in INTEGRAL and found == {int}:
            return pa.array(values, kind.arrow)
        if kind is T.STRING and found == {str}:
            return pa.array(values, kind.arrow)
        if kind is T.DOUBLE and found <= {int, float}:
            return _doubles(values, written)
        if kind is T.FLOAT and found <= {int, float}:
            return _floats(values, written)
        if kind is T.TIMESTAMP and found == {str}:
            return _times(pa.array(values, pa.string()))
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return None
    except UnicodeEncodeError as error:
        raise ApiError(400, f"A value holds text that is not Unicode: {error}") from error
    return None


def _doubles(values: Sequence[Any], written: Written | None) -> pa.Array | None:
    array = pa.array(values, pa.float64())
    # What reads as infinite was too large, what reads as 0 may have been too small: there the text decides.
    if not pc.all(pc.is_finite(array)).as_py():
        return None
    if written and not written.plain and pc.any(pc.equal(array, 0)).as_py():
        return None
    return array


def _floats(values: Sequence[Any], written: Written | None) -> pa.Array | None:
    doubles = _doubles(values, written)
    if doubles is None:
        return None
    exact = doubles.fill_null(1.0).to_numpy()
    with np.errstate(over="ignore"):
        single = exact.astype(np.float32)
    # Too large, too small, or half-way between two: there the text decides.
    half_way = (exact.view(np.int64) & _LOST_BITS) == _LOST_BITS // 2 + 1
    if np.any(np.isinf(single) | ((single == 0) & (exact != 0)) | half_way):
        return None
    return doubles.cast(pa.float32(), safe=False)


def _times(texts: pa.Array) -> pa.Array | None:
    if not pc.all(pc.match_substring_regex(texts, _USUAL_TIME)).as_py():
        return None
    return texts.cast(pa.timestamp("ms", tz="UTC"))


def _unusual(column: Column, values: Sequence[Any], blob: Callable[[Any], bytes | None] | None) -> pa.Array:
    read = blob if blob is not None and column.type is T.BLOB else cell_reader(column.type)
    try:
        cells = [None if value is None else read(value) for value in values]
        if column.type.precision:
            return pa.array(cells, pa.int64()).cast(column.type.arrow)
        if column.type is T.TIMESTAMP_ARRAY:
            return pa.array(cells, pa.list_(pa.int64())).cast(column.type.arrow)
        return pa.array(cells, column.type.arrow)
    except UnicodeEncodeError as error:
        raise ApiError(400, f"A value of column {column.name!r} holds text that is not Unicode: {error}") from error
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise refused(column.type) from error
