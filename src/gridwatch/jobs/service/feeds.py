"""One pass of a datafeed: what there is to read, fed to its job piece by piece, each piece stored before the next."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import structlog

from gridwatch.errors import JobsRequestError
from gridwatch.jobs.analysis import Results
from gridwatch.jobs.extraction import Extraction
from gridwatch.jobs.extraction.ahead import ahead
from gridwatch.jobs.units import iso_text

if TYPE_CHECKING:
    import pandas as pd

    from gridwatch.jobs.resources import Datafeed, Resources
    from gridwatch.jobs.service.open_job import OpenJob
    from gridwatch.jobs.service.running import Running

__all__ = ["Pass", "feed_once"]

log = structlog.get_logger(__name__)

_SECONDS, _SECONDS_MAX = 10.0, 30.0
"""A piece is stored after as long a time: what a crash makes a process do again. The lease lasts longer."""
_STORING_SHARE = 0.1
"""Of the time, for states that take so long to store; 1,000 partitions have some 50 MB."""
_OPEN_ROWS = 200_000
"""Rows of an open bucket alone are not worth a state: whoever goes on reads them again, up to as many."""
_RESULTS = 200_000
"""Records, bands and buckets are stored when there are as many, for they take memory."""
_STEP_BUCKETS = 20_000
"""Buckets without rows that are finished at once: after them the feed may be stopped."""
_GAP_BUCKETS_MAX = 1_000_000
"""Most buckets without rows in a row: nine years of five minutes. More are a wrong time, or a wrong start."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass did.

    Attributes:
        rows: Rows that were fed.
        buckets: Buckets that were finished.
        records: Records in them.
        fed_to_ms: First instant that was not read, None where there was nothing yet.
        done: Whether the feed has come to its end.
        whole: Whether all that there was has been read; it is not when the feed was stopped meanwhile.
    """

    rows: int
    buckets: int
    records: int
    fed_to_ms: int | None
    done: bool
    whole: bool = True


def feed_once(
    running: Running,
    resources: Resources,
    feed: Datafeed,
    *,
    now_ms: int,
    progress: Callable[[int, int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    wait_s: float = 10.0,
) -> Pass:
    """Read what is new, feed it, and store what it led to.

    Args:
        running: Holds the job.
        resources: Keeps the feed's row.
        feed: A started datafeed.
        now_ms: The present; rows within `query_delay` of it wait.
        progress: Called with (instant fed to, instant to feed to).
        stopped: Whether to end after the piece at hand.
        wait_s: How long somebody else may be at work with the job.

    Raises:
        JobsBusyError: Somebody else is at work with the job.
        JobsError: The job is not open, or the rows cannot be read as the datafeed says.
    """
    started = time.monotonic()
    with running.hold(feed.config.job_id, wait_s=wait_s) as open_job:
        newest = resources.datafeed(feed.id)
        if (newest.state, newest.searches, newest.config) != (feed.state, feed.searches, feed.config):
            # While this one waited, another process has done the pass, or somebody has stopped or changed the feed.
            return Pass(0, 0, 0, newest.fed_to_ms, done=False, whole=False)
        extraction = Extraction(running.store, open_job.job.config, feed.config, now_ms=now_ms)
        reached = now_ms - feed.config.query_delay_ms
        # At its end a feed reads what there is, though that may be a part of a histogram's interval.
        ends = feed.end_ms is not None and reached >= feed.end_ms
        end_ms = feed.end_ms if ends and feed.end_ms is not None else extraction.whole(reached)
        if feed.searched_ms is None:
            for container, advice in extraction.slow().items():
                running.messages.say(
                    feed.config.job_id, "warning", f"Datafeed [{feed.id}] is slow: {advice}",
                    about=(feed.id, "index", container),
                )  # fmt: skip
        found = _Found(open_job, resources, feed.id, extraction, progress, end_ms, stopped)
        whole = _feed(open_job, extraction, feed, found, threads=running.threads)
        found.store()
        if not whole:
            return Pass(found.rows, found.buckets, found.records, open_job.fed_to_ms, done=False, whole=False)
        if feed.end_ms is None:
            open_job.tell_interim()
        first = feed.searched_ms is None
        resources.change_datafeed(
            feed.id,
            searched_ms=now_ms,
            fed_to_ms=open_job.fed_to_ms,
            searches=feed.searches + 1,
            # The look-back does not count: it says nothing of what comes in real time.
            empty_searches=0 if found.rows or first else feed.empty_searches + 1,
            search_time_ms=feed.search_time_ms + (time.monotonic() - started) * 1000.0,
            error=None,
            failing_since_ms=None,
            failures=0,
        )
    return Pass(found.rows, found.buckets, found.records, open_job.fed_to_ms, done=ends, whole=True)


def _feed(open_job: OpenJob, extraction: Extraction, feed: Datafeed, found: _Found, *, threads: int) -> bool:
    """Feed what there is from where the job has come to; tell whether it was all."""
    start_ms = _start(open_job, feed)
    bounds = extraction.bounds(start_ms, found.end_ms)
    if bounds is None:
        return open_job.fed_to_ms is None or found.finish(max(found.end_ms, open_job.fed_to_ms))
    frames = extraction.frames(max(start_ms or 0, bounds[0]), found.end_ms)
    # While one piece is analysed, the next is read.
    with closing(ahead(frames) if threads > 1 else frames) as pieces:
        for frame in pieces:
            if not found.take(frame):
                return False
    return found.finish(found.end_ms)


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

    def __init__(
        self,
        open_job: OpenJob,
        resources: Resources,
        feed_id: str,
        extraction: Extraction,
        progress: Callable[[int, int], None] | None,
        end_ms: int,
        stopped: Callable[[], bool],
    ) -> None:
        self.rows = self.buckets = self.records = self._told = 0
        self.end_ms = end_ms
        self._open_job = open_job
        self._resources = resources
        self._feed_id = feed_id
        self._extraction = extraction
        self._progress = progress or (lambda _at, _end: None)
        self._stopped = stopped
        self._pending = Results()
        self._storing_s = 0.0
        self._fed_to_ms = open_job.fed_to_ms
        self._stored = time.monotonic()

    def take(self, frame: pd.DataFrame) -> bool:
        """Feed a frame that ends with a whole millisecond; tell whether it was all, the feed not being stopped."""
        times = frame[self._open_job.job.config.time_field].to_numpy(np.int64)
        far = np.flatnonzero(np.diff(times) > _STEP_BUCKETS * self._open_job.job.config.bucket_span_ms) + 1
        for first, last in pairwise([0, *far.tolist(), len(frame)]):
            if self._stopped() or not self._advance(int(times[first])):
                return False
            self._pending.extend(self._open_job.analyzer.push(frame.iloc[first:last]))
            self.rows += last - first
            self._fed_to_ms = int(times[last - 1]) + 1
            self._progress(self._fed_to_ms, self.end_ms)
            self._store_if_due()
        return True

    def finish(self, end_ms: int) -> bool:
        """All rows before `end_ms` have been fed: buckets that end there are complete; tell whether it was all."""
        if self._stopped() or not self._advance(end_ms):
            return False
        self._pending.extend(self._open_job.analyzer.advance(end_ms))
        self._fed_to_ms = max(end_ms, self._fed_to_ms or end_ms)
        self._progress(end_ms, self.end_ms)
        return True

    def _advance(self, to_ms: int) -> bool:
        """Finish the empty buckets before an instant, if they are many, step by step; tell whether it came so far.

        Raises:
            JobsRequestError: They are too many.
        """
        analyzer, span = self._open_job.analyzer, self._open_job.job.config.bucket_span_ms
        at = analyzer.next_bucket
        if at is None:
            return True
        if (to_ms - at) // span > _GAP_BUCKETS_MAX:
            # What lies before the gap is done, whoever decides what about the rest.
            if len(analyzer.open_rows()):
                at += span
                self._pending.extend(analyzer.advance(at))
                self._fed_to_ms = at
            self.store()
            raise JobsRequestError(
                f"after {iso_text(at)} come more than {_GAP_BUCKETS_MAX:,} buckets without a row; where the time of "
                "some rows is wrong, leave them out by the datafeed's query, else stop the datafeed and start it with "
                "a start after the gap."
            )
        step = _STEP_BUCKETS * span
        while to_ms - at > step:
            if self._stopped():
                return False
            at += step
            self._pending.extend(analyzer.advance(at))
            self._fed_to_ms = at
            self._progress(at, self.end_ms)
            self._store_if_due()
        return True

    def _store_if_due(self) -> None:
        waited = time.monotonic() - self._stored
        pending = self._pending
        enough = len(pending.records) + len(pending.model_plot) + len(pending.buckets) >= _RESULTS
        if enough or waited >= min(max(_SECONDS, self._storing_s / _STORING_SHARE), _SECONDS_MAX):
            self.store()

    def store(self) -> None:
        """Write what was found, and the state."""
        began = time.monotonic()
        self.buckets += len(self._pending.buckets)
        self.records += len(self._pending.records)
        more, self._told = self.rows - self._told, self.rows
        if self._fed_to_ms is not None and self._fed_to_ms != self._open_job.fed_to_ms:
            if self._pending.buckets or self._open_job.uncommitted + more >= _OPEN_ROWS:
                source = ",".join(self._extraction.containers)
                self._open_job.commit(self._pending, self._fed_to_ms, source=source, rows_of=self._extraction.frames)
            else:
                self._open_job.note(self._fed_to_ms, more)
            self._resources.change_datafeed(self._feed_id, fed_to_ms=self._fed_to_ms)
        self._pending = Results()
        self._stored = time.monotonic()
        self._storing_s = self._stored - began
