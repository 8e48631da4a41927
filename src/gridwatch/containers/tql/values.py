"""Typed values of TQL on SQLite: constants, columns, arithmetic and comparisons as GridDB's engine works them out.

A constant is worked out here, as GridDB does before it looks at a row; what depends on a row becomes SQL.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gridwatch.containers.dialect.kinds import FLOATING, INTEGRAL, LIMITS, NUMERIC, T
from gridwatch.containers.schema import ColumnType
from gridwatch.containers.tql.lexer import refused

__all__ = [
    "UNKNOWN",
    "Context",
    "Value",
    "arithmetic",
    "compare",
    "constant",
    "failed",
    "negated",
    "null",
    "raising",
    "sized",
]

UNDEFINED = 150018
ZERO_DIVISION = 150016
LOGIC = 153001

UNKNOWN: Any = object()

_SQL_MAX = 50_000
_EXACT_INT = 2**53
_EXACT_FLOAT_INT = 2**24
_FLOAT_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Value:
    """A compiled value.

    Args:
        sql: SQLite's SQL, whole in itself.
        kind: Its type; None for a NULL without one.
        value: Its constant value (bool, int, float, str), else UNKNOWN.
        column: The column's name if it is one, bare.
        nullable: Whether it can be null.
        fallible: Whether working it out can fail on some row.
        low: Least value of an integer.
        high: Greatest value of an integer.
        error: Code and message of an error that does not depend on the row.
    """

    sql: str
    kind: ColumnType | None
    value: Any = UNKNOWN
    column: str | None = None
    nullable: bool = True
    fallible: bool = False
    low: int = -(2**63)
    high: int = 2**63 - 1
    error: tuple[int, str] | None = None

    @property
    def constant(self) -> bool:
        """Whether the value is known beforehand."""
        return self.value is not UNKNOWN

    @property
    def plain(self) -> bool:
        """Whether GridDB knows the type beforehand: a column or a constant that is not null."""
        return self.column is not None or (self.constant and self.kind is not None)


class Context:
    """What compiling needs besides the tree: bound values, a column for errors to depend on, and the time."""

    def __init__(self, seed: str, now_ms: Callable[[], int]) -> None:
        self.seed = seed
        self._values: list[Any] = []
        self._now_ms = now_ms
        self._now: int | None = None

    def bind(self, value: Any) -> str:
        """Return a mark that stands for a bound value until `finished`."""
        self._values.append(value)
        return f"\0{len(self._values) - 1}\0"

    def finished(self, sql: str) -> tuple[str, tuple[Any, ...]]:
        """Return whole SQL with its marks numbered, and the values it binds: only those that are still in it."""
        used: dict[str, int] = {}
        # A statement holds no NUL, so that nothing but a mark looks like one.
        text = re.sub(r"\0(\d+)\0", lambda mark: f"?{used.setdefault(mark[1], len(used) + 1)}", sql)
        return text, tuple(self._values[int(mark)] for mark in used)

    @property
    def now_ms(self) -> int:
        """The time of the statement, UTC epoch ms; the same wherever it is asked for."""
        if self._now is None:
            self._now = self._now_ms()
        return self._now

    def failing(self, code: int, message: str) -> str:
        """Return SQL that fails when a row reaches it."""
        # SQLite has no function that raises; a wrong JSON path is an error that repeats the path. The seed, a column
        # that is never null, makes it depend on the row, or SQLite would work it out before the first one.
        return f"json_extract('{{}}', '[{code}] {message}' || substr({self.seed}, 1, 0))"


def constant(context: Context, value: Any, kind: ColumnType) -> Value:
    """Return a constant of a type."""
    if isinstance(value, bool):
        return Value(str(int(value)), kind, value, nullable=False)
    if isinstance(value, int):
        sql = f"({value})" if value > LIMITS[T.LONG][0] else "(-9223372036854775807 - 1)"
        return Value(sql, kind, value, nullable=False, low=value, high=value)
    if isinstance(value, float):
        return Value(_number(value), kind, value, nullable=False)
    return Value(context.bind(value), kind, value, nullable=False)


def _number(value: float) -> str:
    if math.isnan(value):
        # Never reaches a row: comparisons with it are worked out beforehand, arithmetic refuses it.
        return "NULL"
    return f"({value!r})" if math.isfinite(value) else ("9e999" if value > 0 else "(-9e999)")


def null() -> Value:
    """Return NULL, which has no type.

    It is also what operators and functions make of a NULL that is written out, whatever the other parts are: GridDB
    works that out beforehand, when a part that would fail on a row has not failed yet.
    """
    return Value("NULL", None, None)


def raising(context: Context, kind: ColumnType, code: int, message: str, *parts: Value) -> Value:
    """Return a value of a type that fails on every row on which none of `parts` is null."""
    fail = context.failing(code, message)
    conditions = [f"{part.sql} IS NOT NULL" for part in parts if part.nullable]
    sql = f"(CASE WHEN {' AND '.join(conditions)} THEN {fail} END)" if conditions else f"({fail})"
    earlier = next((part.error for part in parts if part.error), None)
    error = earlier or ((code, message) if not conditions else None)
    return sized(Value(sql, kind, fallible=True, error=error))


def sized(value: Value) -> Value:
    """Return the value, refusing SQL that grew without end.

    Raises:
        SqlRefusedError: It is too long.
    """
    if len(value.sql) > _SQL_MAX:
        raise refused("an expression that is nested too deep", code=None)
    return value


def failed(*parts: Value) -> bool:
    """Tell whether any part can fail."""
    return any(part.fallible for part in parts)


def name_of(kind: ColumnType | None) -> str:
    """Return GridDB's name of a type."""
    return "NULL" if kind is None else str(kind.value)


