"""INSERT, REPLACE, UPDATE and DELETE."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from gridwatch.containers._sqlite_format import quoted, table_of, unexpired, upsert
from gridwatch.containers.dialect.assignments import fitted
from gridwatch.containers.dialect.expressions import Expressions
from gridwatch.containers.dialect.kept import Kept
from gridwatch.containers.dialect.kinds import UNREADABLE, Expr, failing
from gridwatch.containers.dialect.parse import only, parse_statement, refused
from gridwatch.containers.dialect.queries import numbered
from gridwatch.containers.dialect.scope import Context, Scope, Source, same_name
from gridwatch.containers.dialect.select import Selects
from gridwatch.containers.dialect.sources import source_columns
from gridwatch.containers.schema import Column, ContainerInfo, ContainerType, View

__all__ = ["Change", "compile_change"]

NOT_NULL = 270006
UNWRITABLE = 240000
OTHER_KEY = {ContainerType.COLLECTION: 60049, ContainerType.TIME_SERIES: 60154}
PARTITION_KEY = 240016

# sqlglot takes INTO for granted, and does not know UPDATE OR REPLACE, which does what UPDATE does.
_NO_INTO = re.compile(r"\A\s*(INSERT(\s+OR\s+REPLACE)?|REPLACE)\s+(?!INTO\b|OR\b)", re.IGNORECASE)
_UPDATE_OR = re.compile(r"\A\s*UPDATE\s+OR\s+REPLACE\s", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Change:
    """A compiled statement that changes rows.

    Args:
        sql: SQLite's SQL.
        parameters: For its `?1`, `?2`, ...
        info: The container it changes.
    """

    sql: str
    parameters: tuple[Any, ...]
    info: ContainerInfo


def compile_change(
    statement: str, parameters: Sequence[Any], lookup: Callable[[str], ContainerInfo | View | None]
) -> Change:
    """Return one INSERT, REPLACE, UPDATE or DELETE of GridDB's SQL as SQLite's.

    Raises:
        SqlRefusedError: GridDB refuses it, or this store cannot do it alike; names the construct.
        SqlFailedError: A constant in it cannot be worked out.
        ContainerNotFoundError: It names a container that is not there.
    """
    if _NO_INTO.match(statement):
        raise refused("INSERT or REPLACE without INTO")
    text = _UPDATE_OR.sub("UPDATE ", statement)
    (sql, info), values = _KEPT.get(
        text, parameters, lookup, lambda context: _compiled(parse_statement(text, parameters), context)
    )
    return Change(sql, values, info)


_KEPT: Kept[tuple[str, ContainerInfo]] = Kept()


def _compiled(tree: exp.Expression, context: Context) -> tuple[tuple[str, ContainerInfo], Sequence[int]]:
    try:
        if isinstance(tree, exp.Insert):
            sql, info = _insert(tree, context)
        elif isinstance(tree, exp.Update):
            sql, info = _update(tree, context)
        elif isinstance(tree, exp.Delete):
            sql, info = _delete(tree, context)
        else:
            raise refused(f"{tree.key.upper()} in execute()", code=240000, hint="sql() takes SELECT")
    except RecursionError as error:
        raise refused("a statement that is nested too deep", code=None) from error
    text, used = numbered(sql)
    return (text, info), used


def _container(node: exp.Expression, context: Context) -> ContainerInfo:
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        raise refused(f"{node.sql()[:60]!r} as a table")
    only(node, "this", "alias")
    info = context.container(node.this)
    for column in info.columns:
        if column.type in UNREADABLE:
            what = f"a change of {info.name!r}, whose column {column.name!r} is {column.type}"
            raise refused(what, code=UNWRITABLE, hint="use put() and delete()")
    return info


def _alias(node: exp.Expression) -> str | None:
    alias = node.args.get("alias")
    if alias is None:
        return None
    only(alias, "this")
    return str(alias.this.this)


def _column(info: ContainerInfo, identifier: exp.Expression) -> Column:
    if isinstance(identifier, exp.Column) and not identifier.args.get("table"):
        identifier = identifier.this
    if isinstance(identifier, exp.Identifier):
        for column in info.columns:
            if same_name(identifier, column.name):
                return column
    known = ", ".join(column.name for column in info.columns)
    raise refused(f"column {identifier.sql()}, which does not exist", hint=f"there are {known}")


def _insert(node: exp.Insert, context: Context) -> tuple[str, ContainerInfo]:
    only(node, "this", "expression", "alternative")
    alternative = str(node.args.get("alternative") or "").upper()
    if alternative not in {"", "REPLACE"}:
        raise refused(f"INSERT OR {alternative}")
    target, named = node.this, None
    if isinstance(target, exp.Schema):
        only(target, "this", "expressions")
        target, named = target.this, target.expressions
    info = _container(target, context)
    if _alias(target) is not None:
        raise refused("INSERT with another name for the table")
    columns = [_column(info, name) for name in named] if named is not None else list(info.columns)
    if len({column.name for column in columns}) != len(columns):
        raise refused("a column that is named twice")
    for column in info.columns:
        if not column.nullable and column not in columns:
            raise refused(f"no value for column {column.name!r}, which must not be null", code=NOT_NULL)
    rows = _rows(node.expression, columns, context)
    if alternative:
        return upsert(info, [column.name for column in columns], rows), info
    names = ", ".join(quoted(column.name) for column in columns)
    return f"INSERT INTO {table_of(info)} ({names}) {rows}", info


def _rows(node: exp.Expression | None, columns: Sequence[Column], context: Context) -> str:
    if isinstance(node, exp.Values):
        only(node, "expressions")
        compiler = Expressions(context, Scope(), Selects(context).compile)
        lines = []
        for line in node.expressions:
            values = line.expressions if isinstance(line, exp.Tuple) else [line]
            _same_count(len(values), len(columns))
            exprs = [compiler.compile(value) for value in values]
            cells = [fitted(value, column) for value, column in zip(exprs, columns, strict=True)]
            lines.append(f"({', '.join(cells)})")
        return f"VALUES {', '.join(lines)}"
    if isinstance(node, exp.Select | exp.SetOperation):
        query = Selects(context).compile(node, None)
        _same_count(len(query.columns), len(columns))
        cells = [
            fitted(Expr(f"c{number}", kind), column)
            for number, ((_, kind), column) in enumerate(zip(query.columns, columns, strict=True))
        ]
        return f"SELECT {', '.join(cells)} FROM ({query.sql}) WHERE true"
    raise refused("INSERT without VALUES or SELECT")


def _same_count(given: int, wanted: int) -> None:
    if given != wanted:
        raise refused(f"{given} values for {wanted} columns", code=240014)


def _target(info: ContainerInfo, context: Context, name: str) -> tuple[str, Scope]:
    alias, columns = source_columns(context, info)
    scope = Scope()
    scope.add(Source(name, "", columns))
    return f"{table_of(info)} AS {alias}", scope


def _update(node: exp.Update, context: Context) -> tuple[str, ContainerInfo]:
    only(node, "this", "expressions", "where")
    info = _container(node.this, context)
    source, scope = _target(info, context, _alias(node.this) or info.name)
    values = Expressions(context, scope, None)
    parts: dict[str, str] = {}
    for assignment in node.expressions:
        if not isinstance(assignment, exp.EQ):
            raise refused("a SET that is no assignment")
        column = _column(info, assignment.this)
        if column.name in parts:
            raise refused(f"column {column.name!r} set twice")
        value = values.compile(assignment.expression)
        if value.aggregate:
            raise refused(f"an aggregate function as value of column {column.name!r}")
        parts[column.name] = _key_cell(info, column, scope, fitted(value, column))
    pairs = ", ".join(f"{quoted(name)} = {sql}" for name, sql in parts.items())
    return f"UPDATE {source} SET {pairs}{_where(node, context, scope, info)}", info


def _key_cell(info: ContainerInfo, column: Column, scope: Scope, sql: str) -> str:
    """Return the value of a key column, which must be the one it has; GridDB fails at the first row where it is not."""
    spread = info.partitioning
    if spread and column.name.lower() in {spread.column.lower(), spread.sub_column.lower()}:
        raise refused(f"UPDATE of the partitioning column {column.name!r}", code=PARTITION_KEY)
    if column.name.lower() not in {name.lower() for name in info.row_key}:
        return sql
    own = next(expr.sql for name, expr in scope.sources[0].columns if name == column.name)
    fail = failing(OTHER_KEY[info.type], "the key of a row cannot be changed, delete and insert the row", own)
    return f"(CASE WHEN {own} IS {sql} THEN {own} ELSE {fail} END)"


def _delete(node: exp.Delete, context: Context) -> tuple[str, ContainerInfo]:
    only(node, "this", "where")
    info = _container(node.this, context)
    # GridDB takes another name for the table here, and knows it nowhere.
    _alias(node.this)
    source, scope = _target(info, context, info.name)
    return f"DELETE FROM {source}{_where(node, context, scope, info)}", info


def _where(node: exp.Expression, context: Context, scope: Scope, info: ContainerInfo) -> str:
    where = node.args.get("where")
    parts = [unexpired(info)]
    if where is not None:
        found = Expressions(context, scope, Selects(context).compile).condition(where.this, "WHERE")
        if found.aggregate:
            raise refused("an aggregate function in WHERE")
        parts.append(found.sql)
    text = " AND ".join(part for part in parts if part)
    return f" WHERE {text}" if text else ""
