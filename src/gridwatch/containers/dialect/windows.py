"""Window functions: one in a SELECT, without frames, as GridDB has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gridwatch.containers.dialect.aggregates import AGGREGATES
from gridwatch.containers.dialect.functions import call
from gridwatch.containers.dialect.kinds import Expr, T, as_kind, common, make
from gridwatch.containers.dialect.parse import only, refused

if TYPE_CHECKING:
    from gridwatch.containers.dialect.expressions import Expressions

__all__ = ["ordering", "windowed"]


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
    if name == "ROW_NUMBER" and not node.expressions:
        inner = Expr("row_number()", T.LONG, 1, 2**53, nullable=False)
    elif name in {"LAG", "LEAD"}:
        inner = _shifted(compiler, name, node.expressions)
    elif name in AGGREGATES and name not in {"TOTAL", "GROUP_CONCAT", "MEDIAN"}:
        inner = call(compiler, name, node.expressions)
        # With equal keys, rows of one rank are summed up together or one by one; nothing recorded tells which.
        if keys and any(key.nullable for key, _ in keys):
            raise refused(f"{name} OVER (ORDER BY ...) by anything but a column that is never null", code=None)
    else:
        raise refused(f"{name} OVER", code=240010)
    if name in {"LAG", "LEAD", "ROW_NUMBER"} and not keys:
        raise refused(f"{name} OVER without ORDER BY", code=None, hint="its answer depends on how the rows lie")
    words = []
    if partition:
        words.append(f"PARTITION BY {', '.join(part.sql for part in partition)}")
    if keys:
        words.append("ORDER BY " + ", ".join(ordering(key.sql, key, descending=desc) for key, desc in keys))
    parts = [*partition, *(key for key, _ in keys)]
    sql = f"({inner.sql} OVER ({' '.join(words)}))"
    low, high = inner.bounds
    found = make(sql, inner.kind, parts, low=low, high=high)
    free = found.free | inner.free | {sql}
    return Expr(found.sql, found.kind, low, high, free=free)


def _shifted(compiler: Expressions, name: str, nodes: Sequence[exp.Expression]) -> Expr:
    if not 1 <= len(nodes) <= 3:
        raise refused(f"{name} with {len(nodes)} arguments", code=240005)
    args = [compiler.compile(node) for node in nodes]
    if len(args) > 1 and not (isinstance(args[1].value, int) and args[1].value >= 0):
        raise refused(f"{name} by anything but a constant from 0", code=None)
    kind = common(name, [args[0].kind, *(arg.kind for arg in args[2:])])
    cells = [as_kind(args[0], kind).sql, *(arg.sql for arg in args[1:2]), *(as_kind(arg, kind).sql for arg in args[2:])]
    return make(f"{name.lower()}({', '.join(cells)})", kind, args)
