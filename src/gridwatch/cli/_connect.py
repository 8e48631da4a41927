"""What `gridwatch connect` needs: settings with the store as connectors reach it, and one running service a home."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from gridwatch.errors import ConfigError, MissingServiceError
from gridwatch.folders import make_private

if TYPE_CHECKING:
    from gridwatch.settings import Settings
    from gridwatch.streaming.connect import ConnectWorker
    from gridwatch.streaming.connect_running import Running

__all__ = ["own_workers", "start_in_background", "with_store_url"]

_UP_TIMEOUT_S = 360.0
_LOOK_S = 0.1


def with_store_url(found: Settings) -> Settings:
    """Return the settings with the store's URL as connectors reach it.

    Raises:
        ConfigError: The store is the embedded one, and gridwatch's server, which stands in front of it, does not run.
    """
    if found.connect.store_url is not None or not found.store.startswith("sqlite:"):
        return found
    from gridwatch.streaming.connect_files import served_url
    from gridwatch.streaming.connect_for import running_server

    base = running_server(found)
    if base is None:
        raise ConfigError(
            f"Kafka Connect reaches the embedded store through gridwatch's server, and none runs for "
            f"{str(found.home)!r}. Start it (`gridwatch serve`, or `gridwatch up` for everything), or set "
            "GRIDWATCH_CONNECT__STORE_URL."
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


def start_in_background(
    home: Path, arguments: Sequence[str], environ: Mapping[str, str], *, timeout_s: float = _UP_TIMEOUT_S
) -> Running:
    """Start `gridwatch connect up --foreground`, wait until its connectors are applied, and return what it wrote.

    Raises:
        MissingServiceError: It ended, or the time is over, and then it goes on starting; names its log.
    """
    from gridwatch.streaming.broker_files import last_lines
    from gridwatch.streaming.child import spawn
    from gridwatch.streaming.connect_running import read_running

    log = home / "logs" / "connect.log"
    make_private(log.parent)
    argv = [sys.executable, "-m", "gridwatch.cli", "connect", "up", "--foreground", *arguments]
    child = spawn(argv, environ, log)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        running = read_running(home)
        if running is not None and running.pid == child.pid and running.url:
            return running
        if not child.is_running() or child.status() == psutil.STATUS_ZOMBIE:
            raise MissingServiceError(f"Kafka Connect did not start; the end of {log}:\n{last_lines(log)}")
        time.sleep(_LOOK_S)
    raise MissingServiceError(
        f"Kafka Connect was not up within {timeout_s:g} s. It is still starting (process {child.pid}), and its log is "
        f"{log}; `gridwatch connect status` shows when it is there, `gridwatch connect down` ends it."
    )
