"""One TQL SELECT to a plan: SQL for rows, for an aggregation, or for a selection function of a time series."""

from __future__ import annotations

from collections.abc import Callable

from gridwatch.containers import _sqlite_format as layout
from gridwatch.containers.dialect.kinds import NUMERIC
from gridwatch.containers.schema import Column, ContainerInfo, ContainerType
from gridwatch.containers.tql.conditions import compile_condition
from gridwatch.containers.tql.expressions import NO_COLUMN, NO_FUNCTION, Expressions, known_function
from gridwatch.containers.tql.functions import COUNT, TYPE
from gridwatch.containers.tql.lexer import refused
from gridwatch.containers.tql.operators import TIMES
from gridwatch.containers.tql.order import by_key_alone, check_indexes, column_sql, found_order, order_of, rank_of
from gridwatch.containers.tql.parser import parse
from gridwatch.containers.tql.plans import LIMIT_MAX, AggregatePlan, RowsPlan, SamplePlan, Source
from gridwatch.containers.tql.series import CANNOT_AGGREGATE, COLLECTION_SELECTED, compile_series
from gridwatch.containers.tql.times import UNITS
from gridwatch.containers.tql.tree import Call, Name, Star, TqlQuery
from gridwatch.containers.tql.values import Context

__all__ = ["AGGREGATIONS", "COLLECTION_AGGREGATED", "SELECTIONS", "compile_tql"]

OTHER_CONTAINER = 150010
PARTITIONED = 151001
ORDERED_AGGREGATION = 151005
COLLECTION_AGGREGATED = 152004
NOT_IMPLEMENTED = 152502

AGGREGATIONS = frozenset(
    {"COUNT", "SUM", "AVG", "MAX", "MIN", "TIME_AVG", "STDDEV", "VARIANCE"}
    | {"STDDEV_SAMP", "VARIANCE_SAMP", "STDDEV_POP", "VARIANCE_POP"}
)
_OF_TIMES = frozenset({"MAX", "MIN"})
# GridDB's own aggregates of a time series, taken where only a range of time chooses the rows.
_NATIVE = frozenset({"COUNT", "SUM", "AVG", "MAX", "MIN", "TIME_AVG"})
_RANKED_MAX = 100
SELECTIONS = frozenset(
    {"TIME_NEXT", "TIME_NEXT_ONLY", "TIME_PREV", "TIME_PREV_ONLY", "TIME_INTERPOLATED", "TIME_SAMPLING"}
    | {"MAX_ROWS", "MIN_ROWS", "TIME_WINDOW_AGG"}
)


def compile_tql(
    info: ContainerInfo, statement: str, now_ms: Callable[[], int], *, database: str = "public"
) -> RowsPlan | AggregatePlan | SamplePlan:
    """Return the plan of a statement.

    Raises:
        SqlRefusedError: GridDB would refuse it, or this store cannot answer alike.
    """
    try:
        return _compiled(info, statement, now_ms, database)
    except RecursionError as error:
        raise refused("an expression that is nested too deep", code=None) from error


def _compiled(
    info: ContainerInfo, statement: str, now_ms: Callable[[], int], database: str
) -> RowsPlan | AggregatePlan | SamplePlan:
    query = parse(statement)
    _check_container(info, query, database)
    context = Context(column_sql(info.columns[0].name) if info.row_key else f"c.{layout.row_number_of(info)}", now_ms)
    expressions = Expressions(context, info)
    selection = query.selection
    if info.partitioning is not None and (query.order or not isinstance(selection, Star)):
        raise refused("ORDER BY, or a selection other than *, on a partitioned table; use SQL", code=PARTITIONED)
    if isinstance(selection, Call):
        _check_selection(selection, expressions)
    condition = compile_condition(expressions, query.where) if query.where is not None else None
    check_indexes(info, condition)
    order = order_of(info, query, expressions, condition) if query.order else []
    if isinstance(selection, Call) and selection.name in AGGREGATIONS and query.order:
        raise refused("ORDER BY with an aggregation", code=ORDERED_AGGREGATION)
    source = Source(info, context, condition)
    if isinstance(selection, Star):
        keys = order or found_order(info, condition)
        return RowsPlan(*context.finished(_rows(source, keys, query))) if query.limit != 0 else RowsPlan(None)
    if selection.name in AGGREGATIONS:
        return _aggregate(source, query, selection, expressions)
    if query.limit == 0:
        return RowsPlan(None)
    if selection.name in {"MAX_ROWS", "MIN_ROWS"}:
        return _extreme_rows(source, query, selection, expressions, order or found_order(info, condition))
    if selection.name not in SELECTIONS:
        raise refused("the selection of values; TQL selects rows or an aggregation", code=NOT_IMPLEMENTED)
    if info.type is ContainerType.COLLECTION:
        raise refused(f"{selection.name} of a collection", code=COLLECTION_SELECTED)
    return compile_series(source, query)


def _check_container(info: ContainerInfo, query: TqlQuery, database: str) -> None:
    for name, known, what in ((query.database, database, "Database"), (query.container, info.name, "Collection")):
        if name is None:
            continue
        same = name.text == known if name.quoted else name.text.lower() == known.lower()
        if not same:
            raise refused(f"FROM {name.text}; {what} is {known!r}", code=OTHER_CONTAINER)


