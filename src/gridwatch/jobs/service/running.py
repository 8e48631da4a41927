"""Open jobs: one process at a time holds a job, goes on from its stored state, and stores the next one whole.

The state is one object, replaced in one step after the results are written. A process that dies before that leaves
the old state: the rows since then are analysed again, and their results overwrite themselves.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

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
from gridwatch.jobs.analysis import Analyzer, Results
from gridwatch.jobs.analysis.rows import Rows
from gridwatch.jobs.anomalies import write_anomalies
from gridwatch.jobs.service.journal import Entry, Journal
from gridwatch.jobs.service.states import packed, read_state, state_path
from gridwatch.jobs.sizes import counts_json, memory_message, size_json
from gridwatch.jobs.timing import with_buckets

if TYPE_CHECKING:
    import pandas as pd

    from gridwatch.containers import Store
    from gridwatch.containers.objects import ObjectInfo
    from gridwatch.detectors.online.config import AutoConfig
    from gridwatch.jobs.analysis.lstm_learning import Teacher
    from gridwatch.jobs.resources import Job, Resources
    from gridwatch.jobs.results import ResultRows
    from gridwatch.jobs.service.messages import Messages

__all__ = ["LEASE_MS", "OpenJob", "Running", "state_path"]

log = structlog.get_logger(__name__)

LEASE_MS = 60_000
"""How long a job stays with a process that says nothing any more."""
_WAIT_S = 0.05
_COST_MAX, _ENTRY_COST = 2_000_000, 5_000
"""What posts may cost that a process takes again after a crash, before a state is stored: one for a row or a value that
is judged, some 3 s in all. An entry by itself costs as much as 5,000 of them: 400 small posts share one state."""
_ENTRY_BYTES_MAX = 1 << 20
"""A post as large is a state's own worth, and a row of some stores has no room for it."""
_KEYS = 1_000
"""Keys of posts that are remembered."""


