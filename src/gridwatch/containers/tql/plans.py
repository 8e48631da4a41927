"""What a compiled statement is: SQL for rows, for one number, or for samples of a time series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gridwatch.containers import _sqlite_format as layout
from gridwatch.containers.schema import Column, ContainerInfo
from gridwatch.containers.tql.conditions import Condition
from gridwatch.containers.tql.values import Context

__all__ = ["LIMIT_MAX", "AggregatePlan", "RowsPlan", "SamplePlan", "Source"]

LIMIT_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Source:
    """The rows that WHERE leaves, `FROM ... AS c WHERE ...`."""

    info: ContainerInfo
    context: Context
    condition: Condition | None

    @property
    def sql(self) -> str:
        """FROM and WHERE."""
        where = f" WHERE {self.condition.sql}" if self.condition is not None else ""
        return f"FROM {layout.readable(self.info)} AS c{where}"

    @property
    def fallible(self) -> bool:
        """Whether testing the condition can fail."""
        return self.condition is not None and self.condition.fallible

    def plan(self, sql: str | None) -> RowsPlan:
        """Return the plan for some of the rows; where testing the rows can fail, all of them are tested first."""
        found, parameters = self.context.finished(sql) if sql is not None else (None, ())
        tested = self.context.finished(f"SELECT count(*) {self.sql}") if self.fallible else None
        return RowsPlan(found, parameters, tested)


@dataclass(frozen=True, slots=True)
class RowsPlan:
    """SQL that yields the container's columns; None where there is no row whatever the container holds.

    `tested` is SQL to run before, with its parameters, for the errors it may raise.
    """

    sql: str | None
    parameters: tuple[Any, ...] = ()
    tested: tuple[str, tuple[Any, ...]] | None = None


@dataclass(frozen=True, slots=True)
class AggregatePlan:
    """An aggregation; `sql` yields the time (or 0) and the value of each row, or one row with the result.

    Args:
        function: COUNT, SUM, ...
        column: What it is of; None for COUNT(*).
        native: Whether GridDB's time-series engine does it, in the column's own width.
        sql: None where there is no result.
        parameters: Of the SQL.
        series: Whether the container is a time series.
        tested: SQL to run before, with its parameters, for the errors it may raise.
    """

    function: str
    column: Column | None
    native: bool
    sql: str | None
    parameters: tuple[Any, ...] = ()
    series: bool = False
    tested: tuple[str, tuple[Any, ...]] | None = None


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """SQL that yields sampled times and the rows around them.

    Its columns: the time, that of the row before (or at it) and of the row after, the row's other columns, and the
    columns to interpolate from the row after.

    Args:
        sql: Its LIMIT and OFFSET are in it unless `order` is given.
        parameters: Of the SQL.
        columns: Columns to interpolate.
        native: Whether GridDB's time-series engine works the numbers out, which it does in fewer digits.
        between_refused: Whether times between rows have to be refused: GridDB's own answer there is nonsense.
        order: Column to sort by and whether downwards; None for the order of time.
        limit: Rows to keep after sorting.
        offset: Rows to leave out after sorting.
    """

    sql: str
    parameters: tuple[Any, ...]
    columns: tuple[Column, ...]
    native: bool
    order: tuple[str, bool] | None = None
    limit: int = LIMIT_MAX
    offset: int = 0
    between_refused: bool = False
    tested: tuple[str, tuple[Any, ...]] | None = None
