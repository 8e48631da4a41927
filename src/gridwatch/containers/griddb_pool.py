"""Connections to a GridDB cluster: GridDB's own objects are for one thread at a time, so calls take one each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gridwatch.containers.griddb_errors import is_connection_error
from gridwatch.containers.jvm import check_process
from gridwatch.errors import StoreError

__all__ = ["Pool"]

_IDLE_MAX = 16
_FRESH_S = 1.0


class Pool:
    """Keeps what `opened` opens for the next call; as many are open as calls run at once.

    Args:
        opened: Opens a connection; raises StoreError.
        alive: Asked about one that has not been used for a second; one that is not alive is replaced.
    """

    def __init__(self, opened: Callable[[], Any], alive: Callable[[Any], bool]) -> None:
        self._opened = opened
        self._alive = alive
        self._idle: list[tuple[float, Any]] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def take(self) -> Iterator[Any]:
        """Lend a connection; one that failed is closed afterwards, and so is any that a foreign error left.

        Raises:
            StoreError: The store is closed, this process was forked after the JVM's start, or the cluster is away.
        """
        check_process()
        connection = self._next()
        try:
            yield connection
        except StoreError as error:
            self._give(connection, keep=not is_connection_error(error))
            raise
        except BaseException:
            self._give(connection, keep=False)
            raise
        self._give(connection, keep=True)

    def _next(self) -> Any:
        while True:
            with self._lock:
                if self._closed:
                    raise StoreError("The store is closed; open it again with open_store.")
                used_s, connection = self._idle.pop() if self._idle else (0.0, None)
            if connection is None:
                return self._opened()
            if time.monotonic() - used_s < _FRESH_S or self._alive(connection):
                return connection
            _close(connection)

    def _give(self, connection: Any, *, keep: bool) -> None:
        with self._lock:
            if keep and not self._closed and len(self._idle) < _IDLE_MAX:
                self._idle.append((time.monotonic(), connection))
                return
        _close(connection)

    def close(self) -> None:
        """Close what is idle; what is lent is closed when it comes back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for _, connection in idle:
            _close(connection)


def _close(connection: Any) -> None:
    import jpype

    from gridwatch.containers import jvm

    if not jvm.usable():
        return
    try:
        connection.close()
    except jpype.JException:
        # It was broken: the server has forgotten it, or will.
        return
