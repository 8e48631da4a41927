"""TQL and time-series operations of the embedded store; `SqliteStore` takes them from here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gridwatch.containers import _sqlite_format as layout
from gridwatch.containers import tql
from gridwatch.containers._arrow import restore
from gridwatch.containers._rules import check_series
from gridwatch.containers._sqlite_session import Pool, Session
from gridwatch.containers.dialect.kinds import INTEGRAL, LIMITS, NUMERIC, T
from gridwatch.containers.operations import FIXED_MS, Aggregation, InterpolationMode, TimeOperator, TimeUnit, operation
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo
from gridwatch.containers.store import ROWS_MAX
from gridwatch.containers.tql import aggregates, series
from gridwatch.containers.tql.operators import TIMES
from gridwatch.containers.tql.select import COLLECTION_AGGREGATED
from gridwatch.errors import ContainerNotFoundError, RangeTooLargeError, SchemaError, SqlFailedError, SqlRefusedError

__all__ = ["SeriesOperations", "selected"]

BAD_RANGE = 70007
BAD_AGGREGATE = 60100
BAD_INTERPOLATION = 60075
EMPTY_WITH_COLUMNS = 60076
BAD_UNIT = 60071


class SeriesOperations:
    """The methods of `Store` that read time series and run TQL; see there for what each promises."""

    _pool: Pool

    def tql(self, name: str, statement: str, *, rows_max: int = ROWS_MAX) -> pa.Table:
        """Run one TQL SELECT against one container; see `Store.tql`."""
        with self._pool.session() as session:
            info = _container(session, name)
            plan = tql.compile_tql(info, statement, lambda: _now_ms(session))
            if plan.tested is not None:
                session.query(*plan.tested)
            if isinstance(plan, tql.AggregatePlan):
                return _aggregated(session, plan)
            if isinstance(plan, tql.SamplePlan):
                found = _sampled(session, info, plan, rows_max)
            else:
                found = _rows(session, info.arrow, plan.sql, plan.parameters, rows_max)
        if found.num_rows > rows_max:
            raise RangeTooLargeError(
                f"The query of {info.name!r} has more than {rows_max} rows; add a LIMIT or raise rows_max.",
                container=info.name,
                rows_max=rows_max,
            )
        return found

    def aggregate(
        self,
        name: str,
        aggregation: str,
        column: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> int | float | datetime | None:
        """Return one aggregate of a time series; see `Store.aggregate`."""
        kind = operation(Aggregation, aggregation)
        with self._pool.session() as session:
            info = _series(session, name)
            if column is None and kind is not Aggregation.COUNT:
                raise SchemaError(f"{kind} of container {info.name!r} needs a column.", container=info.name)
            chosen = info.column(column) if column is not None else None
            if chosen is not None:
                _check_aggregate(info, kind, chosen)
            where = _range(info, start_ms, end_ms)
            return _native(session, info, kind, chosen, where)

    def nearest(self, name: str, time_ms: int, operator: str) -> pa.Table:
        """Return the row nearest to an instant; see `Store.nearest`."""
        side = operation(TimeOperator, operator).replace("PREVIOUS", "PREV")
        with self._pool.session() as session:
            info = _series(session, name)
            _check_time(info, time_ms)
            plan = series.nearest(series.source_of(info), time_ms, f"TIME_{side}")
            return _rows(session, info.arrow, plan.sql, plan.parameters, 1)

    def interpolate(self, name: str, time_ms: int, column: str) -> pa.Table:
        """Return the interpolated row at an instant; see `Store.interpolate`."""
        with self._pool.session() as session:
            info = _series(session, name)
            chosen = _numeric(info, [column])
            _check_time(info, time_ms)
            plan = series.samples(series.source_of(info), time_ms, time_ms, 1, chosen, native=True)
            return _sampled(session, info, plan, 1)

    def sample(
        self,
        name: str,
        start_ms: int,
        end_ms: int,
        interval: int,
        unit: str,
        columns: Sequence[str] = (),
        mode: str = "LINEAR_OR_PREVIOUS",
    ) -> pa.Table:
        """Return rows at even steps of time; see `Store.sample`."""
        how = operation(InterpolationMode, mode)
        step = operation(TimeUnit, unit)
        with self._pool.session() as session:
            info = _series(session, name)
            if step not in FIXED_MS:
                raise SchemaError(f"Sampling by {step} is not possible; use DAY to MILLISECOND.", code=BAD_UNIT)
            for time_ms in (start_ms, end_ms):
                _check_time(info, time_ms)
            if interval <= 0:
                raise SqlRefusedError(f"A sampling interval of {interval} {step} is not positive.")
            step_ms = interval * FIXED_MS[step]
            if how is InterpolationMode.EMPTY:
                if columns:
                    raise SchemaError(
                        f"EMPTY sampling of container {info.name!r} takes no columns to interpolate.",
                        code=EMPTY_WITH_COLUMNS,
                    )
                found = _empty(session, info, start_ms, end_ms, step_ms)
            else:
                chosen = _numeric(info, columns)
                plan = series.samples(series.source_of(info), start_ms, end_ms, step_ms, chosen, native=True)
                found = _sampled(session, info, plan, ROWS_MAX)
        if found.num_rows > ROWS_MAX:
            raise RangeTooLargeError(
                f"Sampling container {info.name!r} gives more than {ROWS_MAX} rows; take a longer interval.",
                container=info.name,
                rows_max=ROWS_MAX,
            )
        return found


# ------------------------------------------------------------------------------------------------------- what is asked


def _container(session: Session, name: str) -> ContainerInfo:
    text = layout.stored(session, name)
    if text is None:
        raise ContainerNotFoundError(f"There is no container {name!r}.", container=name)
    return layout.decode(text)


def _series(session: Session, name: str) -> ContainerInfo:
    info = _container(session, name)
    check_series(info)
    if info.partitioning is not None:
        raise SqlRefusedError(f"Container {info.name!r} is partitioned; use SQL.", code=145003, container=info.name)
    return info


def _now_ms(session: Session) -> int:
    return int(session.query("SELECT CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER)").column(0)[0].as_py())


def _check_time(info: ContainerInfo, time_ms: int) -> None:
    low, high = LIMITS[T.TIMESTAMP]
    if not low <= time_ms <= high:
        raise SqlRefusedError(
            f"The time {time_ms} ms for container {info.name!r} is outside {low} to {high}.", code=BAD_RANGE
        )


def _range(info: ContainerInfo, start_ms: int | None, end_ms: int | None) -> str:
    key = f"c.{layout.quoted(info.columns[0].name)}"
    conditions = []
    for sign, bound in ((">=", start_ms), ("<=", end_ms)):
        if bound is not None:
            _check_time(info, bound)
            conditions.append(f"{key} {sign} {int(bound)}")
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _check_aggregate(info: ContainerInfo, kind: Aggregation, column: Column) -> None:
    of_times = kind in {Aggregation.MINIMUM, Aggregation.MAXIMUM} and column.type in TIMES
    if kind is not Aggregation.COUNT and column.type not in NUMERIC and not of_times:
        raise SchemaError(
            f"{kind} of column {column.name!r} of container {info.name!r}, which is {column.type}, is not possible.",
            code=BAD_AGGREGATE,
            column=column.name,
        )


def _numeric(info: ContainerInfo, names: Sequence[str]) -> tuple[Column, ...]:
    columns = tuple(info.column(name) for name in names)
    for column in columns:
        if column.type not in NUMERIC:
            raise SchemaError(
                f"Column {column.name!r} of container {info.name!r} is {column.type}; only numbers are interpolated.",
                code=BAD_INTERPOLATION,
                column=column.name,
            )
    return columns


# ------------------------------------------------------------------------------------------------------- what is found


def selected(session: Session, schema: pa.Schema, sql: str, parameters: Sequence[Any], limit: str = "") -> pa.Table:
    """Run a SELECT that has a LIMIT (which keeps its order inside) and give its rows the Arrow types of `schema`.

    ADBC takes a column's type from the first rows, which may all be NULL: a first row of known types goes before
    them and is dropped again.

    Args:
        session: To run it.
        schema: Of the rows.
        sql: The SELECT.
        parameters: For its `?`.
        limit: A LIMIT of all, that first row among them.
    """
    first = ", ".join(layout.FIRST[field.type] for field in schema)
    table = session.query(f"SELECT {first} UNION ALL SELECT * FROM ({sql}){limit}", parameters)
    return restore(table.slice(1), schema)


def _rows(session: Session, schema: pa.Schema, sql: str | None, parameters: Sequence[Any], rows_max: int) -> pa.Table:
    """Run a SELECT and give its rows the types of `schema`, at most one row more than `rows_max`."""
    if sql is None:
        return schema.empty_table()
    return selected(session, schema, sql, parameters, f" LIMIT {rows_max + 2}")


def _field(name: str, kind: ColumnType) -> pa.Field:
    return pa.field(name, kind.arrow)


def _aggregated(session: Session, plan: tql.AggregatePlan) -> pa.Table:
    """Return an aggregation's one row, or none."""
    kind = plan.column.type if plan.column is not None else T.LONG
    if plan.function in {"MAX", "MIN"}:
        result = T.LONG if kind in INTEGRAL else kind if kind in TIMES else T.DOUBLE
    elif plan.function == "COUNT" or (plan.function == "SUM" and kind in INTEGRAL):
        result = T.LONG
    else:
        result = T.DOUBLE
    value = _computed(session, plan, kind)
    rows = [] if value is None else [value]
    return pa.table({"aggregationResult": pa.array(rows, type=_field("", result).type)})


