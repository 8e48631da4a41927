"""Open jobs: one process at a time holds a job, goes on from its stored state, and stores the next one whole.

The state is one object, replaced in one step after the results are written. A process that dies before that leaves
the old state: the rows since then are analysed again, and their results overwrite themselves.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gridwatch.containers.catalog import LEASES
from gridwatch.containers.lease import Lease
from gridwatch.containers.objects import ObjectStore
from gridwatch.errors import (
    JobsBusyError,
    JobsConflictError,
    JobsRequestError,
    ObjectCorruptError,
    ObjectNotFoundError,
)
from gridwatch.jobs.analysis import Analyzer
from gridwatch.jobs.service.journal import Entry, Journal
from gridwatch.jobs.service.open_job import OpenJob
from gridwatch.jobs.service.states import read_state, state_path

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.containers.objects import ObjectInfo
    from gridwatch.detectors.online.config import AutoConfig
    from gridwatch.jobs.analysis.lstm_learning import Teacher
    from gridwatch.jobs.resources import Job, JobState, Resources
    from gridwatch.jobs.results import ResultRows
    from gridwatch.jobs.service.messages import Messages

__all__ = ["LEASE_MS", "Running"]

LEASE_MS = 60_000
"""How long a job stays with a process that says nothing any more."""
_WAIT_S = 0.05


class Running:
    """The jobs that this process has at hand.

    Args:
        store: Any backend.
        resources: Rows of the jobs.
        results: Rows of the results.
        messages: What their owners should know.
        model: Members and constants of all models.
        now_ms: The clock, UTC epoch ms.
        threads: How many threads share the analysis.
        lease_ms: How long a job stays with a process that says nothing any more.
        make: Whether the container of leases is made when missing.
        teacher: Trains the networks of jobs that name one.
    """

    def __init__(
        self,
        store: Store,
        resources: Resources,
        results: ResultRows,
        messages: Messages,
        *,
        model: AutoConfig,
        now_ms: Callable[[], int],
        threads: int = 1,
        lease_ms: int = LEASE_MS,
        make: bool = True,
        teacher: Teacher | None = None,
    ) -> None:
        self.store, self.resources, self.results, self.messages = store, resources, results, messages
        self.now_ms = now_ms
        if make:
            store.put_container(LEASES)
        self.journal = Journal(store, make=make)
        self._model = model
        self._teacher = teacher
        self.threads = threads
        self._lease_ms = lease_ms
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._leases: dict[str, Lease] = {}
        self._open: dict[str, OpenJob] = {}

    @functools.cached_property
    def objects(self) -> ObjectStore:
        """The states, whose containers are made when they are first needed."""
        return ObjectStore(self.store, now_ms=self.now_ms)

    def idle(self, job_id: str) -> bool:
        """Tell whether no thread and no process is at work with a job."""
        try:
            with self._locked(job_id, 0.0), self._lease(job_id, 0.0):
                return True
        except JobsBusyError:
            return False

    def check(self, job_id: str) -> None:
        """Read the state of a job that is opening; one that somebody is at work with still is not looked at.

        Raises:
            JobsConflictError: It is not opening any more.
            JobsRequestError: The state is damaged or of another version; the job has failed.
            ObjectCorruptError: Its bytes are not those that were stored; the job has failed.
        """
        try:
            with self.hold(job_id, wait_s=0.0, state="opening"):
                # Whoever reads rows for it need not be this process.
                self.forget(job_id)
        except JobsBusyError:
            return

    @contextmanager
    def hold(self, job_id: str, *, wait_s: float = 10.0, state: JobState = "opened") -> Iterator[OpenJob]:
        """Have a job to oneself, with its newest state.

        Args:
            job_id: Which.
            wait_s: How long another thread or process may go on with it.
            state: The one that it has to be in.

        Raises:
            JobsConflictError: It is in another state.
            JobsBusyError: Another one has it for longer.
        """
        with self._locked(job_id, wait_s):
            try:
                with self._lease(job_id, wait_s):
                    yield self._newest(self._in_state(job_id, state))
            except BaseException:
                # What is in memory may be ahead of what is stored.
                self._open.pop(job_id, None)
                raise

    @contextmanager
    def _locked(self, job_id: str, wait_s: float) -> Iterator[None]:
        with self._guard:
            lock = self._locks.setdefault(job_id, threading.Lock())
        if not lock.acquire(timeout=wait_s):
            raise JobsBusyError(f"Job [{job_id}] is at work for somebody else; try again.", job_id=job_id)
        try:
            yield
        finally:
            lock.release()

    def forget(self, job_id: str, *, state: bool = False) -> None:
        """Drop a job from memory; with `state` also what it has learnt."""
        self._open.pop(job_id, None)
        if state:
            self.objects.delete(state_path(job_id))
            self.journal.drop(job_id)

    def renew(self, job_id: str) -> None:
        """Keep a job during long work.

        Raises:
            JobsConflictError: Another process has taken it: this one was silent for too long.
        """
        if not self._leases[job_id].hold():
            raise JobsBusyError(f"Job [{job_id}] was taken over by another process.", job_id=job_id)

    @contextmanager
    def _lease(self, job_id: str, wait_s: float) -> Iterator[None]:
        lease = Lease(self.store, f"job:{job_id}", clock=self.now_ms, lasts_ms=self._lease_ms)
        ends = time.monotonic() + wait_s
        while not lease.hold():
            if time.monotonic() >= ends:
                raise JobsBusyError(f"Job [{job_id}] is at work in another process; try again.", job_id=job_id)
            time.sleep(_WAIT_S)
        self._leases[job_id] = lease
        try:
            # Between two commits the analysis may take longer than a lease lasts.
            with lease.kept():
                yield
        finally:
            del self._leases[job_id]

    def _in_state(self, job_id: str, state: JobState) -> Job:
        job = self.resources.job(job_id)
        if job.state != state:
            raise JobsConflictError(f"Cannot use job [{job_id}] while its state is [{job.state}]; open it first.")
        return job

    def _newest(self, job: Job) -> OpenJob:
        """Return the job at its stored state: that in memory where nobody has stored another since."""
        known = self._open.get(job.id)
        try:
            info = self.objects.info(state_path(job.id))
        except ObjectNotFoundError:
            info = None
        version = "" if info is None else info.object_id
        entries, newest = self.journal.head(job.id, version)
        if known is not None and known.version == version and known.job.config == job.config:
            known.job = job
            later = [] if newest == known.posted else self._later(known)
            if known.posted + len(later) == entries:
                known.repeat(later)
                return known
        try:
            opened = self._loaded(job, info)
            if entries:
                opened.repeat(self._later(opened))
        except (JobsRequestError, ObjectCorruptError) as error:
            # Trying again would not help; closed by hand, the job can be reset.
            self.resources.change_job(job.id, state="failed", reason=str(error))
            self.messages.say(job.id, "error", f"Job failed: {error}")
            raise
        self.journal.drop(job.id, but=version)
        self._open[job.id] = opened
        return opened

    def _loaded(self, job: Job, info: ObjectInfo | None) -> OpenJob:
        if info is None:
            return OpenJob(self, job, Analyzer(job.config, self._model, self.threads, self._teacher), None, "")
        state = read_state(self.objects, job.config, self._model, self.threads, self._teacher)
        opened = OpenJob(self, job, state.analyzer, state.fed_to_ms, info.object_id)
        opened.sha256 = info.sha256
        opened.keys.extend(state.keys)
        return opened

    def _later(self, known: OpenJob) -> list[Entry]:
        """Return the posts that others have taken since."""
        return self.journal.after(known.job.id, known.version, known.posted, known.analyzer.columns)
