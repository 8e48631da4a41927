"""Stores that artifact repositories share: one for each URL and process, opened on first use."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

if TYPE_CHECKING:
    from gridwatch.containers.object_uri import ObjectUri
    from gridwatch.containers.objects import ObjectStore
    from gridwatch.settings import Settings

__all__ = ["forget", "objects_at"]

log = structlog.get_logger(__name__)

_lock = threading.Lock()
_open: dict[str, ObjectStore] = {}
_parents: list[ObjectStore] = []


def _after_fork() -> None:
    # The thread that held the lock may not exist in the child, and what is open belongs to the parent: it is kept from
    # being closed here, and never used.
    global _lock
    _lock = threading.Lock()
    _parents.extend(_open.values())
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def objects_at(uri: ObjectUri) -> ObjectStore:
    """Return the objects of the store that a URI names, which is the settings' store or none.

    Raises:
        MlflowException: It names another store than GRIDWATCH_STORE_URL.
        gridwatch.errors.GridwatchError: The settings are wrong, or the store does not open.
    """
    from gridwatch.containers import open_store
    from gridwatch.containers.objects import ObjectStore

    settings = _settings(_given())
    url = settings.store
    if not uri.is_in(url):
        # Whoever may create an experiment could otherwise make this process log in to a server of their choice.
        log.warning("artifact_uri_of_another_store", uri_store=uri.store, store=url)
        raise MlflowException(
            f"Artifact URI names the store {uri.store}, which is not the one of GRIDWATCH_STORE_URL; only that one is "
            "connected to. Set it to the store of these artifacts.",
            error_code=PERMISSION_DENIED,
        )
    with _lock:
        if url not in _open:
            _open[url] = ObjectStore(open_store(url, settings=settings))
        return _open[url]


def _given() -> tuple[object, ...]:
    """Return what the settings come from: a process may change its environment between two uses."""
    variables = tuple(sorted(item for item in os.environ.items() if item[0].upper().startswith("GRIDWATCH_")))
    dotenv = Path(".env").absolute()
    try:
        found = dotenv.stat()
    except OSError:
        return (variables, dotenv)
    return (variables, dotenv, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4)
def _settings(given: tuple[object, ...]) -> Settings:
    """Return the settings; they take as long to read as a small artifact, so not for every one."""
    from gridwatch.settings import load_settings

    del given
    return load_settings()


def forget(objects: ObjectStore) -> None:
    """Have the next use open the store anew, after an error that may mean that this one is of no use any more.

    It is not asked whether it is: a server that is away would take a minute to say nothing. Nor is it closed here, for
    other threads may be using it; it closes itself when the last one lets go of it.
    """
    with _lock:
        for url in [url for url, one in _open.items() if one is objects]:
            del _open[url]
