"""Datafeeds that were started: run beside the server, in a thread of their own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import structlog

from gridwatch.errors import GridwatchError
from gridwatch.jobs.tables import DATAFEEDS

if TYPE_CHECKING:
    from gridwatch.server.state import State

__all__ = ["run_feeds"]

log = structlog.get_logger(__name__)

_LOOK_S = 1.0
_ASK_S = 15.0
"""Pause between two questions to a store that had no datafeed: others may have made one since."""


def run_feeds(parts: State, stop: threading.Event) -> None:
    """Run what is started until `stop` is set; pieces at work are stored first.

    Nothing of it is loaded, and no container made, before the store has a datafeed.
    """
    if not _wait_for_feeds(parts, stop):
        return
    from gridwatch.jobs.service.runner import Runner

    Runner(parts.store, parts.jobs, now_ms=parts.clock).run(stop)


def _wait_for_feeds(parts: State, stop: threading.Event) -> bool:
    asked = 0.0
    while not stop.is_set():
        try:
            # A datafeed that this server made is seen at once, and costs no question.
            if parts.has_jobs or (time.monotonic() >= asked and parts.store.container(DATAFEEDS.name) is not None):
                return True
        except GridwatchError as error:
            log.warning("datafeeds_not_looked_at", error=str(error))
        if time.monotonic() >= asked:
            asked = time.monotonic() + _ASK_S
        stop.wait(_LOOK_S)
    return False
