"""Aggregate functions, with GridDB's types, its formulas and its rules of what may stand beside what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gridwatch.containers.dialect.casts import text_of
from gridwatch.containers.dialect.kinds import (
    FLOATING,
    INTEGRAL,
    NUMERIC,
    OVERFLOW,
    Expr,
    T,
    failing,
    mismatch,
    name_of,
    without_signed_zero,
)
from gridwatch.containers.dialect.parse import only, refused
from gridwatch.containers.schema import ColumnType

if TYPE_CHECKING:
    from gridwatch.containers.dialect.expressions import Expressions

__all__ = ["AGGREGATES", "aggregate", "percentile"]

ARGUMENTS = 240005
NOT_FINITE = 75002
UNORDERED = 240000
ROWS_MAX = 2**53

_ANY = frozenset(ColumnType)


def aggregate(compiler: Expressions, name: str, nodes: Sequence[exp.Expression], over: str = "") -> Expr:
    """Return the compiled call of an aggregate function.

    Args:
        compiler: Of the SELECT.
        name: In capitals.
        nodes: Its arguments.
        over: SQL of the window that it runs over, if it does.

    Raises:
        SqlRefusedError: Its arguments are wrong (240005, 305010), or this store cannot answer alike.
    """
    if name == "COUNT" and len(nodes) == 1 and isinstance(nodes[0], exp.Star):
        only(nodes[0])
        return Expr(f"count(*){over}", T.LONG, 0, ROWS_MAX, nullable=False, aggregate=True)
    if not 1 <= len(nodes) <= (2 if name == "GROUP_CONCAT" else 1):
        raise refused(f"{name} with {len(nodes)} arguments", code=ARGUMENTS)
    node, distinct, rest = nodes[0], False, list(nodes[1:])
    if isinstance(node, exp.Star):
        raise refused(f"{name}(*)")
    if isinstance(node, exp.Distinct):
        only(node, "expressions")
        node, *more = node.expressions
        distinct, rest = True, [*more, *rest]
        if len(rest) > (name == "GROUP_CONCAT"):
            raise refused(f"{name}(DISTINCT ...) of several columns", code=ARGUMENTS)
    arg = compiler.compile(node)
    if arg.aggregate:
        raise refused(f"an aggregate function inside {name}")
    takes, build = AGGREGATES[name]
    if arg.kind is not None and arg.kind not in takes:
        raise mismatch(f"{name} of {name_of(arg.kind)}")
    if name == "GROUP_CONCAT":
        return _joined(compiler, arg, rest, distinct)
    compiler.distinct |= distinct
    if distinct:
        arg = without_signed_zero(arg)
    if distinct and (over or name == "MEDIAN"):
        raise refused(f"{name}(DISTINCT ...){' OVER' if over else ''}")
    return build(compiler, name, arg, "DISTINCT " if distinct else "", over)


def _plain(compiler: Expressions, name: str, arg: Expr, distinct: str, over: str) -> Expr:
    value = arg.sql
    if name in {"AVG", "TOTAL"} and arg.kind in INTEGRAL and arg.magnitude > 2**31:
        # GridDB adds up doubles.
        value = f"CAST({arg.sql} AS REAL)"
    sql = f"{name.lower()}({distinct}{value}){over}"
    count = f"count({arg.sql}){over}"
    if name == "COUNT":
        return Expr(sql, T.LONG, 0, ROWS_MAX, nullable=False, aggregate=True)
    if name in {"MIN", "MAX"}:
        return Expr(sql, arg.kind, *arg.bounds, aggregate=True, infinite=arg.infinite)
    kind = T.DOUBLE if name in {"AVG", "TOTAL"} or arg.kind in FLOATING else arg.kind and T.LONG
    if name == "SUM" and kind is T.DOUBLE and not arg.infinite:
        fail = failing(OVERFLOW, "Value overflow in arithmetic operation", f"typeof({sql})")
        return Expr(f"(CASE WHEN abs({sql}) = 9e999 THEN {fail} ELSE {sql} END)", kind, aggregate=True)
    if arg.infinite:
        # SQLite has null where both infinities meet, GridDB NaN.
        fail = failing(NOT_FINITE, f"{name} of both infinities is no number", count)
        sql = f"coalesce({sql}, CASE WHEN {count} > 0 THEN {fail} END)"
        if name == "SUM":
            most = f"max(abs({arg.sql})){over}"
            fail = failing(OVERFLOW, "Value overflow in arithmetic operation", count)
            sql = f"(CASE WHEN abs({sql}) = 9e999 AND {most} < 9e999 THEN {fail} ELSE {sql} END)"
    return Expr(sql, kind, aggregate=True, infinite=kind is T.DOUBLE)


def _spread(compiler: Expressions, name: str, arg: Expr, distinct: str, over: str) -> Expr:
    """Variance and standard deviation, by GridDB's formula: the mean of the squares less the square of the mean."""
    if arg.kind is None:
        return Expr(f"max(NULL){over}", T.DOUBLE, aggregate=True)
    value = arg.sql if arg.kind in FLOATING else f"CAST({arg.sql} AS REAL)"
    count = f"count({distinct}{value}){over}"
    squares = f"sum({value} * {value}){over}"
    if distinct:
        # Values of both signs have one square.
        halves = [
            f"coalesce(sum(DISTINCT CASE WHEN {value} {sign} 0 THEN {value} * {value} END), 0.0)" for sign in "<>"
        ]
        squares = f"({' + '.join(halves)})"
    mean = f"(sum({distinct}{value}){over} / {count})"
    found = f"({squares} / {count} - {mean} * {mean})"
    if not name.endswith("_POP"):
        found = f"({found} * (CAST({count} AS REAL) / ({count} - 1)))"
    alone = "0.0" if name.endswith(("0", "_POP")) else "NULL"
    fail = failing(NOT_FINITE, f"{name} is no finite number", count)
    found = f"coalesce({found}, {fail})"
    if name.startswith("STDDEV"):
        # GridDB's own rounding makes it NaN where all values are nearly the same.
        found = f"coalesce(sqrt({found}), {fail})"
    empty = f"WHEN {count} = 0 THEN NULL "
    single = "" if name.endswith("_POP") else f"WHEN {count} = 1 THEN {alone} "
    return Expr(f"(CASE {empty}{single}ELSE {found} END)", T.DOUBLE, aggregate=True, infinite=True)


