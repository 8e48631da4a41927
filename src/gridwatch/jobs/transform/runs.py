"""The work of started transforms: one run of each that is due, once whatever dies in between.

The rows of the summary are written first, and then the checkpoint that they belong to. A process that dies in between
leaves the old checkpoint: the next run works out the same groups again, which replace themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from gridwatch.containers.catalog import LEASES
from gridwatch.containers.lease import Lease
from gridwatch.errors import GridwatchError, JobsBusyError, JobsConflictError, JobsError, JobsNotFoundError
from gridwatch.jobs.transform.resources import Transform, Transforms
from gridwatch.jobs.transform.stats import counted
from gridwatch.jobs.transform.work import CutShortError, Work

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.jobs.transform.destination import Destination

__all__ = ["Ran", "TransformRuns"]

log = structlog.get_logger(__name__)

_LEASE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run of a transform did.

    Attributes:
        transform_id: Which.
        read: Rows of the sources that were worked out.
        written: Rows of the summary.
        checkpoint: Number of the checkpoint that it came to; the last one's where nothing was new.
        done: Whether the transform has come to its end.
        error: What went wrong, "" when nothing did.
    """

    transform_id: str
    read: int = 0
    written: int = 0
    checkpoint: int = 0
    done: bool = False
    error: str = ""


