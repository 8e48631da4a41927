"""TQL and the time-series operations over the Web API, which answers TQL and has none of the native operations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from gridwatch.containers._literals import name_sql
from gridwatch.containers._rules import check_series
from gridwatch.containers.dialect.kinds import INTEGRAL, NUMERIC
from gridwatch.containers.dialect.parse import refused
from gridwatch.containers.operations import Aggregation, InterpolationMode, TimeOperator, TimeUnit, operation
from gridwatch.containers.schema import TIMESTAMP_MS_MAX, Column, ContainerInfo
from gridwatch.containers.store import ROWS_MAX
from gridwatch.containers.webapi_http import TooLargeError, WebApiHttp
from gridwatch.containers.webapi_rows import column_types, table_of
from gridwatch.errors import RangeTooLargeError, SchemaError, SqlRefusedError

__all__ = ["SeriesOverTql"]

_EXACT = 2**53
_AGGREGATE = re.compile(
    r"\s*select\s+(max|min|count|sum|avg|variance|stddev|time_avg)\s*\(\s*\"?([^()\"]*?)\"?\s*\)", re.IGNORECASE
)
_LIMIT = re.compile(r"\blimit\s+(\d+)(\s+offset\s+\d+)?\s*;?\s*$", re.IGNORECASE)
_TQL_NAMES = {
    Aggregation.MINIMUM: "MIN",
    Aggregation.MAXIMUM: "MAX",
    Aggregation.TOTAL: "SUM",
    Aggregation.AVERAGE: "AVG",
    Aggregation.COUNT: "COUNT",
    Aggregation.WEIGHTED_AVERAGE: "TIME_AVG",
}
_NEAREST = {
    TimeOperator.PREVIOUS: "TIME_PREV",
    TimeOperator.PREVIOUS_ONLY: "TIME_PREV_ONLY",
    TimeOperator.NEXT: "TIME_NEXT",
    TimeOperator.NEXT_ONLY: "TIME_NEXT_ONLY",
}


class SeriesOverTql:
    """The methods of `Store` that the Web API answers through TQL; see there for what each promises."""

    _http: WebApiHttp
    _info: Callable[[str], ContainerInfo]

    def tql(self, name: str, statement: str, *, rows_max: int = ROWS_MAX) -> pa.Table:
        """Run one TQL SELECT against one container; see `Store.tql`."""
        info = self._info(name)
        return self._tql(info, statement, rows_max)

    def _tql(self, info: ContainerInfo, statement: str, rows_max: int) -> pa.Table:
        if info.partitioning is not None:
            raise refused(f"TQL on container {info.name!r}, which has partitions", code=None, hint="use sql()")
        try:
            (answer,) = self._http.call("POST", "tql", [{"name": info.name, "stmt": statement}])
        except TooLargeError as error:
            raise RangeTooLargeError(
                f"The answer to TQL on container {info.name!r} is larger than the Web API sends at once (20 MB); add a "
                "LIMIT.",
                container=info.name,
            ) from error
        if "limit" not in answer:
            return _aggregated(info, statement, answer)
        rows = answer["results"]
        # The API puts its own limit on a statement that has none or a larger one; what it cuts is not told.
        asked = _LIMIT.search(statement)
        limited = asked is None or int(asked.group(1)) > answer["limit"]
        cut = limited and len(rows) >= answer["limit"] and answer.get("total", -1) != len(rows)
        if len(rows) > rows_max or cut:
            raise RangeTooLargeError(
                f"TQL on container {info.name!r} has more than {min(rows_max, answer['limit'])} rows; add a LIMIT or "
                "raise rows_max.",
                container=info.name,
                rows_max=rows_max,
            )
        if answer.get("total") == 1 and not rows and _AGGREGATE.match(statement):
            return _result(_aggregate_type(info, statement), [])
        return table_of(column_types(answer["columns"]), rows)

    def aggregate(
        self,
        name: str,
        aggregation: str,
        column: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> int | float | datetime | None:
        """Return one aggregate of a time series; see `Store.aggregate`."""
        info, kind = self._series(name), operation(Aggregation, aggregation)
        if kind not in _TQL_NAMES:
            raise SqlRefusedError(
                f"The Web API cannot work out {kind} of a time series (TQL's is another, that of a sample); use SQL, "
                "or griddb://.",
                container=info.name,
            )
        over = "*" if kind is Aggregation.COUNT else name_sql(_needed(info, column, kind).name)
        statement = f"SELECT {_TQL_NAMES[kind]}({over}){_where(info, start_ms, end_ms)}"
        rows = self._tql(info, statement, 1)
        value: int | float | datetime | None = rows.column(0)[0].as_py() if rows.num_rows else None
        return value

    def nearest(self, name: str, time_ms: int, operator: str) -> pa.Table:
        """Return the row nearest to an instant; see `Store.nearest`."""
        info = self._series(name)
        word = _NEAREST[operation(TimeOperator, operator)]
        return self._tql(info, f"SELECT {word}(*, {_instant(time_ms)})", ROWS_MAX)

    def interpolate(self, name: str, time_ms: int, column: str) -> pa.Table:
        """Return the interpolated row at an instant; see `Store.interpolate`."""
        info = self._series(name)
        over = name_sql(_numeric(info, column).name)
        return self._tql(info, f"SELECT TIME_INTERPOLATED({over}, {_instant(time_ms)})", ROWS_MAX)

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
        info, step = self._series(name), operation(TimeUnit, unit)
        if operation(InterpolationMode, mode) is InterpolationMode.EMPTY or len(columns) != 1:
            raise SqlRefusedError(
                "The Web API samples one column, or all, by interpolation; for EMPTY or other columns use griddb://.",
                container=info.name,
            )
        over = name_sql(_numeric(info, columns[0]).name)
        window = f"{_instant(start_ms)}, {_instant(end_ms)}, {interval}, {step}"
        return self._tql(info, f"SELECT TIME_SAMPLING({over}, {window})", ROWS_MAX)

    def _series(self, name: str) -> ContainerInfo:
        info = self._info(name)
        check_series(info)
        return info


def _needed(info: ContainerInfo, column: str | None, kind: Aggregation) -> Column:
    if column is None:
        raise SchemaError(f"{kind} of container {info.name!r} needs a column.", container=info.name)
    found = info.column(column)
    if found.type.precision and kind in {Aggregation.MINIMUM, Aggregation.MAXIMUM}:
        return found
    return _numeric(info, column, code=60100)


def _numeric(info: ContainerInfo, column: str, *, code: int = 60075) -> Column:
    found = info.column(column)
    if found.type not in NUMERIC:
        raise SchemaError(
            f"Column {found.name!r} of container {info.name!r} is a {found.type}, not a number.", code=code
        )
    return found


def _instant(ms: int) -> str:
    if not 0 <= ms <= TIMESTAMP_MS_MAX:
        raise refused(f"the instant {ms} ms", code=60079, hint=f"GridDB's time is 0 to {TIMESTAMP_MS_MAX} ms")
    return f"TO_TIMESTAMP_MS({ms})"


def _where(info: ContainerInfo, start_ms: int | None, end_ms: int | None) -> str:
    key = name_sql(info.columns[0].name)
    bounds = [(">=", start_ms), ("<=", end_ms)]
    parts = [f"{key} {sign} {_instant(ms)}" for sign, ms in bounds if ms is not None]
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def _aggregate_type(info: ContainerInfo, statement: str) -> pa.DataType:
    """Return the type that GridDB's own client gives an aggregate; the Web API turns all numbers into DOUBLE."""
    found = _AGGREGATE.match(statement)
    if found is None:
        return pa.float64()
    function, name = found.group(1).upper(), found.group(2).strip()
    if function == "COUNT":
        return pa.int64()
    column = next((column for column in info.columns if column.name.lower() == name.lower()), None)
    if column is not None and function in {"MIN", "MAX"} and column.type.precision:
        return column.type.arrow
    return (
        pa.int64()
        if column is not None and function in {"MIN", "MAX", "SUM"} and column.type in INTEGRAL
        else pa.float64()
    )


def _aggregated(info: ContainerInfo, statement: str, answer: Mapping[str, Any]) -> pa.Table:
    ((_, kind),) = column_types(answer["columns"])
    value = answer["results"][0][0]
    if kind is not None and kind.precision:
        return table_of([("aggregationResult", kind)], [[value]])
    number = float(value)
    wanted = _aggregate_type(info, statement)
    if wanted == pa.int64():
        if abs(number) >= _EXACT:
            raise refused(
                f"an aggregate of {number:.0f}",
                code=None,
                hint="TQL over the Web API loses digits beyond 2^53; use SQL",
            )
        return _result(wanted, [int(number)])
    return _result(wanted, [number])


def _result(kind: pa.DataType, values: list[Any]) -> pa.Table:
    return pa.table({"aggregationResult": pa.array(values, kind)})
