"""Rows that came after their bucket was analysed: they are looked for and told of, never analysed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridwatch.jobs.extraction import Extraction
from gridwatch.jobs.results import Wanted
from gridwatch.jobs.results_json import time_ms

if TYPE_CHECKING:
    from gridwatch.jobs.resources import Datafeed, Job
    from gridwatch.jobs.results import ResultRows

__all__ = ["CHECK_EVERY_MS", "due_for_check", "late_rows"]

CHECK_EVERY_MS = 15 * 60_000
"""How often is looked, at most; the window of the check where that is shorter."""

_BUCKETS_MAX = 10_000
"""A window is shorter than this many buckets: `check_together` sees to it."""


def due_for_check(job: Job, feed: Datafeed, now_ms: int) -> bool:
    """Whether it is time to look, which is in real time only."""
    if not feed.config.delayed_data_check_config.enabled or feed.searched_ms is None or feed.end_ms is not None:
        return False
    every = min(CHECK_EVERY_MS, feed.config.check_window_ms(job.config.bucket_span_ms))
    return now_ms - (feed.checked_ms or 0) >= every


def late_rows(extraction: Extraction, results: ResultRows, job: Job, feed: Datafeed) -> dict[int, int]:
    """Return how many rows more than were analysed there are now, by the start of their bucket.

    Args:
        extraction: A fresh look at the containers.
        results: Buckets of the job.
        job: Whose.
        feed: Which rows.

    Raises:
        JobsError: The rows cannot be read.
    """
    span = job.config.bucket_span_ms
    end = job.analysed_to_ms
    if end is None:
        return {}
    start = end - feed.config.check_window_ms(span) // span * span
    if feed.start_ms is not None:
        # The bucket that the feed began in may be there in part only.
        start = max(start, -(-feed.start_ms // span) * span)
    page = results.find("buckets", [job.id], Wanted(start, end, interim=False, size=_BUCKETS_MAX))
    known = {time_ms(row["ts"]): int(row["event_count"]) for row in page.rows}
    found: dict[int, int] = {}
    if known:
        starts = sorted(known)
        if extraction.plan is None and job.config.summary_count_field is None:
            _compare(extraction, starts, known, span, found)
        else:
            _add_up(extraction, starts, known, job, found)
    return found


def _compare(
    extraction: Extraction, starts: list[int], known: dict[int, int], span: int, found: dict[int, int]
) -> None:
    """Count by halves: what is as it was costs one count."""
    told = sum(known[start] for start in starts)
    # Buckets that were skipped lie between some of them.
    whole = starts[-1] - starts[0] == (len(starts) - 1) * span
    if whole and extraction.count(starts[0], starts[-1] + span) <= told:
        return
    if len(starts) == 1:
        found[starts[0]] = extraction.count(starts[0], starts[0] + span) - told
        return
    middle = len(starts) // 2
    _compare(extraction, starts[:middle], known, span, found)
    _compare(extraction, starts[middle:], known, span, found)


def _add_up(extraction: Extraction, starts: list[int], known: dict[int, int], job: Job, found: dict[int, int]) -> None:
    """Read the rows again where they are summaries: there are few of them."""
    span = job.config.bucket_span_ms
    first, buckets = starts[0], (starts[-1] - starts[0]) // span + 1
    now = np.zeros(buckets)
    summary = job.config.summary_count_field
    for frame in extraction.frames(first, first + buckets * span):
        places = (frame[job.config.time_field].to_numpy(np.int64) - first) // span
        weights = None if summary is None else np.nan_to_num(frame[summary].to_numpy(np.float64))
        now += np.bincount(places, weights, buckets)
    for start in starts:
        more = int(now[(start - first) // span]) - known[start]
        if more > 0:
            found[start] = more
