"""A store behind the Web API of a real `gridwatch serve` on loopback: one server a test run, emptied for each test."""

from __future__ import annotations

import atexit
import functools
import tempfile
import threading
from pathlib import Path

from gridwatch.containers import Store, open_store
from gridwatch.containers.webapi import WebApiStore
from gridwatch.server.run import serve
from gridwatch.settings import Settings

_START_S = 60.0


@functools.cache
def _server() -> tuple[Store, str]:
    """Start the server once; it ends with the test run."""
    folder = tempfile.TemporaryDirectory(prefix="gridwatch-webapi-")
    settings = Settings(_env_file=None, home=Path(folder.name), server={"port": 0})
    store = open_store(settings.store)
    ready, stop = threading.Event(), threading.Event()
    urls: list[str] = []

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    thread = threading.Thread(
        target=serve,
        args=(settings, store),
        kwargs={"clock": lambda: 0, "on_ready": on_ready, "stop": stop},
        daemon=True,
    )
    thread.start()
    assert ready.wait(_START_S), "gridwatch serve did not start"

    def end() -> None:
        stop.set()
        thread.join(_START_S)
        store.close()
        folder.cleanup()

    atexit.register(end)
    return store, f"griddb+{urls[0].rstrip('/')}/gridwatch/public"


def url() -> str:
    """Return the store URL of the server."""
    return _server()[1]


def behind() -> Store:
    """Return the embedded store that is behind the server."""
    return _server()[0]


def served(_folder: Path | None = None) -> WebApiStore:
    """Open the store without containers."""
    for name in behind().containers():
        behind().drop_container(name)
    return WebApiStore(url())
