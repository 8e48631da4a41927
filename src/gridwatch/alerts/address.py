"""Where the trigger handler listens: `gridwatch serve` writes its address down, the relay looks it up."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gridwatch.folders import make_private

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["forget_address", "handler_url", "is_served", "remember_address", "url_of"]


def url_of(host: str, port: int) -> str:
    """Return the base URL of a bound address as callers on this machine reach it.

    >>> url_of("127.0.0.1", 8090), url_of("::1", 80), url_of("0.0.0.0", 8090)
    ('http://127.0.0.1:8090', 'http://[::1]:80', 'http://127.0.0.1:8090')
    """
    # The any-address can be bound but not called; loopback is then bound too.
    callable_host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host.strip("[]"))  # noqa: S104
    return f"http://[{callable_host}]:{port}" if ":" in callable_host else f"http://{callable_host}:{port}"


def handler_url(settings: Settings) -> str:
    """Return the URL that anomalies are POSTed to: the setting, else the running server's, else its default place."""
    if settings.alerts.handler_url is not None:
        return settings.alerts.handler_url
    return f"{_remembered(settings) or url_of(settings.server.host, settings.server.port)}/trigger"


def is_served(settings: Settings) -> bool:
    """Tell whether a server of this home folder has written down where it serves."""
    return _remembered(settings) is not None


def remember_address(settings: Settings, url: str) -> None:
    """Write down where this process serves."""
    path = _path(settings)
    make_private(path.parent)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf-8")
    draft.replace(path)


def forget_address(settings: Settings) -> None:
    """Take back what this process wrote; another process's address stays."""
    path = _path(settings)
    if _read(path).get("pid") == os.getpid():
        path.unlink(missing_ok=True)


def _remembered(settings: Settings) -> str | None:
    url = _read(_path(settings)).get("url")
    return url if isinstance(url, str) and urlsplit(url).scheme == "http" else None


def _path(settings: Settings) -> Path:
    return settings.home / "server.json"


def _read(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # Missing is the usual case, and a file that is not ours says nothing either.
        return {}
    return found if isinstance(found, dict) else {}
