"""Datafeeds and transforms that were started: run beside the server, in threads of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from gridwatch.errors import GridwatchError
from gridwatch.jobs.tables import DATAFEEDS, TRANSFORMS

if TYPE_CHECKING:
    from gridwatch.server.state import State

__all__ = ["Feeds"]

log = structlog.get_logger(__name__)

_LOOK_S = 1.0
_ASK_S = 15.0
"""Pause between two questions to a store that had no datafeed: others may have made one since."""


class Feeds:
    """The threads.

    Args:
        parts: Of the application.
    """

    def __init__(self, parts: State) -> None:
        self._parts = parts
        self._stop = threading.Event()
        # A search that cannot be cut short does not keep the process alive; what it has read is read again.
        self._threads = [
            threading.Thread(target=self._run_datafeeds, name="datafeeds", daemon=True),
            threading.Thread(target=self._run_transforms, name="transforms", daemon=True),
        ]

    def start(self) -> None:
        """Begin. Nothing of it is loaded, and no container made, before the store has a datafeed or transform."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Begin no further piece."""
        self._stop.set()

    def wait(self, until_s: float) -> int:
        """Wait for the pieces at work; return how many threads are not done.

        Args:
            until_s: Not longer than to this instant of `time.monotonic`.
        """
        started = [thread for thread in self._threads if thread.ident is not None]
        for thread in started:
            thread.join(max(until_s - time.monotonic(), 0.1))
        return sum(thread.is_alive() for thread in started)

    def _run_datafeeds(self) -> None:
        parts = self._parts
        if not self._wait_for(DATAFEEDS.name, lambda: parts.has_jobs):
            return
        from gridwatch.jobs.service.runner import Runner

        Runner(parts.store, parts.jobs, now_ms=parts.clock).run(self._stop)

    def _run_transforms(self) -> None:
        parts = self._parts
        if not self._wait_for(TRANSFORMS.name, lambda: parts.has_transforms):
            return
        from gridwatch.jobs.transform.runner import TransformRunner

        TransformRunner(parts.transforms).run(self._stop)

    def _wait_for(self, container: str, known: Callable[[], bool]) -> bool:
        """Wait until the store has a container; return False where the end came first."""
        asked = 0.0
        while not self._stop.is_set():
            try:
                # What this server made is seen at once, and costs no question.
                if known() or (time.monotonic() >= asked and self._parts.store.container(container) is not None):
                    return True
            except GridwatchError as error:
                log.warning("datafeeds_not_looked_at", error=str(error))
            if time.monotonic() >= asked:
                asked = time.monotonic() + _ASK_S
            self._stop.wait(_LOOK_S)
        return False
