"""Frames and Arrow tables made to fit a container's schema, column by column; nothing here loops over cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from gridwatch.containers._arrow_lists import as_lists, as_text, fault_of
from gridwatch.containers.schema import FLOATING, INTEGRAL, TIMESTAMP_MS_MAX, Column, ColumnType, ContainerInfo
from gridwatch.errors import SchemaError, ValueRefusedError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STRING_BYTES_MAX", "coerce", "restore", "storable"]

STRING_BYTES_MAX = 31_744
"""Longest STRING in UTF-8 bytes at GridDB's default block size of 64 KiB; longer text belongs in a BLOB."""

_NUMBER = r"-?(0|[1-9]\d*)(\.\d*[1-9])?"
_POINT = rf"{_NUMBER} {_NUMBER}( {_NUMBER})?"
# As GridDB writes it: what is put is read back the same.
_WKT = rf"^(POINT\({_POINT}\)|LINESTRING\({_POINT}(,{_POINT})+\))$"
# Last instant by precision. Nanoseconds in 64 bits end in the year 2262, before GridDB's.
_TIME_MAX = {3: TIMESTAMP_MS_MAX, 6: TIMESTAMP_MS_MAX * 1000 + 999, 9: 2**63 - 1}
_UNITS = {3: "ms", 6: "µs", 9: "ns"}


def coerce(info: ContainerInfo, rows: pa.Table | pd.DataFrame) -> pa.Table:
    """Return the rows as a table of the container's Arrow schema.

    Args:
        info: The container.
        rows: Columns match by name without case; a missing nullable column becomes null.

    Raises:
        SchemaError: A column is unknown or given twice.
        ValueRefusedError: A value that GridDB refuses; names the column, the value and the first row.
    """
    given = _given(info, rows)
    count = rows.num_rows if isinstance(rows, pa.Table) else len(rows)
    arrays = [_column(info, column, given.get(column.name.lower()), count) for column in info.columns]
    return pa.Table.from_arrays(arrays, schema=info.arrow)


def _given(info: ContainerInfo, rows: pa.Table | pd.DataFrame) -> dict[str, Any]:
    names = rows.column_names if isinstance(rows, pa.Table) else [str(name) for name in rows.columns]
    given: dict[str, Any] = {}
    for position, name in enumerate(names):
        column = info.column(name)
        if column.name.lower() in given:
            raise SchemaError(f"Rows for container {info.name!r} have column {name!r} twice.", container=info.name)
        given[column.name.lower()] = rows.column(position) if isinstance(rows, pa.Table) else rows.iloc[:, position]
    return given


def _column(info: ContainerInfo, column: Column, values: Any, count: int) -> pa.ChunkedArray:
    if values is None:
        array = pa.chunked_array([pa.nulls(count, column.type.arrow)])
    else:
        array = _cast(info, column, _as_arrow(info, column, values))
    _check(info, column, array)
    return array


