"""GROUP BY RANGE (ts) EVERY (n, UNIT): one row for each step of the range of time in WHERE, also where nothing lies."""

from __future__ import annotations

from sqlglot import exp

from gridwatch.containers.dialect.aggregates import AGGREGATES
from gridwatch.containers.dialect.expressions import Expressions
from gridwatch.containers.dialect.kinds import Expr, T
from gridwatch.containers.dialect.parse import only, refused
from gridwatch.containers.dialect.scope import Scope
from gridwatch.containers.dialect.times import FIXED_MS
from gridwatch.containers.dialect.windows import ordering

__all__ = ["range_key", "range_query"]

_BUCKETS_MAX = 1_000_000
_MIRRORED: dict[type[exp.Expression], type[exp.Expression]] = {
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
}


def range_key(group: exp.Group | None) -> exp.Anonymous | None:
    """Return the RANGE of a GROUP BY, which `parse` has made RANGE(column, count, unit), or None."""
    keys = group.expressions if group is not None else []
    found = [key for key in keys if isinstance(key, exp.Anonymous) and str(key.this).upper() == "RANGE"]
    if found and len(keys) > 1:
        raise refused("GROUP BY RANGE beside another key")
    return found[0] if found else None


def range_query(
    node: exp.Select, key: exp.Anonymous, scope: Scope, compiler: Expressions, body: str
) -> tuple[str, list[tuple[str, Expr]]]:
    """Return the SQL of a SELECT with GROUP BY RANGE, up to its LIMIT, and its columns.

    Args:
        node: The SELECT.
        key: What `range_key` found.
        scope: The names it sees.
        compiler: Of its expressions.
        body: SQL of its FROM and WHERE.

    Raises:
        SqlRefusedError: WHERE bounds the column on one side only, or something is selected that is neither the column
            nor an aggregate.
    """
    if node.args.get("having") or node.args.get("distinct"):
        raise refused("HAVING or DISTINCT with GROUP BY RANGE", code=None)
    column, step_ms = _column_and_step(key, scope)
    first_ms, last_ms = _buckets(node.args.get("where"), column, compiler, step_ms)
    items: list[tuple[str, Expr]] = []
    inner = [f"({column.sql} - {column.sql} % {step_ms}) AS k"]
    for part in node.expressions:
        plain = part.this if isinstance(part, exp.Alias) else part
        if plain is part and isinstance(plain, exp.Column) and compiler.compile(plain).sql == column.sql:
            items.append((str(plain.this.this), Expr("b.x", T.TIMESTAMP, nullable=False)))
        elif isinstance(plain, exp.Anonymous) and str(plain.this).upper() in AGGREGATES and len(plain.expressions) == 1:
            expr = compiler.compile(plain)
            name = str(part.args["alias"].this) if plain is not part else ""
            inner.append(f"{expr.sql} AS a{len(items)}")
            items.append((name, Expr(f"g.a{len(items)}", expr.kind)))
        else:
            raise refused(
                f"{part.sql()[:60]!r} beside GROUP BY RANGE",
                code=None,
                hint="select the time column as it is, without an alias, and aggregate functions",
            )
    steps = (
        f"(WITH RECURSIVE r(x) AS (SELECT {first_ms} UNION ALL SELECT x + {step_ms} FROM r "
        f"WHERE x + {step_ms} <= {last_ms}) SELECT x FROM r) AS b"
    )
    head = ", ".join(f"{expr.sql} AS c{number}" for number, (_, expr) in enumerate(items))
    grouped = f"(SELECT {', '.join(inner)}{body} GROUP BY 1) AS g"
    sql = f"SELECT {head} FROM {steps} LEFT JOIN {grouped} ON g.k = b.x"
    return f"{sql} ORDER BY {_order(node, items)}", items


