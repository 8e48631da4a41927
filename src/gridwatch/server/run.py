"""`serve`: the application behind waitress, on the address of the settings."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.alerts.address import forget_address, remember_address, url_of
from gridwatch.alerts.sendgrid import is_loopback
from gridwatch.errors import MissingServiceError
from gridwatch.server.app import create_app
from gridwatch.server.inbox import MAIL_MAX
from gridwatch.server.state import THREADS, state

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["serve"]

log = structlog.get_logger(__name__)

_LOOK_S = 0.25


def serve(
    settings: Settings,
    store: Store,
    *,
    clock: Callable[[], int],
    on_ready: Callable[[str], None],
    stop: threading.Event | None = None,
) -> None:
    """Serve until `stop` is set, or the process is interrupted.

    Args:
        settings: Address to bind (port 0 picks a free one) and everything the application needs.
        store: Stays open; closing it is the caller's.
        clock: UTC epoch ms.
        on_ready: Called once with the base URL, when requests are answered.
        stop: Set it to end; running requests get 5 seconds.

    Raises:
        MissingServiceError: The address cannot be bound.
    """
    from waitress import create_server, wasyncore

    app = create_app(settings, store, clock=clock)
    host, port = settings.server.host, settings.server.port
    sockets: dict[int, Any] = {}
    try:
        server = create_server(
            app,
            map=sockets,
            host=host,
            port=port,
            threads=THREADS,
            ident=None,
            max_request_body_size=MAIL_MAX + 1024,
            channel_timeout=120,
        )
    except (OSError, ValueError) as error:
        raise MissingServiceError(
            f"Cannot serve on {host}:{port}: {error}. Another program may be there; set GRIDWATCH_SERVER__PORT "
            "(0 picks a free one) or GRIDWATCH_SERVER__HOST.",
            host=host,
            port=port,
        ) from error
    url = url_of(*_bound(server))
    state(app).base_url = url
    if not is_loopback(host) and settings.alerts.token is None:
        log.warning("server_without_token", host=host, hint="others are refused until GRIDWATCH_ALERTS__TOKEN is set")
    stop = stop or threading.Event()
    try:
        remember_address(settings, url)
        log.info("server_ready", url=url)
        on_ready(url)
        while not stop.is_set():
            wasyncore.loop(timeout=_LOOK_S, map=sockets, count=1)
    finally:
        forget_address(settings)
        server.task_dispatcher.shutdown(cancel_pending=True, timeout=5)
        wasyncore.close_all(sockets)
        log.info("server_stopped", url=url)


def _bound(server: Any) -> tuple[str, int]:
    """Host and port; a name such as localhost can bind two sockets, of which the first is told."""
    listening = getattr(server, "effective_listen", None)
    host, port = listening[0] if listening else (server.effective_host, server.effective_port)
    return str(host), int(port)
