"""GridDB's static types: what each expression is, what mixes with what, and the checks that keep values inside."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gridwatch.containers.dialect.parse import refused
from gridwatch.containers.schema import FLOATING, INTEGRAL, TIMESTAMP_MS_MAX, ColumnType

__all__ = [
    "FLOATING",
    "INTEGRAL",
    "LIMITS",
    "NUMERIC",
    "OVERFLOW",
    "UNREADABLE",
    "Expr",
    "as_kind",
    "as_long",
    "common",
    "compared",
    "failing",
    "inside",
    "make",
    "mismatch",
    "name_of",
    "needed",
    "not_a_number",
    "number_literal",
    "overflow_checked",
    "without_signed_zero",
]

T = ColumnType
NUMERIC = INTEGRAL | FLOATING
UNREADABLE = frozenset({T.GEOMETRY, *(kind for kind in T if kind.element)})
"""Types that SQL reads as a NULL of no type and cannot write."""

LIMITS = {
    T.BYTE: (-(2**7), 2**7 - 1),
    T.SHORT: (-(2**15), 2**15 - 1),
    T.INTEGER: (-(2**31), 2**31 - 1),
    T.LONG: (-(2**63), 2**63 - 1),
    T.TIMESTAMP: (0, TIMESTAMP_MS_MAX),
    T.BOOL: (0, 1),
}

MISMATCH = 305010
OVERFLOW = 75000
NOT_FINITE = 75002
SIGNED_ZERO = 240000
OUT_OF_RANGE = 305004

_SINGLE_MAX = 3.4028234663852886e38

# Checks repeat the text of what they check; nested ones would grow without end.
_SQL_MAX = 200_000

UNKNOWN: Any = object()


@dataclass(frozen=True, slots=True)
class Expr:
    """A compiled expression.

    Args:
        sql: SQLite's SQL, whole in itself (never needs more parentheses).
        kind: GridDB's type; None for a NULL of no type.
        low: Least value of an integer, known beforehand.
        high: Greatest value of an integer.
        value: The value of a constant, else UNKNOWN.
        nullable: False for a column that is never null.
        free: Columns (their SQL) that are used outside an aggregate function.
        aggregate: Whether an aggregate function is inside.
        infinite: Whether a DOUBLE may be an infinity, so that NaN may come of it, which SQLite has not.
        raw: SQL of arithmetic before the check of its range; empty where there is none.
        leaves: SQL of what `raw` is made of and may be null.
        most: Greatest magnitude of a DOUBLE, known beforehand.
    """

    sql: str
    kind: ColumnType | None
    low: int = -(2**63)
    high: int = 2**63 - 1
    value: Any = UNKNOWN
    nullable: bool = True
    free: frozenset[str] = frozenset()
    aggregate: bool = False
    infinite: bool = False
    raw: str = ""
    leaves: tuple[str, ...] = ()
    most: float | None = None

    @property
    def magnitude(self) -> float:
        """Greatest magnitude of a number that is finite."""
        if self.most is not None:
            return self.most
        if isinstance(self.value, int | float):
            return abs(float(self.value))
        if self.kind in INTEGRAL:
            return float(max(abs(self.bounds[0]), abs(self.bounds[1])))
        return _SINGLE_MAX if self.kind is T.FLOAT else sys.float_info.max

    @property
    def constant(self) -> bool:
        """Whether the value is known beforehand."""
        return self.value is not UNKNOWN

    @property
    def bounds(self) -> tuple[int, int]:
        """Least and greatest value of an integer or time."""
        low, high = LIMITS.get(self.kind, LIMITS[T.LONG]) if self.kind else LIMITS[T.LONG]
        return max(low, self.low), min(high, self.high)

    def fits(self, limits: tuple[int, int]) -> bool:
        """Tell whether an integer is known to be within the limits of a type."""
        low, high = self.bounds
        return limits[0] <= low and high <= limits[1]

    def is_text_of(self, bytes_max: int) -> bool:
        """Tell whether it is constant text of at most so many bytes."""
        return isinstance(self.value, str) and len(self.value.encode()) <= bytes_max


def make(sql: str, kind: ColumnType | None, parts: Iterable[Expr] = (), **more: Any) -> Expr:
    """Return an expression made of parts, with their columns and aggregates.

    Raises:
        SqlRefusedError: It has grown too large.
    """
    parts = list(parts)
    if len(sql) > _SQL_MAX:
        raise refused("an expression that is nested too deep", code=None)
    free = frozenset().union(*(part.free for part in parts))
    more.setdefault("infinite", kind in FLOATING and any(part.infinite for part in parts))
    return Expr(sql, kind, free=free, aggregate=any(part.aggregate for part in parts), **more)


def mismatch(what: str) -> Exception:
    """Return the refusal of types that GridDB does not mix."""
    return refused(f"{what}: types that do not mix", code=MISMATCH, hint="CAST one of them")


def name_of(kind: ColumnType | None) -> str:
    """Return a type's name for messages."""
    return kind.value if kind else "NULL"


