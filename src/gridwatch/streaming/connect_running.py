"""The one process of a home that looks after Connect: who it is, and whether it is ready."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from gridwatch.errors import ConfigError, StreamError
from gridwatch.folders import make_private
from gridwatch.streaming.broker_files import file_lock
from gridwatch.streaming.child import end, process_of

__all__ = ["Running", "hold", "read_running", "stop_running"]

_DOWN_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Running:
    """The process that looks after Connect in this home.

    Args:
        pid: Its number.
        started_s: When it started, epoch seconds.
        url: Of the REST API, once the connectors are applied.
    """

    pid: int
    started_s: float
    url: str = ""

    @property
    def alive(self) -> bool:
        """Whether it is there still."""
        return process_of(self.pid, self.started_s) is not None


@contextmanager
def hold(home: Path) -> Iterator[Callable[[str], None]]:
    """Be the one process that looks after Connect in this home; the callable tells others that it is ready.

    Raises:
        ConfigError: Another process does already.
    """
    folder = home / "connect"
    make_private(folder)
    own = Running(os.getpid(), psutil.Process().create_time())
    try:
        with file_lock(folder / "service.lock", timeout_s=0):
            _write(folder, own)
            yield lambda url: _write(folder, Running(own.pid, own.started_s, url))
    except StreamError as error:
        running = read_running(home)
        if running is None or running.pid == own.pid:
            raise
        raise ConfigError(
            f"Kafka Connect is looked after already in {str(home)!r} (process {running.pid}); `gridwatch connect "
            "status` shows it, `gridwatch connect down` or `gridwatch down` stops it."
        ) from error


def read_running(home: Path) -> Running | None:
    """Return what the process that looks after Connect wrote down; None when there never was one."""
    try:
        return Running(**json.loads((home / "connect" / "service.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def stop_running(home: Path) -> bool:
    """Stop the process that looks after Connect, which stops its workers, and tell whether there was one."""
    running = read_running(home)
    process = process_of(running.pid, running.started_s) if running is not None else None
    if process is None:
        return False
    end(process, timeout_s=_DOWN_TIMEOUT_S, kill_timeout_s=5)
    return True


def _write(folder: Path, running: Running) -> None:
    new = folder / "service.new"
    new.write_text(json.dumps(asdict(running)), encoding="utf-8")
    new.replace(folder / "service.json")