def _computed(session: Session, plan: tql.AggregatePlan, kind: ColumnType) -> Any:
    if plan.sql is None:
        return None
    function = plan.function
    if function in {"COUNT", "MAX", "MIN"}:
        shape = pa.schema([_field("time", T.LONG), _field("value", T.LONG if function == "COUNT" else kind)])
        return _rows(session, shape, plan.sql, plan.parameters, ROWS_MAX).column(1)[0].as_py()
    shape = pa.schema([_field("time", T.LONG), _field("value", kind)])
    table = _rows(session, shape, plan.sql, plan.parameters, ROWS_MAX)
    if not table.num_rows:
        return None
    times, values = _numpy(table, 0), _numpy(table, 1)
    if function == "SUM":
        return (aggregates.native_sum if plan.native else aggregates.sum_of)(values, kind)
    if function == "AVG":
        if plan.native:
            return aggregates.native_average(values, kind)
        return aggregates.sum_of(values.astype(np.float64), T.DOUBLE) / len(values)
    if function == "TIME_AVG":
        if not plan.series:
            raise SqlFailedError("TQL refused: TIME_AVG of a collection.", code=COLLECTION_AGGREGATED)
        return aggregates.time_average(times, values)
    return aggregates.spread(values, sample=not function.endswith("_POP"), root=function.startswith("STDDEV"))


