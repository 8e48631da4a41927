"""One pass of a datafeed: what there is to read, fed to its job piece by piece, each piece stored before the next."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from gridwatch.jobs.analysis import Results
from gridwatch.jobs.extraction import Extraction

if TYPE_CHECKING:
    from gridwatch.jobs.resources import Datafeed, Resources
    from gridwatch.jobs.service.running import OpenJob, Running

__all__ = ["Pass", "feed_once"]

log = structlog.get_logger(__name__)

_ROWS = 200_000
_SECONDS = 10.0
"""A piece is stored after as many rows or as long a time: what a crash makes a process read again."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did.

    Attributes:
        rows: Rows that were fed.
        buckets: Buckets that were finished.
        records: Records in them.
        fed_to_ms: First instant that was not read, None where there was nothing yet.
        done: Whether the feed has come to its end.
    """

    rows: int
    buckets: int
    records: int
    fed_to_ms: int | None
    done: bool


def feed_once(
    running: Running,
    resources: Resources,
    feed: Datafeed,
    *,
    now_ms: int,
    progress: Callable[[int, int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Pass:
    """Read what is new, feed it, and store what it led to.

    Args:
        running: Holds the job.
        resources: Keeps the feed's row.
        feed: A started datafeed.
        now_ms: The present; rows within `query_delay` of it wait.
        progress: Called with (instant fed to, instant to feed to).
        stopped: Whether to end after the piece at hand.

    Raises:
        JobsError: The job is not open, or the rows cannot be read as the datafeed says.
    """
    started = time.monotonic()
    with running.hold(feed.config.job_id) as open_job:
        extraction = Extraction(running.store, open_job.job.config, feed.config, now_ms=now_ms)
        reached = now_ms - feed.config.query_delay_ms
        # At its end a feed reads what there is, though that may be a part of a histogram's interval.
        done = feed.end_ms is not None and reached >= feed.end_ms
        end_ms = feed.end_ms if feed.end_ms is not None and done else extraction.whole(reached)
        found = _Found(open_job, ",".join(extraction.containers), progress or (lambda _at, _end: None), end_ms)
        start_ms = _start(open_job, feed)
        bounds = extraction.bounds(start_ms, end_ms)
        if bounds is not None:
            for frame in extraction.frames(max(start_ms or 0, bounds[0]), end_ms):
                found.take(frame)
                if stopped():
                    break
            else:
                found.finish(end_ms)
        elif open_job.fed_to_ms is not None:
            found.finish(max(end_ms, open_job.fed_to_ms))
        found.store()
        if feed.end_ms is None and not stopped():
            open_job.tell_interim()
    done = done and not stopped()
    resources.change_datafeed(
        feed.id,
        searched_ms=now_ms,
        fed_to_ms=open_job.fed_to_ms,
        searches=feed.searches + 1,
        empty_searches=0 if found.rows else feed.empty_searches + 1,
        search_time_ms=feed.search_time_ms + (time.monotonic() - started) * 1000.0,
        error=None,
        failing_since_ms=None,
        failures=0,
    )
    return Pass(found.rows, found.buckets, found.records, open_job.fed_to_ms, done)


def _start(open_job: OpenJob, feed: Datafeed) -> int | None:
    """Return where to read on; time that the start skips is skipped in the job too."""
    if feed.start_ms is None or open_job.fed_to_ms is None:
        return feed.start_ms if open_job.fed_to_ms is None else open_job.fed_to_ms
    if feed.start_ms > open_job.fed_to_ms:
        open_job.analyzer.skip(feed.start_ms)
        open_job.fed_to_ms = feed.start_ms
    return open_job.fed_to_ms


class _Found:
    """Frames on their way into a job, stored now and then."""

    def __init__(self, open_job: OpenJob, source: str, progress: Callable[[int, int], None], end_ms: int) -> None:
        self.rows = self.buckets = self.records = 0
        self._open_job = open_job
        self._source = source
        self._progress = progress
        self._end_ms = end_ms
        self._pending = Results()
        self._since = 0
        self._fed_to_ms = open_job.fed_to_ms
        self._stored = time.monotonic()

    def take(self, frame: object) -> None:
        """Feed a frame that ends with a whole millisecond."""
        import pandas as pd

        assert isinstance(frame, pd.DataFrame)  # noqa: S101
        self._pending.extend(self._open_job.analyzer.push(frame))
        self.rows += len(frame)
        self._since += len(frame)
        self._fed_to_ms = int(frame[self._open_job.job.config.time_field].iloc[-1]) + 1
        self._progress(self._fed_to_ms, self._end_ms)
        if self._since >= _ROWS or time.monotonic() - self._stored >= _SECONDS:
            self.store()

    def finish(self, end_ms: int) -> None:
        """All rows before `end_ms` have been fed: buckets that end there are complete."""
        self._pending.extend(self._open_job.analyzer.advance(end_ms))
        self._fed_to_ms = max(end_ms, self._fed_to_ms or end_ms)
        self._progress(end_ms, self._end_ms)

    def store(self) -> None:
        """Write what was found, and the state."""
        self.buckets += len(self._pending.buckets)
        self.records += len(self._pending.records)
        if self._fed_to_ms != self._open_job.fed_to_ms:
            self._open_job.commit(self._pending, self._fed_to_ms, source=self._source)
        self._pending = Results()
        self._since, self._stored = 0, time.monotonic()
