"""Sums, products and quotients, with GridDB's types, overflow and division by zero."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

from gridwatch.containers.dialect.kinds import (
    FLOATING,
    INTEGRAL,
    LIMITS,
    NUMERIC,
    OVERFLOW,
    Expr,
    T,
    failing,
    make,
    mismatch,
    name_of,
    not_a_number,
    overflow_checked,
)
from gridwatch.containers.schema import ColumnType
from gridwatch.errors import SqlFailedError

__all__ = ["arithmetic", "divided"]

DIVIDE_BY_ZERO = 75001

_LONG_SQL = 2000


def _numbers(sign: str, left: Expr, right: Expr) -> None:
    for part in (left, right):
        if part.kind is not None and part.kind not in NUMERIC:
            raise mismatch(f"{sign} of {name_of(left.kind)} and {name_of(right.kind)}")


def _null_kind(left: Expr, right: Expr) -> ColumnType | None:
    if left.kind is None and right.kind is None:
        return None
    return T.DOUBLE if {left.kind, right.kind} & FLOATING else T.LONG


def arithmetic(sign: str, left: Expr, right: Expr) -> Expr:
    """Return a sum, difference or product: LONG of integers, failing on overflow, else DOUBLE.

    Raises:
        SqlRefusedError: One is no number (305010).
    """
    _numbers(sign, left, right)
    sql = f"({left.sql} {sign} {right.sql})"
    if left.kind is None or right.kind is None:
        return make("NULL", _null_kind(left, right), [left, right])
    if {left.kind, right.kind} & FLOATING:
        return _floating(sign, left, right)
    (low, high), (least, most) = left.bounds, right.bounds
    if sign == "*":
        corners = [a * b for a in (low, high) for b in (least, most)]
        low, high = min(corners), max(corners)
    else:
        low, high = (low + least, high + most) if sign == "+" else (low - most, high - least)
    checked = overflow_checked(sql, [left, right], low, high)
    if len(checked.sql) > _LONG_SQL and (left.raw or right.raw):
        # What has left the range is a float for SQLite and stays one, so a long chain is checked at its end.
        sql = f"({left.raw or left.sql} {sign} {right.raw or right.sql})"
        checked = overflow_checked(sql, [left, right], low, high)
    return replace(checked, raw=sql)


def _floating(sign: str, left: Expr, right: Expr) -> Expr:
    """Return DOUBLE arithmetic, which fails where what is finite gives an infinity.

    Infinity stays infinite in sums, products and as dividend, or becomes null (NaN), so a chain is checked at its end.
    """
    if left.infinite or right.infinite:
        found = f"({left.sql} {sign} {right.sql})"
        fail = failing(OVERFLOW, "Value overflow in arithmetic operation", f"typeof({found})")
        over = f"abs({found}) = 9e999 AND abs({left.sql}) < 9e999 AND abs({right.sql}) < 9e999"
        # Infinity less itself, or nothing of it, is NaN.
        sql = f"(CASE WHEN {over} THEN {fail} ELSE {not_a_number(found, [left, right])} END)"
        return make(sql, T.DOUBLE, [left, right], infinite=True)
    before, after = (part.raw if part.kind in FLOATING else "" for part in (left, right))
    raw = f"({before or left.sql} {sign} {after or right.sql})"
    parts = [left, right]
    leaves = tuple(dict.fromkeys(leaf for part in parts for leaf in _leaves(part)))
    sizes = [part.magnitude for part in parts]
    most = math.inf if sign == "/" else sizes[0] * sizes[1] if sign == "*" else sizes[0] + sizes[1]
    if sign == "/" and isinstance(right.value, int | float) and abs(right.value) >= 1:
        most = sizes[0]
    if math.isfinite(most):
        # A chain that goes on is worked out from the raw text of its parts.
        sql = raw if not (before or after) else f"({left.sql} {sign} {right.sql})"
        return make(sql, T.DOUBLE, parts, raw=raw if before or after else "", leaves=leaves, most=most)
    fail = failing(OVERFLOW, "Value overflow in arithmetic operation", f"typeof({raw})")
    there = " AND ".join(f"{leaf} IS NOT NULL" for leaf in leaves) or "true"
    sql = f"(CASE WHEN abs({raw}) <= {sys.float_info.max!r} THEN {raw} WHEN {there} THEN {fail} END)"
    return make(sql, T.DOUBLE, parts, raw=raw, leaves=leaves)


def _leaves(part: Expr) -> tuple[str, ...]:
    return part.leaves or ((part.sql,) if part.nullable and not part.constant else ())


def divided(sign: str, left: Expr, right: Expr) -> Expr:
    """Return a quotient (`/`) or a rest (`%`), failing on a zero divisor.

    Raises:
        SqlRefusedError: One is no number (305010).
    """
    _numbers(sign, left, right)
    if left.kind is None or right.kind is None:
        return make("NULL", _null_kind(left, right), [left, right])
    divisor = right.sql
    if right.value == 0 and left.constant and left.value is not None:
        # GridDB works constants out beforehand, also where no row leads to them.
        raise SqlFailedError("Divide by 0.", code=DIVIDE_BY_ZERO)
    if right.value == 0 or not (right.constant or _never_zero(right)):
        # SQLite answers NULL; a null dividend is NULL for both.
        fail = failing(DIVIDE_BY_ZERO, "Divide by 0", right.sql)
        divisor = f"(CASE WHEN {right.sql} = 0 AND {left.sql} IS NOT NULL THEN {fail} ELSE {right.sql} END)"
    if {left.kind, right.kind} & FLOATING:
        # SQLite's % works on integers; mod() is C's fmod.
        if sign == "/":
            return _floating("/", left, replace(right, sql=divisor, raw=""))
        sql = f"mod({left.sql}, {divisor})"
        if left.infinite:
            sql = not_a_number(sql, [left, right])
        return make(sql, T.DOUBLE, [left, right], infinite=left.infinite, most=right.magnitude)
    sql = f"({left.sql} {sign} {divisor})"
    (low, high), (least, most) = left.bounds, right.bounds
    reach = max(abs(low), abs(high))
    if sign == "%":
        reach = min(reach, max(abs(least), abs(most)))
    # Only the least LONG divided by -1 leaves the range.
    over = sign == "/" and low == LIMITS[T.LONG][0] and least <= -1 <= most
    low, high = (0 if low >= 0 and least >= 0 else -reach), reach
    if over:
        return overflow_checked(sql, [left, right], low, high)
    return make(sql, T.LONG, [left, right], low=max(low, LIMITS[T.LONG][0]), high=min(high, LIMITS[T.LONG][1]))


def _never_zero(expr: Expr) -> bool:
    low, high = expr.bounds
    return expr.kind in INTEGRAL and not low <= 0 <= high
