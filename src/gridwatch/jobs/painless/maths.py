"""Methods of Math, each as SQL that gives what Java's gives; constants are worked out beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from gridwatch.jobs import sql
from gridwatch.jobs.painless.arithmetic import arithmetic
from gridwatch.jobs.painless.tree import Node
from gridwatch.jobs.painless.values import (
    INT_MAX,
    LONG_MAX,
    LONG_SAFE,
    Kind,
    Value,
    as_double,
    constant,
    failing_unless,
    made,
    refused,
    whole_of,
)
from gridwatch.jobs.sql import compose

__all__ = ["MATH", "E", "narrowed"]

_Build = Callable[[Node, Sequence[Value]], Value]

E = 2.718281828459045


def narrowed(node: Node, value: Value) -> Value:
    """Return a number as an int, failing beyond its range."""
    if value.kind is Kind.DOUBLE:
        value = whole_of(node, value)
    if value.most <= INT_MAX:
        return replace(value, kind=Kind.INT)
    found = failing_unless(node, compose("{} BETWEEN -2147483648 AND 2147483647", value.sql), value)
    return replace(found, kind=Kind.INT, most=2.0**31)


def _absolute(node: Node, args: Sequence[Value]) -> Value:
    value = args[0]
    if value.known is not None and not isinstance(value.known, str):
        return constant(node, abs(value.known), value.kind)
    found = made(node, value.kind, compose("ABS({})", value.sql), value, most=value.most)
    if value.kind.whole and value.most > LONG_MAX:
        return failing_unless(node, compose("{} >= {}", value.sql, sql.value(-LONG_MAX)), found)
    return found


def _extreme(sign: str) -> _Build:
    def build(node: Node, args: Sequence[Value]) -> Value:
        left, right = args
        if Kind.LONG in {left.kind, right.kind} and Kind.INT in {left.kind, right.kind}:
            left, right = (replace(one, kind=Kind.LONG) for one in args)
        if Kind.DOUBLE in {left.kind, right.kind}:
            left, right = as_double(left), as_double(right)
        kind = left.kind
        least = compose("MIN({}, {})", left.sql, right.sql)
        found = compose("MAX({}, {})", left.sql, right.sql) if sign == ">" else least
        return made(node, kind, found, left, right, most=max(left.most, right.most))

    return build


def _rounding(*, up: bool) -> _Build:
    """`floor` and `ceil`: the rest by 1 is exact, and 0 for what is too large to have decimals."""

    def build(node: Node, args: Sequence[Value]) -> Value:
        value = as_double(args[0])
        if isinstance(value.known, float) and abs(value.known) < LONG_SAFE:
            return constant(node, float(math.ceil(value.known) if up else math.floor(value.known)))
        x = value.sql
        if up:
            step = compose("(CASE WHEN {} % 1.0 > 0.0 THEN 1.0 ELSE 0.0 END)", x)
        else:
            step = compose("(CASE WHEN {} % 1.0 < 0.0 THEN -1.0 ELSE 0.0 END)", x)
        return made(node, Kind.DOUBLE, compose("(({} - {} % 1.0) + {})", x, x, step), value, most=value.most + 1)

    return build


def _round(node: Node, args: Sequence[Value]) -> Value:
    """`round`: the nearest long, halves upwards."""
    value = as_double(args[0])
    if isinstance(value.known, float) and abs(value.known) < LONG_SAFE:
        return constant(node, math.floor(Fraction(value.known) + Fraction(1, 2)), Kind.LONG)
    x = value.sql
    # x + 0.5 would itself be rounded: 0.49999999999999994 is 0.
    step = compose("(CASE WHEN {} % 1.0 >= 0.5 THEN 1.0 WHEN {} % 1.0 < -0.5 THEN -1.0 ELSE 0.0 END)", x, x)
    whole = made(node, Kind.DOUBLE, compose("(({} - {} % 1.0) + {})", x, x, step), value, most=value.most + 1)
    cast = made(node, Kind.LONG, compose("CAST({} AS LONG)", whole.sql), whole, most=whole.most)
    if whole.most <= LONG_SAFE:
        return cast
    return replace(failing_unless(node, compose("ABS({}) < {}", x, sql.value(LONG_SAFE)), cast), most=LONG_SAFE)


def _sqrt(node: Node, args: Sequence[Value]) -> Value:
    value = as_double(args[0])
    found = made(node, Kind.DOUBLE, compose("SQRT({})", value.sql), value, most=1.4e154)
    if isinstance(value.known, float) and value.known >= 0:
        return found
    return failing_unless(node, compose("{} >= 0.0", value.sql), found)


def _log(base: float) -> _Build:
    def build(node: Node, args: Sequence[Value]) -> Value:
        value = as_double(args[0])
        found = made(node, Kind.DOUBLE, compose("LOG({}, {})", sql.value(base), value.sql), value, most=1000)
        if isinstance(value.known, float) and value.known > 0:
            return found
        return failing_unless(node, compose("{} > 0.0", value.sql), found)

    return build


def _power(node: Node, args: Sequence[Value]) -> Value:
    base, exponent = as_double(args[0]), args[1].known
    if not isinstance(exponent, int | float) or exponent != int(exponent) or not 0 <= exponent <= 4:
        raise refused(node, "Math.pow with another exponent than a constant from 0 to 4", name="pow")
    found = constant(node, 1.0)
    for _ in range(int(exponent)):
        found = arithmetic(node, "*", found, base) if found.known != 1.0 else base
    return found


def _signum(node: Node, args: Sequence[Value]) -> Value:
    x = as_double(args[0])
    if isinstance(x.known, float):
        return constant(node, float((x.known > 0) - (x.known < 0)))
    found = compose(
        "(CASE WHEN {} > 0.0 THEN 1.0 WHEN {} < 0.0 THEN -1.0 WHEN {} = 0.0 THEN 0.0 END)", x.sql, x.sql, x.sql
    )
    return made(node, Kind.DOUBLE, found, x, most=1)


MATH: dict[str, tuple[int, _Build]] = {
    "abs": (1, _absolute),
    "ceil": (1, _rounding(up=True)),
    "floor": (1, _rounding(up=False)),
    "log": (1, _log(E)),
    "log10": (1, _log(10.0)),
    "max": (2, _extreme(">")),
    "min": (2, _extreme("<")),
    "pow": (2, _power),
    "round": (1, _round),
    "signum": (1, _signum),
    "sqrt": (1, _sqrt),
}
"""Number of arguments, all of them numbers, and what builds the call."""
