"""GROUP BY RANGE (ts) EVERY (n, UNIT) FILL (...): one row for each step of the range of time that WHERE bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from gridwatch.containers.dialect.clauses import alone, position_of
from gridwatch.containers.dialect.expressions import Expressions
from gridwatch.containers.dialect.fills import steps_query
from gridwatch.containers.dialect.functions import is_aggregate
from gridwatch.containers.dialect.kinds import FLOATING, Expr, T
from gridwatch.containers.dialect.parse import RANGE_MARK, only, refused
from gridwatch.containers.dialect.scope import Scope, Source, same_name
from gridwatch.containers.dialect.times import offset_ms_of
from gridwatch.containers.dialect.windows import ordering
from gridwatch.containers.operations import FIXED_MS

__all__ = ["RangeKey", "Ranges", "range_key"]

_STEPS_MAX = 1_000_000
_FILLS = frozenset({"NONE", "NULL", "PREVIOUS", "LINEAR"})
_MIRRORED: dict[type[exp.Expression], type[exp.Expression]] = {
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
}


@dataclass(frozen=True, slots=True)
class RangeKey:
    """What RANGE (column) EVERY (count, UNIT, offset) FILL (fill) says."""

    column: exp.Column
    step_ms: int
    offset_ms: int
    fill: str


def range_key(group: exp.Group | None) -> RangeKey | None:
    """Return the RANGE of a GROUP BY, which `parse` has made RANGE(fill, column, count, unit, offset), or None.

    Raises:
        SqlRefusedError: It is not whole, or not what GridDB takes.
    """
    keys = group.expressions if group is not None else []
    found = [key for key in keys if isinstance(key, exp.Anonymous) and str(key.this).upper() == "RANGE"]
    if not found:
        return None
    if len(keys) > 1:
        raise refused("GROUP BY RANGE beside another key")
    fill, *parts = found[0].expressions
    word = str(fill.this.this) if isinstance(fill, exp.Column) else ""
    if not word.startswith(RANGE_MARK) or not 3 <= len(parts) <= 4:
        raise refused("GROUP BY RANGE that is not RANGE (column) EVERY (count, UNIT)")
    name, count, unit = parts[:3]
    if not isinstance(name, exp.Column):
        raise refused("GROUP BY RANGE of anything but a column")
    filling = word.removeprefix(RANGE_MARK)
    if filling not in _FILLS:
        raise refused(f"FILL ({filling})", hint="use NONE, NULL, PREVIOUS or LINEAR")
    word = str(unit.this.this).upper() if isinstance(unit, exp.Column) else ""
    if word not in FIXED_MS:
        raise refused(f"EVERY of {unit.sql()!r}", hint="use DAY, HOUR, MINUTE, SECOND or MILLISECOND")
    step_ms = _whole(count, "EVERY", 1) * FIXED_MS[word]
    offset_ms = 0
    if len(parts) == 4:
        text = isinstance(parts[3], exp.Literal) and parts[3].is_string
        offset_ms = (
            offset_ms_of(str(parts[3].this)) if text else _whole(parts[3], "the offset of EVERY", 0) * FIXED_MS[word]
        )
    return RangeKey(name, step_ms, offset_ms % step_ms, filling)


def _whole(node: exp.Expression, what: str, least: int) -> int:
    digits = isinstance(node, exp.Literal) and not node.is_string and str(node.this).isdigit()
    if not digits or not least <= int(node.this) <= 2**40:
        raise refused(f"{what} {node.sql()!r}", hint="use a whole number" + (" above 0" if least else ""))
    return int(node.this)


class Ranges:
    """Compiles one SELECT with GROUP BY RANGE.

    Args:
        node: The SELECT.
        key: What `range_key` found.
        compiler: Of its expressions.
        body: SQL of its FROM and WHERE.
    """

    def __init__(self, node: exp.Select, key: RangeKey, compiler: Expressions, body: str) -> None:
        self._node = node
        self._key = key
        self._compiler = compiler
        self._body = body
        self._column = compiler.scope.column(key.column)
        if self._column.kind is not T.TIMESTAMP:
            raise refused("GROUP BY RANGE of a column that is no TIMESTAMP")
        self._leaves: list[Expr] = []
        self._filled = Scope(compiler.scope)

    def compile(self, items: Sequence[tuple[str, exp.Expression, bool]]) -> tuple[str, list[tuple[str, Expr]]]:
        """Return the SQL up to its LIMIT, and its columns.

        Args:
            items: Name, expression and whether it has no alias of each entry of the list, `*` already taken apart.

        Raises:
            SqlRefusedError: WHERE does not bound the column, or something is selected that GridDB refuses here, or
                whose answer depends on how the rows lie.
        """
        first, last = self._bounds()
        self._compiler.windows_max = 1
        nodes = [(name, self._replaced(part, bare=bare)) for name, part, bare in items]
        having = self._node.args.get("having")
        condition = self._replaced(having.this, bare=False) if having is not None else None
        alone(self._compiler)
        plain = [name.lower() for name, _, bare in items if name and bare]
        if len(set(plain)) != len(plain):
            raise refused("a column twice beside GROUP BY RANGE", code=240009)
        fields = [("step", Expr("f.x", T.TIMESTAMP, nullable=False, free=frozenset({"f.x"})))]
        for number, leaf in enumerate(self._leaves):
            sql = f"f.a{number}"
            fields.append((f"a{number}", Expr(sql, leaf.kind, free=frozenset({sql}), infinite=True)))
        self._filled.add(Source("filled", "", tuple(fields)))
        outer = Expressions(self._compiler.context, self._filled, None)
        found = [(name, outer.compile(part)) for name, part in nodes]
        rows = steps_query(self._leaves, self._body, self._column.sql, self._key, (first, last))
        head = ", ".join(f"{expr.sql} AS c{number}" for number, (_, expr) in enumerate(found))
        distinct = "DISTINCT " if self._node.args.get("distinct") else ""
        sql = f"SELECT {distinct}{head} FROM {rows} AS f"
        if condition is not None:
            sql += f" WHERE {outer.condition(condition, 'HAVING').sql}"
        return f"{sql}{self._order(found, distinct=bool(distinct))}", found

    def _replaced(self, node: exp.Expression, *, bare: bool) -> exp.Expression:
        """Return an expression with its aggregates, or itself, replaced by columns of the filled steps."""
        plain = node.unnest()
        if bare and isinstance(plain, exp.Column) and self._compiler.scope.column(plain).sql == self._column.sql:
            return _field("step")
        if any(isinstance(part, exp.Subquery | exp.Exists | exp.Window | exp.Select) for part in node.walk()):
            raise refused("a subquery or a window function with GROUP BY RANGE")
        if not any(isinstance(part, exp.Expression) and is_aggregate(part) for part in node.walk()):
            return self._first(node)
        return node.transform(self._leaf)

    def _leaf(self, node: exp.Expression) -> exp.Expression:
        if is_aggregate(node):
            if any(isinstance(part, exp.Distinct) for part in node.walk()):
                raise refused("DISTINCT in an aggregate function with GROUP BY RANGE")
            return self._add(self._compiler.compile(node))
        if isinstance(node, exp.Column):
            return self._first(node)
        return node

    def _first(self, node: exp.Expression) -> exp.Expression:
        """The value of the first row of the step in which it is not null."""
        expr = self._compiler.compile(node)
        self._compiler.reads_order |= bool(expr.free)
        order = self._compiler.scope.row_order
        if expr.kind is T.BLOB or (expr.free and not order):
            raise refused(
                f"{node.sql()[:60]!r} beside GROUP BY RANGE of anything but one time series",
                code=None,
                hint="select the time column as it is, without an alias, and aggregate functions",
            )
        by = f" ORDER BY {order}" if order else ""
        value = f"printf('%!.17g', {expr.sql})" if expr.kind in FLOATING else expr.sql
        values = f"json_group_array({value}{by}) FILTER (WHERE {expr.sql} IS NOT NULL)"
        first = f"json_extract({values}, '$[0]')"
        return self._add(Expr(f"CAST({first} AS REAL)" if expr.kind in FLOATING else first, expr.kind, aggregate=True))

    def _add(self, expr: Expr) -> exp.Expression:
        self._leaves.append(expr)
        return _field(f"a{len(self._leaves) - 1}")

    def _bounds(self) -> tuple[str, str]:
        lower: list[Expr] = []
        upper: list[Expr] = []
        for part in _conditions(self._node.args.get("where")):
            self._bound(part, lower, upper)
        if len({bound.sql for bound in lower}) != 1 or len({bound.sql for bound in upper}) != 1:
            raise refused(
                "GROUP BY RANGE without one lower and one upper bound of its column in WHERE",
                hint="write ts >= ... AND ts < ...",
            )
        first, last = lower[0], upper[0]
        if isinstance(first.value, int) and isinstance(last.value, int):
            steps = (last.value - first.value) // self._key.step_ms
            if steps >= _STEPS_MAX:
                raise refused(f"GROUP BY RANGE of {steps + 1} steps", code=None, hint=f"at most {_STEPS_MAX}")
        return first.sql, last.sql

    def _bound(self, part: exp.Expression, lower: list[Expr], upper: list[Expr]) -> None:
        if isinstance(part, exp.Between):
            if self._compiler.compile(part.this).sql == self._column.sql:
                low, high = (self._compiler.compile(part.args[name]) for name in ("low", "high"))
                lower += [low] if _is_fixed(low) else []
                upper += [high] if _is_fixed(high) else []
            return
        kind: type[exp.Expression] = type(part)
        if kind not in _MIRRORED:
            return
        left, right = self._compiler.compile(part.this), self._compiler.compile(part.args["expression"])
        if right.sql == self._column.sql:
            left, right, kind = right, left, _MIRRORED[kind]
        if left.sql != self._column.sql or not _is_fixed(right):
            return
        if issubclass(kind, exp.GT | exp.GTE):
            # GridDB begins with the step of the bound itself, also where `>` leaves it out.
            lower.append(right)
        elif kind is exp.LTE:
            upper.append(right)
        else:
            value = right.value - 1 if isinstance(right.value, int) else right.value
            upper.append(Expr(f"({right.sql} - 1)", T.TIMESTAMP, value=value))

    def _order(self, items: list[tuple[str, Expr]], *, distinct: bool) -> str:
        order = self._node.args.get("order")
        if order is None:
            return "" if distinct else " ORDER BY f.x"
        keys = []
        for one in order.expressions:
            only(one, "this", "desc", "nulls_first")
            place = self._place(one.this, items)
            keys.append(ordering(str(place), items[place - 1][1], descending=bool(one.args.get("desc"))))
        return f" ORDER BY {', '.join(keys)}"

    @staticmethod
    def _place(node: exp.Expression, items: list[tuple[str, Expr]]) -> int:
        if isinstance(node, exp.Literal) and not node.is_string:
            return position_of(node, len(items))
        if isinstance(node, exp.Column) and not node.args.get("table"):
            found = [number for number, (name, _) in enumerate(items, start=1) if name and same_name(node.this, name)]
            if len(found) == 1:
                return found[0]
        raise refused("a key of ORDER BY that GROUP BY RANGE does not select")


def _field(name: str) -> exp.Column:
    return exp.Column(this=exp.Identifier(this=name, quoted=True), table=exp.Identifier(this="filled", quoted=True))


def _is_fixed(bound: Expr) -> bool:
    return bound.kind is T.TIMESTAMP and not bound.free and not bound.aggregate and "SELECT" not in bound.sql


def _conditions(where: exp.Where | None) -> list[exp.Expression]:
    """Return the conditions that all hold."""
    parts: list[exp.Expression] = []
    rest = [where.this] if where is not None else []
    while rest:
        part = rest.pop().unnest()
        if isinstance(part, exp.And):
            rest += [part.this, part.expression]
        else:
            parts.append(part)
    return parts
