"""Work that comes due again and again, several pieces of it at once, until it is told to end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import structlog

from gridwatch.errors import GridwatchError

__all__ = ["work_on"]

log = structlog.get_logger(__name__)


def work_on(
    due: Callable[[], Sequence[str]],
    work: Callable[[str], object],
    stop: threading.Event,
    *,
    name: str,
    threads: int,
    look_s: float,
) -> None:
    """Go on until `stop` is set, and return when all that is at work has ended.

    Args:
        due: Returns what is due. It may fail with our errors, which is logged once until it does not.
        work: Does what is due, each thing in one thread at a time; catches what it raises.
        stop: When set, nothing more is begun.
        name: Of the threads and in the log.
        threads: How many things are at work at once.
        look_s: Seconds between two looks.
    """
    working: dict[str, Future[object]] = {}
    failing = False
    with ThreadPoolExecutor(threads, name) as pool:
        while not stop.is_set():
            try:
                found = due()
                failing = False
            except GridwatchError as error:
                if not failing:
                    log.warning("not_looked_at", what=name, error=str(error))
                failing, found = True, ()
            working = {key: future for key, future in working.items() if not future.done()}
            for key in found:
                if key not in working:
                    working[key] = pool.submit(work, key)
            stop.wait(look_s)
