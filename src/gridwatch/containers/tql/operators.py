"""Arithmetic and comparisons, as GridDB's engine works them out in C++: integers wrap, floats have their width."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from gridwatch.containers.dialect.kinds import FLOATING, INTEGRAL, LIMITS, NUMERIC, T, name_of
from gridwatch.containers.schema import ColumnType
from gridwatch.containers.tql.aggregates import wrapped
from gridwatch.containers.tql.lexer import refused
from gridwatch.containers.tql.values import (
    Context,
    Value,
    constant,
    failed,
    null,
    number_sql,
    raising,
    sized,
)

__all__ = ["FLOAT_MAX", "LOGIC", "TIMES", "UNDEFINED", "arithmetic", "as_real", "compare", "negated"]

UNDEFINED = 150018
ZERO_DIVISION = 150016
LOGIC = 153001

FLOAT_MAX = float(np.finfo(np.float32).max)
"""The greatest FLOAT."""

TIMES = {kind: kind.precision for kind in ColumnType if kind.precision}
"""Types of times and their decimals of a second."""

_EXACT_INT = 2**53
_EXACT_FLOAT_INT = 2**24


def _undefined(left: Value, right: Value) -> str:
    return f"Binary operation is not defined for the types {name_of(left.kind)} and {name_of(right.kind)}"


def _result_kind(operator: str, left: ColumnType | None, right: ColumnType | None) -> ColumnType | None:
    """Type of a result: that of C++'s own conversions; None where GridDB has no such operation."""
    if left not in NUMERIC or right not in NUMERIC:
        return None
    if left in INTEGRAL and right in INTEGRAL:
        return T.LONG if T.LONG in {left, right} else T.INTEGER
    if operator == "%":
        return None
    # An INTEGER or LONG beside a FLOAT becomes a DOUBLE first.
    return T.DOUBLE if {T.DOUBLE, T.INTEGER, T.LONG} & {left, right} else T.FLOAT


def arithmetic(context: Context, operator: str, left: Value, right: Value) -> Value:
    """Return `left operator right` for + - * / %.

    Raises:
        SqlRefusedError: The types do not go together (150018), a constant is divided by zero (150016), or this store
            cannot answer alike.
    """
    kind = _result_kind(operator, left.kind, right.kind)
    if kind is None and left.plain and right.plain:
        raise refused(_undefined(left, right), code=UNDEFINED)
    if None in {left.kind, right.kind}:
        return null()
    if kind is None:
        return raising(context, T.LONG, UNDEFINED, _undefined(left, right), left, right)
    if left.constant and right.constant:
        return constant(context, _computed(operator, left, right, kind), kind)
    found = (_integers if kind in INTEGRAL else _floats)(context, operator, left, right, kind)
    return sized(replace(found, nullable=left.nullable or right.nullable))


def _computed(operator: str, left: Value, right: Value, kind: ColumnType) -> int | float:
    a, b = left.value, right.value
    if kind in INTEGRAL:
        if operator in "/%" and b == 0:
            raise refused("division by zero", code=ZERO_DIVISION)
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) if operator in "/%" else 0
        results = {"+": a + b, "-": a - b, "*": a * b, "/": quotient, "%": a - b * quotient}
        return wrapped(results[operator], 64 if kind is T.LONG else 32)
    width = np.float32 if kind is T.FLOAT else np.float64
    x, y = width(float(a)), width(float(b))
    with np.errstate(all="ignore"):
        found = {"+": lambda: x + y, "-": lambda: x - y, "*": lambda: x * y, "/": lambda: x / y}[operator]()
    return float(found)


def _integers(context: Context, operator: str, left: Value, right: Value, kind: ColumnType) -> Value:
    fallible = failed(left, right)
    if operator in "/%":
        divisor = right.sql
        if not right.constant:
            fail = context.failing(ZERO_DIVISION, "Divide by 0 detected.")
            divisor, fallible = f"(CASE WHEN {right.sql} = 0 THEN {fail} ELSE {right.sql} END)", True
        elif right.value == 0:
            return raising(context, kind, ZERO_DIVISION, "Divide by 0 detected.", left)
        return Value(f"({left.sql} {operator} {divisor})", kind, fallible=fallible)
    ends = [_ends(operator, a, b) for a in (left.low, left.high) for b in (right.low, right.high)]
    low, high = min(ends), max(ends)
    least, most = LIMITS[kind]
    plain = f"({left.sql} {operator} {right.sql})"
    if least <= low and high <= most:
        return Value(plain, kind, fallible=fallible, low=low, high=high)
    if kind is T.INTEGER:
        # No result of two 32-bit numbers leaves 64 bits.
        sql = f"((({plain} + 2147483648) & 4294967295) - 2147483648)"
    else:
        sql = (
            f"(SELECT CASE typeof(p {operator} q) WHEN 'real' THEN {_WRAPPED[operator]} ELSE p {operator} q END "
            f"FROM (SELECT {left.sql} AS p, {right.sql} AS q))"
        )
    return Value(sql, kind, fallible=fallible, low=least, high=most)


