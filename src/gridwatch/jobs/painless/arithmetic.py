"""Arithmetic with Java's types: int and long fail where Java would wrap around, double where it would be infinite."""

from __future__ import annotations

from fractions import Fraction

from gridwatch.jobs import sql
from gridwatch.jobs.painless.tree import Node
from gridwatch.jobs.painless.values import (
    DOUBLE_MAX,
    INT_MAX,
    LONG_MAX,
    Kind,
    Value,
    as_double,
    bounded,
    constant,
    failing_unless,
    fitted,
    made,
    refused,
)
from gridwatch.jobs.sql import Sql, all_of, compose

__all__ = ["arithmetic", "negative"]

_ROOT = 1e150


def arithmetic(node: Node, sign: str, left: Value, right: Value) -> Value:
    """Return `left sign right` of two numbers.

    Raises:
        JobsScriptError: One is no number, or the divisor is the constant 0.
    """
    for part in (left, right):
        if not part.kind.numeric:
            raise refused(node, f"[{sign}] of {left.kind} and {right.kind}", name=sign)
    whole = left.kind.whole and right.kind.whole
    if sign in {"+", "-", "*"} and left.known is not None and right.known is not None:
        return _folded(node, sign, left, right)
    if sign in {"/", "%"}:
        if right.known == 0:
            raise refused(node, f"[{sign}] by zero", name=sign)
        return _whole_quotient(node, sign, left, right) if whole else _quotient(node, sign, left, right)
    if not whole:
        return _floating(node, sign, as_double(left), as_double(right))
    most = left.most * right.most if sign == "*" else left.most + right.most
    estimate = _applied(sign, as_double(left).sql, as_double(right).sql)
    return fitted(node, _applied(sign, left.sql, right.sql), (left, right), most, estimate)


def _folded(node: Node, sign: str, left: Value, right: Value) -> Value:
    """Return a sum, difference or product of constants."""
    kind = max(left.kind, right.kind, key=[Kind.INT, Kind.LONG, Kind.DOUBLE].index)
    a, b = (Fraction(part.known or 0) for part in (left, right))
    exact = a * b if sign == "*" else a + b if sign == "+" else a - b
    if kind is Kind.DOUBLE and abs(exact) <= DOUBLE_MAX:
        # Of two doubles the exact result, rounded once, is what Java has.
        return constant(node, float(exact))
    if abs(exact) <= (INT_MAX if kind is Kind.INT else LONG_MAX):
        return constant(node, int(exact), kind)
    raise refused(node, f"[{sign}] of constants leads beyond the range of {kind}", name=sign)


def _applied(sign: str, left: Sql, right: Sql) -> Sql:
    if sign == "*":
        return compose("({} * {})", left, right)
    return compose("({} + {})", left, right) if sign == "+" else compose("({} - {})", left, right)


def _floating(node: Node, sign: str, left: Value, right: Value) -> Value:
    """Return a sum, difference or product of DOUBLEs; operands that could lead to infinity fail beforehand."""
    if sign == "*":
        if left.most * right.most > DOUBLE_MAX:
            small, large = sorted((left.most, right.most))
            # A constant such as 2 leaves nearly the whole range to the other one.
            room = DOUBLE_MAX / max(small, 1.0) if small <= _ROOT else _ROOT
            left, right = (bounded(node, one, room if one.most == large else _ROOT) for one in (left, right))
            if left.most * right.most > DOUBLE_MAX:
                left, right = bounded(node, left, _ROOT), bounded(node, right, _ROOT)
        most = left.most * right.most
    else:
        if left.most + right.most > DOUBLE_MAX:
            left, right = (bounded(node, one, DOUBLE_MAX / 2) for one in (left, right))
        most = left.most + right.most
    return made(node, Kind.DOUBLE, _applied(sign, left.sql, right.sql), left, right, most=most)


def _quotient(node: Node, sign: str, left: Value, right: Value) -> Value:
    """Return a quotient or rest of DOUBLEs; a divisor near zero, which Java makes infinity or NaN of, fails."""
    left, right = as_double(left), as_double(right)
    if sign == "%":
        value = made(node, Kind.DOUBLE, compose("({} % {})", left.sql, right.sql), left, right, most=right.most)
        return value if right.known else failing_unless(node, compose("{} <> 0.0", right.sql), value)
    if isinstance(right.known, float) and abs(right.known) >= 1:
        return made(node, Kind.DOUBLE, compose("({} / {})", left.sql, right.sql), left, right, most=left.most)
    left = bounded(node, left, _ROOT)
    value = made(node, Kind.DOUBLE, compose("({} / {})", left.sql, right.sql), left, right, most=DOUBLE_MAX)
    return failing_unless(node, compose("ABS({}) >= {}", right.sql, sql.value(1 / _ROOT)), value)


def _whole_quotient(node: Node, sign: str, left: Value, right: Value) -> Value:
    """Return a quotient without decimals, or a rest with the dividend's sign, of whole numbers."""
    kind = Kind.INT if left.kind is right.kind is Kind.INT else Kind.LONG
    text = compose("({} / {})", left.sql, right.sql) if sign == "/" else compose("({} % {})", left.sql, right.sql)
    value = made(node, kind, text, left, right, most=left.most if sign == "/" else min(left.most, right.most))
    conditions = [] if right.known else [compose("{} <> 0", right.sql)]
    if left.most > LONG_MAX and right.known in (None, -1):
        # The least LONG has no opposite.
        conditions.append(compose("({} >= {} OR {} <> -1)", left.sql, sql.value(-LONG_MAX), right.sql))
    return failing_unless(node, all_of(conditions), value) if conditions else value


def negative(node: Node, operand: Value) -> Value:
    """Return `-operand`.

    Raises:
        JobsScriptError: It is no number.
    """
    if not operand.kind.numeric:
        raise refused(node, f"[-] of {operand.kind}", name="-")
    if operand.known is not None and not isinstance(operand.known, str):
        return constant(node, -operand.known, operand.kind)
    if operand.kind is Kind.DOUBLE:
        # As 0 - x it would have no -0.0.
        return made(node, Kind.DOUBLE, compose("(-{})", operand.sql), operand, most=operand.most)
    zero = constant(node, 0, operand.kind)
    return arithmetic(node, "-", zero, operand)
