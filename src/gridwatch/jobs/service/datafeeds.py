"""The life of datafeeds: made, changed, started, run, stopped, deleted, previewed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from gridwatch.errors import JobsConflictError, JobsRequestError, JobsValueError
from gridwatch.jobs.config import DatafeedConfig, JobConfig, parse_datafeed, parse_job
from gridwatch.jobs.extraction import Extraction, check_asked
from gridwatch.jobs.resources import Datafeed
from gridwatch.jobs.service.life import JobLife
from gridwatch.jobs.service.passing import passing
from gridwatch.jobs.service.updates import check_pair, updated_datafeed
from gridwatch.jobs.units import iso_text

__all__ = ["STOP_WAIT_S", "FeedLife"]

log = structlog.get_logger(__name__)

STOP_WAIT_S = 20.0
"""How long a stop waits for the piece at hand, as in Elasticsearch."""
_LOOK_S = 0.05


class FeedLife(JobLife):
    """What can be done with datafeeds."""

    def put_datafeed(self, raw: object, *, datafeed_id: str | None = None) -> Datafeed:
        """Make a datafeed, stopped.

        Raises:
            JobsError: The JSON is wrong, an id is taken, the job is unknown or has a datafeed.
        """
        config = parse_datafeed(raw, datafeed_id=datafeed_id)
        check_pair(self.resources.job(config.job_id).config, config)
        check_asked(self.store, config, now_ms=self.now_ms())
        feed = Datafeed(config, "stopped", self.now_ms())
        self.resources.add_datafeed(feed)
        return feed

    def update_datafeed(self, datafeed_id: str, raw: object, *, running: bool = False) -> Datafeed:
        """Change a stopped datafeed; it keeps its job.

        Args:
            datafeed_id: Which.
            raw: What changes; null brings a default back.
            running: Whether one that runs is changed too. A search at work ends after the piece at hand, and the next
                one goes on from there as the new config says.

        Raises:
            JobsNotFoundError: There is none; or, of one that runs, no container that it is to read.
            JobsConflictError: It runs, and that is not allowed.
            JobsError: The JSON is wrong.
        """
        feed = self.resources.datafeed(datafeed_id)
        if not running or feed.state != "started":
            config = updated_datafeed(feed, raw)
            check_pair(self.resources.job(config.job_id).config, config)
            check_asked(self.store, config, now_ms=self.now_ms())
            return self.resources.change_datafeed(datafeed_id, states=("stopped",), config=config)
        config = updated_datafeed(replace(feed, state="stopped"), raw)
        job, now_ms = self.resources.job(config.job_id), self.now_ms()
        check_pair(job.config, config)
        # As at a start, somebody is there to read what is wrong.
        Extraction(self.store, job.config, config, now_ms=now_ms)
        # In real time its next search lies where the new config puts it; a look-back goes on at once.
        tried_ms = None if feed.searched_ms is None else now_ms
        changed = self.resources.change_datafeed(
            datafeed_id, states=("started",), config=config, tried_ms=tried_ms, error=None, failing_since_ms=None,
            failures=0,
        )  # fmt: skip
        what = ", ".join(sorted(raw)) if isinstance(raw, dict) else ""
        self.messages.say(job.id, "info", f"Datafeed [{datafeed_id}] changed while it runs, and goes on: {what}.")
        return changed

    def delete_datafeed(self, datafeed_id: str, *, force: bool = False) -> None:
        """Delete a stopped datafeed.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It runs, and that is not forced.
        """
        feed = self.resources.datafeed(datafeed_id)
        if feed.state != "stopped":
            if not force:
                raise JobsConflictError(
                    f"Cannot delete datafeed [{datafeed_id}] while its status is {feed.state}.", datafeed_id=datafeed_id
                )
            self.stop_datafeed(datafeed_id)
        self.resources.drop_datafeed(datafeed_id)

    def start_datafeed(self, datafeed_id: str, *, start_ms: int | None = None, end_ms: int | None = None) -> Datafeed:
        """Start a datafeed; `run_datafeed` or the runner does its work.

        Args:
            datafeed_id: Which.
            start_ms: First instant wanted, UTC epoch ms; None for the earliest row, or where the job has come to.
            end_ms: First instant not wanted any more; None to go on for ever.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It runs, or its job is not open.
            JobsValueError: The start is not before the end.
        """
        feed = self.resources.datafeed(datafeed_id)
        job = self.resources.job(feed.config.job_id)
        # One that is starting was left by a process that died, or is started twice: one of them is the first.
        if feed.state not in {"stopped", "starting"}:
            raise _started_already(datafeed_id)
        if job.state != "opened":
            raise JobsConflictError(
                f"Cannot start datafeed [{datafeed_id}] because job [{job.id}] is {job.state}; open it first."
            )
        if start_ms is not None and end_ms is not None and start_ms >= end_ms:
            raise JobsValueError(f"invalid [start] {start_ms}: it has to be before [end] {end_ms}.", path="start")
        with passing(
            self.resources.change_datafeed, datafeed_id, "starting", states=("stopped", "starting"), back="stopped"
        ):
            # Containers, fields, query and scripts are looked at now, when somebody is there to read what is wrong.
            Extraction(self.store, job.config, feed.config, now_ms=self.now_ms())
            started = self.resources.change_datafeed(
                datafeed_id, states=("starting",), state="started", reason=None, start_ms=start_ms, end_ms=end_ms,
                searched_ms=None, tried_ms=None, fed_to_ms=None, empty_searches=0, late={}, error=None,
                failing_since_ms=None, failures=0,
            )  # fmt: skip
        until = "and goes on in real time" if end_ms is None else f"up to {iso_text(end_ms)}"
        self.messages.say(job.id, "info", f"Datafeed [{datafeed_id}] started {until}.")
        return started

    def stop_datafeed(self, datafeed_id: str, *, reason: str | None = None) -> Datafeed:
        """Stop a datafeed at once; a stopped one stays so. Who is at work with it stores the piece at hand and ends.

        Raises:
            JobsNotFoundError: There is none.
        """
        feed = self.resources.datafeed(datafeed_id)
        if feed.state == "stopped":
            return feed
        try:
            stopped = self.resources.change_datafeed(
                datafeed_id, states=("starting", "started", "stopping"), state="stopped", reason=reason
            )
        except JobsConflictError:
            # Somebody else has stopped it meanwhile, and said so.
            return self.resources.datafeed(datafeed_id)
        why = "" if reason is None else f": {reason}"
        self.messages.say(
            feed.config.job_id, "info" if reason is None else "warning", f"Datafeed [{datafeed_id}] stopped{why}."
        )
        return stopped

    def stop_datafeeds(
        self,
        pattern: str,
        *,
        force: bool = False,
        allow_no_match: bool = True,
        close_job: bool = False,
        wait_s: float = STOP_WAIT_S,
    ) -> list[Datafeed]:
        """Stop datafeeds by id, several by comma, `*` allowed, `_all` for all.

        Those that somebody is at work with are stopping until the piece at hand is stored.

        Args:
            pattern: Which.
            force: Whether that is not waited for.
            allow_no_match: Whether a pattern may match nothing.
            close_job: Whether their jobs are closed as well.
            wait_s: How long it is waited for at most; after that they are stopped all the same.

        Raises:
            JobsNotFoundError: An id names none, or nothing matches and that is not allowed.
            JobsError: A job could not be closed; all datafeeds are stopped, and the other jobs closed.
        """
        feeds = self.resources.datafeeds(pattern, allow_no_match=allow_no_match)
        if not force:
            self._await_pieces(feeds, wait_s)
        stopped = [self.stop_datafeed(feed.id) for feed in feeds]
        if close_job:
            self._close_each([feed.config.job_id for feed in stopped])
        return stopped

    def finish_stop(self, datafeed_id: str) -> bool:
        """Stop a datafeed that is stopping, if nobody is at work with it; tell whether it was.

        Raises:
            JobsNotFoundError: There is none.
        """
        feed = self.resources.datafeed(datafeed_id)
        if feed.state != "stopping" or not self.running.idle(feed.config.job_id):
            return False
        self.stop_datafeed(datafeed_id)
        return True

    def _await_pieces(self, feeds: Sequence[Datafeed], wait_s: float) -> None:
        """Wait until nobody is at work with some datafeeds, which are stopping meanwhile."""
        busy = [one for one in feeds if one.state != "stopped" and not self.running.idle(one.config.job_id)]
        for one in busy:
            # One that has come to its end in the meantime is stopped.
            with suppress(JobsConflictError):
                self.resources.change_datafeed(one.id, states=("starting", "started", "stopping"), state="stopping")
        ends = time.monotonic() + wait_s
        while busy and time.monotonic() < ends:
            time.sleep(_LOOK_S)
            busy = [one for one in busy if not self.running.idle(one.config.job_id)]

    def preview_datafeed(
        self,
        datafeed_id: str | None = None,
        *,
        datafeed: Mapping[str, Any] | None = None,
        job: Mapping[str, Any] | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return the first rows as a job gets them, of a stored datafeed or of configs.

        Raises:
            JobsRequestError: An id and configs, or neither.
            JobsError: A config is wrong, or the rows cannot be read.
        """
        if datafeed_id is not None:
            if datafeed is not None or job is not None:
                raise JobsRequestError("give the id of a datafeed or configs, not both.")
            feed_config = self.resources.datafeed(datafeed_id).config
            job_config = self.resources.job(feed_config.job_id).config
        else:
            feed_config, job_config = self._inline(datafeed, job)
        extraction = Extraction(self.store, job_config, feed_config, now_ms=self.now_ms())
        return extraction.preview(start_ms, end_ms)

    def _inline(
        self, datafeed: Mapping[str, Any] | None, job: Mapping[str, Any] | None
    ) -> tuple[DatafeedConfig, JobConfig]:
        nested = None if job is None else job.get("datafeed_config")
        if (datafeed is None) == (nested is None):
            raise JobsRequestError("a preview needs the id of a datafeed, or one [datafeed_config].")
        raw = dict(datafeed if datafeed is not None else nested or {})
        if job is None:
            feed = parse_datafeed(raw, datafeed_id=raw.get("datafeed_id") or "preview")
            return feed, self.resources.job(feed.job_id).config
        config = parse_job({**job, "datafeed_config": None}, job_id=job.get("job_id") or "preview")
        feed = parse_datafeed(raw, datafeed_id=raw.get("datafeed_id") or "preview", job_id=config.job_id)
        check_pair(config, feed)
        return feed, config


def _started_already(datafeed_id: str) -> JobsConflictError:
    return JobsConflictError(
        f"Cannot start datafeed [{datafeed_id}] because it has already been started.", datafeed_id=datafeed_id
    )
