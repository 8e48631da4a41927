"""One search of a started datafeed and all that may come of it: failures, ends, late rows, nothing for a long time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from gridwatch.errors import GridwatchError, JobsBusyError, JobsConflictError, JobsNotFoundError
from gridwatch.jobs.extraction import Extraction
from gridwatch.jobs.service.datafeeds import FeedLife
from gridwatch.jobs.service.feeds import Pass, feed_once
from gridwatch.jobs.service.late import due_for_check, late_rows
from gridwatch.jobs.units import iso_text

if TYPE_CHECKING:
    from gridwatch.jobs.resources import Datafeed

__all__ = ["GIVE_UP_MS", "Passes"]

log = structlog.get_logger(__name__)

GIVE_UP_MS = 24 * 3_600_000
"""A datafeed that has failed for as long is stopped: one that looks at work and reads nothing is worse than none."""

_DAY_MS = 86_400_000

_EMPTY_TOLD = 10
"""Searches without rows after which it is said that there are none."""


class Passes(FeedLife):
    """Searches of datafeeds."""

    def run_datafeed(
        self,
        datafeed_id: str,
        *,
        progress: Callable[[int, int], None] | None = None,
        stopped: Callable[[], bool] = lambda: False,
        wait_s: float = 10.0,
    ) -> Pass:
        """Do one search of a started datafeed; at its end, it is stopped and its job closed.

        A search that fails is remembered in the datafeed's stats, and said once in the messages of its job; time does
        not go on, so that the next one reads the same rows again.

        Args:
            datafeed_id: Which.
            progress: Called with (instant fed to, instant to feed to), UTC epoch ms.
            stopped: Whether to end after the piece at hand; a stop of the datafeed ends it too.
            wait_s: How long somebody else may be at work with its job.

        Raises:
            JobsConflictError: It is not started, or its job is not open.
            JobsBusyError: Somebody else is at work with its job.
            JobsError: The rows cannot be read.
        """
        feed = self.resources.datafeed(datafeed_id)
        if feed.state == "stopping" and not self.finish_stop(datafeed_id):
            raise JobsBusyError(f"Datafeed [{datafeed_id}] is stopping; try again.", datafeed_id=datafeed_id)
        if feed.state != "started":
            told = "stopped" if feed.state == "stopping" else feed.state
            raise JobsConflictError(f"Datafeed [{datafeed_id}] is {told}; start it first.")
        job = self.resources.job(feed.config.job_id)
        if job.state == "closing":
            # A process that died had come to the end of the rows.
            self._end(feed)
            raise JobsConflictError(f"Datafeed [{datafeed_id}] was stopped: it had come to its end.")
        if job.state != "opened":
            self.stop_datafeed(datafeed_id, reason=f"its job [{job.id}] is {job.state}")
            raise JobsConflictError(f"Datafeed [{datafeed_id}] was stopped: its job [{job.id}] is {job.state}.")

        def ends() -> bool:
            now = self.resources.datafeed(datafeed_id)
            # One that was changed reads on as it is now, with the next search.
            return stopped() or now.state != "started" or now.config != feed.config

        try:
            done = feed_once(
                self.running,
                self.resources,
                feed,
                now_ms=self.now_ms(),
                progress=progress,
                stopped=ends,
                wait_s=wait_s,
            )
        except JobsConflictError:
            # Somebody else is at it, or has just closed the job: no failure of the search.
            raise
        except GridwatchError as error:
            self.note_failure(feed, str(error))
            self._stop_if_asked(datafeed_id)
            raise
        if done.whole:
            self._succeeded(feed, done)
        self._stop_if_asked(datafeed_id)
        return done

    def _stop_if_asked(self, datafeed_id: str) -> None:
        """Stop a datafeed that became one to be stopped while its piece was at work, which is stored now."""
        # One that was deleted by force meanwhile needs no stop.
        with suppress(JobsNotFoundError):
            if self.resources.datafeed(datafeed_id).state == "stopping":
                self.stop_datafeed(datafeed_id)

    def note_failure(self, feed: Datafeed, error: str) -> None:
        """Remember that a search failed; after `GIVE_UP_MS` of failures the datafeed is stopped, its job stays open.

        Args:
            feed: As it was before the search.
            error: Why.
        """
        now_ms = self.now_ms()
        since = feed.failing_since_ms if feed.failures else None
        since = now_ms if since is None else since
        self.resources.change_datafeed(
            feed.id, tried_ms=now_ms, error=error, failing_since_ms=since, failures=feed.failures + 1
        )
        if feed.error != error:
            self.messages.say(
                feed.config.job_id, "error", f"Datafeed [{feed.id}] cannot read its rows and tries again: {error}",
                about=(feed.id, since, error),
            )  # fmt: skip
        if now_ms - since >= GIVE_UP_MS:
            self.stop_datafeed(
                feed.id,
                reason=f"every search since {iso_text(since)} failed, {feed.failures + 1} in a row; the last: {error}",
            )

    def _succeeded(self, feed: Datafeed, done: Pass) -> None:
        if feed.failures:
            self.messages.say(
                feed.config.job_id,
                "info",
                f"Datafeed [{feed.id}] reads its rows again, after {feed.failures} searches that failed.",
            )
        self._drop_old(feed.config.job_id)
        if feed.searched_ms is None:
            self._look_for_values(feed)
        if done.done:
            self._end(feed)
            return
        if feed.searched_ms is None:
            self.messages.say(feed.config.job_id, "info", f"Datafeed [{feed.id}] has caught up; real time begins.")
            return
        self._look_for_late_rows(feed)
        self._look_for_silence(feed, done)

    def _end(self, feed: Datafeed) -> None:
        """Stop a datafeed that has come to its end, and close its job: who sees that one closed sees this stopped."""
        job_id = feed.config.job_id
        self.resources.change_job(job_id, states=("opened", "closing"), state="closing")
        self.running.forget(job_id)
        self.stop_datafeed(feed.id)
        self.resources.change_job(job_id, states=("closing", "closed"), state="closed", finished_ms=self.now_ms())
        self.messages.say(job_id, "info", "Job closed: its datafeed has come to its end.")

    def _look_for_values(self, feed: Datafeed) -> None:
        """Warn where what has been read up to now has rows, but no value in any field that the job needs."""
        job = self.resources.job(feed.config.job_id)
        if job.counts.get("missing_field_count") and not job.counts.get("processed_field_count"):
            self.messages.say(
                job.id, "warning",
                f"None of the {job.counts['processed_record_count']} rows of datafeed [{feed.id}] has a value in the "
                "fields that the job needs; a metric takes numbers alone. Check field_name of its detectors.",
            )  # fmt: skip

    def _drop_old(self, job_id: str) -> None:
        """Delete results that are older than the job keeps them, counted from its newest bucket."""
        job = self.resources.job(job_id)
        days, newest = job.config.results_retention_days, job.counts.get("latest_bucket_timestamp")
        if days is not None and newest is not None:
            self.results.drop(job_id, before_ms=max(newest - days * _DAY_MS, 0))

    def _look_for_silence(self, feed: Datafeed, done: Pass) -> None:
        job = self.resources.job(feed.config.job_id)
        if done.rows:
            if feed.empty_searches >= _EMPTY_TOLD:
                self.messages.say(job.id, "info", f"Datafeed [{feed.id}] finds rows again.")
            return
        empty, most = feed.empty_searches + 1, feed.config.max_empty_searches
        if empty == _EMPTY_TOLD:
            self.messages.say(
                job.id, "warning", f"Datafeed [{feed.id}] has found no rows in its last {empty} searches."
            )
        if most is not None and 0 < most <= empty and not job.counts.get("processed_record_count"):
            self.stop_datafeed(feed.id, reason=f"{empty} searches in real time found no rows, nor did any before")
            self.close_job(job.id)

    def _look_for_late_rows(self, feed: Datafeed) -> None:
        now_ms = self.now_ms()
        job = self.resources.job(feed.config.job_id)
        if not due_for_check(job, feed, now_ms):
            return
        try:
            extraction = Extraction(self.store, job.config, feed.config, now_ms=now_ms)
            late = late_rows(extraction, self.results, job, feed)
        except GridwatchError as error:
            self.messages.say(
                job.id, "warning", f"Late rows of datafeed [{feed.id}] could not be looked for: {error}",
                about=(feed.id, "late", str(error)),
            )  # fmt: skip
            self.resources.change_datafeed(feed.id, checked_ms=now_ms)
            return
        new = {start: many - feed.late.get(start, 0) for start, many in late.items() if many > feed.late.get(start, 0)}
        if new:
            first, last = iso_text(min(new)), iso_text(max(new))
            where = f"the bucket at {first}" if first == last else f"{len(new)} buckets from {first} to {last}"
            self.messages.say(
                job.id,
                "warning",
                f"Datafeed [{feed.id}] has missed {sum(new.values())} rows of {where}: they came after they were "
                f"looked for. They are not analysed; consider a longer query_delay than "
                f"{feed.config.query_delay_ms // 1000}s.",
            )
        self.resources.change_datafeed(feed.id, checked_ms=now_ms, late=late)
