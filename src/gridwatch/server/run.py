"""`serve`: the application behind waitress, on the address of the settings."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.alerts.address import forget_address, remember_address, url_of
from gridwatch.alerts.email import warm_up
from gridwatch.alerts.sendgrid import is_loopback
from gridwatch.errors import MissingServiceError
from gridwatch.server.app import create_app
from gridwatch.server.feeds import Feeds
from gridwatch.server.griddb_webapi.limits import BODY_BYTES_MAX
from gridwatch.server.state import THREADS, state

if TYPE_CHECKING:
    from flask import Flask

    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["serve"]

log = structlog.get_logger(__name__)

_LOOK_S = 0.25
GRACE_S = 5.0
"""How long requests at work may go on when the server ends, in seconds."""

CONNECTIONS_MAX = 500
"""Most open connections. With the files of the store they stay below 1024, the usual limit of a process."""

_SILENCE_S = 30


def serve(
    settings: Settings,
    store: Store,
    *,
    clock: Callable[[], int],
    on_ready: Callable[[str], None],
    stop: threading.Event | None = None,
) -> int:
    """Serve until `stop` is set, or the process is interrupted.

    Args:
        settings: Address to bind (port 0 picks a free one) and everything the application needs.
        store: Stays open; closing it is the caller's.
        clock: UTC epoch ms.
        on_ready: Called once with the base URL, when requests are answered.
        stop: Set it to end; running requests and datafeeds get `GRACE_S`.

    Returns:
        How many threads are at work still. A statement in SQLite cannot be cancelled, and Python's own end waits for
        it: a process that wants to end now has to do without (`os._exit`).

    Raises:
        MissingServiceError: The address cannot be bound.
    """
    from waitress import create_server, wasyncore

    app = create_app(settings, store, clock=clock)
    host, port = settings.server.host, settings.server.port
    sockets: dict[int, Any] = {}
    listening = _bound(host, port)
    url = url_of(*listening.getsockname()[:2])
    server = create_server(
        _closing_files(app),
        map=sockets,
        sockets=[listening],
        threads=THREADS,
        ident=None,
        max_request_body_size=BODY_BYTES_MAX,
        connection_limit=CONNECTIONS_MAX,
        channel_timeout=_SILENCE_S,
        cleanup_interval=_SILENCE_S // 3,
        # What a proxy says is judged by the application; without it, everybody behind one would be this machine.
        clear_untrusted_proxy_headers=False,
    )
    state(app).base_url = url
    if not is_loopback(host) and settings.alerts.token is None:
        log.warning("server_without_token", host=host, hint="others are refused until GRIDWATCH_ALERTS__TOKEN is set")
    stop = stop or threading.Event()
    # What the first mail needs takes seconds to load on a busy machine; requests are answered meanwhile.
    warming = threading.Thread(target=_warm_up, name="warm-up")
    feeds = Feeds(state(app))
    try:
        remember_address(settings, url)
        warming.start()
        if settings.jobs.run_feeds:
            feeds.start()
        log.info("server_ready", url=url)
        on_ready(url)
        while not stop.is_set():
            wasyncore.loop(timeout=_LOOK_S, map=sockets, use_poll=True, count=1)
    finally:
        forget_address(settings)
        feeds.end()
        ends = time.monotonic() + GRACE_S
        server.task_dispatcher.shutdown(cancel_pending=True, timeout=GRACE_S)
        wasyncore.close_all(sockets)
        busy = len(server.task_dispatcher.threads) + feeds.wait(ends)
        if warming.ident is not None and not busy:
            warming.join()
        log.info("server_stopped", url=url, busy=busy)
    return busy


def _closing_files(app: Flask) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """Send files piece by piece, as any other answer.

    Of those that waitress takes over as a whole it leaves some open: when the reader has just gone, or at its end.
    """

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ.pop("wsgi.file_wrapper", None)
        return app(environ, start_response)

    return answer


def _warm_up() -> None:
    try:
        warm_up()
    except Exception as error:  # noqa: BLE001  # a thread's edge; the first mail meets it again and tells
        log.warning("warm_up_failed", error=repr(error))


def _bound(host: str, port: int) -> socket.socket:
    """Bind before any thread is made, so that a failure leaves nothing behind."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise MissingServiceError(
            f"Cannot serve on {host}:{port}: {error}. Another program may be there; set GRIDWATCH_SERVER__PORT "
            "(0 picks a free one) or GRIDWATCH_SERVER__HOST.",
            host=host,
            port=port,
        ) from error