def _ends(operator: str, a: int, b: int) -> int:
    return a + b if operator == "+" else a - b if operator == "-" else a * b


# 64-bit results that leave 64 bits, put together from halves, since SQLite would go on with a float. Only bits count,
# so that halves may be taken as they are; a shift to the left drops what is too much.
_M = "4294967295"
_LOW_PRODUCT = f"(((((p & {_M}) * (q & 65535)) >> 16) + (p & {_M}) * ((q >> 16) & 65535)) << 16)"
_LOW_PRODUCT = f"({_LOW_PRODUCT} | (((p & {_M}) * (q & 65535)) & 65535))"
_WRAPPED = {
    "+": f"((((p >> 32) + (q >> 32) + (((p & {_M}) + (q & {_M})) >> 32)) << 32) | (((p & {_M}) + (q & {_M})) & {_M}))",
    "-": (
        f"((((p >> 32) + ((~q) >> 32) + (((p & {_M}) + ((~q) & {_M}) + 1) >> 32)) << 32) "
        f"| (((p & {_M}) + ((~q) & {_M}) + 1) & {_M}))"
    ),
    "*": (
        f"(((({_LOW_PRODUCT} >> 32) + (((p >> 32) * (q & {_M})) & {_M}) + (((p & {_M}) * (q >> 32)) & {_M})) << 32) "
        f"| ({_LOW_PRODUCT} & {_M}))"
    ),
}


def _floats(context: Context, operator: str, left: Value, right: Value, kind: ColumnType) -> Value:
    if kind is T.FLOAT:
        raise refused(f"arithmetic of {name_of(left.kind)} and {name_of(right.kind)}", code=None, hint="add 0.0 to one")
    for part in (left, right):
        if part.constant and not math.isfinite(float(part.value)):
            raise refused("arithmetic with NAN and INF", code=None)
    a, b = as_real(left), as_real(right)
    fallible = failed(left, right)
    sql = f"({a} {operator} {b})"
    if operator == "/" and not (right.constant and right.value != 0):
        fail = context.refusing("zero divided by zero, or a number by a zero whose sign is not known")
        # The store keeps no negative zero, so that the sign of a column's zero is known.
        signs = f"WHEN {a} > 0 THEN 9e999 WHEN {a} < 0 THEN -9e999 " if right.column is not None else ""
        sql = f"(CASE WHEN {a} IS NULL OR {b} IS NULL THEN NULL WHEN {b} <> 0 THEN {sql} {signs}ELSE {fail} END)"
        fallible = True
    if not (left.plain and right.plain):
        # Only a number that left the range before can give NaN, which SQLite takes for NULL.
        fail = context.refusing("arithmetic that leaves the range of DOUBLE and gives NAN")
        sql = f"coalesce({sql}, CASE WHEN {a} IS NOT NULL AND {b} IS NOT NULL THEN {fail} END)"
        fallible = True
    return Value(sql, kind, fallible=fallible)


def as_real(value: Value) -> str:
    """Return the SQL of a number as a float, rounded as C++ rounds a large integer."""
    if value.kind in FLOATING:
        return value.sql
    return number_sql(float(value.value)) if value.constant else f"CAST({value.sql} AS REAL)"


def negated(context: Context, value: Value) -> Value:
    """Return `-value`, which GridDB works out as `0 - value` with an INTEGER zero."""
    if value.kind is None:
        return null()
    message = "Internal logic error: cannot evaluate expression."
    if value.kind not in NUMERIC:
        return raising(context, T.LONG, LOGIC, message, value)
    least = LIMITS[T.LONG][0]
    if value.constant and value.value == least and value.kind in INTEGRAL:
        return value
    zero = Value("0", T.INTEGER, 0, nullable=False, low=0, high=0)
    if value.kind is T.LONG and not value.constant and value.low == least:
        fail = context.failing(LOGIC, message)
        sql = f"(CASE WHEN {value.sql} = {constant(context, least, T.LONG).sql} THEN {fail} ELSE -{value.sql} END)"
        return sized(Value(sql, T.LONG, nullable=value.nullable, fallible=True, low=least + 1))
    return arithmetic(context, "-", zero, value)


_EQUAL_ONLY = frozenset({T.STRING, T.BOOL})
_MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _comparable(operator: str, left: ColumnType | None, right: ColumnType | None) -> bool:
    if left in NUMERIC and right in NUMERIC:
        return True
    if left in TIMES and right in TIMES:
        return True
    return left is right and left in _EQUAL_ONLY and operator in {"=", "<>"}


