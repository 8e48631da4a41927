"""The functions that are taken: one table, name to number of arguments and what compiles them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gridwatch.containers.dialect import numbers, strings, times
from gridwatch.containers.dialect.aggregates import AGGREGATES, aggregate
from gridwatch.containers.dialect.kinds import (
    INTEGRAL,
    Expr,
    T,
    as_kind,
    common,
    make,
)
from gridwatch.containers.dialect.parse import refused

if TYPE_CHECKING:
    from gridwatch.containers.dialect.expressions import Expressions

__all__ = ["SCALARS", "call", "is_aggregate"]

UNKNOWN_FUNCTION = 240010
ARGUMENTS = 240005


def is_aggregate(node: exp.Expression) -> bool:
    """Tell whether a node is a call of an aggregate function; MAX and MIN of several arguments pick from one row."""
    if isinstance(node, exp.WithinGroup):
        return True
    if not isinstance(node, exp.Anonymous):
        return False
    name = str(node.this).upper()
    return name in AGGREGATES and not (name in {"MAX", "MIN"} and len(node.expressions) > 1)


def call(compiler: Expressions, name: str, nodes: Sequence[exp.Expression]) -> Expr:
    """Return the compiled call of a function.

    Raises:
        SqlRefusedError: The function is unknown here (240010), or its arguments are wrong (240005, 305010).
    """
    if name in times.UNIT_FUNCTIONS:
        return times.call_with_unit(compiler, name, nodes)
    # MAX and MIN of several arguments pick from one row.
    if name in AGGREGATES and not (name in {"MAX", "MIN"} and len(nodes) > 1):
        return aggregate(compiler, name, nodes)
    found = SCALARS.get(name)
    if found is None:
        raise refused(f"the function {name}", code=UNKNOWN_FUNCTION)
    least, most, build = found
    if not least <= len(nodes) <= most:
        raise refused(f"{name} with {len(nodes)} arguments", code=ARGUMENTS)
    args = [compiler.compile(node) for node in nodes]
    return build(compiler, name, args)


def _first_not_null(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    kind = common(name, [arg.kind for arg in args])
    if kind is None:
        return make("NULL", None, args)
    known = [arg for arg in args if arg.kind is not None]
    bounds = {}
    if kind in INTEGRAL:
        bounds = {"low": min(arg.bounds[0] for arg in known), "high": max(arg.bounds[1] for arg in known)}
    if len(known) == 1:
        return make(known[0].sql, kind, args, **bounds)
    return make(f"coalesce({', '.join(as_kind(arg, kind).sql for arg in known)})", kind, args, **bounds)


def _null_if(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    kind = common(name, [arg.kind for arg in args])
    low, high = args[0].bounds
    left, right = (as_kind(arg, kind).sql for arg in args)
    return make(f"nullif({left}, {right})", kind, args, low=low, high=high)


def _extreme(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    kind = common(name, [arg.kind for arg in args])
    if kind is T.BLOB:
        raise refused(f"{name} of BLOB", code=None)
    return make(f"{name.lower()}({', '.join(as_kind(arg, kind).sql for arg in args)})", kind, args)


def _type_of(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    if args[0].kind is None:
        return compiler.context.text("NULL")
    word = f"'{args[0].kind.value}'"
    sql = f"(CASE WHEN {args[0].sql} IS NULL THEN 'NULL' ELSE {word} END)" if args[0].nullable else word
    return make(sql, T.STRING, args, nullable=False)


_Build = Callable[["Expressions", str, list[Expr]], Expr]

# Name to least and most arguments and what compiles them.
SCALARS: dict[str, tuple[int, int, _Build]] = {
    "COALESCE": (2, 100, _first_not_null),
    "IFNULL": (2, 2, _first_not_null),
    "MAX": (2, 100, _extreme),
    "MIN": (2, 100, _extreme),
    "NULLIF": (2, 2, _null_if),
    "TYPEOF": (1, 1, _type_of),
    **numbers.SCALARS,
    **strings.SCALARS,
    **times.SCALARS,
}