def _as_arrow(info: ContainerInfo, column: Column, values: Any) -> pa.ChunkedArray:
    if isinstance(values, pa.ChunkedArray):
        return values
    # NaN in a number is refused, never taken for a missing value; in text, time and bool pandas means "missing".
    missing = column.type not in FLOATING | INTEGRAL
    if hasattr(values.dtype, "tz"):
        # pyarrow asks such a series for `.values`, which pandas has deprecated; without the zone it is UTC.
        values = values.dt.tz_convert(None)
    plain = values.to_numpy() if values.dtype.kind in "biufcmM" and not hasattr(values.dtype, "na_value") else values
    try:
        array = pa.array(plain, from_pandas=missing)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError) as error:
        raise _refused(info, column, None, None, f"its values are not all {column.type} ({error})") from error
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _cast(info: ContainerInfo, column: Column, array: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if array.type == column.type.arrow:
        return array
    if not _accepts(column.type, array.type):
        raise _refused(info, column, *_first(array, pc.is_valid(array)), f"{array.type} is not {column.type}")
    try:
        return array.cast(column.type.arrow)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        row = _first_uncastable(array, column.type.arrow)
        why = f"out of range for {column.type}"
        if column.type.precision:
            why = f"finer than a {_UNITS[column.type.precision]}, or out of range".replace("a ms", "a millisecond")
        if pa.types.is_floating(array.type) and column.type in INTEGRAL:
            why = f"no whole number that a {column.type} holds"
        raise _refused(info, column, array[row], row, why) from error


def _accepts(target: ColumnType, given: pa.DataType) -> bool:
    """Tell whether values of an Arrow type may go into a column, given that each value fits."""
    if pa.types.is_null(given):
        return True
    integer = pa.types.is_integer(given)
    if target in INTEGRAL | FLOATING:
        return bool(integer or pa.types.is_floating(given))
    if target.precision:
        return bool(pa.types.is_timestamp(given) or given == pa.int64())
    if target.element:
        lists = pa.types.is_list(given) or pa.types.is_large_list(given) or pa.types.is_fixed_size_list(given)
        return bool(lists and _accepts(target.element, given.value_type))
    if target in {ColumnType.STRING, ColumnType.GEOMETRY}:
        return bool(pa.types.is_string(given) or pa.types.is_large_string(given) or pa.types.is_string_view(given))
    if target is ColumnType.BLOB:
        return bool(
            pa.types.is_binary(given)
            or pa.types.is_large_binary(given)
            or pa.types.is_binary_view(given)
            or pa.types.is_fixed_size_binary(given)
        )
    return False


def _first_uncastable(array: pa.ChunkedArray, target: pa.DataType) -> int:
    """Return the first row that does not cast, found by halving: log2(n) casts, on the way to an error only."""
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            array.slice(low, middle - low).cast(target)
            low = middle
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            high = middle
    return low


def _check(info: ContainerInfo, column: Column, array: pa.ChunkedArray) -> None:
    if not column.nullable and array.null_count:
        raise _refused(info, column, *_first(array, pc.is_null(array)), "the column must not be null", code=145001)
    if column.type in FLOATING:
        _refuse_where(info, column, array, pc.invert(pc.is_finite(array)), "not finite; store a missing value as null")
    elif column.type.precision:
        number, last = array.cast(pa.int64()), _TIME_MAX[column.type.precision]
        outside = pc.or_(pc.less(number, 0), pc.greater(number, last))
        why = f"outside 0..{last} {_UNITS[column.type.precision]}"
        _refuse_where(info, column, number, outside, why, code=60079)
    elif column.type.element:
        row, why = fault_of(array)
        if why:
            raise _refused(info, column, array[row], row, why)
    elif column.type is ColumnType.GEOMETRY:
        foreign = pc.invert(pc.match_substring_regex(array, _WKT))
        _refuse_where(
            info,
            column,
            array,
            foreign,
            "no WKT of the form POINT(1 2.5) or LINESTRING(0 0,1 1), all that is kept here",
        )
    elif column.type is ColumnType.STRING:
        nul = pc.match_substring(array, "\0")
        _refuse_where(info, column, array, nul, "it holds a NUL character", code=145006)
        long = pc.greater(pc.binary_length(array), STRING_BYTES_MAX)
        _refuse_where(info, column, array, long, f"longer than {STRING_BYTES_MAX} bytes; use a BLOB", code=60079)


def _refuse_where(
    info: ContainerInfo, column: Column, array: pa.ChunkedArray, wrong: Any, why: str, *, code: int | None = None
) -> None:
    if pc.any(wrong).as_py():
        raise _refused(info, column, *_first(array, wrong), why, code=code)


def _first(array: pa.ChunkedArray, mask: Any) -> tuple[Any, int | None]:
    row = pc.index(mask, True).as_py()
    return (array[row], row) if row >= 0 else (None, None)


def _refused(
    info: ContainerInfo, column: Column, value: Any, row: int | None, why: str, *, code: int | None = 145002
) -> ValueRefusedError:
    shown = str(value.cast(pa.int64()) if isinstance(value, pa.TimestampScalar) else value)
    if len(shown) > 60:
        shown = f"{shown[:57]}..."
    where = "" if row is None else f", row {row}: value {shown}"
    return ValueRefusedError(
        f"Container {info.name!r}, column {column.name!r}{where}: {why}.",
        code=code,
        container=info.name,
        column=column.name,
        row=row,
    )


def storable(table: pa.Table) -> pa.Table:
    """Return the table with times as int64, BOOL as int8 and arrays as JSON, the way SQLite keeps them."""
    for position, kind in enumerate(table.schema.types):
        if pa.types.is_timestamp(kind):
            table = table.set_column(position, table.field(position).name, table.column(position).cast(pa.int64()))
        elif pa.types.is_boolean(kind):
            table = table.set_column(position, table.field(position).name, table.column(position).cast(pa.int8()))
        elif pa.types.is_list(kind):
            table = table.set_column(position, table.field(position).name, as_text(table.column(position)))
    return table


def restore(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table that SQLite gave (int64, double, string, binary) as one of `schema`, by position."""
    arrays = [_restored(column, field.type) for column, field in zip(table.columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _restored(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_list(kind):
        return as_lists(column, kind)
    return column if column.type == kind else column.cast(kind)
