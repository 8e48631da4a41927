"""Conversions of values that are only known when the statement runs: text to numbers, and single precision."""

from __future__ import annotations

from gridwatch.containers.dialect.kinds import FLOATING, INTEGRAL, LIMITS, Expr, T, failing, inside, make
from gridwatch.containers.dialect.parse import refused
from gridwatch.containers.schema import ColumnType

__all__ = ["BAD_TEXT", "OUT_OF_RANGE", "SPACES", "from_text", "single", "whole"]

BAD_TEXT = 305005
OUT_OF_RANGE = 305004
NOT_FINITE = 75002

SPACES = " \t\n\v\f\r"
"""What GridDB takes for space around a number."""

_TRIMMED = "char(9, 10, 11, 12, 13, 32)"
_SINGLE_MAX = 3.4028234663852886e38


def from_text(expr: Expr, target: ColumnType) -> Expr:
    """Return CAST of text AS a number, BOOL or BLOB, failing on text in another form.

    Raises:
        SqlRefusedError: CAST AS TIMESTAMP, whose forms are not checked here.
    """
    if target in INTEGRAL:
        return _integer(expr, target)
    if target in FLOATING:
        found = _number(expr)
        return single(found) if target is T.FLOAT else found
    bad = failing(BAD_TEXT, f"Invalid {target} format", expr.sql)
    if target is T.BOOL:
        word = f"lower({expr.sql})"
        return make(f"(CASE {word} WHEN 'true' THEN 1 WHEN 'false' THEN 0 WHEN {word} THEN {bad} END)", target, [expr])
    if target is T.BLOB:
        # Without its second argument unhex() takes no space.
        return make(f"(CASE WHEN {expr.sql} IS NOT NULL THEN coalesce(unhex({expr.sql}), {bad}) END)", target, [expr])
    raise refused(
        f"CAST of a STRING column AS {target}",
        code=None,
        hint="this store checks the form of constant times only",
    )


def _unsigned(sql: str) -> str:
    return f"(CASE WHEN substr({sql}, 1, 1) IN ('+', '-') THEN substr({sql}, 2) ELSE {sql} END)"


def _integer(expr: Expr, target: ColumnType) -> Expr:
    text = f"trim({expr.sql}, {_TRIMMED})"
    digits = _unsigned(text)
    bad = failing(BAD_TEXT, "Unacceptable format for integral value", expr.sql)
    # CAST stops at the last LONG; digits beyond it are a bad form for GridDB.
    long = (
        f"length(ltrim({digits}, '0')) > 19 OR (length(ltrim({digits}, '0')) = 19 AND ltrim({digits}, '0') > "
        f"CASE WHEN substr({text}, 1, 1) = '-' THEN '9223372036854775808' ELSE '9223372036854775807' END)"
    )
    sql = f"(CASE WHEN {digits} = '' OR {digits} GLOB '*[^0-9]*' OR {long} THEN {bad} ELSE CAST({text} AS INTEGER) END)"
    low, high = LIMITS[target]
    found = inside(make(sql, T.LONG, [expr]), low, high, OUT_OF_RANGE, f"Value overflow in type conversion to {target}")
    return make(found.sql, target, [expr], low=low, high=high)


def _number(expr: Expr) -> Expr:
    text = f"lower(trim({expr.sql}, {_TRIMMED}))"
    mark = f"instr({text}, 'e')"
    mantissa = _unsigned(f"(CASE WHEN {mark} THEN substr({text}, 1, {mark} - 1) ELSE {text} END)")
    exponent = _unsigned(f"(CASE WHEN {mark} THEN substr({text}, {mark} + 1) ELSE '0' END)")
    bad = failing(BAD_TEXT, "Unacceptable format for floating value", expr.sql)
    special = failing(NOT_FINITE, "a number that is not finite is not taken here", expr.sql)
    wrong = (
        f"{mantissa} NOT GLOB '*[0-9]*' OR {mantissa} GLOB '*[^0-9.]*' OR {mantissa} GLOB '*.*.*' "
        f"OR {exponent} = '' OR {exponent} GLOB '*[^0-9]*'"
    )
    value = f"CAST({text} AS REAL)"
    sql = (
        f"(CASE WHEN {_unsigned(text)} IN ('inf', 'infinity', 'nan') THEN {special} "
        f"WHEN {wrong} OR abs({value}) = 9e999 THEN {bad} ELSE {value} END)"
    )
    return make(sql, T.DOUBLE, [expr])


def whole(expr: Expr, target: ColumnType) -> Expr:
    """Return a float without its decimals as an integer type, failing outside the type's range."""
    low, high = LIMITS[target]
    # As floats, 2^63 is the first that does not fit and -2^63 the last that does.
    fits = f"{expr.sql} > {low - 1 if low > -(2**63) else -9.3e18} AND {expr.sql} < {high + 1}.0"
    fail = failing(OUT_OF_RANGE, f"Value overflow in type conversion to {target}", expr.sql)
    sql = f"(CASE WHEN {expr.sql} IS NULL THEN NULL WHEN {fits} THEN CAST({expr.sql} AS INTEGER) ELSE {fail} END)"
    return make(sql, target, [expr], low=low, high=high)


def single(expr: Expr) -> Expr:
    """Return a number rounded to single precision, failing where it is too large.

    SQLite has doubles only: a product with 2**29 + 1 leaves the 24 leading bits (Veltkamp's splitting); among the
    numbers too small for 24 bits a sum with a larger one does.
    """
    x = expr.sql if expr.kind in FLOATING else f"CAST({expr.sql} AS REAL)"
    fail = failing(OUT_OF_RANGE, "Value overflow in type conversion to FLOAT", expr.sql)
    least, lift = repr(2.0**-126), repr(1.5 * 2.0**-97)
    infinite = f"WHEN abs({x}) = 9e999 THEN {x} " if expr.infinite else ""
    sql = (
        f"(CASE {infinite}WHEN abs({x}) > {_SINGLE_MAX!r} THEN {fail} WHEN abs({x}) < {least} "
        f"THEN ({x} + {lift}) - {lift} ELSE {x} * 536870913.0 - ({x} * 536870913.0 - {x}) END)"
    )
    return make(sql, T.FLOAT, [expr])