def compare(context: Context, operator: str, left: Value, right: Value, *, simple: bool = False) -> Value:
    """Return a comparison, a BOOL that is null when one side is.

    Args:
        context: Of the statement.
        operator: One of = <> < <= > >=.
        left: Left side.
        right: Right side.
        simple: A condition of its own rather than a part of an expression: there GridDB turns a constant beside a
            FLOAT column into a FLOAT first.

    Raises:
        SqlRefusedError: The types do not go together (150018).
    """
    left, right = _same_precision(context, left, right)
    fits = _comparable(operator, left.kind, right.kind)
    if not fits and left.plain and right.plain:
        raise refused(_undefined(left, right), code=UNDEFINED)
    if None in {left.kind, right.kind}:
        return null()
    if not fits:
        return raising(context, T.BOOL, UNDEFINED, _undefined(left, right), left, right)
    if left.constant and right.constant:
        return constant(context, _holds(operator, left, right), T.BOOL)
    if left.constant:
        left, right, operator = right, left, _MIRRORED[operator]
    if left.kind in NUMERIC:
        sql, fallible = _numbers(context, operator, left, right, simple=simple)
    else:
        sql, fallible = f"({left.sql} {operator} {right.sql})", False
    nullable = left.nullable or right.nullable
    return sized(Value(sql, T.BOOL, nullable=nullable, fallible=fallible or failed(left, right)))


def _same_precision(context: Context, left: Value, right: Value) -> tuple[Value, Value]:
    """Bring two times to the finer precision of both."""
    if left.kind is right.kind or left.kind not in TIMES or right.kind not in TIMES:
        return left, right
    finer = max(TIMES[left.kind], TIMES[right.kind])

    def scaled(value: Value) -> Value:
        factor = 10 ** (finer - TIMES[value.kind or T.TIMESTAMP])
        kind = next(kind for kind, digits in TIMES.items() if digits == finer)
        if factor == 1:
            return value
        if value.constant:
            # No stored time comes near the end of 64 bits, so that cutting there changes no comparison.
            return constant(context, min(value.value * factor, LIMITS[T.LONG][1]), kind)
        return replace(value, sql=f"({value.sql} * {factor})", kind=kind, low=0, high=LIMITS[T.LONG][1])

    return scaled(left), scaled(right)


def _holds(operator: str, left: Value, right: Value) -> bool:
    a, b = left.value, right.value
    if left.kind in NUMERIC and {left.kind, right.kind} & FLOATING:
        a, b = float(a), float(b)
        # NaN is the greatest number and equal to itself.
        if math.isnan(a) or math.isnan(b):
            a, b = math.isnan(a), math.isnan(b)
    order = int(a > b) - int(a < b)
    return {"=": order == 0, "<>": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[
        operator
    ]


def _numbers(context: Context, operator: str, left: Value, right: Value, *, simple: bool) -> tuple[str, bool]:
    if right.constant:
        return _withnumber_sql(operator, left, right, simple=simple), False
    kinds = {left.kind, right.kind}
    if kinds <= INTEGRAL or kinds <= FLOATING or not kinds & {T.INTEGER, T.LONG}:
        return f"({left.sql} {operator} {right.sql})", False
    if T.DOUBLE in kinds:
        return f"({as_real(left)} {operator} {as_real(right)})", False
    # Beside a FLOAT, a whole number becomes a FLOAT; SQLite has none.
    whole = left if left.kind in INTEGRAL else right
    fail = context.refusing("a whole number beyond 16777216 compared with a FLOAT")
    test = f"{whole.sql} BETWEEN -{_EXACT_FLOAT_INT} AND {_EXACT_FLOAT_INT}"
    return (
        f"(CASE WHEN {test} THEN {left.sql} {operator} {right.sql} WHEN {whole.sql} IS NOT NULL THEN {fail} END)",
        True,
    )


def _withnumber_sql(operator: str, left: Value, right: Value, *, simple: bool) -> str:
    """Compare a number that depends on the row with a constant."""
    number = right.value
    if isinstance(number, float) and math.isnan(number):
        always = operator in {"<>", "<", "<="}
        return f"(CASE WHEN {left.sql} IS NOT NULL THEN {int(always)} END)"
    if left.kind is T.FLOAT and (right.kind in INTEGRAL or (simple and abs(number) < FLOAT_MAX)):
        return f"({left.sql} {operator} {number_sql(float(np.float32(float(number))))})"
    if left.kind in FLOATING:
        return f"({left.sql} {operator} {number_sql(float(number))})"
    if right.kind in FLOATING:
        if left.kind is T.LONG and abs(number) >= _EXACT_INT:
            return f"({as_real(left)} {operator} {number_sql(number)})"
        return f"({left.sql} {operator} {number_sql(number)})"
    return f"({left.sql} {operator} {right.sql})"
