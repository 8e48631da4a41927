"""Sockets of kafka-python's clients: closed when a connection fails, and all of them when the client is closed.

kafka-python leaves both to the garbage collector: a connection that is refused, times out or is given up half-made,
and one that still has something to send when its client closes.

Imports kafka-python, so import it only where a client is made.
"""

from __future__ import annotations

import socket
from typing import Any

from kafka.net.inet import KafkaNetSocket
from kafka.net.selector import NetworkSelector
from typing_extensions import override

__all__ = ["DIRECT", "ClosingSelector"]

DIRECT = "gridwatch-direct://"
"""`proxy_url` that makes kafka-python connect through `_ClosingSocket`: straight to the broker, no proxy."""


class _ClosingSocket(KafkaNetSocket):  # type: ignore[misc] # kafka-python has no types
    """Makes one connection after another, and closes those that fail or are cancelled."""

    SCHEMES = (DIRECT.partition(":")[0],)

    @override
    def socket(self, *args: Any) -> socket.socket:
        made: socket.socket = super().socket(*args)
        self._made = made
        return made

    @override
    async def connect(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().connect(*args, **options)
        except BaseException:  # a client that is closed meanwhile ends this with GeneratorExit
            self._made.close()
            raise


class ClosingSelector(NetworkSelector):  # type: ignore[misc] # kafka-python has no types
    """An event loop that leaves no socket open behind it."""

    def __init__(self, **options: Any) -> None:
        self._waited_for: set[socket.socket] = set()
        super().__init__(**options)

    @override
    def register_event(self, fileobj: socket.socket, event: int, task: Any) -> None:
        """Wait for a socket, which is closed with this loop if nobody closes it before."""
        if fileobj not in self._waited_for:
            self._waited_for = {known for known in self._waited_for if known.fileno() >= 0}
            self._waited_for.add(fileobj)
        super().register_event(fileobj, event, task)

    @override
    def close(self) -> None:
        """Stop, and close what is still open."""
        try:
            super().close()
        finally:
            for known in self._waited_for:
                known.close()
            self._waited_for.clear()