def _joined(compiler: Expressions, arg: Expr, rest: Sequence[exp.Expression], distinct: bool) -> Expr:
    if distinct:
        raise refused("GROUP_CONCAT(DISTINCT ...), whose order GridDB leaves open", code=None)
    mark = compiler.compile(rest[0]) if rest else Expr("','", T.STRING, value=",")
    if mark.kind not in {T.STRING, None}:
        raise mismatch(f"GROUP_CONCAT with a {name_of(mark.kind)} between the values")
    if not mark.constant:
        raise refused("GROUP_CONCAT with anything but constant text between the values", code=None)
    compiler.reads_order = True
    order = compiler.scope.row_order
    if not order:
        raise refused(
            "GROUP_CONCAT over anything but one time series or one container without a row key and index",
            code=None,
            hint="its answer depends on how the rows lie",
        )
    between = mark.sql if mark.value is not None else "''"
    sql = f"group_concat({text_of(arg).sql}, {between} ORDER BY {order})"
    if compiler.grouped:
        fail = failing(UNORDERED, "GROUP_CONCAT of several values of a group, whose order is open", f"count({arg.sql})")
        sql = f"(CASE WHEN count({arg.sql}) > 1 THEN {fail} ELSE {sql} END)"
    return Expr(sql, T.STRING, aggregate=True)


def _element(values: str, place: str, kind: ColumnType) -> str:
    found = f"json_extract({values}, '$[' || ({place}) || ']')"
    return f"CAST({found} AS REAL)" if kind is T.DOUBLE else found


def _ordered(arg: Expr, *, descending: bool = False) -> str:
    """Return a JSON list of the values that are not null, in order."""
    words = " DESC" if descending else ""
    # Within JSON a DOUBLE would have 15 digits.
    value = f"printf('%!.17g', {arg.sql})" if arg.kind in FLOATING else arg.sql
    return f"json_group_array({value} ORDER BY {arg.sql}{words}) FILTER (WHERE {arg.sql} IS NOT NULL)"


def _sorting(compiler: Expressions, name: str, arg: Expr) -> None:
    compiler.take_window(name)
    compiler.sorts = True
    if arg.kind is not None and (arg.constant or not arg.free or arg.infinite):
        raise refused(f"{name} of a constant or of what may be infinite", code=None)


