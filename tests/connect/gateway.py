"""A gateway in front of a Web API that fails on purpose."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What a gateway says instead of the server; status 0 cuts the connection."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait: threading.Event | None = None


Fault = Callable[[Asked], "Answer | None"]


class Gateway:
    """Passes requests on, unless `fault` answers them; `asked` keeps what came."""

    def __init__(self, target: str = "", fault: Fault = lambda _: None) -> None:
        self.target = target
        self.fault = fault
        self.asked: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                outer._handle(self)

            do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815  # the names that http.server asks for

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def base(self) -> str:
        """Address of the gateway."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        asked = Asked(handler.command, handler.path, dict(handler.headers.items()), body)
        self.asked.append(asked)
        answer = self.fault(asked) or self._passed(asked)
        if answer.wait is not None:
            answer.wait.wait(120)
        if answer.status == 0:
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body)

    def _passed(self, asked: Asked) -> Answer:
        parts = urlsplit(self.target)
        assert parts.hostname
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
        try:
            headers = {name: value for name, value in asked.headers.items() if name.lower() != "host"}
            connection.request(asked.method, asked.path, asked.body or None, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), {"Content-Type": answer.headers.get("Content-Type") or ""})
        finally:
            connection.close()


@contextmanager
def gateway(target: str = "", fault: Fault = lambda _: None, **wrapped: Any) -> Iterator[Gateway]:
    """Run a gateway in a thread."""
    found = Gateway(target, fault)
    if wrap := wrapped.get("wrap"):
        found.server.socket = wrap(found.server.socket)
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield found
    finally:
        found.server.shutdown()
        thread.join(120)
        found.server.server_close()
