"""A Kafka Connect for the duration of a load: the one that runs, or one that is started and stopped again."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil

from gridwatch.errors import MissingServiceError
from gridwatch.folders import make_private
from gridwatch.settings import environment
from gridwatch.streaming.broker_files import file_lock, free_ports, last_lines
from gridwatch.streaming.child import kill, spawn
from gridwatch.streaming.connect import ConnectWorker
from gridwatch.streaming.connect_apply import apply, find_connect
from gridwatch.streaming.connect_files import served_url
from gridwatch.streaming.connect_http import opener
from gridwatch.streaming.connect_running import read_running
from gridwatch.streaming.connect_service import wanted_connectors

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["apply_for_load", "connect_for", "running_server"]

_TURN_TIMEOUT_S = 900.0
_READY_TIMEOUT_S = 300.0
_SERVE_TIMEOUT_S = 180.0
_LOOK_S = 0.1


@contextmanager
def connect_for(
    settings: Settings, bootstrap: str, *, topics: str, progress: Callable[[int, int | None], None] | None = None
) -> Iterator[Settings]:
    """Give the settings with the address of a Connect: the cluster of the settings, our own that runs, or a new one.

    One that is started for the duration comes with gridwatch's server where the store is the embedded one, and both
    are stopped afterwards; of several processes that want one, each waits for its turn.

    Args:
        settings: Home, mode, connectors.
        bootstrap: `host:port,...` of the Kafka cluster.
        topics: Regular expression of the topics to read, for connectors that name none.
        progress: Told of jars that must be downloaded first.

    Raises:
        ConfigError: A connector is wrong.
        JavaError: The worker does not start; holds its last log lines.
        MissingServiceError: gridwatch's server does not start, or Connect does not answer.
    """
    if settings.connect.url is not None or _ready(settings):
        yield settings
        return
    folder = settings.home / "connect"
    make_private(folder)
    with file_lock(folder / "turn.lock", timeout_s=_TURN_TIMEOUT_S), _served(settings) as told:
        worker = ConnectWorker(told, bootstrap, progress=progress)
        # One that nobody looks after was left by a load that was killed, and may write to a store of that time.
        worker.stop()
        try:
            worker.start(keep=False)
            apply_for_load(told, topics)
            yield told
        finally:
            worker.stop()


def apply_for_load(settings: Settings, topics: str) -> None:
    """Apply the folder's connectors, unless the one that is needed is one of a group's."""
    connect = find_connect(settings)
    if connect.kept is None and settings.connect.connector in connect.api.names():
        # The workers of a group share it, and what they read for others is not for this load to change.
        return
    apply(connect, wanted_connectors(settings, topics=topics))


def _ready(settings: Settings) -> bool:
    """Tell whether our own Connect runs, waiting for one that is just starting."""
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while (running := read_running(settings.home)) is not None and running.alive:
        if running.url:
            return True
        if time.monotonic() >= deadline:
            log = settings.home / "logs" / "connect.log"
            raise MissingServiceError(f"Kafka Connect (process {running.pid}) does not get ready; see {log}.")
        time.sleep(_LOOK_S)
    return False


@contextmanager
def _served(settings: Settings) -> Iterator[Settings]:
    """Give the settings with the store's URL as connectors reach it; the embedded store needs our server for that."""
    if settings.connect.store_url is not None or not settings.store.startswith("sqlite:"):
        yield settings
        return
    running = running_server(settings)
    if running is not None:
        yield _with_store(settings, running)
        return
    [port] = free_ports(1)
    base, log = f"http://127.0.0.1:{port}", settings.home / "logs" / "connect-server.log"
    make_private(log.parent)
    environ = {**os.environ, **environment(settings), "GRIDWATCH_STORE_URL": settings.store}
    argv = [sys.executable, "-m", "gridwatch.cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
    server = spawn(argv, environ, log)
    try:
        deadline = time.monotonic() + _SERVE_TIMEOUT_S
        while (_said_at(base) or {}).get("pid") != server.pid:
            if not server.is_running() or server.status() == "zombie" or time.monotonic() >= deadline:
                raise MissingServiceError(f"gridwatch's server did not start; the end of {log}:\n{last_lines(log)}")
            time.sleep(_LOOK_S)
        yield _with_store(settings, base)
    finally:
        kill(server, timeout_s=10)


def _with_store(settings: Settings, base: str) -> Settings:
    told = settings.connect.model_copy(update={"store_url": served_url(base, settings.server.cluster)})
    return settings.model_copy(update={"connect": told})


def running_server(settings: Settings) -> str | None:
    """Return where gridwatch's server of this home listens; None where it does not run.

    What it wrote down outlives it when it is killed, and another home's server may have its port by then.
    """
    try:
        said = json.loads((settings.home / "server.json").read_text(encoding="utf-8"))
        url, pid = said["url"], said["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(url, str) or not url.startswith("http://") or not isinstance(pid, int):
        return None
    said = _said_at(url)
    # A server that listens on no loopback address does not tell its number.
    return url if said is not None and said.get("pid", pid) == pid and psutil.pid_exists(pid) else None


def _said_at(base: str) -> dict[str, Any] | None:
    """Return what the gridwatch server at an address says of itself; None where there is none, or without its store."""
    try:
        with opener(base).open(f"{base}/healthz", timeout=5) as answer:
            said = json.loads(answer.read())
    except (urllib.error.URLError, OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None