def _undefined(left: Value, right: Value) -> str:
    return f"Binary operation is not defined for the types {name_of(left.kind)} and {name_of(right.kind)}"


def _wrapped(value: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return (value + half) % (1 << bits) - half


# ---------------------------------------------------------------------------------------------------- arithmetic


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
        return _wrapped(results[operator], 64 if kind is T.LONG else 32)
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
        fail = context.failing(ZERO_DIVISION, "Zero divided by zero, or something by a zero whose sign is not known.")
        # The store keeps no negative zero, so that the sign of a column's zero is known.
        signs = f"WHEN {a} > 0 THEN 9e999 WHEN {a} < 0 THEN -9e999 " if right.column is not None else ""
        sql = f"(CASE WHEN {a} IS NULL OR {b} IS NULL THEN NULL WHEN {b} <> 0 THEN {sql} {signs}ELSE {fail} END)"
        fallible = True
    if not (left.plain and right.plain):
        # Only a number that left the range before can give NaN, which SQLite takes for NULL.
        fail = context.failing(LOGIC, "A number beyond the range of DOUBLE gives NAN in GridDB.")
        sql = f"coalesce({sql}, CASE WHEN {a} IS NOT NULL AND {b} IS NOT NULL THEN {fail} END)"
        fallible = True
    return Value(sql, kind, fallible=fallible)


def as_real(value: Value) -> str:
    """Return the SQL of a number as a float, rounded as C++ rounds a large integer."""
    if value.kind in FLOATING:
        return value.sql
    return _number(float(value.value)) if value.constant else f"CAST({value.sql} AS REAL)"


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


# ---------------------------------------------------------------------------------------------------- comparisons

_ORDERED = NUMERIC | {T.TIMESTAMP}
_EQUAL_ONLY = frozenset({T.STRING, T.BOOL})
_MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _comparable(operator: str, left: ColumnType | None, right: ColumnType | None) -> bool:
    if left in NUMERIC and right in NUMERIC:
        return True
    return left is right and (left is T.TIMESTAMP or (left in _EQUAL_ONLY and operator in {"=", "<>"}))


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
        return _with_number(operator, left, right, simple=simple), False
    kinds = {left.kind, right.kind}
    if kinds <= INTEGRAL or kinds <= FLOATING or not kinds & {T.INTEGER, T.LONG}:
        return f"({left.sql} {operator} {right.sql})", False
    if T.DOUBLE in kinds:
        return f"({as_real(left)} {operator} {as_real(right)})", False
    # Beside a FLOAT, a whole number becomes a FLOAT; SQLite has none.
    whole = left if left.kind in INTEGRAL else right
    fail = context.failing(LOGIC, "A whole number beyond 16777216 is compared with a FLOAT.")
    test = f"{whole.sql} BETWEEN -{_EXACT_FLOAT_INT} AND {_EXACT_FLOAT_INT}"
    return (
        f"(CASE WHEN {test} THEN {left.sql} {operator} {right.sql} WHEN {whole.sql} IS NOT NULL THEN {fail} END)",
        True,
    )


def _with_number(operator: str, left: Value, right: Value, *, simple: bool) -> str:
    """Compare a number that depends on the row with a constant."""
    number = right.value
    if isinstance(number, float) and math.isnan(number):
        always = operator in {"<>", "<", "<="}
        return f"(CASE WHEN {left.sql} IS NOT NULL THEN {int(always)} END)"
    if left.kind is T.FLOAT and (right.kind in INTEGRAL or (simple and abs(number) < _FLOAT_MAX)):
        return f"({left.sql} {operator} {_number(float(np.float32(float(number))))})"
    if left.kind in FLOATING:
        return f"({left.sql} {operator} {_number(float(number))})"
    if right.kind in FLOATING:
        if left.kind is T.LONG and abs(number) >= _EXACT_INT:
            return f"({as_real(left)} {operator} {_number(number)})"
        return f"({left.sql} {operator} {_number(number)})"
    return f"({left.sql} {operator} {right.sql})"
