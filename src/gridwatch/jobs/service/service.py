"""`JobsService`: the life of jobs and datafeeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.errors import JobsConflictError, JobsError, JobsRequestError, JobsValueError
from gridwatch.jobs.analysis.models import BUCKETS
from gridwatch.jobs.config import DatafeedConfig, JobConfig, check_together, parse_datafeed, parse_job
from gridwatch.jobs.extraction import Extraction
from gridwatch.jobs.resources import Datafeed, Job, Resources
from gridwatch.jobs.results import ResultRows
from gridwatch.jobs.service.feeds import Pass, feed_once
from gridwatch.jobs.service.running import Running

if TYPE_CHECKING:
    import pandas as pd

    from gridwatch.containers import Store
    from gridwatch.detectors.online.config import AutoConfig

__all__ = ["JobsService"]

log = structlog.get_logger(__name__)


class JobsService:
    """Jobs and datafeeds of one store. Safe to use from many threads, and from several processes at once.

    Args:
        store: Any backend; stays open, and the caller closes it.
        now_ms: The clock, UTC epoch ms.
        model: Members and constants of the models.
        threads: How many threads share an analysis.
    """

    def __init__(
        self, store: Store, *, now_ms: Callable[[], int], model: AutoConfig | None = None, threads: int = 1
    ) -> None:
        self.store = store
        self.now_ms = now_ms
        self.resources = Resources(store)
        self.results = ResultRows(store)
        self.running = Running(
            store, self.resources, self.results, model=model or BUCKETS, now_ms=now_ms, threads=threads
        )

    def put_job(self, raw: object, *, job_id: str | None = None) -> Job:
        """Make a job, closed, and the datafeed that is in its `datafeed_config`: both or none.

        Raises:
            JobsError: The JSON is wrong, or an id is taken.
        """
        config = parse_job(raw, job_id=job_id)
        job = Job(config.model_copy(update={"datafeed_config": None}), "closed", self.now_ms())
        feed = None
        if config.datafeed_config is not None:
            inline = parse_datafeed(config.datafeed_config, job_id=config.job_id)
            check_together(config, inline)
            feed = Datafeed(inline, "stopped", self.now_ms())
        self.resources.add_job(job)
        if feed is not None:
            try:
                self.resources.add_datafeed(feed)
            except JobsError:
                self.resources.drop_job(job.id)
                raise
        return job

    def open_job(self, job_id: str) -> Job:
        """Open a job; one that is open stays so.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It is on its way to another state.
        """
        job = self.resources.job(job_id)
        if job.state == "opened":
            return job
        if job.state not in {"closed", "failed"}:
            raise JobsConflictError(f"Cannot open job [{job_id}] while its state is [{job.state}].", job_id=job_id)
        opened = replace(job, state="opened", reason=None, opened_ms=self.now_ms())
        self.resources.put_job(opened)
        return opened

    def close_job(self, job_id: str, *, force: bool = False) -> Job:
        """Close a job: its state is stored, and nothing more is taken. A closed job stays so.

        Args:
            job_id: Which.
            force: Close it though its datafeed runs, which is stopped then.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: Its datafeed runs.
        """
        job = self.resources.job(job_id)
        if job.state == "closed":
            return job
        feed = self.resources.datafeed_of(job_id)
        if feed is not None and feed.state == "started":
            if not force:
                raise JobsConflictError(
                    f"Cannot close job [{job_id}] while its datafeed [{feed.id}] is started; stop that first."
                )
            self.stop_datafeed(feed.id)
        with self.running.hold(job_id):
            closed = replace(self.resources.job(job_id), state="closed", finished_ms=self.now_ms())
            self.resources.put_job(closed)
        self.running.forget(job_id)
        return closed

    def delete_job(self, job_id: str, *, force: bool = False) -> None:
        """Delete a closed job with its results, state and stopped datafeed.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It is open, or its datafeed runs, and that is not forced.
        """
        job = self.resources.job(job_id)
        feed = self.resources.datafeed_of(job_id)
        if job.state != "closed":
            if not force:
                raise JobsConflictError(f"Cannot delete job [{job_id}] because the job is {job.state}.", job_id=job_id)
            self.close_job(job_id, force=True)
        if feed is not None:
            self.resources.drop_datafeed(feed.id)
        self._forget_all(job_id)
        self.resources.drop_job(job_id)

    def reset_job(self, job_id: str) -> Job:
        """Bring a closed job back to its beginning: no state, no results.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It is open.
        """
        job = self.resources.job(job_id)
        if job.state != "closed":
            raise JobsConflictError(f"Can only reset a job when it is closed; job [{job_id}] is {job.state}.")
        self._forget_all(job_id)
        fresh = replace(job, analysed_to_ms=None, counts={}, size={}, reason=None)
        self.resources.put_job(fresh)
        return fresh

    def put_datafeed(self, raw: object, *, datafeed_id: str | None = None) -> Datafeed:
        """Make a datafeed, stopped.

        Raises:
            JobsError: The JSON is wrong, an id is taken, the job is unknown or has a datafeed.
        """
        config = parse_datafeed(raw, datafeed_id=datafeed_id)
        check_together(self.resources.job(config.job_id).config, config)
        feed = Datafeed(config, "stopped", self.now_ms())
        self.resources.add_datafeed(feed)
        return feed

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
        if feed.state != "stopped":
            raise JobsConflictError(
                f"Cannot start datafeed [{datafeed_id}] because it has already been started.", datafeed_id=datafeed_id
            )
        if job.state != "opened":
            raise JobsConflictError(
                f"Cannot start datafeed [{datafeed_id}] because job [{job.id}] is {job.state}; open it first."
            )
        if start_ms is not None and end_ms is not None and start_ms >= end_ms:
            raise JobsValueError(f"invalid [start] {start_ms}: it has to be before [end] {end_ms}.", path="start")
        started = replace(
            feed, state="started", reason=None, start_ms=start_ms, end_ms=end_ms, searched_ms=None, empty_searches=0
        )
        # Containers, fields, query and scripts are looked at now, when somebody is there to read what is wrong.
        Extraction(self.store, job.config, feed.config, now_ms=self.now_ms())
        self.resources.put_datafeed(started)
        return started

    def stop_datafeed(self, datafeed_id: str, *, reason: str | None = None) -> Datafeed:
        """Stop a datafeed after the piece at hand; a stopped one stays so.

        Raises:
            JobsNotFoundError: There is none.
        """
        feed = self.resources.datafeed(datafeed_id)
        stopped = replace(feed, state="stopped", reason=reason)
        self.resources.put_datafeed(stopped)
        return stopped

    def run_datafeed(self, datafeed_id: str, *, progress: Callable[[int, int], None] | None = None) -> Pass:
        """Do one pass of a started datafeed; at its end, it is stopped and its job closed.

        Raises:
            JobsConflictError: It is not started, or another process is at it.
            JobsError: The rows cannot be read.
        """
        feed = self.resources.datafeed(datafeed_id)
        if feed.state != "started":
            raise JobsConflictError(f"Datafeed [{datafeed_id}] is {feed.state}; start it first.")
        done = feed_once(
            self.running,
            self.resources,
            feed,
            now_ms=self.now_ms(),
            progress=progress,
            stopped=lambda: self.resources.datafeed(datafeed_id).state != "started",
        )
        if done.done:
            self.stop_datafeed(datafeed_id)
            self.close_job(feed.config.job_id)
        return done

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

    def post_data(self, job_id: str, frame: pd.DataFrame) -> Job:
        """Analyse rows that were posted to an open job; once this returns, they are in its stored state.

        Args:
            job_id: Which.
            frame: The time field int64 ms, and the job's fields.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It is not open.
        """
        self.resources.job(job_id)
        with self.running.hold(job_id) as open_job:
            found = open_job.analyzer.push(frame)
            open_job.commit(found, open_job.fed_to_ms)
            return open_job.job

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
        check_together(config, feed)
        return feed, config

    def _forget_all(self, job_id: str) -> None:
        self.running.forget(job_id, state=True)
        self.results.drop(job_id)