def _column_and_step(key: exp.Anonymous, scope: Scope) -> tuple[Expr, int]:
    if len(key.expressions) != 3:
        raise refused("GROUP BY RANGE that is not RANGE (column) EVERY (count, UNIT)", code=None)
    name, count, unit = key.expressions
    if not isinstance(name, exp.Column):
        raise refused("GROUP BY RANGE of anything but a column")
    column = scope.column(name)
    if column.kind is not T.TIMESTAMP:
        raise refused("GROUP BY RANGE of a column that is no TIMESTAMP")
    word = str(unit.this.this).upper() if isinstance(unit, exp.Column) else ""
    if word not in FIXED_MS:
        raise refused(f"EVERY of {unit.sql()!r}", hint="use DAY, HOUR, MINUTE, SECOND or MILLISECOND")
    if not isinstance(count, exp.Literal) or not str(count.this).isdigit() or int(count.this) < 1:
        raise refused(f"EVERY of {count.sql()!r}", hint="use a whole number above 0")
    return column, int(count.this) * FIXED_MS[word]


def _buckets(where: exp.Where | None, column: Expr, compiler: Expressions, step_ms: int) -> tuple[int, int]:
    lower: list[int] = []
    upper: list[int] = []
    for part in _conditions(where):
        _bound(part, column, compiler, lower, upper, step_ms)
    if len(lower) != 1 or len(upper) != 1:
        raise refused(
            "GROUP BY RANGE without one lower and one upper bound of its column in WHERE",
            hint="write ts >= ... AND ts < ...",
        )
    first, last = lower[0] // step_ms, upper[0] // step_ms
    if lower[0] > upper[0] or last - first >= _BUCKETS_MAX:
        raise refused(
            f"GROUP BY RANGE of {max(0, last - first + 1)} steps", code=None, hint=f"from 1 to {_BUCKETS_MAX}"
        )
    return first * step_ms, last * step_ms


def _conditions(where: exp.Where | None) -> list[exp.Expression]:
    """Return the conditions that all hold."""
    parts: list[exp.Expression] = []
    left = where.this if where is not None else None
    while isinstance(left, exp.And):
        parts.append(left.expression)
        left = left.this
    return [*parts, left] if left is not None else parts


def _bound(
    part: exp.Expression, column: Expr, compiler: Expressions, lower: list[int], upper: list[int], step_ms: int
) -> None:
    while isinstance(part, exp.Paren):
        part = part.this
    if isinstance(part, exp.Between):
        low, high = (compiler.compile(part.args[name]) for name in ("low", "high"))
        if compiler.compile(part.this).sql == column.sql and isinstance(low.value, int) and isinstance(high.value, int):
            lower.append(low.value)
            upper.append(high.value)
        return
    kind: type[exp.Expression] = type(part)
    if kind not in _MIRRORED:
        return
    left, right = compiler.compile(part.this), compiler.compile(part.args["expression"])
    if right.sql == column.sql:
        left, right, kind = right, left, _MIRRORED[kind]
    if left.sql != column.sql or not isinstance(right.value, int):
        return
    value = right.value
    if issubclass(kind, exp.GT | exp.GTE):
        if kind is exp.GT and (value + 1) % step_ms == 0:
            raise refused("GROUP BY RANGE above the last instant of a step", code=None, hint="use >=")
        lower.append(value)
    else:
        upper.append(value - 1 if kind is exp.LT else value)


def _order(node: exp.Select, items: list[tuple[str, Expr]]) -> str:
    order = node.args.get("order")
    if order is None:
        return "b.x"
    keys = []
    for one in order.expressions:
        only(one, "this", "desc", "nulls_first")
        names = [name.lower() for name, _ in items]
        name = str(one.this.this.this).lower() if isinstance(one.this, exp.Column) and not one.this.table else ""
        if not name or names.count(name) != 1:
            raise refused("a key of ORDER BY that GROUP BY RANGE does not select")
        place = names.index(name)
        keys.append(ordering(str(place + 1), items[place][1], descending=bool(one.args.get("desc"))))
    return ", ".join(keys)