class TransformRuns:
    """Runs of transforms.

    Args:
        store: Any backend.
        now_ms: The clock, UTC epoch ms.
        make: Whether containers are made when missing; without it, a store that has none is asked and left alone.
    """

    def __init__(self, store: Store, *, now_ms: Callable[[], int], make: bool = True) -> None:
        self.store, self.now_ms = store, now_ms
        self.transforms = Transforms(store, make=make)
        if make:
            store.put_container(LEASES)

    def run(
        self,
        transform_id: str,
        *,
        progress: Callable[[int, int], None] | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Ran:
        """Run a started transform once: a batch one to its end, a continuous one to its next checkpoint.

        A stop of the transform ends it too, before the next question to the store.

        Args:
            transform_id: Which.
            progress: Called with rows read and rows written after each piece.
            stopped: Whether to end before the next question; what was not finished is worked out again then.

        Raises:
            JobsNotFoundError: There is none.
            JobsBusyError: Another process is at it.
            JobsConflictError: It is not started.
            JobsError: A container or field is missing, or a query is wrong.
        """
        transform = self.transforms.get(transform_id)
        if transform.state != "started":
            raise JobsConflictError(f"Transform [{transform_id}] is {transform.state}; start it first.")
        lease = Lease(self.store, f"transform:{transform_id}", clock=self.now_ms, lasts_ms=_LEASE_MS)
        if not lease.hold():
            raise JobsBusyError(f"Transform [{transform_id}] is at work in another process; try again.")
        # One question to the store may take longer than the lease lasts.
        with lease.kept():
            # What another process did before this one had the lease.
            return self._run(self.transforms.get(transform_id), lease, progress, stopped)

    def due(self, now_ms: int | None = None) -> list[str]:
        """Return the ids of the started transforms whose time has come.

        Args:
            now_ms: The present, UTC epoch ms; None for the clock.
        """
        now_ms = self.now_ms() if now_ms is None else now_ms
        return [one.id for one in self.transforms.find() if _is_due(one, now_ms)]

    def run_due(self, now_ms: int | None = None) -> list[Ran]:
        """Run each started transform whose time has come, one after another; one that fails stops no other.

        Args:
            now_ms: The present, UTC epoch ms; None for the clock.
        """
        return [self.run_one(one) for one in self.due(now_ms)]

    def run_one(self, transform_id: str, *, stopped: Callable[[], bool] = lambda: False) -> Ran:
        """Run a transform as `run` does; what goes wrong is noted in its stats, and told.

        Raises:
            StoreError: The store failed, also where that was to be noted.
        """
        try:
            return self.run(transform_id, stopped=stopped)
        except JobsConflictError as error:
            # Somebody else is at it, or it was stopped just now.
            return Ran(transform_id, error=str(error))
        except GridwatchError as error:
            return self._failed(transform_id, error, str(error))
        except Exception as error:
            # The edge of a turn: the other transforms go on, and so does this one at its next turn.
            log.exception("transform_defect", transform=transform_id)
            return self._failed(transform_id, error, repr(error))

    def _made(self, transform: Transform, work: Work) -> tuple[Destination, Transform]:
        """Make the destination where it is not there, and remember that: what a transform has made it may drop."""
        destination, made = work.destination.made(self.store)
        if not made:
            return destination, transform
        return destination, replace(transform, stats={**transform.stats, "made": destination.container})

    def _failed(self, transform_id: str, error: Exception, told: str) -> Ran:
        try:
            transform = self.transforms.get(transform_id)
        except JobsNotFoundError:
            # Deleted just now.
            return Ran(transform_id, error=told)
        failures = int(transform.stats.get("failures", 0)) + 1
        stats = {**transform.stats, "failures": failures, "searched_ms": self.now_ms(), "error": told}
        limit = transform.config.retries
        # A wrong config stays wrong; anything else may pass.
        final = not transform.config.settings.unattended and (isinstance(error, JobsError) or 0 <= limit < failures)
        state = {"state": "failed", "reason": told} if final else {}
        self.transforms.change(transform, states=("started",), stats=stats, **state)
        log.warning("transform_failed", transform=transform_id, failures=failures, final=final, error=told)
        return Ran(transform_id, error=told)

    def _run(
        self,
        transform: Transform,
        lease: Lease,
        progress: Callable[[int, int], None] | None,
        stopped: Callable[[], bool],
    ) -> Ran:
        now_ms, began = self.now_ms(), time.monotonic()
        config = transform.config

        def cut_short() -> bool:
            return stopped() or self.transforms.get(transform.id).state != "started"

        work = Work(self.store, config, now_ms=now_ms, from_ms=transform.stats.get("from_ms"), stopped=cut_short)
        destination, transform = self._made(transform, work)
        work.destination = destination
        upper = work.upper_ms() if config.continuous else None
        lower = transform.done_to_ms
        if upper is not None and lower is not None and upper <= lower:
            self.transforms.change(transform, stats={**transform.stats, "searched_ms": now_ms, "failures": 0})
            return Ran(transform.id, checkpoint=transform.checkpoint)
        pieces = work.whole(upper) if lower is None or upper is None else work.changed(lower, upper)
        read = written = count = 0
        try:
            for piece in pieces:
                if not lease.hold():
                    raise JobsConflictError(f"Transform [{transform.id}] was taken over by another process.")
                if cut_short():
                    return Ran(transform.id, read, written, transform.checkpoint)
                if piece.rows.num_rows:
                    self.store.put(destination.container, piece.rows)
                read, written, count = read + piece.read, written + piece.rows.num_rows, count + 1
                if progress is not None:
                    progress(read, written)
        except CutShortError:
            return Ran(transform.id, read, written, transform.checkpoint)
        stats = counted(
            transform.stats, read=read, written=written, pieces=count, now_ms=now_ms, took_s=time.monotonic() - began
        )
        # The summary is there before this says so: a death in between leads to the same rows once more.
        done = {"state": "stopped"} if not config.continuous else {}
        kept = self.transforms.change(
            transform, states=("started",), checkpoint=transform.checkpoint + 1, checkpoint_ms=now_ms, done_to_ms=upper,
            stats=stats, **done,
        )  # fmt: skip
        if kept is None:
            return Ran(transform.id, read, written, transform.checkpoint)
        log.info("transform_run", transform=transform.id, read=read, written=written, checkpoint=kept.checkpoint)
        return Ran(transform.id, read, written, kept.checkpoint, done=not config.continuous)


def _is_due(transform: Transform, now_ms: int) -> bool:
    searched = transform.stats.get("searched_ms")
    return transform.state == "started" and (searched is None or now_ms >= searched + transform.config.frequency_ms)
