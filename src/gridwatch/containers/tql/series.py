"""Selection functions of a time series: the row nearest to a time, interpolation and sampling, as SQL.

SQLite finds, for each time, the rows before and after it by the key; the numbers between them are worked out after
that, column by column (`interpolated`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gridwatch.containers import _sqlite_format as layout
from gridwatch.containers.dialect.kinds import LIMITS, NUMERIC, T
from gridwatch.containers.operations import FIXED_MS
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo
from gridwatch.containers.tql.expressions import Expressions
from gridwatch.containers.tql.functions import COUNT, RANGE, TYPE
from gridwatch.containers.tql.lexer import refused
from gridwatch.containers.tql.operators import TIMES
from gridwatch.containers.tql.order import by_key_alone, column_sql
from gridwatch.containers.tql.plans import LIMIT_MAX, RowsPlan, SamplePlan, Source
from gridwatch.containers.tql.tree import Call, Literal, Name, Node, Star, TqlQuery
from gridwatch.containers.tql.values import Context, Value

__all__ = [
    "CANNOT_AGGREGATE",
    "COLLECTION_SELECTED",
    "compile_series",
    "empty_samples",
    "interpolated",
    "nearest",
    "samples",
    "source_of",
]

NO_TIME = 60098
CANNOT_AGGREGATE = 150020
COLLECTION_SELECTED = 152003

_SIDES = {
    "TIME_NEXT": (">=", "ASC"),
    "TIME_NEXT_ONLY": (">", "ASC"),
    "TIME_PREV": ("<=", "DESC"),
    "TIME_PREV_ONLY": ("<", "DESC"),
}


def nearest(source: Source, time_ms: int, function: str) -> RowsPlan:
    """Return the plan for the row nearest to a time, on the side that TIME_NEXT, TIME_PREV, ... means."""
    sign, direction = _SIDES[function]
    key = column_sql(source.info.columns[0].name)
    columns = ", ".join(column_sql(column.name) for column in source.info.columns)
    both = "AND" if source.condition is not None else "WHERE"
    sql = f"SELECT {columns} {source.sql} {both} {key} {sign} {time_ms} ORDER BY {key} {direction} LIMIT 1"
    return source.plan(sql)


def compile_series(source: Source, query: TqlQuery) -> RowsPlan | SamplePlan:
    """Return the plan of TIME_NEXT, TIME_PREV, TIME_INTERPOLATED, TIME_SAMPLING, ... over the rows of a source.

    Raises:
        SqlRefusedError: Arguments that GridDB refuses, or what this store cannot answer alike.
    """
    selection = query.selection
    if not isinstance(selection, Call):
        raise TypeError(selection)
    if selection.name in _SIDES:
        return _find(source, query, selection)
    if selection.name == "TIME_INTERPOLATED":
        return _interpolate(source, query, selection)
    if selection.name == "TIME_SAMPLING":
        return _sample(source, query, selection)
    raise refused(selection.name, code=None)


def _constant(source: Source, node: Node) -> Value:
    """Work out an argument, which must not depend on a row."""
    if isinstance(node, Star):
        raise refused("'*' where a value is due", code=TYPE)
    value = Expressions(source.context, None).compile(node)
    if value.error is not None:
        raise refused(value.error[1], code=value.error[0])
    if not value.constant and value.kind is not None:
        raise refused("an argument that is not a constant", code=TYPE)
    return value


def _time(value: Value) -> int:
    if value.kind not in TIMES:
        raise refused("an argument that is no time; write TIMESTAMP('2024-01-31T12:30:00Z')", code=NO_TIME)
    # A finer time is cut to milliseconds.
    return int(value.value) // int(10 ** (TIMES[value.kind] - 3))


def _count(selection: Call, number: int) -> None:
    if len(selection.arguments) != number:
        raise refused(f"{selection.name} with {len(selection.arguments)} arguments", code=COUNT)


def _find(source: Source, query: TqlQuery, selection: Call) -> RowsPlan:
    _count(selection, 2)
    first, at = selection.arguments
    if not isinstance(first, (Star, Name)):
        raise refused(f"{selection.name} of anything but *", code=TYPE)
    if isinstance(first, Name) and Expressions(source.context, source.info).column(first) is not None:
        raise refused(f"{selection.name} of a column; write *", code=CANNOT_AGGREGATE)
    if query.offset and by_key_alone(source.info, source.condition) and not query.order:
        return source.plan(None)
    value = _constant(source, at)
    if value.kind is None and by_key_alone(source.info, source.condition) and not query.order:
        return source.plan(None)
    time_ms = _time(value)
    return source.plan(None) if query.offset else nearest(source, time_ms, selection.name)


def _interpolate(source: Source, query: TqlQuery, selection: Call) -> RowsPlan | SamplePlan:
    _count(selection, 2)
    first, at = selection.arguments
    if not isinstance(first, (Star, Name)):
        raise refused("TIME_INTERPOLATED of anything but a column", code=TYPE)
    if isinstance(at, Literal) and at.kind is None:
        return source.plan(None)
    column = Expressions(source.context, source.info).column(first) if isinstance(first, Name) else None
    if column is None or column.type not in NUMERIC:
        raise refused("TIME_INTERPOLATED of anything but a numeric column", code=TYPE)
    value = _constant(source, at)
    if value.kind is None:
        return source.plan(None)
    time_ms = _time(value)
    if query.offset:
        return source.plan(None)
    native = source.condition is None and not query.order
    plan = samples(source, time_ms, time_ms, 1, (column,), native=native)
    return plan if native else replace(plan, between_refused=True)


def _sample(source: Source, query: TqlQuery, selection: Call) -> RowsPlan | SamplePlan:
    _count(selection, 5)
    first, start, end, interval, unit = selection.arguments
    literal = isinstance(interval, Literal)
    if not isinstance(first, (Star, Name)) or not literal or not _is_unit(unit):
        raise refused("the arguments of TIME_SAMPLING", code=TYPE)
    column = Expressions(source.context, source.info).column(first) if isinstance(first, Name) else None
    if column is not None and column.type not in NUMERIC:
        raise refused(f"TIME_SAMPLING of {column.name!r}, which is not numeric", code=TYPE)
    values = [_constant(source, node) for node in (start, end, interval)]
    if any(value.kind is None for value in values):
        return source.plan(None)
    start_ms, end_ms = _time(values[0]), _time(values[1])
    step_ms = _step(values[2], unit)
    native = source.condition is None and not query.order
    limit = LIMIT_MAX if query.limit is None else query.limit
    columns = (column,) if column is not None else ()
    order = _sorting(source.info, query)
    return samples(
        source, start_ms, end_ms, step_ms, columns, native=native, order=order, limit=limit, offset=query.offset
    )


def _is_unit(node: Node) -> bool:
    return isinstance(node, Name) or (isinstance(node, Literal) and node.kind is T.STRING)


def _step(value: Value, unit: Node) -> int:
    if value.kind not in NUMERIC:
        raise refused("an interval that is no number", code=TYPE)
    low, high = LIMITS[T.INTEGER]
    if not low <= value.value <= high:
        raise refused(f"the interval {value.value}", code=None, hint="use a larger unit")
    count = int(value.value)
    if count <= 0:
        raise refused(f"the interval {count}", code=RANGE)
    name = unit.text if isinstance(unit, Name) else str(unit.value) if isinstance(unit, Literal) else ""
    if name.upper() not in FIXED_MS:
        raise refused(f"the unit {name!r} of TIME_SAMPLING", code=RANGE, hint="use DAY to MILLISECOND")
    return count * FIXED_MS[name.upper()]


def _sorting(info: ContainerInfo, query: TqlQuery) -> tuple[str, bool] | None:
    if not query.order:
        return None
    first = query.order[0]
    name = info.column(first.key.text).name if isinstance(first.key, Name) else ""
    if name == info.columns[0].name and not first.descending:
        return None
    if len(query.order) > 1:
        raise refused("TIME_SAMPLING with several keys of ORDER BY", code=None)
    return name, first.descending


def samples(
    source: Source,
    start_ms: int,
    end_ms: int,
    step_ms: int,
    columns: tuple[Column, ...],
    *,
    native: bool,
    order: tuple[str, bool] | None = None,
    limit: int = LIMIT_MAX,
    offset: int = 0,
) -> SamplePlan:
    """Return the plan for rows at even steps of time, interpolated in `columns`, else those of the row before.

    Args:
        source: The rows to look at.
        start_ms: First time, UTC epoch ms.
        end_ms: Last time, which is included.
        step_ms: Positive.
        columns: Numeric columns to interpolate.
        native: Whether GridDB's time-series engine does it; it goes on after the last row when `columns` is empty.
        order: Column to sort by and whether downwards; None for the order of time.
        limit: Most rows.
        offset: Rows to leave out at the beginning.
    """
    go_on = native and not columns
    if by_key_alone(source.info, source.condition):
        found = _by_key(source, start_ms, end_ms, step_ms, go_on=go_on)
    else:
        found = _by_scan(source, start_ms, end_ms, step_ms)
    table = layout.table_of(source.info)
    key = layout.quoted(source.info.columns[0].name)
    if go_on:
        # After the last row GridDB goes on, but not for the end alone.
        several = f"t - {step_ms} > a AND t - {step_ms} >= {start_ms}"
        found += f", found AS (SELECT * FROM pairs WHERE b IS NOT NULL OR t < {end_ms} OR ({several}))"
    else:
        found += ", found AS (SELECT * FROM pairs WHERE b IS NOT NULL)"
    rest = ", ".join(
        [f"x.{layout.quoted(column.name)}" for column in source.info.columns[1:]]
        + [f"y.{layout.quoted(column.name)}" for column in columns]
    )
    after = f"LEFT JOIN {table} AS y ON y.{key} = f.b" if columns else ""
    window = f"LIMIT {limit} OFFSET {offset}" if order is None else f"LIMIT {LIMIT_MAX}"
    sql = (
        f"{found} SELECT f.t, f.a, f.b{', ' if rest else ''}{rest} FROM found AS f "
        f"CROSS JOIN {table} AS x ON x.{key} = f.a {after} ORDER BY f.t {window}"
    )
    return SamplePlan(
        *source.context.finished(sql), columns, native, order, limit, offset, tested=source.plan(None).tested
    )


def _by_key(source: Source, start_ms: int, end_ms: int, step_ms: int, *, go_on: bool) -> str:
    """Look up the rows around each time by the key. Times before the first and after the last row are left out."""
    key = column_sql(source.info.columns[0].name)
    # The range has no holes, so a neighbour of a time inside lies inside; two bounds on one side would make SQLite read
    # all rows between them, for each time.
    near = f"{source.sql} AND" if go_on and source.condition else f"{replace(source, condition=None).sql} WHERE"
    last = str(end_ms) if go_on else f"min({end_ms}, (SELECT max({key}) {source.sql}))"
    # The first time of the grid that is not before the first row.
    first = f"max(0, ((SELECT min({key}) {source.sql}) - {start_ms} + {step_ms - 1}) / {step_ms})"
    return (
        f"WITH RECURSIVE edge(low, high) AS MATERIALIZED (SELECT {start_ms} + {first} * {step_ms}, {last}), "
        "step(t) AS (SELECT low FROM edge WHERE low <= high "
        f"UNION ALL SELECT t + {step_ms} FROM step WHERE t + {step_ms} <= (SELECT high FROM edge)), "
        f"pairs(t, a, b) AS (SELECT step.t, (SELECT max({key}) {near} {key} <= step.t), "
        f"(SELECT min({key}) {near} {key} >= step.t) FROM step)"
    )


def _by_scan(source: Source, start_ms: int, end_ms: int, step_ms: int) -> str:
    """Read the rows once, in order, and put out the times between each and the next."""
    key = column_sql(source.info.columns[0].name)
    return (
        f"WITH RECURSIVE row(a, b) AS (SELECT {key}, lead({key}) OVER (ORDER BY {key}) {source.sql}), "
        f"hit(a, b, t) AS (SELECT a, b, {start_ms} + max(0, (a - {start_ms} + {step_ms - 1}) / {step_ms}) * {step_ms} "
        "FROM row), "
        f"more(a, b, t) AS (SELECT a, b, t FROM hit WHERE t <= {end_ms} AND (t = a OR t < b) "
        f"UNION ALL SELECT a, b, t + {step_ms} FROM more WHERE t + {step_ms} < b AND t + {step_ms} <= {end_ms}), "
        "pairs(t, a, b) AS (SELECT t, a, CASE WHEN t = a THEN a ELSE b END FROM more)"
    )


_ZERO = {T.BOOL: "0", T.STRING: "''", T.BLOB: "x''", T.FLOAT: "0.0", T.DOUBLE: "0.0"}


def empty_samples(info: ContainerInfo, start_ms: int, end_ms: int, step_ms: int) -> str:
    """Return SQL for rows at even steps of time, zeros and empty text where there is no row at the very time."""
    key = layout.quoted(info.columns[0].name)
    columns = ["s.t"]
    for column in info.columns[1:]:
        name = f"x.{layout.quoted(column.name)}"
        columns.append(f"CASE WHEN x.{key} IS NULL THEN {_ZERO.get(column.type, '0')} ELSE {name} END")
    return (
        f"WITH RECURSIVE step(t) AS (SELECT {start_ms} WHERE {start_ms} <= {end_ms} "
        f"UNION ALL SELECT t + {step_ms} FROM step WHERE t + {step_ms} <= {end_ms}) "
        f"SELECT {', '.join(columns)} FROM step AS s LEFT JOIN {layout.table_of(info)} AS x ON x.{key} = s.t "
        f"ORDER BY s.t LIMIT {LIMIT_MAX}"
    )


_Floats = npt.NDArray[np.float64]

_WIDTHS = {T.BYTE: np.int8, T.SHORT: np.int16, T.INTEGER: np.int32, T.LONG: np.int64}


def interpolated(
    kind: ColumnType, before: npt.NDArray[Any], after: npt.NDArray[Any], rate: _Floats, *, native: bool
) -> npt.NDArray[Any]:
    """Return numbers between two columns of numbers, as GridDB works them out.

    Args:
        kind: Their type.
        before: int64 or float64 (n,), what the row before holds.
        after: The same of the row after.
        rate: float64 (n,), 0 to 1, how far between them each time is.
        native: Whether the time-series engine does it: differences of small integers then wrap at their own width,
            and a DOUBLE comes back with the digits of a FLOAT.

    Returns:
        int64 or float64 (n,), values of the type.
    """
    found: npt.NDArray[Any]
    with np.errstate(all="ignore"):
        if kind in _WIDTHS:
            width = _WIDTHS[kind] if native or kind is T.LONG else np.int32
            found = before.astype(np.float64) + (after - before).astype(width).astype(np.float64) * rate
            if native and kind is T.INTEGER:
                # What a processor makes of a number that no INTEGER holds.
                low, high = LIMITS[T.INTEGER]
                found = np.where((found > low - 1) & (found < high + 1), found, low)
            found = np.trunc(found).astype(np.int64).astype(_WIDTHS[kind]).astype(np.int64)
        elif kind is T.FLOAT:
            gap = (after.astype(np.float32) - before.astype(np.float32)).astype(np.float64)
            found = (before + gap * rate).astype(np.float32).astype(np.float64)
        else:
            found = before + (after - before) * rate
            found = found.astype(np.float32).astype(np.float64) if native else found
    return found


def source_of(info: ContainerInfo) -> Source:
    """Return all rows of a time series as a source."""
    return Source(info, Context(column_sql(info.columns[0].name), lambda: 0), None)