def _check_selection(selection: Call, expressions: Expressions) -> None:
    """Look up the function and its columns, as GridDB does while it reads the statement."""
    if selection.name not in AGGREGATIONS | SELECTIONS and not known_function(selection.name):
        raise refused(f"the function {selection.name}, which does not exist", code=NO_FUNCTION)
    for argument in selection.arguments:
        if isinstance(argument, Name) and argument.text.upper() not in UNITS and expressions.column(argument) is None:
            raise refused(f"column {argument.text!r}, which does not exist", code=NO_COLUMN)


def _columns(info: ContainerInfo) -> str:
    return ", ".join(column_sql(column.name) for column in info.columns)


def _rows(source: Source, order: list[str], query: TqlQuery) -> str:
    limit = LIMIT_MAX if query.limit is None else query.limit
    sql = f"SELECT {_columns(source.info)} {source.sql} ORDER BY {', '.join(order)} LIMIT"
    window = f"{limit} OFFSET {query.offset}"
    if source.info.type is ContainerType.TIME_SERIES and query.limit is not None and not query.order:
        several = len(source.condition.alternatives) if source.condition is not None else 1
        if several > _RANKED_MAX:
            raise refused(f"LIMIT beside {several} alternatives", code=None)
        if several > 1:
            return _by_alternatives(source, min(limit + query.offset, LIMIT_MAX), window)
    if source.fallible and (query.limit is not None or query.offset):
        # GridDB tests every row before it cuts; SQLite would stop at the limit and miss what fails behind it.
        return f"WITH m AS MATERIALIZED ({sql} {LIMIT_MAX}) SELECT * FROM m LIMIT {window}"
    return f"{sql} {window}"


def _by_alternatives(source: Source, enough: int, window: str) -> str:
    """Cut the rows of a time series as GridDB does: it stops looking after the alternative that makes them enough."""
    columns = _columns(source.info)
    time = column_sql(source.info.columns[0].name)
    rank = rank_of(source.condition)
    names = ", ".join(f"m.c{number}" for number in range(len(source.info.columns)))
    named = ", ".join(f"c{number}" for number in range(len(source.info.columns)))
    return (
        f"WITH m({named}, rank) AS MATERIALIZED "
        f"(SELECT {columns}, {rank} {source.sql} ORDER BY {time} LIMIT {LIMIT_MAX}), "
        "n(rank, total) AS (SELECT rank, sum(count(*)) OVER (ORDER BY rank) FROM m GROUP BY rank) "
        f"SELECT {names} FROM m WHERE rank <= "
        f"coalesce((SELECT min(rank) FROM n WHERE total >= {enough}), {LIMIT_MAX}) ORDER BY m.c0 LIMIT {window}"
    )


def _argument(selection: Call, expressions: Expressions) -> Column | None:
    """Return the one column an aggregation is of; None for `*` (and for a unit such as HOUR, which GridDB takes so)."""
    if len(selection.arguments) != 1:
        raise refused(f"{selection.name} with {len(selection.arguments)} arguments", code=COUNT)
    argument = selection.arguments[0]
    if not isinstance(argument, (Star, Name)):
        raise refused(f"{selection.name} of anything but a column", code=TYPE)
    return expressions.column(argument) if isinstance(argument, Name) else None


def _aggregate(source: Source, query: TqlQuery, selection: Call, expressions: Expressions) -> AggregatePlan:
    if query.limit == 0:
        return AggregatePlan(selection.name, None, native=False, sql=None)
    if query.offset:
        return AggregatePlan(selection.name, None, native=False, sql=None, tested=source.plan(None).tested)
    info = source.info
    column = _argument(selection, expressions)
    function = selection.name
    kind = column.type if column is not None else None
    if function != "COUNT" and kind not in NUMERIC and not (function in _OF_TIMES and kind in TIMES):
        raise refused(f"{function} of {column.name if column else '*'!r}", code=CANNOT_AGGREGATE)
    series = info.type is ContainerType.TIME_SERIES
    native = series and function in _NATIVE and by_key_alone(info, source.condition)
    finished = source.context.finished
    if function == "COUNT" or column is None:
        # The engine counts rows, whatever the column holds.
        counted = "*" if column is None or native else column_sql(column.name)
        return AggregatePlan(function, column, native, *finished(f"SELECT 0, count({counted}) {source.sql} LIMIT 1"))
    value = column_sql(column.name)
    if function in _OF_TIMES:
        return AggregatePlan(function, column, native, *finished(f"SELECT 0, {function}({value}) {source.sql} LIMIT 1"))
    present = f"{source.sql} {'AND' if source.condition is not None else 'WHERE'} {value} IS NOT NULL"
    time = column_sql(info.columns[0].name) if series else "0"
    order = ", ".join(found_order(info, source.condition))
    sql = f"SELECT {time}, {value} {present} ORDER BY {order} LIMIT {LIMIT_MAX}"
    return AggregatePlan(function, column, native, *finished(sql), series=series)


def _extreme_rows(
    source: Source, query: TqlQuery, selection: Call, expressions: Expressions, order: list[str]
) -> RowsPlan:
    column = _argument(selection, expressions)
    if column is None or (column.type not in NUMERIC and column.type not in TIMES):
        raise refused(f"{selection.name} of {column.name if column else '*'!r}", code=CANNOT_AGGREGATE)
    value = column_sql(column.name)
    extreme = f"(SELECT {selection.name[:3]}({value}) {source.sql})"
    where = f"{source.sql} {'AND' if source.condition is not None else 'WHERE'} {value} = {extreme}"
    limit = LIMIT_MAX if query.limit is None else query.limit
    sql = f"SELECT {_columns(source.info)} {where} ORDER BY {', '.join(order)} LIMIT {limit} OFFSET {query.offset}"
    return RowsPlan(*source.context.finished(sql))
