"""The clauses of a SELECT that have rules of their own: keys of GROUP BY and ORDER BY, LIMIT, set operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from gridwatch.containers.dialect.kinds import Expr, as_kind, failing
from gridwatch.containers.dialect.parse import only, refused
from gridwatch.containers.dialect.scope import Scope, Source, same_name
from gridwatch.containers.dialect.windows import ordering
from gridwatch.containers.schema import ColumnType
from gridwatch.errors import SqlRefusedError

if TYPE_CHECKING:
    from gridwatch.containers.dialect.expressions import Expressions

__all__ = [
    "Item",
    "alone",
    "column_name",
    "group_key",
    "limit_of",
    "nullable",
    "ordered",
    "position_of",
    "recast",
    "set_key",
    "without_null_keys",
]

_COUNT_MAX = 2**63 - 1
NULLS = 240000


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the list of a SELECT."""

    name: str
    expr: Expr
    alias: exp.Identifier | None


def set_key(node: exp.Expression, items: Sequence[Item]) -> tuple[str, Expr, bool]:
    """Return a key of ORDER BY of a set operation: its SQL, its expression, and that it is plain."""
    if isinstance(node, exp.Literal) and not node.is_string:
        number = position_of(node, len(items))
        return str(number), items[number - 1].expr, True
    if isinstance(node, exp.Column) and not node.args.get("table"):
        for number, item in enumerate(items, start=1):
            if same_name(node.this, item.name):
                return str(number), item.expr, True
    raise refused("a key of ORDER BY that is no column of the set operation")


def recast(
    sql: str,
    given: Sequence[ColumnType | None],
    kinds: Sequence[ColumnType | None],
    nulls: Sequence[bool] | None = None,
) -> str:
    """Return a query with its columns c0, c1, ... made the types that a set operation gives them.

    Args:
        sql: The query.
        given: The types of its columns.
        kinds: The types that they become.
        nulls: Which of them fail on null.
    """
    parts = []
    for number, (kind, target) in enumerate(zip(given, kinds, strict=True)):
        column = as_kind(Expr(f"c{number}", kind), target).sql
        if nulls is not None and nulls[number]:
            fail = failing(
                NULLS, "null in a set operation, of which GridDB makes several rows or none", f"typeof(c{number})"
            )
            column = f"CASE WHEN c{number} IS NULL THEN {fail} ELSE {column} END"
        parts.append(f"{column} AS c{number}")
    return f"SELECT {', '.join(parts)} FROM ({sql})"


def nullable(source: Source) -> Source:
    """Return the right side of a LEFT JOIN, whose columns may all be null."""
    return replace(source, columns=tuple((name, replace(expr, nullable=True)) for name, expr in source.columns))


def column_name(node: exp.Column, scope: Scope) -> str:
    """Return the name of a selected column, in the case of its container."""
    table = node.args.get("table")
    for source in scope.sources:
        if table is None or same_name(table, source.name):
            for name, _ in source.columns:
                if same_name(node.this, name):
                    return name
    return str(node.this.this)


def group_key(node: exp.Expression, items: Sequence[Item], scope: Scope) -> str:
    """Return the SQL of a key of GROUP BY: a column, an alias or a position."""
    if isinstance(node, exp.Literal) and not node.is_string:
        expr = items[position_of(node, len(items)) - 1].expr
    elif isinstance(node, exp.Column):
        expr = _named_key(node, items, scope)
    else:
        raise refused("a key of GROUP BY that is no column", hint="give the expression an alias and group by that")
    if expr.aggregate:
        raise refused("an aggregate function in GROUP BY")
    # A plain number would be taken for a position.
    return f"+{expr.sql}" if expr.constant else expr.sql


def _named_key(node: exp.Column, items: Sequence[Item], scope: Scope) -> Expr:
    aliased = [
        item.expr
        for item in items
        if not node.args.get("table") and item.alias is not None and same_name(node.this, item.name)
    ]
    try:
        column = scope.column(node)
    except SqlRefusedError:
        if not aliased:
            raise
        column = None
    if aliased and column is not None and aliased[0].sql != column.sql:
        raise refused(
            f"GROUP BY {node.this.this}, which is both a column and an alias", code=None, hint="use another alias"
        )
    return aliased[0] if aliased else column  # type: ignore[return-value]  # raised above when there is neither


def alone(compiler: Expressions) -> None:
    """Refuse what GridDB answers wrongly, or in another order, beside a MEDIAN or PERCENTILE_CONT.

    Raises:
        SqlRefusedError: There is such a function.
    """
    if compiler.sorts and (compiler.reads_order or compiler.distinct):
        raise refused(
            "DISTINCT, GROUP_CONCAT or a plain column beside MEDIAN or PERCENTILE_CONT",
            code=None,
            hint="ask for them one by one",
        )


def without_null_keys(having: str, keys: Sequence[str]) -> str:
    """Return HAVING that fails in the group of null: DISTINCT aggregates of GridDB mix its rows with others."""
    nulls = " OR ".join(f"{key} IS NULL" for key in keys)
    fail = failing(NULLS, "DISTINCT aggregates with a null key of GROUP BY", f"typeof({keys[0]})")
    return f" HAVING CASE WHEN {nulls} THEN {fail} ELSE {having.removeprefix(' HAVING ') or 'true'} END"


def position_of(node: exp.Literal, count: int) -> int:
    """Return a column position, from 1."""
    text = str(node.this)
    if not text.isdigit() or not 1 <= int(text) <= count:
        raise refused(f"the column position {text}", hint=f"there are {count}")
    return int(text)


def ordered(node: exp.Ordered, sql: str, expr: Expr, plain: bool) -> str:
    """Return one key of ORDER BY with its direction."""
    only(node, "this", "desc", "nulls_first")
    if not isinstance(node, exp.Ordered):
        raise refused("a key of ORDER BY")
    descending = bool(node.args.get("desc"))
    if descending and not plain:
        raise refused(
            "ORDER BY of an expression with DESC, which GridDB sorts ascending",
            code=None,
            hint="give it an alias in SELECT and order by that",
        )
    return ordering(sql, expr, descending=descending)


def limit_of(node: exp.Expression) -> str:
    """Return LIMIT and OFFSET."""
    limit, offset = node.args.get("limit"), node.args.get("offset")
    if limit is None:
        if offset is not None:
            raise refused("OFFSET without LIMIT")
        return ""
    if not isinstance(limit, exp.Limit):
        raise refused("FETCH")
    only(limit, "expression")
    sql = f" LIMIT {_count(limit.expression)}"
    if offset is not None:
        only(offset, "expression")
        sql += f" OFFSET {_count(offset.expression)}"
    return sql


_SUMS: dict[type[exp.Expression], Callable[[int, int], int]] = {
    exp.Add: lambda left, right: left + right,
    exp.Sub: lambda left, right: left - right,
    exp.Mul: lambda left, right: left * right,
}


def _worked_out(node: exp.Expression) -> int:
    """Return a whole number, or a sum or product of some."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Neg):
        return -_worked_out(node.this)
    work = _SUMS.get(type(node))
    if work is not None:
        return work(_worked_out(node.this), _worked_out(node.args["expression"]))
    if not isinstance(node, exp.Literal) or node.is_string or not str(node.this).isdigit():
        raise refused("a LIMIT or OFFSET that is not a whole number")
    return int(node.this)


def _count(node: exp.Expression) -> int:
    count = _worked_out(node)
    if abs(count) > _COUNT_MAX:
        raise refused(f"a LIMIT or OFFSET of {count}", hint=f"at most {_COUNT_MAX}")
    return count