def common(what: str, kinds: Iterable[ColumnType | None]) -> ColumnType | None:
    """Return the type that values of these types have together.

    Raises:
        SqlRefusedError: They do not mix (305010).
    """
    known = list(dict.fromkeys(kind for kind in kinds if kind is not None))
    if len(known) <= 1:
        return known[0] if known else None
    if all(kind in NUMERIC for kind in known):
        return T.DOUBLE if any(kind in FLOATING for kind in known) else T.LONG
    if all(kind.precision for kind in known):
        return max(known, key=lambda kind: kind.precision or 0)
    raise mismatch(f"{what} of {' and '.join(name_of(kind) for kind in known)}")


def compared(what: str, left: Expr, right: Expr) -> tuple[Expr, Expr]:
    """Return two values as GridDB compares them: beside a DOUBLE, a LONG becomes one, and loses digits above 2**53.

    Raises:
        SqlRefusedError: Their types do not mix (305010).
    """
    kind = common(what, [left.kind, right.kind])
    if kind is not None and kind.precision:
        return _finer(left, kind), _finer(right, kind)
    if kind not in FLOATING or _exact(left, right) or _exact(right, left):
        return left, right
    return as_kind(left, kind), as_kind(right, kind)


def _finer(expr: Expr, kind: ColumnType) -> Expr:
    """Return a time in the unit of a finer type; what is beyond 64 bits becomes a float, which still compares right."""
    if expr.kind is kind or expr.kind is None:
        return expr
    scale = 10 ** ((kind.precision or 3) - (expr.kind.precision or 3))
    return Expr(f"({expr.sql} * {scale})", kind, nullable=expr.nullable, free=expr.free, aggregate=expr.aggregate)


def _exact(whole: Expr, other: Expr) -> bool:
    """Tell whether an integer may be compared with a float as it is, which can use an index."""
    if whole.kind not in INTEGRAL:
        return False
    low, high = whole.bounds
    fits = low >= -(2**53) and high <= 2**53
    return fits or (isinstance(other.value, float) and abs(other.value) < 2.0**53)


def as_kind(expr: Expr, kind: ColumnType | None) -> Expr:
    """Return the expression as a value of a common type: an integer among floats becomes one, times the finest."""
    if expr.kind is not kind and kind is not None and kind.precision and expr.kind is not None:
        found = _finer(expr, kind)
        if kind is not T.TIMESTAMP_9:
            return found
        # Where nanoseconds end, SQLite would go on with a float.
        fail = failing(305004, "the store keeps nanoseconds to the year 2262 only", expr.sql)
        return replace(found, sql=f"(CASE typeof({found.sql}) WHEN 'real' THEN {fail} ELSE {found.sql} END)")
    if kind in FLOATING and expr.kind in INTEGRAL:
        return replace(expr, sql=f"CAST({expr.sql} AS REAL)", kind=kind, value=UNKNOWN, raw="")
    return replace(expr, kind=kind) if expr.kind is not None else expr


def needed(what: str, arg: Expr, kinds: frozenset[ColumnType]) -> None:
    """Refuse an argument of another type.

    Raises:
        SqlRefusedError: It is of another type (305010).
    """
    if arg.kind is not None and arg.kind not in kinds:
        raise mismatch(f"{what} of {name_of(arg.kind)}")


