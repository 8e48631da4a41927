"""When a started datafeed searches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwatch.jobs.aggregations import interval_of

if TYPE_CHECKING:
    from gridwatch.jobs.config import JobConfig
    from gridwatch.jobs.resources import Datafeed

__all__ = ["due_ms", "frequency_ms"]


def frequency_ms(job: JobConfig, feed: Datafeed) -> int:
    """Return how often a datafeed searches, ms."""
    raw = feed.config.aggregations
    return feed.config.frequency_ms(job.bucket_span_ms, None if raw is None else interval_of(raw)[0])


def due_ms(job: JobConfig, feed: Datafeed) -> int:
    """Return when a started datafeed searches next, UTC epoch ms; 0 for at once, as for one that is to be stopped.

    Searches lie `query_delay` after whole multiples of the frequency, so that one comes as soon as a bucket is
    complete, and at the feed's end.
    """
    tried = max(feed.searched_ms or 0, feed.tried_ms or 0)
    if not tried or feed.state == "stopping":
        return 0
    every, delay = frequency_ms(job, feed), feed.config.query_delay_ms
    following = ((tried - delay) // every + 1) * every + delay
    ends = None if feed.end_ms is None else feed.end_ms + delay
    return following if ends is None or ends <= tried else min(following, ends)
