"""A TCP proxy before a server, that can make it slow or silent."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Self

__all__ = ["Proxy"]

_CHUNK = 1 << 16


class Proxy:
    """Passes on what comes, in both directions, from a free loopback port to another.

    Args:
        port: Port of the server.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.delay_s = 0.0
        """Wait before each piece of an answer, in seconds."""
        self._speaks = threading.Event()
        self._speaks.set()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._speaks.set()
        self.delay_s = 0.0
        with self._lock:
            for one in [self._listening, *self._open]:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def fall_silent(self) -> None:
        """Keep all answers back from now on; connections stay open."""
        self._speaks.clear()

    def speak(self) -> None:
        """Let the answers through again."""
        self._speaks.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            with server:
                with self._lock:
                    self._open |= {client, server}
                answers = threading.Thread(target=self._pass_on, args=(server, client, True), daemon=True)
                answers.start()
                self._pass_on(client, server, False)
                answers.join()
                with self._lock:
                    self._open -= {client, server}

    def _pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if answers:
                    time.sleep(self.delay_s)
                    self._speaks.wait()
                target.sendall(data)
        # One end is closed: so is the other.
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
