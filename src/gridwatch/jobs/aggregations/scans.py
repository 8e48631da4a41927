"""A plan as SQL: what is asked of each container.

One scan serves all levels that have the same rows. Its keys are those of the deepest of them; the levels above are put
together from its answers, since maxima, minima, sums and counts of parts give those of the whole. Cardinality and
percentiles don't: for them, each value of a bucket is asked for once, with how many rows have it; a cardinality of one
container is counted where the rows are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from gridwatch.jobs import sql
from gridwatch.jobs.aggregations.columns import key_sql, metric_sql
from gridwatch.jobs.aggregations.plan import Level, Measure, Plan
from gridwatch.jobs.aggregations.tree import Filter, Interval, Key
from gridwatch.jobs.query import compile_query
from gridwatch.jobs.sql import Sql

if TYPE_CHECKING:
    from gridwatch.jobs.extraction.sources import Source

__all__ = ["Asked", "Op", "Partial", "Scan", "ValueScan", "scans_of"]

Op: TypeAlias = Literal["max", "min", "sum", "count"]

# TOTAL of nothing is 0.0 and SUM of too much an error, so a sum goes with the count of what it is of.
OPS: dict[str, tuple[Op, ...]] = {
    "max": ("max",), "min": ("min",), "sum": ("sum", "count"), "avg": ("sum", "count"), "value_count": ("count",),
}  # fmt: skip
_SQL: dict[Op, str] = {"max": "MAX", "min": "MIN", "sum": "TOTAL", "count": "COUNT"}
_KEY = "gridwatch.key"
"""Beginning of the aliases that are grouped by: no column may have the same name."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one container.

    Attributes:
        source: The container.
        interval: How time is cut.
        keys: What makes a bucket, the time aside.
        columns: What is worked out of the rows of a bucket.
        where: Which rows.
    """

    source: Source
    interval: Interval
    keys: tuple[Sql, ...]
    columns: tuple[tuple[Op, Sql], ...]
    where: tuple[Sql, ...]

    def within(self, start_ms: int, end_ms: int) -> Asked:
        """Return what is asked of the rows from `start_ms`, inclusive, to `end_ms`, exclusive."""
        return replace(self, where=(self.source.between(start_ms, end_ms), *self.where))

    def grouped(self) -> Sql:
        """Return the SQL of the buckets: number of the bucket, keys, how many rows, latest time, the columns."""
        worked = [Sql("COUNT(*)"), sql.compose("MAX({})", self.source.time.sql)]
        worked += [Sql(f"{_SQL[op]}({one.text})", one.parameters) for op, one in self.columns]
        return self._grouped(worked)

    def distinct(self) -> Sql:
        """Return the SQL of how many values of the one column the rows of a bucket have."""
        (_, one), *_ = self.columns
        there = tuple(sql.compose("({} IS NOT NULL)", key) for key in self.keys)
        return replace(self, where=(*self.where, *there))._grouped([sql.compose("COUNT(DISTINCT {})", one)])

    @property
    def measured(self) -> tuple[Sql, ...]:
        """What the columns are worked out of, each once."""
        return tuple(dict.fromkeys(one for _, one in self.columns))

    def rows(self) -> Sql:
        """Return the SQL of the rows themselves: time, keys, what is measured; for what is grouped here."""
        return sql.compose(
            "SELECT {} FROM {} WHERE {}",
            sql.joined(", ", [self.source.time.sql, *self.keys, *self.measured]),
            sql.name(self.source.container),
            sql.all_of(self.where),
        )

    def _grouped(self, worked: Sequence[Sql]) -> Sql:
        # Whole numbers of our own, not parameters: the statement says what is grouped by.
        shift, every = self.interval.every_ms - self.interval.offset_ms, self.interval.every_ms
        time = sql.compose("TO_EPOCH_MS({})", self.source.time.sql)
        keys = [Sql(f"({time.text} + {shift}) / {every}", time.parameters), *self.keys]
        names = [sql.name(f"{_KEY}{place}") for place in range(len(keys))]
        listed = [sql.compose("{} AS {}", one, name) for one, name in zip(keys, names, strict=True)]
        return sql.compose(
            "SELECT {} FROM {} WHERE {} GROUP BY {}",
            sql.joined(", ", [*listed, *worked]),
            sql.name(self.source.container),
            sql.all_of(self.where),
            sql.joined(", ", names),
        )


@dataclass(frozen=True, slots=True)
class Partial:
    """What is worked out where the rows are, for a measure."""

    measure: Measure
    op: Op


@dataclass(frozen=True, slots=True)
class Scan:
    """One reading of the rows that `filters` let through.

    Attributes:
        keys: Of its buckets, the time aside.
        filters: Which rows.
        partials: What is worked out besides the latest time and the number of rows.
    """

    keys: tuple[Key, ...]
    filters: tuple[Filter, ...]
    partials: tuple[Partial, ...]

    def of(self, plan: Plan, source: Source, *, now_ms: int) -> Asked:
        """Return what is asked of a container.

        Raises:
            JobsError: A filter is wrong, or a field has a type that does not fit.
        """
        columns = []
        for one in self.partials:
            found = metric_sql(one.measure.metric, source.fields)
            if one.measure.filters:
                conditions = sql.all_of(_conditions(one.measure.filters, source, now_ms))
                found = sql.compose("CASE WHEN {} THEN {} END", conditions, found)
            columns.append((one.op, found))
        keys = tuple(key_sql(key, source.fields) for key in self.keys)
        return Asked(source, plan.interval, keys, tuple(columns), _conditions(self.filters, source, now_ms))


@dataclass(frozen=True, slots=True)
class ValueScan:
    """One reading of the values that a cardinality or percentile is of.

    Attributes:
        level: Whose buckets.
        measure: What they are for.
    """

    level: Level
    measure: Measure

    def of(self, plan: Plan, source: Source, *, now_ms: int) -> Asked:
        """Return what is asked of a container: the value is the last key, and the one column.

        Raises:
            JobsError: A filter is wrong, or a field has a type that does not fit.
        """
        value = metric_sql(self.measure.metric, source.fields)
        keys = tuple(key_sql(key, source.fields) for key in self.level.keys)
        where = _conditions((*self.level.filters, *self.measure.filters), source, now_ms)
        there = sql.compose("({} IS NOT NULL)", value)
        return Asked(source, plan.interval, (*keys, value), (("count", value),), (*where, there))


def scans_of(plan: Plan) -> list[Scan | ValueScan]:
    """Return the readings that the levels of a plan need."""
    found: dict[tuple[Filter, ...], Scan] = {}
    for level in plan.levels:
        known = found.get(level.filters, Scan((), level.filters, ()))
        partials = [Partial(one, op) for one in level.measures for op in OPS.get(one.metric.kind, ())]
        # Each level has the keys of those before it, so the last is the deepest.
        found[level.filters] = Scan(level.keys, level.filters, (*known.partials, *partials))
    values = [ValueScan(level, one) for level in plan.levels for one in level.measures if one.metric.kind not in OPS]
    return [*found.values(), *values]


def _conditions(filters: Sequence[Filter], source: Source, now_ms: int) -> tuple[Sql, ...]:
    return tuple(
        compile_query(one.query, source.fields, now_ms=now_ms, path=f"{one.path}.filter").where for one in filters
    )