def as_long(what: str, arg: Expr) -> Expr:
    """Return an argument as GridDB takes it where it wants a LONG: a number loses its decimals.

    Raises:
        SqlRefusedError: It is no number (305010).
    """
    needed(what, arg, NUMERIC)
    if arg.kind not in FLOATING:
        return arg
    if isinstance(arg.value, float) and abs(arg.value) < 2.0**63:
        return number_literal(math.trunc(arg.value))
    fail = failing(OUT_OF_RANGE, "Value overflow as integral value", arg.sql)
    sql = f"(CASE WHEN abs({arg.sql}) >= 9223372036854775808.0 THEN {fail} ELSE CAST({arg.sql} AS INTEGER) END)"
    return make(sql, T.LONG, [arg])


def without_signed_zero(expr: Expr) -> Expr:
    """Return a value that fails on -0.0, which is another value than 0.0 in DISTINCT and GROUP BY for GridDB only.

    A column holds none: the store keeps 0.0.
    """
    if expr.kind not in FLOATING or expr.constant or {expr.sql} == expr.free:
        return expr
    fail = failing(SIGNED_ZERO, "-0.0 in DISTINCT or GROUP BY", f"typeof({expr.sql})")
    # atan2() is what tells its sign.
    sql = f"(CASE WHEN {expr.sql} = 0 AND atan2({expr.sql}, -1) < 0 THEN {fail} ELSE {expr.sql} END)"
    return replace(expr, sql=sql, raw="")


def not_a_number(sql: str, parts: Sequence[Expr]) -> str:
    """Return SQL that fails where SQLite has null for what is NaN for GridDB; the parts are what it is made of."""
    fail = failing(NOT_FINITE, "the result is no number, which is not taken here", parts[0].sql)
    values = " AND ".join(f"{part.sql} IS NOT NULL" for part in parts)
    return f"coalesce({sql}, CASE WHEN {values} THEN {fail} END)"


def failing(code: int, message: str, seed: str) -> str:
    """Return SQL that fails with a message of ours when it is reached.

    SQLite has no function that raises; a wrong JSON path is an error that repeats the path. `seed`, which must not be
    null, makes it depend on the row, or SQLite would work it out before the first one.
    """
    return f"json_extract('{{}}', '[{code}] {message}' || substr({seed}, 1, 0))"


def inside(expr: Expr, low: int, high: int, code: int, message: str) -> Expr:
    """Return the integer expression, failing when a value is outside."""
    if low <= expr.bounds[0] and expr.bounds[1] <= high:
        return expr
    fail = failing(code, message, expr.sql)
    sql = f"(CASE WHEN {expr.sql} NOT BETWEEN {low} AND {high} THEN {fail} ELSE {expr.sql} END)"
    return make(sql, expr.kind, [expr], low=max(low, expr.bounds[0]), high=min(high, expr.bounds[1]))


def overflow_checked(sql: str, parts: Iterable[Expr], low: int, high: int) -> Expr:
    """Return LONG arithmetic that fails where GridDB's overflows; SQLite would go on with a float."""
    least, most = LIMITS[T.LONG]
    if low < least or high > most:
        fail = failing(OVERFLOW, "Value overflow in arithmetic operation", sql)
        sql = f"(CASE typeof({sql}) WHEN 'real' THEN {fail} ELSE {sql} END)"
        low, high = max(low, least), min(high, most)
    return make(sql, T.LONG, parts, low=low, high=high)


def number_literal(value: float) -> Expr:
    """Return a constant number: LONG if it is an int that fits, else DOUBLE.

    Raises:
        SqlRefusedError: It is not finite.
    """
    if isinstance(value, int) and LIMITS[T.LONG][0] <= value <= LIMITS[T.LONG][1]:
        return Expr(f"({value})", T.LONG, value, value, value, nullable=False)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise refused("a number that is not finite", code=None, hint="the store takes neither NaN nor infinity")
    return Expr(f"({number!r})", T.DOUBLE, value=number, nullable=False)
