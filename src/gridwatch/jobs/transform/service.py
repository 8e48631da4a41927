"""Transforms alive: made, started, run, stopped and deleted, over one store; REST, CLI and flows call this."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.containers.catalog import LEASES
from gridwatch.containers.lease import Lease
from gridwatch.errors import GridwatchError, JobsConflictError, JobsError, JobsRequestError, JobsValueError
from gridwatch.jobs.transform.config import parse_transform, updated_transform
from gridwatch.jobs.transform.resources import Transform, Transforms
from gridwatch.jobs.transform.stats import counted, stats_json
from gridwatch.jobs.transform.work import Work

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["Ran", "TransformService"]

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


class TransformService:
    """All that can be done with transforms.

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

    def put(self, raw: object, *, transform_id: str | None = None, defer_validation: bool = False) -> Transform:
        """Make a transform, stopped.

        Args:
            raw: Its JSON.
            transform_id: The id in the URL.
            defer_validation: Whether containers and fields are looked at no sooner than at the start.

        Raises:
            JobsError: The JSON is wrong, the id is taken, or a container or field is missing.
        """
        now_ms = self.now_ms()
        config = parse_transform(raw, transform_id=transform_id).model_copy(update={"create_time": now_ms})
        if not defer_validation:
            Work(self.store, config, now_ms=now_ms)
        transform = Transform(config, "stopped", now_ms)
        self.transforms.add(transform)
        return transform

    def update(self, transform_id: str, raw: object, *, defer_validation: bool = False) -> Transform:
        """Change a transform; what it groups by and works out stays. What is done goes on, what runs keeps running.

        Raises:
            JobsNotFoundError: There is none.
            JobsError: The JSON is wrong, or a container or field is missing.
        """
        transform = self.transforms.get(transform_id)
        config = updated_transform(transform.config, raw)
        if not defer_validation:
            Work(self.store, config, now_ms=self.now_ms())
        return self._changed(self.transforms.change(transform, config=config), transform_id)

    def delete(self, transform_id: str, *, force: bool = False, delete_dest_index: bool = False) -> None:
        """Delete a transform that does not run.

        Args:
            transform_id: Which.
            force: Also one that runs.
            delete_dest_index: Also the container that it wrote.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It runs, and that is not forced.
        """
        transform = self.transforms.get(transform_id)
        if transform.state != "stopped" and not force:
            raise JobsConflictError(
                f"Cannot delete transform [{transform_id}] as the task is running. Stop the transform first",
                transform_id=transform_id,
            )
        self.transforms.drop(transform_id)
        if delete_dest_index:
            self.store.drop_container(transform.config.dest.index)

    def preview(self, raw: Mapping[str, Any] | None = None, *, transform_id: str | None = None) -> dict[str, Any]:
        """Return what a transform would write: `preview`, documents, and `generated_dest_index`, their fields.

        Args:
            raw: The JSON of one.
            transform_id: Of one that is stored.

        Raises:
            JobsRequestError: Neither or both are given.
            JobsError: The JSON is wrong, or a container or field is missing.
        """
        if (raw is None) == (transform_id is None):
            raise JobsRequestError("a preview needs the id of a transform or its JSON, not both.")
        config = (
            parse_transform(raw, preview=True) if transform_id is None else self.transforms.get(transform_id).config
        )
        work = Work(self.store, config, now_ms=self.now_ms())
        return {
            "preview": work.preview(),
            "generated_dest_index": {"mappings": work.destination.mappings(), "settings": {}, "aliases": {}},
        }

    def start(self, transform_id: str, *, from_ms: int | None = None) -> Transform:
        """Start a transform; `run` or `run_due` does its work.

        Args:
            transform_id: Which.
            from_ms: Of a continuous one, first instant of its sync field that is read, UTC epoch ms.

        Raises:
            JobsNotFoundError: There is none, or no container of its source.
            JobsConflictError: It runs, or has failed.
            JobsValueError: A batch transform is to start from somewhere, or it has been there already.
        """
        transform = self.transforms.get(transform_id)
        if transform.state == "failed":
            raise JobsConflictError(
                f"Unable to start transform [{transform_id}] as it is in a failed state. Use force stop and then "
                "restart the transform once error is resolved.",
                transform_id=transform_id,
            )
        if transform.state != "stopped":
            raise JobsConflictError(
                f"Cannot start transform [{transform_id}] as it is already started.", transform_id=transform_id
            )
        if from_ms is not None:
            if not transform.config.continuous:
                raise JobsValueError("goes with a continuous transform only.", path="from")
            if transform.checkpoint:
                raise JobsValueError("the transform has been started before; reset it first.", path="from")
        # Containers, fields, query and scripts are looked at now, when somebody is there to read what is wrong.
        work = Work(self.store, transform.config, now_ms=self.now_ms())
        work.destination.made(self.store)
        stats = {**transform.stats, "failures": 0, "searched_ms": None}
        if from_ms is not None:
            stats["from_ms"] = from_ms
        changed = self.transforms.change(transform, states=("stopped",), state="started", reason=None, stats=stats)
        return self._changed(changed, transform_id)

    def stop(self, pattern: str, *, force: bool = False, allow_no_match: bool = True) -> list[Transform]:
        """Stop transforms after the piece at hand; those that are stopped stay so.

        Args:
            pattern: Ids, several by comma, `*` allowed, `_all` for all.
            force: Also those that have failed.
            allow_no_match: Whether a pattern may match nothing.

        Raises:
            JobsNotFoundError: An id names none.
            JobsConflictError: One has failed, and that is not forced.
        """
        found = self.transforms.find(pattern, allow_no_match=allow_no_match)
        for transform in found:
            if transform.state == "failed" and not force:
                raise JobsConflictError(
                    f"Unable to stop transform [{transform.id}] as it is in a failed state. Use force stop to stop the "
                    "transform.",
                    transform_id=transform.id,
                )
        return [self.transforms.change(one, state="stopped", reason=None) or one for one in found]

    def reset(self, transform_id: str, *, force: bool = False) -> Transform:
        """Bring a stopped transform back to its beginning, and drop what it wrote.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It runs, and that is not forced.
        """
        transform = self.transforms.get(transform_id)
        if transform.state != "stopped" and not force:
            raise JobsConflictError(
                f"Cannot reset transform [{transform_id}] as the task is running. Stop the transform first",
                transform_id=transform_id,
            )
        self.store.drop_container(transform.config.dest.index)
        changed = self.transforms.change(
            transform, state="stopped", reason=None, checkpoint=0, checkpoint_ms=None, done_to_ms=None, stats={}
        )
        return self._changed(changed, transform_id)

    def stats(self, pattern: str = "_all", *, allow_no_match: bool = True) -> list[dict[str, Any]]:
        """Return how transforms are, as `_stats` answers it.

        Raises:
            JobsNotFoundError: An id names none.
        """
        return [stats_json(one) for one in self.transforms.find(pattern, allow_no_match=allow_no_match)]

    def run(self, transform_id: str, *, progress: Callable[[int, int], None] | None = None) -> Ran:
        """Run a started transform once: a batch one to its end, a continuous one to its next checkpoint.

        Args:
            transform_id: Which.
            progress: Called with rows read and rows written after each piece.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It is not started, or another process is at it.
            JobsError: A container or field is missing, or a query is wrong.
        """
        transform = self.transforms.get(transform_id)
        if transform.state != "started":
            raise JobsConflictError(f"Transform [{transform_id}] is {transform.state}; start it first.")
        lease = Lease(self.store, f"transform:{transform_id}", clock=self.now_ms, lasts_ms=_LEASE_MS)
        if not lease.hold():
            raise JobsConflictError(f"Transform [{transform_id}] is at work in another process; try again.")
        try:
            # What another process did before this one had the lease.
            return self._run(self.transforms.get(transform_id), lease, progress)
        finally:
            lease.release()

    def run_due(self, now_ms: int | None = None) -> list[Ran]:
        """Run each started transform whose time has come; one that fails stops no other.

        Args:
            now_ms: The present, UTC epoch ms; None for the clock.
        """
        now_ms = self.now_ms() if now_ms is None else now_ms
        return [self._tried(one, now_ms) for one in self.transforms.find() if _is_due(one, now_ms)]

    def _tried(self, transform: Transform, now_ms: int) -> Ran:
        try:
            return self.run(transform.id)
        except JobsConflictError as error:
            # Somebody else is at it, or it was stopped just now.
            return Ran(transform.id, error=str(error))
        except GridwatchError as error:
            failures = int(transform.stats.get("failures", 0)) + 1
            stats = {**transform.stats, "failures": failures, "searched_ms": now_ms, "error": str(error)}
            limit = transform.config.retries
            # A wrong config stays wrong; anything else may pass.
            final = not transform.config.settings.unattended and (isinstance(error, JobsError) or 0 <= limit < failures)
            state = {"state": "failed", "reason": str(error)} if final else {}
            self.transforms.change(transform, states=("started",), stats=stats, **state)
            log.warning("transform_failed", transform=transform.id, failures=failures, final=final, error=str(error))
            return Ran(transform.id, error=str(error))

    def _run(self, transform: Transform, lease: Lease, progress: Callable[[int, int], None] | None) -> Ran:
        now_ms, began = self.now_ms(), time.monotonic()
        config = transform.config
        work = Work(self.store, config, now_ms=now_ms)
        destination = work.destination.made(self.store)
        work.destination = destination
        upper = work.upper_ms() if config.continuous else None
        lower = transform.done_to_ms
        if upper is not None and lower is not None and upper <= lower:
            self.transforms.change(transform, stats={**transform.stats, "searched_ms": now_ms, "failures": 0})
            return Ran(transform.id, checkpoint=transform.checkpoint)
        first = lower is None or upper is None
        pieces = work.whole(upper, transform.stats.get("from_ms")) if first else work.changed(lower, upper)  # type: ignore[arg-type]
        read = written = count = 0
        for piece in pieces:
            if not lease.hold():
                raise JobsConflictError(f"Transform [{transform.id}] was taken over by another process.")
            if self.transforms.get(transform.id).state != "started":
                return Ran(transform.id, read, written, transform.checkpoint)
            if piece.rows.num_rows:
                self.store.put(destination.container, piece.rows)
            read, written, count = read + piece.read, written + piece.rows.num_rows, count + 1
            if progress is not None:
                progress(read, written)
        stats = counted(
            transform.stats, read=read, written=written, pieces=count, now_ms=now_ms, took_s=time.monotonic() - began
        )
        # The summary is there before this says so: a death in between leads to the same rows once more.
        done = {"state": "stopped"} if not config.continuous else {}
        self.transforms.change(
            transform, states=("started",), checkpoint=transform.checkpoint + 1, checkpoint_ms=now_ms, done_to_ms=upper,
            stats=stats, **done,
        )  # fmt: skip
        log.info(
            "transform_run", transform=transform.id, read=read, written=written, checkpoint=transform.checkpoint + 1
        )
        return Ran(transform.id, read, written, transform.checkpoint + 1, done=not config.continuous)

    def _changed(self, changed: Transform | None, transform_id: str) -> Transform:
        if changed is None:
            raise JobsConflictError(f"Transform [{transform_id}] was changed by somebody else; try again.")
        return changed


def _is_due(transform: Transform, now_ms: int) -> bool:
    searched = transform.stats.get("searched_ms")
    return transform.state == "started" and (searched is None or now_ms >= searched + transform.config.frequency_ms)
