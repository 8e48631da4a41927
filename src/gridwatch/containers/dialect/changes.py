"""INSERT, REPLACE, UPDATE and DELETE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from gridwatch.containers._arrow import STRING_BYTES_MAX
from gridwatch.containers._sqlite_format import quoted, table_of, upsert
from gridwatch.containers.dialect.casts import OUT_OF_RANGE, float32
from gridwatch.containers.dialect.expressions import Expressions
from gridwatch.containers.dialect.kinds import FLOATING, INTEGRAL, LIMITS, UNREADABLE, Expr, T, failing, inside, name_of
from gridwatch.containers.dialect.parse import only, parse_statement, refused
from gridwatch.containers.dialect.scope import Context, Scope, same_name
from gridwatch.containers.dialect.select import Selects, numbered, table_source
from gridwatch.containers.schema import Column, ContainerInfo, View

__all__ = ["Change", "compile_change"]

NOT_NULL = 270006
MISMATCH = 305010
TOO_LONG = 60079


@dataclass(frozen=True, slots=True)
class Change:
    """A compiled statement that changes rows; `info` is the container it changes."""

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
    tree = parse_statement(statement, parameters)
    context = Context(lookup, parameters)
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
    text, bound = numbered(sql, context.bound)
    return Change(text, bound, info)


def _container(node: exp.Expression, context: Context) -> ContainerInfo:
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        raise refused(f"{node.sql()[:60]!r} as a table")
    only(node, "this")
    return context.container(node.this)


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
        compiler = Expressions(context, Scope(), None)
        lines = []
        for line in node.expressions:
            values = line.expressions if isinstance(line, exp.Tuple) else [line]
            _same_count(len(values), len(columns))
            cells = [_fitted(compiler.compile(value), column) for value, column in zip(values, columns, strict=True)]
            lines.append(f"({', '.join(cells)})")
        return f"VALUES {', '.join(lines)}"
    if isinstance(node, exp.Select | exp.SetOperation):
        query = Selects(context).compile(node, None)
        _same_count(len(query.columns), len(columns))
        cells = [
            _fitted(Expr(f"c{number}", kind), column)
            for number, ((_, kind), column) in enumerate(zip(query.columns, columns, strict=True))
        ]
        return f"SELECT {', '.join(cells)} FROM ({query.sql}) WHERE true"
    raise refused("INSERT without VALUES or SELECT")


def _same_count(given: int, wanted: int) -> None:
    if given != wanted:
        raise refused(f"{given} values for {wanted} columns", code=240014)


def _fitted(value: Expr, column: Column) -> str:
    """Return the SQL of a value as it goes into a column, with GridDB's implicit conversions and its limits."""
    if column.type in UNREADABLE:
        raise refused(f"a value for {column.type} column {column.name!r}", code=240000, hint="use put()")
    if value.kind is None:
        if not column.nullable:
            raise refused(f"NULL for column {column.name!r}, which must not be null", code=NOT_NULL)
        return "NULL"
    if value.kind in INTEGRAL and column.type in INTEGRAL:
        low, high = LIMITS[column.type]
        message = f"Value overflow in type conversion to {column.type}"
        if value.constant and not low <= value.value <= high:
            raise refused(f"{value.value} for {column.type} column {column.name!r}", code=OUT_OF_RANGE)
        return inside(value, low, high, OUT_OF_RANGE, message).sql
    if value.kind in FLOATING | INTEGRAL and column.type in FLOATING:
        return _float(value, column)
    if value.kind is not column.type:
        raise refused(
            f"a {name_of(value.kind)} for {column.type} column {column.name!r}", code=MISMATCH, hint="CAST it"
        )
    if column.type is T.STRING:
        return _string(value, column)
    return value.sql


def _float(value: Expr, column: Column) -> str:
    if column.type is T.FLOAT and value.kind is not T.FLOAT:
        if not isinstance(value.value, int | float):
            raise refused(
                f"a computed {name_of(value.kind)} for FLOAT column {column.name!r}",
                code=None,
                hint="SQLite has no single precision; use put()",
            )
        return f"({float32(value.value)!r})"
    if value.constant or value.kind is not T.DOUBLE:
        return f"CAST({value.sql} AS REAL)"
    # What overflowed to infinity must not get into the store.
    fail = failing(OUT_OF_RANGE, "a number that is not finite cannot be stored", value.sql)
    return f"(CASE WHEN abs({value.sql}) > 1.7976931348623157e308 THEN {fail} ELSE {value.sql} END)"


def _string(value: Expr, column: Column) -> str:
    if isinstance(value.value, str):
        if len(value.value.encode()) > STRING_BYTES_MAX:
            raise refused(
                f"text of more than {STRING_BYTES_MAX} bytes for column {column.name!r}",
                code=TOO_LONG,
                hint="use a BLOB",
            )
        return value.sql
    fail = failing(TOO_LONG, f"text of more than {STRING_BYTES_MAX} bytes", value.sql)
    return f"(CASE WHEN octet_length({value.sql}) > {STRING_BYTES_MAX} THEN {fail} ELSE {value.sql} END)"


def _target(info: ContainerInfo, context: Context) -> tuple[str, Scope]:
    source = table_source(context, info, info.name)
    scope = Scope()
    scope.add(source)
    return source.sql, scope


def _update(node: exp.Update, context: Context) -> tuple[str, ContainerInfo]:
    only(node, "this", "expressions", "where")
    info = _container(node.this, context)
    source, scope = _target(info, context)
    values = Expressions(context, scope, None)
    parts = []
    for assignment in node.expressions:
        if not isinstance(assignment, exp.EQ):
            raise refused("a SET that is no assignment")
        column = _column(info, assignment.this)
        if column.name in {info.column(name).name for name in info.row_key}:
            raise refused(f"UPDATE of the row key column {column.name!r}", code=60154, hint="delete and insert the row")
        parts.append(f"{quoted(column.name)} = {_fitted(values.compile(assignment.expression), column)}")
    return f"UPDATE {source} SET {', '.join(parts)}{_where(node, context, scope)}", info


def _delete(node: exp.Delete, context: Context) -> tuple[str, ContainerInfo]:
    only(node, "this", "where")
    info = _container(node.this, context)
    source, scope = _target(info, context)
    return f"DELETE FROM {source}{_where(node, context, scope)}", info


def _where(node: exp.Expression, context: Context, scope: Scope) -> str:
    where = node.args.get("where")
    if where is None:
        return ""
    return f" WHERE {Expressions(context, scope, Selects(context).compile).condition(where.this, 'WHERE').sql}"