def _numpy(table: pa.Table, position: int) -> np.ndarray[Any, Any]:
    column = table.column(position).combine_chunks()
    kind = np.float64 if pa.types.is_floating(column.type) else np.int64
    return np.asarray(column.to_numpy(zero_copy_only=False)).astype(kind)


def _native(
    session: Session, info: ContainerInfo, kind: Aggregation, column: Column | None, where: str
) -> int | float | datetime | None:
    table = layout.table_of(info)
    key = f"c.{layout.quoted(info.columns[0].name)}"
    if kind is Aggregation.COUNT or column is None:
        found = session.query(f"SELECT count(*) FROM {table} AS c{where}")
        return int(found.column(0)[0].as_py())
    value = f"c.{layout.quoted(column.name)}"
    shape = pa.schema([_field("time", T.LONG), _field("value", column.type)])
    present = f"FROM {table} AS c{where} {'AND' if where else 'WHERE'} {value} IS NOT NULL"
    if kind in {Aggregation.MINIMUM, Aggregation.MAXIMUM}:
        sql = f"SELECT 0, {'min' if kind is Aggregation.MINIMUM else 'max'}({value}) {present} LIMIT 1"
        answer = _rows(session, shape, sql, (), 1).column(1)[0].as_py()
        return answer if answer is None or isinstance(answer, (int, float, datetime)) else None
    sql = f"SELECT {key}, {value} {present} ORDER BY {key} LIMIT {ROWS_MAX}"
    rows = _rows(session, shape, sql, (), ROWS_MAX)
    if not rows.num_rows:
        return None
    times, values = _numpy(rows, 0), _numpy(rows, 1)
    match kind:
        case Aggregation.TOTAL:
            return aggregates.native_sum(values, column.type)
        case Aggregation.AVERAGE:
            return aggregates.native_average(values, column.type)
        case Aggregation.WEIGHTED_AVERAGE:
            return aggregates.time_average(times, values)
        case _:
            return aggregates.native_spread(values, column.type, root=kind is Aggregation.STANDARD_DEVIATION)


