"""A plan as SQL: what is asked of each container.

One scan serves all levels that have the same rows. Its keys are those of the deepest of them; the levels above are put
together from its answers, since maxima, minima, sums and counts of parts give those of the whole. Cardinality and
percentiles don't: for them, each value of a bucket is asked for once, with how many rows have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from gridwatch.jobs import sql
from gridwatch.jobs.aggregations.columns import key_sql, metric_sql
from gridwatch.jobs.aggregations.plan import Level, Measure, Plan
from gridwatch.jobs.aggregations.tree import Filter, Key
from gridwatch.jobs.query import compile_query
from gridwatch.jobs.sql import Sql

if TYPE_CHECKING:
    from gridwatch.jobs.extraction.sources import Source

__all__ = ["Op", "Partial", "Scan", "ValueScan", "scans_of", "value_scans_of"]

Op: TypeAlias = Literal["max", "min", "sum", "count"]

OPS: dict[str, tuple[Op, ...]] = {
    "max": ("max",), "min": ("min",), "sum": ("sum",), "avg": ("sum", "count"), "value_count": ("count",),
}  # fmt: skip
_SQL: dict[Op, str] = {"max": "MAX({})", "min": "MIN({})", "sum": "SUM({})", "count": "COUNT({})"}
_KEY = "gridwatch.key"
"""Beginning of the aliases that are grouped by: no column may have the same name."""


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

    def sql(self, plan: Plan, source: Source, within: Sql, *, now_ms: int) -> Sql:
        """Return the SQL: the bucket, the keys, the number of rows, the latest time, then the partials."""
        more = [Sql("COUNT(*)"), sql.compose("MAX({})", source.time.sql)]
        for one in self.partials:
            found = metric_sql(one.measure.metric, source.fields)
            for each in one.measure.filters:
                found = sql.compose("CASE WHEN {} THEN {} END", _condition(each, source, now_ms), found)
            start, end = _SQL[one.op].split("{}")
            more.append(Sql(start + found.text + end, found.parameters))
        return _select(
            plan, source, self.keys, more, [within, *(_condition(one, source, now_ms) for one in self.filters)]
        )


@dataclass(frozen=True, slots=True)
class ValueScan:
    """One reading of the values that a cardinality or percentile is of.

    Attributes:
        level: Whose buckets.
        measure: What they are for.
    """

    level: Level
    measure: Measure

    def sql(self, plan: Plan, source: Source, within: Sql, *, now_ms: int) -> Sql:
        """Return the SQL: the bucket, the keys, a value, and how many rows have it."""
        value = metric_sql(self.measure.metric, source.fields)
        filters = (*self.level.filters, *self.measure.filters)
        where = [within, *(_condition(one, source, now_ms) for one in filters), sql.compose("({} IS NOT NULL)", value)]
        return _select(plan, source, self.level.keys, [Sql("COUNT(*)")], where, value)


def scans_of(plan: Plan) -> list[Scan]:
    """Return the scans that the levels of a plan need, that of the histogram's own buckets first."""
    found: dict[tuple[Filter, ...], Scan] = {}
    for level in plan.levels:
        known = found.get(level.filters, Scan((), level.filters, ()))
        partials = [Partial(one, op) for one in level.measures for op in OPS.get(one.metric.kind, ())]
        # Each level has the keys of those before it, so the last is the deepest.
        found[level.filters] = Scan(level.keys, level.filters, (*known.partials, *partials))
    return list(found.values())


def value_scans_of(plan: Plan) -> list[ValueScan]:
    """Return the readings of values that a plan needs."""
    return [ValueScan(level, one) for level in plan.levels for one in level.measures if one.metric.kind not in OPS]


def _condition(one: Filter, source: Source, now_ms: int) -> Sql:
    return compile_query(one.query, source.fields, now_ms=now_ms, path=f"{one.path}.filter").where


def _select(
    plan: Plan, source: Source, keys: Sequence[Key], more: Sequence[Sql], where: Sequence[Sql], value: Sql | None = None
) -> Sql:
    interval = plan.interval
    # Whole numbers of our own, not parameters: GridDB groups by what it knows when it reads the statement.
    shift, every = interval.every_ms - interval.offset_ms, interval.every_ms
    bucket = sql.compose("TO_EPOCH_MS({})", source.time.sql)
    grouped = [Sql(f"({bucket.text} + {shift}) / {every}", bucket.parameters)]
    grouped += [key_sql(key, source.fields) for key in keys]
    grouped += [] if value is None else [value]
    names = [sql.name(f"{_KEY}{place}") for place in range(len(grouped))]
    listed = [sql.compose("{} AS {}", one, name) for one, name in zip(grouped, names, strict=True)]
    return sql.compose(
        "SELECT {} FROM {} WHERE {} GROUP BY {}",
        sql.joined(", ", [*listed, *more]),
        sql.name(source.container),
        sql.all_of(where),
        sql.joined(", ", names),
    )
