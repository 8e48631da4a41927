"""Stores that artifact repositories share: one for each URL and process, opened on first use."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

if TYPE_CHECKING:
    from gridwatch.containers.objects import ObjectStore

__all__ = ["objects_at"]

_lock = threading.Lock()
_open: dict[str, ObjectStore] = {}


def _new_lock() -> None:
    # The thread that held the old one may not exist in the child.
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


def objects_at(authority: str) -> ObjectStore:
    """Return the objects of the store at `host:port/cluster/db`, or of the settings' store if that is empty.

    Raises:
        MlflowException: The authority is not the one of GRIDWATCH_STORE_URL.
        gridwatch.errors.GridwatchError: The settings are wrong, or the store does not open.
    """
    # MLflow imports this plugin into every one of its processes, so what is heavy comes with the first use.
    from gridwatch.containers import open_store
    from gridwatch.containers.objects import ObjectStore
    from gridwatch.settings import load_settings

    settings = load_settings()
    url = settings.store
    if authority and authority != _authority(url):
        # Whoever may create an experiment could otherwise make this process log in to a server of their choice.
        raise MlflowException(
            f"Artifact URI names the store griddb://{authority}, but GRIDWATCH_STORE_URL is {url!r}; only that one is "
            "connected to. Set it to the store of these artifacts.",
            error_code=PERMISSION_DENIED,
        )
    with _lock:
        if url not in _open:
            _open[url] = ObjectStore(open_store(url, settings=settings))
        return _open[url]


def _authority(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.netloc}{parts.path}".rstrip("/") if parts.netloc else ""
