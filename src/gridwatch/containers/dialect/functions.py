"""The functions that are taken: one table, name to number of arguments and what compiles them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gridwatch.containers.dialect import times
from gridwatch.containers.dialect.aggregates import AGGREGATES, aggregate
from gridwatch.containers.dialect.kinds import (
    FLOATING,
    INTEGRAL,
    NUMERIC,
    Expr,
    T,
    as_kind,
    common,
    failing,
    make,
    mismatch,
    name_of,
)
from gridwatch.containers.dialect.parse import refused
from gridwatch.containers.schema import ColumnType

if TYPE_CHECKING:
    from gridwatch.containers.dialect.expressions import Expressions

__all__ = ["call"]

UNKNOWN_FUNCTION = 240010
ARGUMENTS = 240005


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
    found = _SCALARS.get(name)
    if found is None:
        raise refused(f"the function {name}", code=UNKNOWN_FUNCTION)
    least, most, build = found
    if not least <= len(nodes) <= most:
        raise refused(f"{name} with {len(nodes)} arguments", code=ARGUMENTS)
    args = [compiler.compile(node) for node in nodes]
    return build(compiler, name, args)


def _need(name: str, arg: Expr, kinds: frozenset[ColumnType]) -> None:
    if arg.kind is not None and arg.kind not in kinds:
        raise mismatch(f"{name} of {name_of(arg.kind)}")


_TEXT = frozenset({T.STRING})


def _text(kind: ColumnType) -> Callable[[Expressions, str, list[Expr]], Expr]:
    def build(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
        for arg in args:
            _need(name, arg, _TEXT)
        return make(f"{name.lower()}({', '.join(arg.sql for arg in args)})", kind, args, **_index_bounds(kind))

    return build


def _index_bounds(kind: ColumnType) -> dict[str, int]:
    return {"low": 0, "high": 2**31} if kind is T.LONG else {}


def _length(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    _need(name, args[0], frozenset({T.STRING, T.BLOB}))
    return make(f"length({args[0].sql})", T.LONG, args, low=0, high=2**31)


def _substr(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    _need(name, args[0], _TEXT)
    for arg in args[1:]:
        _need(name, arg, INTEGRAL)
    return make(f"substr({', '.join(arg.sql for arg in args)})", T.STRING, args)


def _hex(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    _need(name, args[0], frozenset({T.STRING, T.BLOB}))
    # hex(NULL) is '' in SQLite.
    return make(f"(CASE WHEN {args[0].sql} IS NOT NULL THEN hex({args[0].sql}) END)", T.STRING, args)


def _absolute(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    arg = args[0]
    _need(name, arg, NUMERIC)
    if arg.kind in FLOATING or arg.kind is None:
        return make(f"abs({arg.sql})", arg.kind and T.DOUBLE, args)
    low, high = arg.bounds
    # abs() itself fails on the least LONG, as GridDB does.
    return make(f"abs({arg.sql})", T.LONG, args, low=0, high=min(max(abs(low), abs(high)), 2**63 - 1))


def _whole(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    arg = args[0]
    _need(name, arg, NUMERIC)
    if arg.kind in INTEGRAL:
        return make(arg.sql, T.LONG, args, low=arg.bounds[0], high=arg.bounds[1])
    return make(f"{name.lower()}({arg.sql})", arg.kind and T.DOUBLE, args)


def _root(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    arg = args[0]
    _need(name, arg, NUMERIC)
    fail = failing(75002, "The value of the SQRT function is out of range", arg.sql)
    return make(f"(CASE WHEN {arg.sql} < 0 THEN {fail} ELSE sqrt({arg.sql}) END)", T.DOUBLE, args)


def _logarithm(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    for arg in args:
        _need(name, arg, NUMERIC)
    base, arg = args
    if not isinstance(base.value, int | float) or base.value <= 0 or base.value == 1:
        raise refused("LOG with a base that is not a positive constant other than 1", code=None)
    fail = failing(75002, "The value of the LOG function is out of range", arg.sql)
    sql = f"(CASE WHEN {arg.sql} <= 0 THEN {fail} ELSE ln({arg.sql}) / ln({base.sql}) END)"
    return make(sql, T.DOUBLE, args)


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
    common(name, [arg.kind for arg in args])
    low, high = args[0].bounds
    return make(f"nullif({args[0].sql}, {args[1].sql})", args[0].kind, args, low=low, high=high)


def _extreme(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    kind = common(name, [arg.kind for arg in args])
    if kind is T.BLOB:
        raise refused(f"{name} of BLOB", code=None)
    return make(f"{name.lower()}({', '.join(as_kind(arg, kind).sql for arg in args)})", kind, args)


def _type_of(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    if args[0].kind is None:
        return compiler.context.text("NULL")
    if args[0].nullable:
        raise refused("TYPEOF of what may be null", code=None)
    return compiler.context.text(args[0].kind.value)


_Build = Callable[["Expressions", str, list[Expr]], Expr]

# Name to least and most arguments and what compiles them.
_SCALARS: dict[str, tuple[int, int, _Build]] = {
    "ABS": (1, 1, _absolute),
    "COALESCE": (2, 100, _first_not_null),
    "HEX": (1, 1, _hex),
    "IFNULL": (2, 2, _first_not_null),
    "INSTR": (2, 2, _text(T.LONG)),
    "LENGTH": (1, 1, _length),
    "LOG": (2, 2, _logarithm),
    "LOWER": (1, 1, _text(T.STRING)),
    "LTRIM": (1, 2, _text(T.STRING)),
    "MAX": (2, 100, _extreme),
    "MIN": (2, 100, _extreme),
    "NULLIF": (2, 2, _null_if),
    "REPLACE": (3, 3, _text(T.STRING)),
    "ROUND": (1, 1, _whole),
    "RTRIM": (1, 2, _text(T.STRING)),
    "SQRT": (1, 1, _root),
    "SUBSTR": (2, 3, _substr),
    "TRIM": (1, 2, _text(T.STRING)),
    "TRUNC": (1, 1, _whole),
    "TYPEOF": (1, 1, _type_of),
    "UNICODE": (1, 1, _text(T.LONG)),
    "UPPER": (1, 1, _text(T.STRING)),
    **times.SCALARS,
}