class OpenJob:
    """A job whose state is at hand.

    Attributes:
        job: As it is stored.
        analyzer: Its state.
        fed_to_ms: First instant whose rows have not been analysed, None before the first.
        sha256: Of the stored state that the analyzer went on from, None where there is none.
        uncommitted: Rows of a datafeed that the analyzer has seen and the stored state has not.
        posted: Number of the newest post that is in the journal and not in the stored state, 0 for none.
        keys: Of the newest posts that had one.
    """

    def __init__(self, running: Running, job: Job, analyzer: Analyzer, fed_to_ms: int | None, version: str) -> None:
        self.job = job
        self.analyzer = analyzer
        self.fed_to_ms = fed_to_ms
        self.version = version
        self.sha256: str | None = None
        self.uncommitted = 0
        self.posted = self._posted_cost = 0
        self.keys: deque[str] = deque(maxlen=_KEYS)
        self._running = running
        self._interim = True  # nobody knows what a process before this one left

    def commit(self, results: Results, fed_to_ms: int | None, *, source: str = "") -> None:
        """Write results, then the state that they led to.

        Args:
            results: Finished buckets since the last commit.
            fed_to_ms: First instant whose rows the state has not seen.
            source: Containers that the rows came from.

        Raises:
            JobsConflictError: Another process has taken the job over.
        """
        parts = self._running
        parts.renew(self.job.id)
        self._write(results, source)
        self.fed_to_ms = fed_to_ms
        with packed(self.analyzer, fed_to_ms, self.keys) as file:
            info = parts.objects.put(state_path(self.job.id), file)
        self.version, self.sha256 = info.object_id, info.sha256
        self.uncommitted = 0
        if self.posted:
            # What dies before this leaves entries that follow no state there is: nobody reads them.
            parts.journal.drop(self.job.id)
            self.posted = self._posted_cost = 0
        self.tell_counts()

    def post(self, frame: pd.DataFrame, *, key: str | None, invalid: int, input_bytes: int) -> None:
        """Analyse rows that were posted, write what they led to, and keep them: in the journal, or in the next state.

        Args:
            frame: The time field int64 ms, and the job's fields.
            key: What the poster calls them; a post of the same key does nothing.
            invalid: Rows beside them whose time could not be read.
            input_bytes: What they took as they were posted.

        Raises:
            JobsConflictError: Another process has taken the job over.
        """
        if key is not None and key in self.keys:
            return
        parts, network = self._running, self.analyzer.network
        parts.renew(self.job.id)
        entry = Entry(self.posted + 1, key, Rows.of(frame, self.analyzer.columns), invalid, input_bytes)
        content = entry.rows.to_bytes()
        results = self._take(entry)
        cost = self._posted_cost + _ENTRY_COST + len(entry.rows) + sum(one.series for one in results.buckets)
        # A network is trained once; rows of a datafeed come before those that are posted after them.
        kept = self.uncommitted or self.analyzer.network is not network
        if kept or cost >= _COST_MAX or len(content) >= _ENTRY_BYTES_MAX:
            self.commit(results, self.fed_to_ms)
            return
        self._write(results, "")
        parts.journal.add(self.job.id, self.version, entry, content)
        # Who has taken the job over meanwhile may not have seen the entry.
        parts.renew(self.job.id)
        self.posted, self._posted_cost = entry.number, cost
        self.tell_counts()

    def repeat(self, entries: Sequence[Entry]) -> None:
        """Take posts of the journal again, whose results are written already."""
        for entry in entries:
            results = self._take(entry)
            self._posted_cost += _ENTRY_COST + len(entry.rows) + sum(one.series for one in results.buckets)
            self.posted = entry.number

    def settle(self) -> None:
        """Store a state that has all posts."""
        if self.posted:
            self.commit(Results(), self.fed_to_ms)

    def _take(self, entry: Entry) -> Results:
        results = self.analyzer.push(entry.rows.to_frame(self.analyzer.columns))
        counts = self.analyzer.counts
        counts.input_record_count += entry.invalid
        counts.invalid_date_count += entry.invalid
        counts.input_bytes += entry.input_bytes
        if entry.key is not None:
            self.keys.append(entry.key)
        return results

    def _write(self, results: Results, source: str) -> None:
        """Write results and anomalies."""
        parts = self._running
        if results.buckets and self._interim:
            parts.results.drop_interim(self.job.id)
            self._interim = False
        parts.results.write(self.job.config, results)
        found = write_anomalies(
            parts.store, self.job.config, results.records, source=source or self.job.id, model_sha256=self.sha256,
            now_ms=parts.now_ms(), network=self.analyzer.network,
        )  # fmt: skip
        if results.buckets:
            log.info(
                "buckets_analysed", job=self.job.id, buckets=len(results.buckets), records=len(results.records),
                anomalies=found,
            )  # fmt: skip

    def note(self, fed_to_ms: int, rows: int) -> None:
        """Remember that rows have been fed, here alone: whoever goes on from the stored state reads them again."""
        self.fed_to_ms = fed_to_ms
        self.uncommitted += rows
        self.tell_counts()

    def tell_counts(self) -> None:
        """Write how the job fares, and say so where its memory is in another state than before."""
        parts, before = self._running, self.job.size
        size = size_json(self.analyzer, parts.now_ms(), before)
        self.job = parts.resources.change_job(
            self.job.id,
            counts=counts_json(self.analyzer, parts.now_ms()),
            size=size,
            timing=with_buckets(self.job.timing, self.analyzer.took()),
            analysed_to_ms=self.analyzer.next_bucket,
        )
        if size["memory_status"] != before.get("memory_status", "ok"):
            parts.messages.say(self.job.id, *memory_message(size))

    def tell_interim(self, start_ms: int | None = None, end_ms: int | None = None) -> None:
        """Write what can be said of the open buckets; it is replaced when they are finished.

        Args:
            start_ms: First instant of the buckets wanted, UTC epoch ms; None for all.
            end_ms: First instant not wanted any more.
        """
        results = self.analyzer.interim().between(start_ms, end_ms)
        parts = self._running.results
        if self._interim:
            parts.drop_interim(self.job.id)
        parts.write(self.job.config, results)
        self._interim = bool(results.buckets)


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

    @contextmanager
    def hold(self, job_id: str, *, wait_s: float = 10.0) -> Iterator[OpenJob]:
        """Have a job to oneself, with its newest state.

        Args:
            job_id: Which; it has to be open.
            wait_s: How long another thread or process may go on with it.

        Raises:
            JobsConflictError: It is not open.
            JobsBusyError: Another one has it for longer.
        """
        with self._guard:
            lock = self._locks.setdefault(job_id, threading.Lock())
        if not lock.acquire(timeout=wait_s):
            raise JobsBusyError(f"Job [{job_id}] is at work for somebody else; try again.", job_id=job_id)
        try:
            with self._lease(job_id, wait_s):
                yield self._newest(self._opened(job_id))
        except BaseException:
            # What is in memory may be ahead of what is stored.
            self._open.pop(job_id, None)
            raise
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

    def _opened(self, job_id: str) -> Job:
        job = self.resources.job(job_id)
        if job.state != "opened":
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