def _sampled(session: Session, info: ContainerInfo, plan: tql.SamplePlan, rows_max: int) -> pa.Table:
    """Run a sampling and put the interpolated numbers in."""
    shape = pa.schema(
        [_field("t", T.LONG), _field("a", T.LONG), _field("b", T.LONG)]
        + [_field(column.name, column.type) for column in info.columns[1:]]
        + [_field(f"after {column.name}", column.type) for column in plan.columns]
    )
    rows = _rows(session, shape, plan.sql, plan.parameters, rows_max)
    times, before, after = (_numpy(_filled(rows, i), i) for i in range(3))
    arrays = [pa.array(times).cast(pa.int64()).cast(info.arrow.field(0).type)]
    arrays += [rows.column(3 + i).combine_chunks() for i in range(len(info.columns) - 1)]
    with np.errstate(all="ignore"):
        rate = (times - before).astype(np.float64) / (after - before).astype(np.float64)
    for number, column in enumerate(plan.columns):
        place = next(i for i, known in enumerate(info.columns) if known.name == column.name)
        x, y = arrays[place], rows.column(rows.num_columns - len(plan.columns) + number).combine_chunks()
        known = ~(np.asarray(x.is_null()) | np.asarray(y.is_null()))
        exact = times == before
        if plan.between_refused and not np.all(exact):
            raise SqlRefusedError("TQL refused: TIME_INTERPOLATED beside WHERE or ORDER BY, between two rows.")
        made = pa.table({"x": x.fill_null(0), "y": y.fill_null(0)})
        between = series.interpolated(column.type, _numpy(made, 0), _numpy(made, 1), rate, native=plan.native)
        mixed = np.where(exact, _numpy(made, 0), between)
        keep = np.where(exact, ~np.asarray(x.is_null()), known)
        arrays[place] = pa.array(mixed, mask=~keep).cast(column.type.arrow)
    table = pa.table(arrays, schema=info.arrow)
    if plan.order is None:
        return table
    name, descending = plan.order
    direction = "descending" if descending else "ascending"
    keyed = pa.table({"null": table.column(name).is_null(), "value": table.column(name)})
    chosen = pc.sort_indices(keyed, sort_keys=[("null", direction), ("value", direction)])
    return table.take(chosen).slice(plan.offset, min(plan.limit, table.num_rows))


def _filled(rows: pa.Table, position: int) -> pa.Table:
    """Return the rows with the time itself where there is no row after."""
    if position != 2:
        return rows
    return rows.set_column(2, "b", pc.coalesce(rows.column(2), rows.column(0)))


def _empty(session: Session, info: ContainerInfo, start_ms: int, end_ms: int, step_ms: int) -> pa.Table:
    return _rows(session, info.arrow, series.empty_samples(info, start_ms, end_ms, step_ms), (), ROWS_MAX)
