"""The runner: searches of all started datafeeds when they are due, in one process or in several over one store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from gridwatch.errors import GridwatchError, JobsBusyError, JobsConflictError, JobsNotFoundError
from gridwatch.jobs.pool import work_on
from gridwatch.jobs.service.due import due_ms
from gridwatch.jobs.service.service import JobsService
from gridwatch.jobs.tables import DATAFEEDS

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.jobs.service.feeds import Pass

__all__ = ["Outcome", "Runner"]

log = structlog.get_logger(__name__)

_LOOK_S = 1.0
_THREADS = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search came to.

    Attributes:
        datafeed_id: Whose.
        done: What it did, None where it failed or another process was at it.
        error: Why it failed, "" where it did not.
    """

    datafeed_id: str
    done: Pass | None
    error: str = ""


class Runner:
    """Runs datafeeds. A search is one process's at a time; a process that dies leaves its turn to the others.

    Args:
        store: Any backend; one without jobs gets no container of ours.
        service: Makes the service once there are jobs.
        now_ms: The clock, UTC epoch ms.
        threads: How many datafeeds search at once.
        look_s: Seconds between two looks at which are due.
    """

    def __init__(
        self,
        store: Store,
        service: Callable[[], JobsService],
        *,
        now_ms: Callable[[], int],
        threads: int = _THREADS,
        look_s: float = _LOOK_S,
    ) -> None:
        self._store = store
        self._make = service
        self._now_ms = now_ms
        self._threads = threads
        self._look_s = look_s
        self._known: JobsService | None = None
        self._dues: dict[tuple[str, int | None, int | None], int] = {}

    def due(self) -> list[str]:
        """Return the ids of the datafeeds that are to search now.

        Raises:
            StoreError: The store failed.
        """
        if self._known is None:
            if self._store.container(DATAFEEDS.name) is None:
                return []
            self._known = self._make()
        resources = self._known.resources
        dues = {}
        for key in resources.started():
            # Configs are read again only after a search: a look costs one small query.
            dues[key] = self._dues[key] if key in self._dues else self._due_ms(key[0])
        self._dues = dues
        now_ms = self._now_ms()
        return sorted(key[0] for key, at in dues.items() if at <= now_ms)

    def run_due(self, *, stopped: Callable[[], bool] = lambda: False) -> list[Outcome]:
        """Search with all datafeeds that are due, one after another; a failure is told and stops no other.

        Raises:
            StoreError: The store failed.
        """
        return [self.run_one(one, stopped) for one in self.due() if not stopped()]

    def run_one(self, datafeed_id: str, stopped: Callable[[], bool] = lambda: False) -> Outcome:
        """Search with one datafeed."""
        service = self._known or self._make()
        try:
            return Outcome(datafeed_id, service.run_datafeed(datafeed_id, stopped=stopped, wait_s=0.0))
        except JobsBusyError:
            return Outcome(datafeed_id, None)
        except (JobsConflictError, JobsNotFoundError) as error:
            log.info("datafeed_not_run", datafeed=datafeed_id, reason=str(error))
            return Outcome(datafeed_id, None, str(error))
        except GridwatchError as error:
            log.warning("datafeed_failed", datafeed=datafeed_id, error=str(error))
            return Outcome(datafeed_id, None, str(error))
        except Exception as error:
            # The edge of this thread: the other datafeeds go on, and so does this one at its next search.
            log.exception("datafeed_defect", datafeed=datafeed_id)
            self._note(service, datafeed_id, repr(error))
            return Outcome(datafeed_id, None, repr(error))

    def run(self, stop: threading.Event) -> None:
        """Go on until `stop` is set; pieces at work are stored first."""
        work_on(
            self.due, lambda name: self.run_one(name, stop.is_set), stop,
            name="datafeeds", threads=self._threads, look_s=self._look_s,
        )  # fmt: skip

    def _note(self, service: JobsService, datafeed_id: str, error: str) -> None:
        try:
            service.note_failure(service.resources.datafeed(datafeed_id), error)
        except GridwatchError as second:
            log.warning("datafeed_failure_not_noted", datafeed=datafeed_id, error=str(second))

    def _due_ms(self, datafeed_id: str) -> int:
        assert self._known is not None  # noqa: S101
        try:
            feed = self._known.resources.datafeed(datafeed_id)
            return due_ms(self._known.resources.job(feed.config.job_id).config, feed)
        except GridwatchError:
            # The search itself tells what is wrong.
            return 0
