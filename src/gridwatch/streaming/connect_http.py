"""How Connect and gridwatch's own server are called: a login goes where it is meant to go, and nowhere else."""

from __future__ import annotations

import urllib.request
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from typing_extensions import override

__all__ = ["opener"]


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """urllib would take the login along to wherever it is sent."""

    @override
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def opener(url: str) -> urllib.request.OpenerDirector:
    """Return what opens an http(s) address: it follows no redirection, and goes to loopback past any proxy."""
    handlers: list[urllib.request.BaseHandler] = [_NoRedirection()]
    if _is_loopback(urlsplit(url).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
