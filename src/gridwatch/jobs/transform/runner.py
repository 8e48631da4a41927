"""The runner of transforms: those that are started, each when its time has come, several at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from gridwatch.errors import GridwatchError
from gridwatch.jobs.pool import work_on
from gridwatch.jobs.transform.service import TransformService

__all__ = ["TransformRunner"]

log = structlog.get_logger(__name__)

_LOOK_S = 1.0
_THREADS = 2
"""Transforms at work at once: one that takes hours keeps no other waiting, and the store has readers of its own."""


class TransformRunner:
    """Runs transforms until it is told to end. Several processes may, over one store.

    Args:
        service: Returns the service.
        threads: How many transforms run at once.
        look_s: Seconds between two looks at which are due.
    """

    def __init__(
        self, service: Callable[[], TransformService], *, threads: int = _THREADS, look_s: float = _LOOK_S
    ) -> None:
        self._service = service
        self._threads, self._look_s = threads, look_s

    def run(self, stop: threading.Event) -> None:
        """Go on until `stop` is set; pieces at work are ended first, and worked out again at the next start."""

        def work(transform_id: str) -> None:
            try:
                self._service().run_one(transform_id, stopped=stop.is_set)
            except GridwatchError as error:
                log.warning("transform_not_run", transform=transform_id, error=str(error))
            except Exception:
                # The edge of this thread: the next look may do better.
                log.exception("transform_defect", transform=transform_id)

        def due() -> list[str]:
            return self._service().due()

        work_on(due, work, stop, name="transforms", threads=self._threads, look_s=self._look_s)
