"""Window functions: one in a SELECT, without frames, as GridDB has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gridwatch.containers.dialect.aggregates import AGGREGATES, aggregate
from gridwatch.containers.dialect.kinds import Expr, T, as_kind, as_long, common, failing, make
from gridwatch.containers.dialect.parse import only, refused

if TYPE_CHECKING:
    from gridwatch.containers.dialect.expressions import Expressions

__all__ = ["ordering", "windowed"]

TIED = 240000

# Their answer depends on the place of each row.
_PLACED = frozenset({"LAG", "LEAD", "ROW_NUMBER"})


def ordering(sql: str, expr: Expr, *, descending: bool) -> str:
    """Return one key of ORDER BY: GridDB sorts null as the greatest value, SQLite as the least.

    A key that is never null says nothing about nulls, so that it can use its index.
    """
    words = f"{sql} DESC" if descending else sql
    return f"{words} NULLS {'FIRST' if descending else 'LAST'}" if expr.nullable else words


def windowed(
    compiler: Expressions, node: exp.Expression, partition: Sequence[Expr], keys: Sequence[tuple[Expr, bool]]
) -> Expr:
    """Return a window function; `keys` are its order, each with whether it is descending.

    Raises:
        SqlRefusedError: GridDB has no such window function, or its answer would depend on how rows lie.
    """
    if not isinstance(node, exp.Anonymous):
        raise refused(f"{node.key.upper()} OVER")
    only(node, "this", "expressions")
    name = str(node.this).upper()
    parts = [*partition, *(key for key, _ in keys)]
    order = ", ".join(ordering(key.sql, key, descending=desc) for key, desc in keys)
    if name in _PLACED and not keys:
        order = compiler.scope.row_order
        if partition or not order:
            raise refused(f"{name} OVER without ORDER BY", code=None, hint="its answer depends on how the rows lie")
    words = [f"PARTITION BY {', '.join(part.sql for part in partition)}"] if partition else []
    over = f" OVER ({' '.join([*words, *([f'ORDER BY {order}'] if order else [])])})"
    if name in AGGREGATES and name not in {"GROUP_CONCAT", "MEDIAN"}:
        inner = aggregate(compiler, name, node.expressions, over)
    elif name == "ROW_NUMBER" and not node.expressions:
        inner = Expr(f"row_number(){over}", T.LONG, 1, 2**53, nullable=False)
    elif name in {"LAG", "LEAD"}:
        inner = _shifted(compiler, name, node.expressions, over)
    else:
        raise refused(f"{name} OVER", code=240010)
    sql = f"({inner.sql})"
    if name in _PLACED and keys and compiler.scope.row_key not in {key.sql for key, _ in keys}:
        # Rows with equal keys come in an order of GridDB's own.
        same = f"count(*) OVER (PARTITION BY {', '.join(part.sql for part in parts)})"
        fail = failing(TIED, f"{name} OVER (ORDER BY ...) of rows with equal keys is not answered here", same)
        sql = f"(CASE WHEN {same} > 1 THEN {fail} ELSE {inner.sql} END)"
    low, high = inner.bounds
    found = make(sql, inner.kind, [*parts, inner], low=low, high=high)
    return Expr(found.sql, found.kind, low, high, free=found.free | {sql}, infinite=found.infinite)


def _shifted(compiler: Expressions, name: str, nodes: Sequence[exp.Expression], over: str) -> Expr:
    if not 1 <= len(nodes) <= 3:
        raise refused(f"{name} with {len(nodes)} arguments", code=240005)
    args = [compiler.compile(node) for node in nodes]
    places = 1
    if len(args) > 1:
        places = as_long(name, args[1]).value
        if not isinstance(places, int):
            raise refused(f"{name} by anything but a constant number", code=None)
    word = ("lag" if name == "LAG" else "lead") if places >= 0 else ("lead" if name == "LAG" else "lag")
    kind = common(name, [args[0].kind, *(arg.kind for arg in args[2:])])
    cells = [as_kind(args[0], kind).sql, str(abs(places)), *(as_kind(arg, kind).sql for arg in args[2:])]
    return make(f"{word}({', '.join(cells)}){over}", kind, args)
