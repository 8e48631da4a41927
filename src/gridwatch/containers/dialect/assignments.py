"""What a value becomes when it goes into a column: GridDB's implicit conversions, and its limits."""

from __future__ import annotations

import math

from gridwatch.containers._arrow import STRING_BYTES_MAX
from gridwatch.containers.dialect.casts import OUT_OF_RANGE, float32
from gridwatch.containers.dialect.conversions import single, whole
from gridwatch.containers.dialect.kinds import (
    FLOATING,
    INTEGRAL,
    LIMITS,
    Expr,
    T,
    as_kind,
    failing,
    inside,
    make,
    name_of,
    number_literal,
)
from gridwatch.containers.dialect.parse import refused
from gridwatch.containers.schema import Column

__all__ = ["fitted"]

MISMATCH = 305010
TOO_LONG = 60079
_EXACT = 2**53


def fitted(value: Expr, column: Column) -> str:
    """Return the SQL of a value as it goes into a column.

    Raises:
        SqlRefusedError: The types do not mix (305010), or a constant does not fit.
    """
    if value.kind is None:
        if not column.nullable:
            raise refused(f"NULL for column {column.name!r}, which must not be null", code=MISMATCH)
        return "NULL"
    if value.kind in INTEGRAL | FLOATING and column.type in INTEGRAL:
        return _integer(value, column)
    if value.kind in INTEGRAL | FLOATING and column.type in FLOATING:
        return _float(value, column)
    if value.kind.precision and column.type.precision:
        return _time(value, column)
    if value.kind is not column.type:
        raise refused(
            f"a {name_of(value.kind)} for {column.type} column {column.name!r}", code=MISMATCH, hint="CAST it"
        )
    if column.type is T.STRING:
        return _string(value, column)
    return value.sql


def _integer(value: Expr, column: Column) -> str:
    low, high = LIMITS[column.type]
    if value.kind in INTEGRAL and value.fits((low, high)):
        return value.sql
    if value.kind in FLOATING:
        if not isinstance(value.value, float):
            return whole(value, column.type).sql
        value = number_literal(math.trunc(value.value))
    if value.kind not in INTEGRAL or (value.constant and not low <= value.value <= high):
        raise refused(f"{value.value} for {column.type} column {column.name!r}", code=OUT_OF_RANGE)
    return inside(value, low, high, OUT_OF_RANGE, f"Value overflow in type conversion to {column.type}").sql


def _float(value: Expr, column: Column) -> str:
    if column.type is T.FLOAT and value.kind is not T.FLOAT:
        if isinstance(value.value, int | float):
            return f"({float32(value.value)!r})"
        return single(_as_double(value)).sql
    if value.constant or value.kind is not T.DOUBLE:
        return f"CAST({value.sql} AS REAL)"
    # What overflowed to infinity must not get into the store.
    fail = failing(OUT_OF_RANGE, "a number that is not finite cannot be stored", value.sql)
    return f"(CASE WHEN abs({value.sql}) > 1.7976931348623157e308 THEN {fail} ELSE {value.sql} END)"


def _as_double(value: Expr) -> Expr:
    """Return an integer as a DOUBLE that rounds to the same FLOAT, even where it has more digits than a DOUBLE."""
    if value.kind not in INTEGRAL or -_EXACT <= value.bounds[0] <= value.bounds[1] <= _EXACT:
        return value
    # Rounded to odd: what is cut off leaves its trace in the last bit that a DOUBLE holds.
    head = f"({value.sql} / 2048)"
    lost = f"{value.sql} % 2048 <> 0 AND {head} % 2 = 0"
    odd = f"({head} + CASE WHEN {lost} THEN CASE WHEN {value.sql} > 0 THEN 1 ELSE -1 END ELSE 0 END)"
    exact = f"{value.sql} BETWEEN {-_EXACT} AND {_EXACT}"
    sql = f"(CASE WHEN {exact} THEN CAST({value.sql} AS REAL) ELSE CAST({odd} AS REAL) * 2048.0 END)"
    return make(sql, T.DOUBLE, [value])


def _time(value: Expr, column: Column) -> str:
    given, wanted = value.kind.precision if value.kind else None, column.type.precision
    if given is None or wanted is None or given == wanted:
        return value.sql
    if given > wanted:
        return f"({value.sql} / {10 ** (given - wanted)})"
    return as_kind(value, column.type).sql


def _string(value: Expr, column: Column) -> str:
    if value.is_text_of(STRING_BYTES_MAX):
        return value.sql
    if isinstance(value.value, str):
        raise refused(
            f"text of more than {STRING_BYTES_MAX} bytes for column {column.name!r}", code=TOO_LONG, hint="use a BLOB"
        )
    fail = failing(TOO_LONG, f"text of more than {STRING_BYTES_MAX} bytes", value.sql)
    return f"(CASE WHEN octet_length({value.sql}) > {STRING_BYTES_MAX} THEN {fail} ELSE {value.sql} END)"