def _median(compiler: Expressions, name: str, arg: Expr, distinct: str, over: str) -> Expr:
    _sorting(compiler, name, arg)
    if arg.kind is None:
        return Expr("max(NULL)", None, aggregate=True)
    kind = T.DOUBLE if arg.kind in FLOATING else T.LONG
    count, values = f"count({arg.sql})", _ordered(arg)
    low, high = _element(values, f"({count} - 1) / 2", kind), _element(values, f"{count} / 2", kind)
    # Of one sign, the sum could leave the range; halves of whole numbers go towards zero.
    odd = f" + (CASE WHEN {low} < 0 AND ({high} - {low}) % 2 <> 0 THEN 1 ELSE 0 END)" if kind is T.LONG else ""
    middle = (
        f"CASE WHEN {low} <= 0 AND {high} >= 0 THEN ({low} + {high}) / 2 ELSE {low} + ({high} - {low}) / 2{odd} END"
    )
    sql = f"(CASE WHEN {count} = 0 THEN NULL WHEN {count} % 2 = 1 THEN {low} ELSE {middle} END)"
    low_bound, high_bound = arg.bounds
    return Expr(sql, kind, low_bound, high_bound, aggregate=True, infinite=arg.infinite)


def percentile(compiler: Expressions, node: exp.WithinGroup) -> Expr:
    """Return PERCENTILE_CONT(rate) WITHIN GROUP (ORDER BY value).

    Raises:
        SqlRefusedError: Another function, more than one key, or a rate that is no constant from 0 to 1.
    """
    only(node, "this", "expression")
    function, order = node.this, node.expression
    if not isinstance(function, exp.Anonymous) or str(function.this).upper() != "PERCENTILE_CONT":
        raise refused("WITHIN GROUP of anything but PERCENTILE_CONT")
    if len(function.expressions) != 1:
        raise refused(f"PERCENTILE_CONT with {len(function.expressions)} arguments", code=ARGUMENTS)
    if not isinstance(order, exp.Order) or len(order.expressions) != 1:
        raise refused("WITHIN GROUP without one key")
    rate, key = compiler.compile(function.expressions[0]), order.expressions[0]
    only(key, "this", "desc", "nulls_first")
    arg = compiler.compile(key.this)
    if arg.kind is not None and arg.kind not in NUMERIC:
        raise mismatch(f"PERCENTILE_CONT of {name_of(arg.kind)}")
    if not isinstance(rate.value, int | float) or isinstance(rate.value, bool):
        raise refused("PERCENTILE_CONT with a rate that is no constant number", code=305010)
    if not 0 <= rate.value <= 1:
        raise refused(f"PERCENTILE_CONT of {rate.value}", code=305008, hint="from 0 to 1")
    if arg.aggregate:
        raise refused("an aggregate function inside PERCENTILE_CONT")
    _sorting(compiler, "PERCENTILE_CONT", arg)
    if arg.kind is None:
        return Expr("max(NULL)", None, aggregate=True)
    return _interpolated(arg, float(rate.value), descending=bool(key.args.get("desc")))


def _interpolated(arg: Expr, rate: float, *, descending: bool) -> Expr:
    """GridDB's line runs through the places counted from 1, but is asked at rate * count: kept as it is."""
    kind = T.DOUBLE if arg.kind in FLOATING else T.LONG
    count, values = f"count({arg.sql})", _ordered(arg, descending=descending)
    edge = f"(({count} - 1) * {rate!r})"
    place = f"CAST({edge} AS INTEGER)"
    low, high = _element(values, place, kind), _element(values, f"{place} + 1", kind)
    step = f"({count} * {rate!r} - ({place} + 1)) * ({high} - {low})"
    moved = f"{low} + {step}" if kind is T.DOUBLE else f"{low} + CAST({step} AS INTEGER)"
    if kind is T.LONG:
        fail = failing(75000, "Value overflow in PERCENTILE_CONT", count)
        moved = f"CASE typeof({moved}) WHEN 'integer' THEN {moved} ELSE {fail} END"
    sql = f"(CASE WHEN {count} = 0 THEN NULL WHEN {edge} = {place} THEN {low} ELSE {moved} END)"
    return Expr(sql, kind, aggregate=True, infinite=kind is T.DOUBLE)


_Build = Callable[["Expressions", str, Expr, str, str], Expr]

_SPREADS = ("STDDEV", "STDDEV0", "STDDEV_POP", "STDDEV_SAMP", "VARIANCE", "VARIANCE0", "VAR_POP", "VAR_SAMP")

# Name to the types that are taken and what compiles it.
AGGREGATES: dict[str, tuple[frozenset[ColumnType], _Build]] = {
    "COUNT": (_ANY, _plain),
    "SUM": (NUMERIC, _plain),
    "TOTAL": (NUMERIC, _plain),
    "AVG": (NUMERIC, _plain),
    "MIN": (_ANY - {T.BLOB}, _plain),
    "MAX": (_ANY - {T.BLOB}, _plain),
    "GROUP_CONCAT": (_ANY, _plain),
    "MEDIAN": (NUMERIC, _median),
    **dict.fromkeys(_SPREADS, (NUMERIC, _spread)),
}
