"""TQL and the time-series operations of GridDB's native client; `GridDBStore` takes them from here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from gridwatch.containers._keys import moment_of
from gridwatch.containers._rules import check_answer, check_series
from gridwatch.containers.griddb_columns import kinds_of, listed, tables_out
from gridwatch.containers.griddb_session import GridDBSession, is_partitioned
from gridwatch.containers.jvm import java_class
from gridwatch.containers.operations import Aggregation, InterpolationMode, TimeOperator, TimeUnit, operation
from gridwatch.containers.schema import TIMESTAMP_MS_MAX, Column, ContainerInfo
from gridwatch.containers.store import ROWS_MAX
from gridwatch.errors import RangeTooLargeError, SchemaError, SqlRefusedError

__all__ = ["SeriesOperations", "date_of", "fetched"]

_GS = "com.toshiba.mwcloud.gs"
_VERB = re.compile(r"\s*([A-Za-z]+)")
_AGGREGATE = re.compile(r"\s*select\s+(max|min|sum|avg|count|variance|stddev|time_avg)\s*\(", re.IGNORECASE)
_SAMPLING_UNITS = ("DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND")


class SeriesOperations(GridDBSession):
    """The methods of `Store` that read time series and run TQL; see there for what each promises."""

    def tql(self, name: str, statement: str, *, rows_max: int = ROWS_MAX) -> pa.Table:
        """Run one TQL SELECT against one container; see `Store.tql`."""
        verb = _VERB.match(statement)
        if verb is None or verb.group(1).upper() != "SELECT":
            raise SqlRefusedError(f"TQL refused: {statement[:60]!r}; it begins with SELECT.", code=151001)
        if "\0" in statement:
            raise SqlRefusedError("TQL refused: text with a NUL character.", code=145006)
        with self._lent("TQL") as store:
            info, container = self._known(store, name)
            query = container.query(statement, None)
            if _AGGREGATE.match(statement):
                return _aggregation(query.fetch())
            table = fetched(query, info, info.columns, rows_max)
        check_answer(table.num_rows, rows_max)
        return table

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
        with self._lent(f"Container {name!r}") as store:
            info, series = self._series(store, name)
            chosen = info.column(column).name if column is not None else None
            if chosen is None and kind is not Aggregation.COUNT:
                raise SchemaError(f"{kind} of container {info.name!r} needs a column.", code=145001)
            found = series.aggregate(
                date_of(start_ms or 0),
                date_of(TIMESTAMP_MS_MAX if end_ms is None else end_ms),
                chosen,
                java_class(f"{_GS}.Aggregation").valueOf(kind.value),
            )
            return None if found is None else _value(found)

    def nearest(self, name: str, time_ms: int, operator: str) -> pa.Table:
        """Return the row nearest to an instant; see `Store.nearest`."""
        kind = operation(TimeOperator, operator)
        with self._lent(f"Container {name!r}") as store:
            info, series = self._series(store, name)
            row = series.get(date_of(time_ms), java_class(f"{_GS}.TimeOperator").valueOf(kind.value))
            return _one(info, row)

    def interpolate(self, name: str, time_ms: int, column: str) -> pa.Table:
        """Return the interpolated row at an instant; see `Store.interpolate`."""
        with self._lent(f"Container {name!r}") as store:
            info, series = self._series(store, name)
            row = series.interpolate(date_of(time_ms), info.column(column).name)
            return _one(info, row)

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
        step = operation(TimeUnit, unit)
        how = operation(InterpolationMode, mode)
        if step not in _SAMPLING_UNITS:
            raise SchemaError(f"Sampling by {step} is not possible; use {', '.join(_SAMPLING_UNITS)}.")
        with self._lent(f"Container {name!r}") as store:
            info, series = self._series(store, name)
            names = java_class("java.util.LinkedHashSet")()
            for column in columns:
                names.add(info.column(column).name)
            query = series.query(
                date_of(start_ms),
                date_of(end_ms),
                names,
                java_class(f"{_GS}.InterpolationMode").valueOf(how.value),
                interval,
                java_class(f"{_GS}.TimeUnit").valueOf(step.value),
            )
            table = fetched(query, info, info.columns, ROWS_MAX)
        if table.num_rows > ROWS_MAX:
            raise RangeTooLargeError(f"Sampling container {name!r} gives more than {ROWS_MAX} rows; use a longer step.")
        return table

    def _series(self, store: Any, name: str) -> tuple[ContainerInfo, Any]:
        info, container = self._known(store, name)
        check_series(info)
        if is_partitioned(container):
            raise SqlRefusedError(
                f"Container {info.name!r} is partitioned; GridDB's native client does this on ordinary ones only. Use "
                "sql().",
                code=145003,
            )
        return info, container


def date_of(time_ms: int) -> Any:
    """Return a `java.util.Date`.

    Raises:
        SqlRefusedError: Outside GridDB's range of time.
    """
    if not 0 <= time_ms <= TIMESTAMP_MS_MAX:
        raise SqlRefusedError(f"The instant {time_ms} ms is outside 0..{TIMESTAMP_MS_MAX}.", code=60079)
    return java_class("java.util.Date")(_long(time_ms))


def _long(value: int) -> Any:
    import jpype

    return jpype.JLong(value)


def fetched(query: Any, info: ContainerInfo, columns: Sequence[Column], rows_max: int) -> pa.Table:
    """Run a query of the native client and return some columns of its rows, `rows_max` + 1 rows at most."""
    query.setFetchOption(java_class(f"{_GS}.FetchOption").LIMIT, _long(rows_max + 1))
    rows = query.fetch()
    schema = ContainerInfo(info.name, info.type, tuple(columns)).arrow
    fields = [info.columns.index(column) for column in columns]
    return tables_out(schema, kinds_of(info, columns), fields, lambda out, most: out.take(rows, most), rows_max)


def _one(info: ContainerInfo, row: Any) -> pa.Table:
    """Return the one row, or none, as a table."""
    found = java_class("java.util.ArrayList")()
    if row is not None:
        found.add(row)
    return listed(info.arrow, kinds_of(info), found)


def _aggregation(rows: Any) -> pa.Table:
    value = _value(rows.next()) if rows.hasNext() else None
    kind = {int: pa.int64(), datetime: pa.timestamp("ms", tz="UTC")}.get(type(value), pa.float64())
    return pa.table({"aggregationResult": pa.array([] if value is None else [value], kind)})


def _value(result: Any) -> int | float | datetime | None:
    aggregates = java_class("gridwatch.griddb.Aggregates")
    value = aggregates.value(result)
    if value is None:
        return None
    if aggregates.isTime(value):
        return moment_of(int(value.getTime()))
    return int(value) if aggregates.isWhole(value) else float(value)
