"""SELECT: its list, sources, grouping, order and limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlglot import exp

from gridwatch.containers.dialect import system
from gridwatch.containers.dialect.clauses import (
    Item,
    alone,
    column_name,
    group_key,
    limit_of,
    nullable,
    ordered,
    position_of,
    without_null_keys,
)
from gridwatch.containers.dialect.expressions import Expressions
from gridwatch.containers.dialect.kept import Kept
from gridwatch.containers.dialect.kinds import (
    Expr,
    without_signed_zero,
)
from gridwatch.containers.dialect.parse import only, parse_statement, refused
from gridwatch.containers.dialect.queries import Query, infinite, numbered
from gridwatch.containers.dialect.ranges import Ranges, range_key
from gridwatch.containers.dialect.scope import Context, Scope, Source, same_name
from gridwatch.containers.dialect.sets import set_operation, values_query
from gridwatch.containers.dialect.sources import table_source
from gridwatch.containers.schema import ContainerInfo, View

__all__ = ["Selects", "compile_query"]

_CLAUSES = ("expressions", "from_", "where", "joins", "group", "having", "order", "limit", "offset", "distinct")
_VIEWS_MAX = 10


def compile_query(
    statement: str, parameters: Sequence[Any], lookup: Callable[[str], ContainerInfo | View | None]
) -> Query:
    """Return one SELECT of GridDB's SQL as SQLite's.

    Args:
        statement: GridDB's SQL.
        parameters: Values of its `?`: None, bool, int, float, str, bytes or datetime.
        lookup: Returns the container of a name, compared without case, or None.

    Raises:
        SqlRefusedError: GridDB refuses it, or this store cannot answer alike; names the construct.
        SqlFailedError: A constant in it cannot be worked out.
        ContainerNotFoundError: It names a container that is not there.
    """
    query, values = _KEPT.get(
        statement, parameters, lookup, lambda context: _compiled(parse_statement(statement, parameters), context)
    )
    return replace(query, parameters=values)


_KEPT: Kept[Query] = Kept()


def _compiled(tree: exp.Expression, context: Context) -> tuple[Query, Sequence[int]]:
    if not isinstance(tree, exp.Select | exp.SetOperation | exp.Values):
        raise refused(f"{tree.key.upper()} as a query", hint="sql() takes SELECT; execute() takes the rest")
    try:
        query = Selects(context).compile(tree, None)
    except RecursionError as error:
        raise refused("a statement that is nested too deep", code=None) from error
    sql, used = numbered(query.sql)
    return replace(query, sql=sql), used


class Selects:
    """Compiles the SELECTs of one statement."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def compile(self, node: exp.Expression, outer: Scope | None) -> Query:
        """Return the compiled SELECT or set operation."""
        if isinstance(node, exp.SetOperation):
            return set_operation(node, lambda side: self.compile(side, outer))
        if isinstance(node, exp.Select):
            return self._select(node, outer)
        if isinstance(node, exp.Values):
            return values_query(node, Expressions(self._context, Scope(), self.compile))
        raise refused(f"{node.key.upper()} as a subquery")

    def _select(self, node: exp.Select, outer: Scope | None) -> Query:
        only(node, *_CLAUSES)
        scope = Scope(outer)
        compiler = Expressions(self._context, scope, self.compile)
        source = self._from(node, scope, compiler, outer)
        if not node.expressions:
            raise refused("SELECT without columns")
        key = range_key(node.args.get("group"))
        if key is not None:
            body = f"{source}{self._where(node.args.get('where'), compiler)}"
            named = [pair for part in node.expressions for pair in self._named(part, scope)]
            ranged, selected = Ranges(node, key, compiler, body).compile(named)
            columns = tuple((name, expr.kind) for name, expr in selected)
            spread = infinite(expr for _, expr in selected)
            return Query(ranged + limit_of(node), columns, captured=frozenset(scope.captured), infinite=spread)
        compiler.windows_max, compiler.grouped = 1, node.args.get("group") is not None
        items = [item for part in node.expressions for item in self._items(part, scope, compiler)]
        windowed, compiler.windows_max = compiler.windows_max == 0, 0
        if node.args.get("distinct") or node.args.get("group"):
            items = [
                item if item.expr.aggregate else replace(item, expr=without_signed_zero(item.expr)) for item in items
            ]
        where = self._where(node.args.get("where"), compiler)
        keys = self._group(node.args.get("group"), items, scope)
        grouped = keys is not None or any(item.expr.aggregate for item in items)
        having = self._having(node.args.get("having"), compiler, keys)
        if grouped:
            self._only_keys(items, keys or [])
        alone(compiler)
        if compiler.distinct and keys:
            having = without_null_keys(having, keys)
        distinct = node.args.get("distinct")
        if distinct is not None:
            only(distinct)
        order = self._order(
            node.args.get("order"), items, compiler, keys, projected=bool(grouped or distinct or windowed)
        )
        head = "SELECT DISTINCT" if distinct is not None else "SELECT"
        body = ", ".join(f"{item.expr.sql} AS c{number}" for number, item in enumerate(items))
        group = f" GROUP BY {', '.join(keys)}" if keys else ""
        sql = f"{head} {body}{source}{where}{group}{having}{order}{limit_of(node)}"
        columns = tuple((item.name, item.expr.kind) for item in items)
        bare = not node.args.get("from_") and not node.args.get("where")
        single = (bare or (grouped and keys is None)) and not node.args.get("limit")
        spread = infinite(item.expr for item in items)
        return Query(sql, columns, single=single, captured=frozenset(scope.captured), infinite=spread)

    def _from(self, node: exp.Select, scope: Scope, compiler: Expressions, outer: Scope | None) -> str:
        first = node.args.get("from_")
        if first is None:
            if node.args.get("joins"):
                raise refused("JOIN without FROM")
            return ""
        only(first, "this")
        sql = f" FROM {self._source(first.this, scope, outer)}"
        for join in node.args.get("joins") or []:
            sql += self._join(join, scope, compiler, outer)
        return sql

    def _join(self, join: exp.Join, scope: Scope, compiler: Expressions, outer: Scope | None) -> str:
        only(join, "this", "side", "kind", "on")
        side, kind = (str(join.args.get(name) or "").upper() for name in ("side", "kind"))
        if side not in {"", "LEFT"} or kind not in {"", "INNER", "OUTER", "CROSS"} or (kind == "OUTER" and not side):
            raise refused(f"{side} {kind}".strip() + " JOIN")
        source = self._source(join.this, scope, outer)
        condition = join.args.get("on")
        if side and condition is None:
            raise refused("LEFT JOIN without ON")
        if side:
            scope.sources[-1] = nullable(scope.sources[-1])
        on = f" ON {compiler.condition(condition, 'ON').sql}" if condition is not None else ""
        return f" {'LEFT' if side else 'INNER'} JOIN {source}{on}"

    def _source(self, node: exp.Expression, scope: Scope, outer: Scope | None) -> str:
        alias = node.args.get("alias")
        if alias is not None:
            only(alias, "this")
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            only(node, "this", "alias")
            source = self._table(node.this, str(alias.this.this) if alias else None)
        elif isinstance(node, exp.Subquery):
            only(node, "this", "alias")
            if alias is None:
                raise refused("a subquery in FROM without a name", hint="write (SELECT ...) q")
            source = self._derived(node.this, str(alias.this.this), scope, outer)
        else:
            raise refused(f"{node.sql()[:60]!r} in FROM")
        scope.add(source)
        return source.sql

    def _table(self, identifier: exp.Identifier, alias: str | None) -> Source:
        name = str(identifier.this)
        if name.startswith("#"):
            return system.source(self._context, name, alias or name)
        found = self._context.table(identifier)
        if isinstance(found, View):
            return self._view(found, alias or found.name)
        return table_source(self._context, found, alias or found.name)

    def _view(self, view: View, alias: str) -> Source:
        if self._context.views >= _VIEWS_MAX:
            raise refused(f"views that read each other {_VIEWS_MAX} deep")
        self._context.views += 1
        # A SELECT of its own: it sees no name of the statement.
        source = self._derived(parse_statement(view.select, ()), alias, Scope(), None)
        self._context.views -= 1
        return source

    def _derived(self, node: exp.Expression, alias: str, scope: Scope, outer: Scope | None) -> Source:
        query = self.compile(node, outer)
        scope.captured |= query.captured
        name = self._context.source_name()
        columns = []
        for number, (column, kind) in enumerate(query.columns):
            sql = f"{name}.c{number}"
            columns.append((column, Expr(sql, kind, free=frozenset({sql}), infinite=number in query.infinite)))
        return Source(alias, f"({query.sql}) AS {name}", tuple(columns))

    @staticmethod
    def _items(node: exp.Expression, scope: Scope, compiler: Expressions) -> list[Item]:
        chosen = _starred(node, scope)
        if chosen is not None:
            return [Item(name, expr, None) for source in chosen for name, expr in source.columns]
        if isinstance(node, exp.Alias):
            only(node, "this", "alias")
            return [Item(str(node.args["alias"].this), compiler.compile(node.this), node.args["alias"])]
        bare = node.unnest()
        name = column_name(bare, scope) if isinstance(bare, exp.Column) else ""
        return [Item(name, compiler.compile(node), None)]

    @staticmethod
    def _named(node: exp.Expression, scope: Scope) -> list[tuple[str, exp.Expression, bool]]:
        """Return name, expression and whether it has no alias of each entry that one of a list stands for."""
        chosen = _starred(node, scope)
        if chosen is not None:
            return [
                (
                    name,
                    exp.column(exp.to_identifier(name, quoted=True), exp.to_identifier(source.name, quoted=True)),
                    True,
                )
                for source in chosen
                for name, _ in source.columns
            ]
        if isinstance(node, exp.Alias):
            only(node, "this", "alias")
            return [(str(node.args["alias"].this), node.this, False)]
        bare = node.unnest()
        return [(column_name(bare, scope) if isinstance(bare, exp.Column) else "", node, True)]

    @staticmethod
    def _where(node: exp.Where | None, compiler: Expressions) -> str:
        if node is None:
            return ""
        found = compiler.condition(node.this, "WHERE")
        if found.aggregate:
            raise refused("an aggregate function in WHERE")
        return f" WHERE {found.sql}"

    @staticmethod
    def _group(node: exp.Group | None, items: Sequence[Item], scope: Scope) -> list[str] | None:
        if node is None:
            return None
        only(node, "expressions")
        return [group_key(key, items, scope) for key in node.expressions]

    @staticmethod
    def _having(node: exp.Having | None, compiler: Expressions, keys: list[str] | None) -> str:
        if node is None:
            return ""
        if keys is None:
            raise refused("HAVING without GROUP BY")
        found = compiler.condition(node.this, "HAVING")
        if found.free - set(keys):
            raise refused("a column in HAVING that is not grouped")
        return f" HAVING {found.sql}"

    @staticmethod
    def _only_keys(items: Sequence[Item], keys: Sequence[str]) -> None:
        for item in items:
            if item.expr.sql not in keys and item.expr.free - set(keys):
                raise refused(
                    f"column {item.name or 'in an expression'!r} beside an aggregate function, not in GROUP BY",
                    code=None,
                    hint="GridDB takes the first row's value; use MIN, MAX or GROUP BY",
                )

    def _order(
        self,
        node: exp.Order | None,
        items: Sequence[Item],
        compiler: Expressions,
        keys: list[str] | None,
        *,
        projected: bool,
    ) -> str:
        if node is None:
            return ""
        only(node, "expressions")
        return " ORDER BY " + ", ".join(
            ordered(one, *self._order_key(one.this, items, compiler, keys, projected)) for one in node.expressions
        )

    @staticmethod
    def _order_key(
        node: exp.Expression,
        items: Sequence[Item],
        compiler: Expressions,
        keys: list[str] | None,
        projected: bool,
    ) -> tuple[str, Expr, bool]:
        """Return the key's SQL, its expression, and whether it is a plain column, alias or position."""
        while isinstance(node, exp.Paren):
            node = node.this
        if isinstance(node, exp.Literal) and not node.is_string:
            number = position_of(node, len(items))
            return str(number), items[number - 1].expr, True
        if isinstance(node, exp.Column) and not node.args.get("table"):
            for number, item in enumerate(items, start=1):
                if item.name and same_name(node.this, item.name):
                    return str(number), item.expr, True
        expr = compiler.compile(node)
        if expr.aggregate:
            raise refused("an aggregate function in ORDER BY", hint="give it an alias in SELECT and order by that")
        for number, item in enumerate(items, start=1):
            if item.expr.sql == expr.sql:
                return str(number), expr, isinstance(node, exp.Column)
        if projected and expr.sql not in (keys or []):
            raise refused("a key of ORDER BY that is neither projected nor grouped")
        return expr.sql, expr, isinstance(node, exp.Column)


def _starred(node: exp.Expression, scope: Scope) -> list[Source] | None:
    """Return the entries of FROM that `*` or `q.*` stands for; None for anything else.

    Raises:
        SqlRefusedError: FROM has no such entry.
    """
    column = isinstance(node, exp.Column)
    if not isinstance(node.this if column else node, exp.Star):
        return None
    only(node, "this", "table")
    table = node.args.get("table") if column else None
    chosen = [source for source in scope.sources if table is None or same_name(table, source.name)]
    if not chosen:
        raise refused(f"{node.sql()} without such a table in FROM")
    return chosen
