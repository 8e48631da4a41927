"""VALUES and set operations."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from gridwatch.containers.dialect.clauses import Item, limit_of, ordered, recast, set_key
from gridwatch.containers.dialect.expressions import Expressions
from gridwatch.containers.dialect.kinds import FLOATING, INTEGRAL, Expr, T, as_kind, common, name_of
from gridwatch.containers.dialect.parse import only, refused
from gridwatch.containers.dialect.queries import Query, infinite
from gridwatch.errors import SqlRefusedError

__all__ = ["set_operation", "values_query"]

_VALUES_MAX = 400
_SET_WORDS = {exp.Union: "UNION", exp.Except: "EXCEPT", exp.Intersect: "INTERSECT"}


def values_query(node: exp.Values, compiler: Expressions) -> Query:
    """Return VALUES as a query.

    Raises:
        SqlRefusedError: Its lines differ in length (240011) or types (305010), or are too many.
    """
    only(node, "expressions")
    lines = [
        [compiler.compile(value) for value in (line.expressions if isinstance(line, exp.Tuple) else [line])]
        for line in node.expressions
    ]
    if len({len(line) for line in lines}) != 1:
        raise refused("VALUES of lines of different lengths", code=240011)
    kinds = [common("VALUES", [cell.kind for cell in cells]) for cells in zip(*lines, strict=True)]
    selects = [
        "SELECT "
        + ", ".join(
            f"{as_kind(cell, kind).sql} AS c{n}" for n, (cell, kind) in enumerate(zip(line, kinds, strict=True))
        )
        for line in lines
    ]
    if len(selects) > _VALUES_MAX:
        raise refused(f"VALUES of {len(selects)} lines in a query", code=None, hint=f"at most {_VALUES_MAX}")
    spread = frozenset(place for line in lines for place in infinite(line))
    columns = tuple(("", kind) for kind in kinds)
    return Query(" UNION ALL ".join(selects), columns, single=len(lines) == 1, infinite=spread)


def set_operation(node: exp.SetOperation, compile_side: Callable[[exp.Expression], Query]) -> Query:
    """Return UNION, EXCEPT or INTERSECT as a query.

    Raises:
        SqlRefusedError: Its sides do not fit (240011), or GridDB mixes them up.
    """
    only(node, "this", "expression", "distinct", "order", "limit", "offset", "by_name", "side", "kind", "on")
    if node.args.get("by_name") or node.args.get("side") or node.args.get("on"):
        raise refused(f"{node.key.upper()} BY NAME")
    word = _SET_WORDS[type(node)]
    if not node.args.get("distinct"):
        if word != "UNION":
            raise refused(f"{word} ALL")
        word = "UNION ALL"
    left, right = (_side(node.args[name], compile_side) for name in ("this", "expression"))
    if len(left.columns) != len(right.columns):
        raise refused(f"{word} of {len(left.columns)} and {len(right.columns)} columns", code=240011)
    try:
        kinds = [common(word, [a, b]) for (_, a), (_, b) in zip(left.columns, right.columns, strict=True)]
    except SqlRefusedError as error:
        raise refused(f"columns of {word} of types that do not mix", code=240011) from error
    columns = tuple((name, kind) for (name, _), kind in zip(left.columns, kinds, strict=True))
    both = {kind for side in (left, right) for _, kind in side.columns[:1]}
    if word != "UNION ALL" and len(kinds) == 1 and both & INTEGRAL and both & FLOATING:
        raise refused(
            f"{word} of a whole number and a {name_of(kinds[0])}, whose equal values GridDB does not always find",
            code=None,
            hint="CAST one of them",
        )
    # Of one column of a fixed size, GridDB keeps several nulls, and loses other rows beside them.
    nulls = [word != "UNION ALL" and len(kinds) == 1 and kind not in {T.STRING, None} for kind in kinds]
    sides = [recast(side.sql, [kind for _, kind in side.columns], kinds, nulls) for side in (left, right)]
    sql = f" {word} ".join(sides)
    order = node.args.get("order")
    if order is not None:
        items = [Item(name, Expr(f"c{number}", kind), None) for number, (name, kind) in enumerate(columns)]
        sql += " ORDER BY " + ", ".join(ordered(one, *set_key(one.this, items)) for one in order.expressions)
    return Query(
        sql + limit_of(node), columns, (), False, left.captured | right.captured, left.infinite | right.infinite
    )


def _side(node: exp.Expression, compile_side: Callable[[exp.Expression], Query]) -> Query:
    if isinstance(node, exp.Select) and any(node.args.get(name) for name in ("order", "limit", "offset")):
        raise refused("ORDER BY or LIMIT inside a set operation")
    return compile_side(node)
