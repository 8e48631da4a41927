"""Open jobs: one process at a time holds a job, goes on from its stored state, and stores the next one whole.

The state is one object, replaced in one step after the results are written. A process that dies before that leaves
the old state: the rows since then are analysed again, and their results overwrite themselves.
"""

from __future__ import annotations

import functools
import io
import json
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

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
    StoreError,
)
from gridwatch.jobs.analysis import Analyzer
from gridwatch.jobs.anomalies import write_anomalies
from gridwatch.jobs.sizes import counts_json, memory_message, size_json
from gridwatch.jobs.timing import with_buckets

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.detectors.online.config import AutoConfig
    from gridwatch.jobs.analysis import Results
    from gridwatch.jobs.analysis.lstm_learning import Teacher
    from gridwatch.jobs.resources import Job, Resources
    from gridwatch.jobs.results import ResultRows
    from gridwatch.jobs.service.messages import Messages

__all__ = ["LEASE_MS", "OpenJob", "Running", "state_path"]

log = structlog.get_logger(__name__)

LEASE_MS = 60_000
"""How long a job stays with a process that says nothing any more."""
_WAIT_S = 0.05
_RENEWALS = 4
"""Looks at a lease in the time that it lasts."""


def state_path(job_id: str) -> str:
    """Return the object that holds the state of a job."""
    return f"ml/state/{job_id}"


class OpenJob:
    """A job whose state is at hand.

    Attributes:
        job: As it is stored.
        analyzer: Its state.
        fed_to_ms: First instant whose rows have not been analysed, None before the first.
        sha256: Of the stored state that the analyzer went on from, None where there is none.
        uncommitted: Rows that the analyzer has seen and the stored state has not.
    """

    def __init__(self, running: Running, job: Job, analyzer: Analyzer, fed_to_ms: int | None, version: str) -> None:
        self.job = job
        self.analyzer = analyzer
        self.fed_to_ms = fed_to_ms
        self.version = version
        self.sha256: str | None = None
        self.uncommitted = 0
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
        if results.buckets and self._interim:
            parts.results.drop_interim(self.job.id)
            self._interim = False
        parts.results.write(self.job.config, results)
        found = write_anomalies(
            parts.store, self.job.config, results.records, source=source or self.job.id, model_sha256=self.sha256,
            now_ms=parts.now_ms(),
        )  # fmt: skip
        self.fed_to_ms = fed_to_ms
        with _packed(self.analyzer, fed_to_ms) as file:
            info = parts.objects.put(state_path(self.job.id), file)
        self.version, self.sha256 = info.object_id, info.sha256
        self.uncommitted = 0
        self.tell_counts()
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
        over = threading.Event()
        # Between two commits the analysis may take longer than a lease lasts.
        keeper = threading.Thread(target=self._keep, args=(job_id, lease, over), name=f"lease-{job_id}", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()
            del self._leases[job_id]
            lease.release()

    def _keep(self, job_id: str, lease: Lease, over: threading.Event) -> None:
        while not over.wait(self._lease_ms / 1000.0 / _RENEWALS):
            try:
                kept = lease.hold()
            except StoreError as error:
                # The next look may do; the commit makes sure of it anyway.
                log.warning("lease_not_renewed", job=job_id, error=str(error))
                continue
            if not kept:
                return

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
        if known is not None and known.version == version and known.job.config == job.config:
            known.job = job
            return known
        if info is None:
            opened = OpenJob(self, job, Analyzer(job.config, self._model, self.threads, self._teacher), None, "")
        else:
            try:
                analyzer, fed_to_ms = self._unpacked(job, self.objects.read(state_path(job.id)))
            except (JobsRequestError, ObjectCorruptError) as error:
                # Trying again would not help; closed by hand, the job can be reset.
                self.resources.change_job(job.id, state="failed", reason=str(error))
                self.messages.say(job.id, "error", f"Job failed: {error}")
                raise
            opened = OpenJob(self, job, analyzer, fed_to_ms, version)
            opened.sha256 = info.sha256
        self._open[job.id] = opened
        return opened

    def _unpacked(self, job: Job, content: bytes) -> tuple[Analyzer, int | None]:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                parts = {name: archive.read(name) for name in archive.namelist()}
            fed_to_ms: Any = json.loads(parts.pop("feed.json"))["fed_to_ms"]
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise JobsRequestError(f"the state of job [{job.id}] is damaged ({error!r}); reset the job.") from error
        return Analyzer.load(job.config, self._model, parts, self.threads, self._teacher), fed_to_ms


@contextmanager
def _packed(analyzer: Analyzer, fed_to_ms: int | None) -> Iterator[BinaryIO]:
    """Give the state as one archive, a file that is gone afterwards: 10,000 series are some 250 MB.

    Not compressed, since models hardly are.
    """
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            analyzer.write(archive)
            archive.writestr("feed.json", json.dumps({"fed_to_ms": fed_to_ms}))
        file.seek(0)
        yield file
