"""What a datafeed with aggregations and its job have to agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwatch.errors import JobsValueError
from gridwatch.jobs import units
from gridwatch.jobs.aggregations.plan import Plan, histogram_of, plan_of
from gridwatch.jobs.aggregations.reading import read_aggregations
from gridwatch.jobs.aggregations.tree import Composite

if TYPE_CHECKING:
    from gridwatch.jobs.config import DatafeedConfig, JobConfig

__all__ = ["check_aggregations", "interval_of"]

_USUAL = (
    "1d", "12h", "6h", "4h", "3h", "2h", "1h", "30m", "20m", "15m", "10m", "5m", "3m", "2m", "1m", "30s", "10s", "5s",
    "2s", "1s",
)  # fmt: skip


def check_aggregations(job: JobConfig, feed: DatafeedConfig) -> Plan | None:
    """Return how a datafeed aggregates for its job; None where it has no aggregations.

    Raises:
        JobsBodyError: The aggregations have another shape, or a kind or key that is not supported.
        JobsValueError: They contradict each other, the job or the datafeed; says what to change.
    """
    if feed.aggregations is None:
        return None
    if job.summary_count_field is None:
        raise JobsValueError(
            "a datafeed with aggregations needs a job with summary_count_field_name, usually doc_count.",
            path="analysis_config.summary_count_field_name",
        )
    plan = plan_of(feed.aggregations, job)
    _check_interval(plan, job)
    _check_frequency(plan, feed)
    return plan


def interval_of(raw: object, path: str = "aggregations") -> tuple[int, bool]:
    """Return the interval of the histogram in ms, and whether it is that of a composite.

    Args:
        raw: The aggregations.
        path: Where they stand.

    Raises:
        JobsError: They have another shape, or lead to no histogram.
    """
    found, _, _ = histogram_of(read_aggregations(raw, path), path)
    return found.interval.every_ms, isinstance(found, Composite)


def _check_interval(plan: Plan, job: JobConfig) -> None:
    interval, span = plan.interval, job.bucket_span_ms
    told = job.analysis_config.bucket_span
    if interval.every_ms > span:
        raise JobsValueError(
            f"the interval [{interval.text}] is longer than the job's bucket_span [{told}]; make it {told} or shorter.",
            path=interval.path,
            value=interval.text,
        )
    if span % interval.every_ms:
        raise JobsValueError(
            f"the interval [{interval.text}] does not divide the job's bucket_span [{told}]; take a whole part of it, "
            f"such as {units.duration_of(_divisor(span, interval.every_ms))}.",
            path=interval.path,
            value=interval.text,
        )


def _check_frequency(plan: Plan, feed: DatafeedConfig) -> None:
    if feed.frequency is None:
        return
    every = plan.interval.every_ms
    frequency = units.ms_of(feed.frequency, "frequency")
    if frequency % every:
        raise JobsValueError(
            f"has to be a multiple of the histogram's interval [{plan.interval.text}], got {feed.frequency!r}; "
            f"take {units.duration_of(max(frequency // every, 1) * every)}.",
            path="frequency",
            value=feed.frequency,
        )


def _divisor(span_ms: int, below_ms: int) -> int:
    """Return a usual interval that divides a span and is not longer than another, or the span itself."""
    usual = (units.ms_of(text, "") for text in _USUAL)
    return next((one for one in usual if one <= below_ms and span_ms % one == 0), span_ms)
