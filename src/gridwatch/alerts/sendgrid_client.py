"""The sendgrid library's client with connections that are kept open, timeouts, and no redirections."""

from __future__ import annotations

import io
import logging
import ssl
import urllib.request
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from typing_extensions import override

if TYPE_CHECKING:
    import urllib3

__all__ = ["CONNECTIONS_MAX", "NotConnectedError", "is_loopback", "sendgrid_client"]

CONNECTIONS_MAX = 32
"""Most connections that are kept open; above it, each mail has one of its own."""


class NotConnectedError(ConnectionError):
    """There was no connection, so that the server has seen nothing of the mail."""


def is_loopback(host: str | None) -> bool:
    """Tell whether a host name or address is this machine's loopback.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("example.com")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False


def sendgrid_client(api_key: str, url: str, timeout_s: float) -> Any:
    """Return the library's client; what it calls is made by urllib3, or by urllib where a proxy is on the way.

    Its own way opens a connection for each mail, which costs more than the mail, and a TLS handshake with it.

    Args:
        api_key: The Bearer token.
        url: Address of the API, without `/v3`.
        timeout_s: Longest wait for the connection and for each read, in seconds.
    """
    import python_http_client
    from python_http_client.exceptions import handle_error
    from sendgrid import SendGridAPIClient

    # At DEBUG the library logs the request's headers, key included.
    logging.getLogger("python_http_client").setLevel(logging.INFO)
    pool = _pool(url)

    class OwnClient(python_http_client.Client):  # type: ignore[misc]
        def _build_client(self, name: str | None = None) -> Any:
            client = super()._build_client(name)
            client.__class__ = OwnClient
            return client

        def _make_request(self, opener: Any, request: Any, timeout: float | None = None) -> Any:
            if _has_proxy(url):
                return super()._make_request(urllib.request.build_opener(_NoRedirection()), request, timeout)
            answer = _answer(pool, request, timeout or self.timeout)
            if answer.code >= 300:
                raise handle_error(HTTPError(url, answer.code, answer.reason, answer.headers, io.BytesIO(answer.body)))
            return answer

    api = SendGridAPIClient(api_key, host=url)
    api.client.__class__ = OwnClient
    api.client.timeout = timeout_s
    return api


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """urllib would follow with a GET that carries the key and not the mail, and take its answer for the mail's."""

    @override
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class _Answer:
    """An answer as the library reads urllib's."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self.code = answer.status
        self.reason = answer.reason or ""
        self.body = answer.data
        self.headers: Any = answer.headers

    def getcode(self) -> int:
        return self.code

    def read(self) -> bytes:
        return self.body

    def info(self) -> Any:
        return self.headers


def _has_proxy(url: str) -> bool:
    """Tell whether the environment names a proxy for this address; loopback goes past any."""
    parts = urlsplit(url)
    if is_loopback(parts.hostname):
        return False
    return parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(parts.netloc)


def _pool(url: str) -> urllib3.HTTPConnectionPool:
    import urllib3

    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return urllib3.HTTPSConnectionPool(host, parts.port, maxsize=CONNECTIONS_MAX, ssl_context=context)
    return urllib3.HTTPConnectionPool(host, parts.port, maxsize=CONNECTIONS_MAX)


def _answer(pool: urllib3.HTTPConnectionPool, request: Any, timeout_s: float) -> _Answer:
    """Make one call; nothing is sent twice, and a connection that the server has closed meanwhile is not used.

    Raises:
        NotConnectedError: There was no connection.
        OSError: There was no answer, or half of one.
    """
    from urllib3 import exceptions

    try:
        answer = pool.urlopen(
            request.get_method(),
            request.selector,
            body=request.data,
            headers=dict(request.header_items()),
            retries=False,
            redirect=False,
            timeout=timeout_s,
        )
    except exceptions.ConnectTimeoutError as error:
        # Also a name of urllib3 for a connection that is refused.
        raise NotConnectedError(str(error.__cause__ or "timed out")) from error
    except exceptions.TimeoutError as error:
        raise TimeoutError("timed out") from error
    except exceptions.HTTPError as error:
        inner = error.__cause__ or next((part for part in error.args if isinstance(part, Exception)), None) or error
        kind = NotConnectedError if isinstance(inner, ssl.SSLCertVerificationError) else ConnectionError
        raise kind(str(inner) or type(inner).__name__) from error
    return _Answer(answer)
