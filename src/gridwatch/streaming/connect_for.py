"""A Kafka Connect for the duration of a load: the one that runs, or one that is started and stopped again."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gridwatch.errors import MissingServiceError
from gridwatch.folders import make_private
from gridwatch.settings import environment
from gridwatch.streaming.broker_files import file_lock, free_ports, last_lines
from gridwatch.streaming.child import kill, spawn
from gridwatch.streaming.connect import ConnectWorker
from gridwatch.streaming.connect_apply import apply, find_connect
from gridwatch.streaming.connect_files import served_url
from gridwatch.streaming.connect_running import read_running
from gridwatch.streaming.connect_service import wanted_connectors

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["connect_for"]

_TURN_TIMEOUT_S = 900.0
_READY_TIMEOUT_S = 120.0
_SERVE_TIMEOUT_S = 60.0
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
        try:
            worker.start(keep=False)
            apply(find_connect(told), wanted_connectors(told, topics=topics))
            yield told
        finally:
            worker.stop()


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
    base = _remembered(settings)
    if base is not None and _answers(base):
        yield _with_store(settings, base)
        return
    [port] = free_ports(1)
    base, log = f"http://127.0.0.1:{port}", settings.home / "logs" / "connect-server.log"
    make_private(log.parent)
    environ = {**os.environ, **environment(settings), "GRIDWATCH_STORE_URL": settings.store}
    argv = [sys.executable, "-m", "gridwatch.cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
    server = spawn(argv, environ, log)
    try:
        deadline = time.monotonic() + _SERVE_TIMEOUT_S
        while not _answers(base):
            if not server.is_running() or server.status() == "zombie" or time.monotonic() >= deadline:
                raise MissingServiceError(f"gridwatch's server did not start; the end of {log}:\n{last_lines(log)}")
            time.sleep(_LOOK_S)
        yield _with_store(settings, base)
    finally:
        kill(server, timeout_s=10)


def _with_store(settings: Settings, base: str) -> Settings:
    told = settings.connect.model_copy(update={"store_url": served_url(base, settings.server.cluster)})
    return settings.model_copy(update={"connect": told})


def _remembered(settings: Settings) -> str | None:
    """Return where a server of this home said that it listens."""
    try:
        url = json.loads((settings.home / "server.json").read_text(encoding="utf-8"))["url"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return url if isinstance(url, str) and url.startswith("http://") else None


def _answers(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/healthz", timeout=5) as answer:  # noqa: S310  # http, our own
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False
