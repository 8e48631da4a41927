"""Datafeeds that were started: run beside the server, in a thread of their own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from gridwatch.errors import GridwatchError
from gridwatch.jobs.tables import DATAFEEDS

if TYPE_CHECKING:
    from gridwatch.server.state import State

__all__ = ["run_feeds"]

log = structlog.get_logger(__name__)

_LOOK_S = 0.5


def run_feeds(parts: State, stop: threading.Event) -> None:
    """Run what is started until `stop` is set; pieces at work are stored first.

    Nothing of it is loaded, and no container made, before the store has a datafeed.
    """
    if not _wait_for_feeds(parts, stop):
        return
    from gridwatch.jobs.service.runner import Runner

    Runner(parts.store, lambda: parts.jobs, now_ms=parts.clock, look_s=_LOOK_S).run(stop)


def _wait_for_feeds(parts: State, stop: threading.Event) -> bool:
    told = False
    while not stop.is_set():
        try:
            if parts.store.container(DATAFEEDS.name) is not None:
                return True
        except GridwatchError as error:
            if not told:
                log.warning("datafeeds_not_looked_at", error=str(error))
            told = True
        stop.wait(_LOOK_S)
    return False
