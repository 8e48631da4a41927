"""The life of jobs: made, opened, changed, closed, reset, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from gridwatch.errors import GridwatchError, JobsConflictError, JobsError, JobsExistsError
from gridwatch.jobs.config import JobConfig, check_new, parse_datafeed, parse_job
from gridwatch.jobs.extraction import check_asked
from gridwatch.jobs.resources import Datafeed, Job
from gridwatch.jobs.service.parts import Parts
from gridwatch.jobs.service.passing import passing
from gridwatch.jobs.service.updates import check_pair, updated_job

__all__ = ["JobLife"]

log = structlog.get_logger(__name__)


class JobLife(Parts):
    """What can be done with jobs as a whole."""

    def put_job(self, raw: object, *, job_id: str | None = None) -> Job:
        """Make a job, closed, and the datafeed that is in its `datafeed_config`: both or none.

        Raises:
            JobsError: The JSON is wrong, or an id is taken.
        """
        config = parse_job(raw, job_id=job_id)
        check_new(config)
        job = Job(config.model_copy(update={"datafeed_config": None}), "closed", self.now_ms())
        feed = None
        if config.datafeed_config is not None:
            inline = parse_datafeed(config.datafeed_config, job_id=config.job_id)
            check_pair(config, inline)
            check_asked(self.store, inline, now_ms=self.now_ms())
            feed = Datafeed(inline, "stopped", self.now_ms())
        if job.id not in {other.id for other in self.resources.jobs()}:
            # What a process left that died while it deleted a job of this name.
            self._forget_all(job.id)
        self._check_groups(config)
        self.resources.add_job(job)
        if feed is not None:
            try:
                self.resources.add_datafeed(feed)
            except GridwatchError:
                self.resources.drop_job(job.id)
                raise
        self.messages.say(job.id, "info", "Job created.")
        if config.model.type == "lstm":
            self.messages.say(
                job.id, "info",
                f"An LSTM is trained after {config.train_buckets:,} buckets; until then the usual model judges.",
            )  # fmt: skip
        return job

    def _check_groups(self, config: JobConfig) -> None:
        taken = {other.id for other in self.resources.jobs()} & set(config.groups)
        if taken:
            raise JobsExistsError(
                f"job and group names share one name space; [{min(taken)}] is a job.", path="groups", group=min(taken)
            )

    def open_job(self, job_id: str) -> Job:
        """Open a job; one that is open stays so. While it is opening, what it has learnt is read and checked.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It is on its way to another state.
            JobsRequestError: What it has learnt cannot be read; the job has failed.
            ObjectCorruptError: The same.
        """
        job = self.resources.job(job_id)
        if job.state == "opened":
            return job
        # One that is opening was left by a process that died, or is opened twice: one of them is the first.
        if job.state not in {"closed", "failed", "opening"}:
            raise JobsConflictError(
                f"Cannot open job [{job_id}] while its state is [{job.state}]; close it first.", job_id=job_id
            )
        states, back = ("closed", "failed", "opening"), "failed" if job.state == "failed" else "closed"
        try:
            with passing(self.resources.change_job, job_id, "opening", states=states, back=back):
                self.running.check(job_id)
                opened = self.resources.change_job(
                    job_id, states=("opening",), state="opened", reason=None, opened_ms=self.now_ms()
                )
        except JobsConflictError:
            # Somebody else may have opened it meanwhile.
            if (newest := self.resources.job(job_id)).state != "opened":
                raise
            return newest
        self.messages.say(job_id, "info", "Job opened.")
        return opened

    def open_jobs(self, pattern: str, *, allow_no_match: bool = True) -> list[Job]:
        """Open jobs by id or group, several by comma, `*` allowed, `_all` for all.

        Raises:
            JobsNotFoundError: An id names none, or nothing matches and that is not allowed.
            JobsConflictError: One is on its way to another state.
        """
        return [self.open_job(job.id) for job in self.resources.jobs(pattern, allow_no_match=allow_no_match)]

    def close_job(self, job_id: str, *, force: bool = False) -> Job:
        """Close a job: its state is stored, and nothing more is taken. A closed job stays so.

        Args:
            job_id: Which.
            force: Close it though its datafeed runs, which is stopped then.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: Its datafeed runs, or somebody is at work with it and does not end.
        """
        job = self.resources.job(job_id)
        if job.state == "closed":
            return job
        feed = self._running_feed(job_id)
        if feed is not None:
            if not force:
                raise _feed_runs(job_id, feed)
            self.resources.change_datafeed(feed.id, state="stopped", reason="its job was closed by force")
        if job.state in {"failed", "opening", "closing"}:
            # Posts that no state has yet stay in the journal, and are taken when it is opened again.
            closed = self.resources.change_job(job_id, state="closed", finished_ms=self.now_ms())
        else:
            try:
                with (
                    self.running.hold(job_id) as open_job,
                    passing(self.resources.change_job, job_id, "closing", states=("opened",), back="opened"),
                ):
                    open_job.settle()
                    closed = self.resources.change_job(
                        job_id, states=("closing",), state="closed", finished_ms=self.now_ms()
                    )
            except JobsConflictError:
                # Somebody else may have closed it meanwhile; one that was opened again since is not closed for them.
                if (newest := self.resources.job(job_id)).state != "closed":
                    raise
                return newest
        self.running.forget(job_id)
        self.messages.say(job_id, "info", "Job closed.")
        return closed

    def close_jobs(self, pattern: str, *, force: bool = False, allow_no_match: bool = True) -> list[Job]:
        """Close jobs by id or group, several by comma, `*` allowed, `_all` for all.

        While the datafeed of one runs, none is closed. Of jobs that fail to close, the others are closed all the same.

        Raises:
            JobsNotFoundError: An id names none, or nothing matches and that is not allowed.
            JobsConflictError: The datafeed of one runs, or several could not be closed.
            JobsError: One could not be closed; says why.
        """
        jobs = self.resources.jobs(pattern, allow_no_match=allow_no_match)
        for job in jobs:
            if not force and job.state != "closed" and (feed := self._running_feed(job.id)) is not None:
                raise _feed_runs(job.id, feed)
        return self._close_each([job.id for job in jobs], force=force)

    def update_job(self, job_id: str, raw: object) -> Job:
        """Change what may change of a job; what runs goes on with it from its next search.

        Raises:
            JobsNotFoundError: There is none.
            JobsBodyError: A key is unknown, or one that never changes.
            JobsConflictError: The memory limit of a job that is open.
            JobsError: A value is not allowed.
        """
        job = self.resources.job(job_id)
        config = updated_job(job, raw)
        self._check_groups(config)
        feed = self.resources.datafeed_of(job_id)
        if feed is not None:
            check_pair(config, feed.config)
        updated = self.resources.change_job(job_id, config=config)
        self.messages.say(job_id, "info", f"Job updated: {', '.join(_keys(raw))}.")
        return updated

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
        # The row goes first: what a process leaves that dies after it, the next job of this name clears away.
        self.resources.drop_job(job_id)
        self._forget_all(job_id)
        self.messages.drop(job_id)

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
        fresh = replace(job, analysed_to_ms=None, counts={}, size={}, timing={}, reason=None)
        self.resources.change_job(job_id, analysed_to_ms=None, counts={}, size={}, timing={}, reason=None)
        self.messages.say(job_id, "info", "Job reset.")
        return fresh

    def _close_each(self, job_ids: Sequence[str], *, force: bool = False) -> list[Job]:
        """Close jobs, also those after one that fails; then raise what failed."""
        closed, failed = [], {}
        for job_id in job_ids:
            try:
                closed.append(self.close_job(job_id, force=force))
            except JobsError as error:
                failed[job_id] = error
        if len(failed) == 1 and not closed:
            raise next(iter(failed.values()))
        if failed:
            told = "; ".join(f"[{job_id}]: {str(error).rstrip('.')}" for job_id, error in failed.items())
            raise JobsConflictError(
                f"Closed {len(closed)} of {len(job_ids)} jobs, but not {told}.", job_id=",".join(failed)
            )
        return closed

    def _running_feed(self, job_id: str) -> Datafeed | None:
        feed = self.resources.datafeed_of(job_id)
        return feed if feed is not None and feed.state != "stopped" else None

    def _forget_all(self, job_id: str) -> None:
        self.running.forget(job_id, state=True)
        self.results.drop(job_id)


def _keys(raw: object) -> list[str]:
    return sorted(raw) if isinstance(raw, dict) else []


def _feed_runs(job_id: str, feed: Datafeed) -> JobsConflictError:
    return JobsConflictError(
        f"Cannot close job [{job_id}] while its datafeed [{feed.id}] is {feed.state}; stop that first.", job_id=job_id
    )
