"""What aggregations are together: the buckets from the outermost to the rows that come out, and what each row has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gridwatch.errors import JobsValueError
from gridwatch.jobs.aggregations.names import check_names
from gridwatch.jobs.aggregations.reading import read_aggregations
from gridwatch.jobs.aggregations.tree import (
    Aggregation,
    Composite,
    Filter,
    Histogram,
    Interval,
    Key,
    Metric,
    Terms,
)

if TYPE_CHECKING:
    from gridwatch.jobs.config import JobConfig

__all__ = ["DOC_COUNT", "Level", "Measure", "Plan", "histogram_of", "plan_of"]

DOC_COUNT = "doc_count"


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric, and the filters around it that do not make rows of their own."""

    metric: Metric
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Level:
    """Buckets of one depth.

    Attributes:
        keys: What makes a bucket besides the time, from the outermost.
        filters: Which rows there are.
        measures: What is worked out of each bucket.
    """

    keys: tuple[Key, ...]
    filters: tuple[Filter, ...]
    measures: tuple[Measure, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """How the rows of a datafeed are aggregated.

    Attributes:
        interval: How time is cut.
        time: The latest time of a bucket, which is the time of its rows.
        levels: From the histogram's buckets to those that become rows, one at least.
        columns: Fields that the rows bring, the time aside, in the job's order.
        summary: Field that says how many rows a row stands for.
        page: How many buckets a page of a composite has, None for a histogram.
    """

    interval: Interval
    time: Metric
    levels: tuple[Level, ...]
    columns: tuple[str, ...]
    summary: str
    page: int | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the containers that are read."""
        keys = (key.field for key in self.levels[-1].keys)
        metrics = (one.metric.field for level in self.levels for one in level.measures)
        return tuple(dict.fromkeys((*keys, *metrics)))


def plan_of(raw: object, job: JobConfig, path: str = "aggregations") -> Plan:
    """Return the aggregations of a datafeed as they are worked out for a job.

    Args:
        raw: The JSON.
        job: What the rows are for: only fields that it needs are worked out.
        path: Where the JSON stands.

    Raises:
        JobsBodyError: Another shape, or a kind or key that is not supported.
        JobsValueError: They contradict each other or the job.
    """
    top = read_aggregations(raw, path)
    histogram, keys, filters = histogram_of(top, path)
    summary = job.summary_count_field or DOC_COUNT
    needed = (*job.fields, *([] if summary == DOC_COUNT else [summary]))
    if isinstance(histogram, Composite):
        keys = (*keys, *histogram.keys)
    time = _time(histogram, job)
    levels = tuple(_levels(histogram.inner, Level(keys, filters), frozenset(needed), time))
    check_names(top, needed, [name for level in levels for name in _given(level)], path)
    return Plan(
        histogram.interval,
        time,
        levels,
        tuple(dict.fromkeys((*needed, summary))),
        summary,
        histogram.size if isinstance(histogram, Composite) else None,
    )


def _given(level: Level) -> Iterator[str]:
    yield from (key.name for key in level.keys)
    yield from (one.metric.name for one in level.measures)


def histogram_of(
    top: Sequence[Aggregation], path: str
) -> tuple[Histogram | Composite, tuple[Key, ...], tuple[Filter, ...]]:
    """Return the histogram, and the keys and filters of the buckets around it.

    Args:
        top: All aggregations.
        path: Where they stand.

    Raises:
        JobsValueError: There is none, or something stands beside it on the way.
    """
    keys: tuple[Key, ...] = ()
    filters: tuple[Filter, ...] = ()
    here = top
    while True:
        if len(here) != 1:
            said = "there is none" if not here else f"got {', '.join(f'[{one.name}]' for one in here)}"
            raise JobsValueError(
                "exactly one aggregation leads to the date_histogram, alone at its level: a date_histogram, a "
                f"composite with a date_histogram source, or terms or filter around it; {said}.",
                path=path,
            )
        (one,) = here
        if isinstance(one, Metric):
            raise JobsValueError(
                f"[{one.name}] is {one.kind}; a datafeed needs a date_histogram, or a composite with a "
                "date_histogram source, around its metrics.",
                path=one.path,
            )
        if isinstance(one, Composite) and (keys or filters):
            raise JobsValueError("a composite has to be the top aggregation of a datafeed.", path=one.path)
        if isinstance(one, Histogram | Composite):
            return one, keys, filters
        if isinstance(one, Terms):
            keys = (*keys, one.key)
        else:
            filters = (*filters, one)
        here, path = one.inner, one.path


def _time(histogram: Histogram | Composite, job: JobConfig) -> Metric:
    """Return the latest time of a bucket: the max of the time field directly inside the histogram."""
    interval, wanted = histogram.interval, job.time_field
    if interval.field != wanted:
        raise JobsValueError(
            f"the histogram [{interval.name}] is over {interval.field!r}, the job's time_field is {wanted!r}; they "
            "have to be the same.",
            path=interval.path,
            value=interval.field,
        )
    latest = [one for one in histogram.inner if isinstance(one, Metric) and (one.kind, one.field) == ("max", wanted)]
    named = next((one for one in latest if one.name == wanted), None)
    if named is not None:
        return named
    example = f'"{wanted}": {{"max": {{"field": "{wanted}"}}}}'
    other = next((one for one in histogram.inner if one.name == wanted), None)
    if other is not None:
        raise JobsValueError(
            f"the aggregation [{wanted}] is called like the job's time_field and has to be its max: {example}.",
            path=other.path,
        )
    if latest:
        raise JobsValueError(
            f"the max of the time field is called [{latest[0].name}]; rename it to [{wanted}], the job's time_field.",
            path=latest[0].path,
        )
    raise JobsValueError(
        f"has to have the latest time of each bucket directly inside it: {example}.", path=histogram.path
    )


def _levels(
    inner: Sequence[Aggregation], level: Level, needed: frozenset[str], time: Metric, around: tuple[Filter, ...] = ()
) -> Iterator[Level]:
    """Yield the level with its measures, and those below it."""
    measures: list[Measure] = []
    further: list[tuple[Terms, tuple[Filter, ...]]] = []
    for one, filters in _flat(inner, ()):
        if isinstance(one, Histogram | Composite):
            raise JobsValueError("a second histogram below the first; a datafeed has exactly one.", path=one.path)
        if isinstance(one, Terms):
            if _useful(one, needed):
                further.append((one, filters))
        elif one.name in needed:
            measures.append(Measure(one, filters))
    if len(further) > 1:
        names = " and ".join(f"[{one.name}]" for one, _ in further)
        raise JobsValueError(
            f"{names} make buckets at one level; put one inside the other, or leave one out.", path=further[1][0].path
        )
    yield replace(level, measures=tuple(measures))
    for one, filters in further:
        deeper = Level((*level.keys, one.key), (*level.filters, *filters))
        yield from _levels(one.inner, deeper, needed, time)


def _flat(
    inner: Sequence[Aggregation], filters: tuple[Filter, ...]
) -> Iterator[tuple[Metric | Terms | Histogram | Composite, tuple[Filter, ...]]]:
    """Yield aggregations of a level: what is inside a filter belongs to the level of the filter."""
    for one in inner:
        if isinstance(one, Filter):
            yield from _flat(one.inner, (*filters, one))
        else:
            yield one, filters


def _useful(one: Aggregation, needed: frozenset[str]) -> bool:
    """Whether an aggregation, or one inside it, has the name of a field that the job needs."""
    if one.name in needed or isinstance(one, Histogram | Composite):
        return True
    return not isinstance(one, Metric) and any(_useful(below, needed) for below in one.inner)
