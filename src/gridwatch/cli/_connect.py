"""What `gridwatch connect` needs: settings with the store as connectors reach it, and one running service a home."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from gridwatch.errors import ConfigError, MissingServiceError, StreamError
from gridwatch.folders import make_private

if TYPE_CHECKING:
    from gridwatch.settings import Settings
    from gridwatch.streaming.connect import ConnectWorker

__all__ = ["Running", "hold", "own_workers", "read_running", "start_in_background", "stop_service", "with_store_url"]

_UP_TIMEOUT_S = 180.0
_DOWN_TIMEOUT_S = 60.0
_LOOK_S = 0.1


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
        from gridwatch.streaming.child import process_of

        return process_of(self.pid, self.started_s) is not None


def with_store_url(found: Settings) -> Settings:
    """Return the settings with the store's URL as connectors reach it.

    Raises:
        ConfigError: The store is the embedded one, and gridwatch's server, which stands in front of it, does not run.
    """
    if found.connect.store_url is not None or not found.store.startswith("sqlite:"):
        return found
    from gridwatch.alerts.address import handler_url
    from gridwatch.streaming.connect_files import served_url
    from gridwatch.supervisor.platform import answers

    base = handler_url(found).split("/trigger")[0]
    if not answers(f"{base}/healthz", 5):
        raise ConfigError(
            f"Kafka Connect reaches the embedded store through gridwatch's server, and nobody answers at {base}. Start "
            "it (`gridwatch serve`, or `gridwatch up` for everything), or set GRIDWATCH_CONNECT__STORE_URL."
        )
    told = found.connect.model_copy(update={"store_url": served_url(base, found.server.cluster)})
    return found.model_copy(update={"connect": told})


def own_workers(found: Settings, bootstrap: str | None = None) -> list[ConnectWorker]:
    """Return the workers that were ever set up in this home, by number."""
    from gridwatch.streaming.connect import ConnectWorker

    # All that there are, also those of a distributed group after the mode was changed.
    distributed = found.connect.model_copy(update={"mode": "distributed"})
    numbers = [
        path.parent.name.removeprefix("worker-") for path in (found.home / "connect").glob("worker-*/state.json")
    ]
    settings = found.model_copy(update={"connect": distributed})
    return [
        ConnectWorker(settings, bootstrap, number=number) for number in sorted(int(n) for n in numbers if n.isdigit())
    ]


@contextmanager
def hold(found: Settings) -> Iterator[Callable[[str], None]]:
    """Be the one process that looks after Connect in this home; the callable tells others that it is ready.

    Raises:
        ConfigError: Another process does already.
    """
    from gridwatch.streaming.broker_files import file_lock

    folder = found.home / "connect"
    make_private(folder)
    own = Running(os.getpid(), psutil.Process().create_time())
    try:
        with file_lock(folder / "service.lock", timeout_s=0):
            _write(folder, own)
            yield lambda url: _write(folder, Running(own.pid, own.started_s, url))
    except StreamError as error:
        running = read_running(found.home)
        if running is None or running.pid == own.pid:
            raise
        raise ConfigError(
            f"Kafka Connect is looked after already in {str(found.home)!r} (process {running.pid}); `gridwatch connect "
            "status` shows it, `gridwatch connect down` or `gridwatch down` stops it."
        ) from error


def read_running(home: Path) -> Running | None:
    """Return what the process that looks after Connect wrote down; None when there never was one."""
    try:
        return Running(**json.loads((home / "connect" / "service.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def start_in_background(home: Path, arguments: Sequence[str], environ: Mapping[str, str]) -> Running:
    """Start `gridwatch connect up --foreground`, wait until its connectors are applied, and return what it wrote.

    Raises:
        MissingServiceError: It ended, or the time is over; names its log, and holds its last lines.
    """
    from gridwatch.streaming.broker_files import last_lines
    from gridwatch.streaming.child import spawn

    log = home / "logs" / "connect.log"
    make_private(log.parent)
    argv = [sys.executable, "-m", "gridwatch.cli", "connect", "up", "--foreground", *arguments]
    child = spawn(argv, environ, log)
    deadline = time.monotonic() + _UP_TIMEOUT_S
    while time.monotonic() < deadline:
        running = read_running(home)
        if running is not None and running.pid == child.pid and running.url:
            return running
        if not child.is_running() or child.status() == psutil.STATUS_ZOMBIE:
            raise MissingServiceError(f"Kafka Connect did not start; the end of {log}:\n{last_lines(log)}")
        time.sleep(_LOOK_S)
    raise MissingServiceError(f"Kafka Connect was not up within {_UP_TIMEOUT_S:g} s; its log is {log}.")


def stop_service(home: Path) -> bool:
    """Stop the process that looks after Connect, which stops its workers, and tell whether there was one."""
    from gridwatch.streaming.child import kill, process_of

    running = read_running(home)
    process = process_of(running.pid, running.started_s) if running is not None else None
    if process is None:
        return False
    process.terminate()
    try:
        process.wait(_DOWN_TIMEOUT_S)
    except psutil.TimeoutExpired:
        kill(process, timeout_s=5)
    return True


def _write(folder: Path, running: Running) -> None:
    new = folder / "service.new"
    new.write_text(
        json.dumps({"pid": running.pid, "started_s": running.started_s, "url": running.url}), encoding="utf-8"
    )
    new.replace(folder / "service.json")
