"""Requests to a GridDB Web API: one pool of connections, Basic auth, TLS, retries, and what its refusals mean."""

from __future__ import annotations

import base64
import json
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from gridwatch.containers._codes import code_of, error_class, told
from gridwatch.containers.webapi_url import WebApiUrl
from gridwatch.errors import (
    ConfigError,
    ContainerExistsError,
    ContainerNotFoundError,
    SqlRefusedError,
    StoreBusyError,
    StoreError,
)

__all__ = ["TooLargeError", "WebApiHttp", "refusal", "sql_endpoint"]

log = structlog.get_logger(__name__)

ATTEMPTS = 6
_FIRST_PAUSE_S, _PAUSE_MAX_S, _RETRY_AFTER_MAX_S = 0.25, 8.0, 60.0
_CONNECTIONS = 16
_CONNECT_TIMEOUT_S = 10.0
_BUSY = frozenset({429, 502, 503, 504})
_UNAUTHORIZED, _NOT_FOUND, _CONFLICT, _TOO_LARGE = 401, 404, 409, 413
_HINT_LOGIN = "check GRIDWATCH_GRIDDB__USER and GRIDWATCH_GRIDDB__PASSWORD, and the database's name"

# What the Web API says when a request or an answer is over its limits; it has no error number for that.
_OVER_LIMIT = ("Too many result", "Too many rows data", "is too large", "too many rows", "exceeds the limit")


# What ends a line for Java's regular expressions.
_LINE_ENDS = frozenset("\n\r\x85\u2028\u2029")


_ASKING, _CHANGING = ("SELECT", "EXPLAIN"), ("INSERT", "UPDATE", "DELETE", "REPLACE")


def sql_endpoint(statement: str, *, changing: bool = False) -> str:
    """Return the endpoint for a statement.

    The newer ones know a few first words only, and refuse a line's end inside, which a text may hold.
    """
    known = statement.upper().startswith(_CHANGING if changing else _ASKING)
    if known and _LINE_ENDS.isdisjoint(statement):
        return "sql/dml/update" if changing else "sql/dml/query"
    return "sql/update" if changing else "sql"


def refusal(message: str, code: int | None, *, of_sql: bool) -> StoreError:
    """Return the error that a message of the API is; what SQL refuses without a number is refused all the same."""
    text = told(message)
    kind = error_class(code)
    if text.startswith("SQL refused") or (of_sql and code is None):
        kind = SqlRefusedError
    return kind(f"GridDB: {text}.", code=code)


class TooLargeError(StoreError):
    """A request or an answer is over the Web API's limits; ask for less at once."""


class _TryAgain(Exception):  # noqa: N818  no error of gridwatch's: it never leaves this module
    """This attempt failed; another may not."""

    def __init__(
        self, error: StoreError, after_s: float | None = None, *, unsent: bool = False, attempts: int = ATTEMPTS
    ) -> None:
        super().__init__(str(error))
        self.error, self.after_s, self.unsent, self.attempts = error, after_s, unsent, attempts


class WebApiHttp:
    """Calls to one database's endpoints; safe to use from many threads, and in a forked child.

    Args:
        url: Where the API is.
        user: GridDB user.
        password: Its password; None sends no login, which is enough for `gridwatch serve` on the same machine.
        ca_file: Certificates (PEM) to trust; None for the system's.
        timeout_s: Longest wait for one answer.
        pause: Called with the seconds to wait between attempts.
    """

    def __init__(
        self,
        url: WebApiUrl,
        *,
        user: str,
        password: str | None,
        ca_file: Path | None,
        timeout_s: float,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._url = url
        self._ca_file = ca_file
        self._pause = pause
        self._timeout = urllib3.Timeout(connect=min(_CONNECT_TIMEOUT_S, timeout_s), read=timeout_s)
        self._headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "gridwatch"}
        if password is not None:
            # UTF-8, as GridDB reads it; urllib3's own header is Latin-1.
            login = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {login}"
        self._has_login = password is not None
        self._lock = threading.Lock()
        self._pool: urllib3.HTTPConnectionPool | None = None
        self._owner = 0
        self._closed = False

    def call(self, method: str, endpoint: str, body: Any = None, *, repeatable: bool = True) -> Any:
        """Send a request and return the JSON of its answer, None where it is empty.

        Args:
            method: GET, POST, PUT or DELETE.
            endpoint: Path below the database, `containers?limit=10`.
            body: JSON value, or JSON text as bytes.
            repeatable: Whether doing it twice is the same as once; if not, it is tried again only when it is certain
                that the server has not seen it.

        Raises:
            StoreError: The server cannot be reached or refuses; `code` is GridDB's error number.
            TooLargeError: The request or its answer is over the API's limits.
        """
        data = body if body is None or isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(method, endpoint, data)
            except _TryAgain as failed:
                if not (repeatable or failed.unsent):
                    raise self._unknown(failed.error) from failed.__cause__
                if attempt >= failed.attempts:
                    raise failed.error from failed.__cause__
                pause_s = min(_PAUSE_MAX_S, _FIRST_PAUSE_S * 2 ** (attempt - 1)) * random.uniform(0.5, 1)  # noqa: S311  spreads clients, no secret
                if failed.after_s is not None:
                    pause_s = min(_RETRY_AFTER_MAX_S, failed.after_s)
                log.info("webapi_retry", place=self._url.place, attempt=attempt, why=str(failed.error))
                self._pause(pause_s)
        raise AssertionError  # the last attempt returns or raises

    def _once(self, method: str, endpoint: str, data: bytes | None) -> Any:
        headers = (
            self._headers if data is None else {**self._headers, "Content-Type": "application/json; charset=UTF-8"}
        )
        try:
            answer = self._connections().urlopen(
                method, f"{self._url.path}/{endpoint}", body=data, headers=headers, redirect=False, retries=False
            )
        except (NewConnectionError, ConnectTimeoutError, NameResolutionError) as error:
            raise _TryAgain(self._unreachable(_reason(error)), unsent=True) from error
        except SSLError as error:
            raise StoreError(
                f"The TLS certificate or connection of {self._url.place} is refused ({_reason(error)}); for a "
                "certificate of your own name its CA file in GRIDWATCH_GRIDDB__CA_FILE, and use griddb+http:// where "
                "there is no TLS.",
                host=self._url.host,
            ) from error
        except ReadTimeoutError as error:
            busy = StoreBusyError(
                f"The GridDB Web API at {self._url.place} gave no answer in time; ask for less at once, or raise "
                "GRIDWATCH_GRIDDB__TIMEOUT_S."
            )
            raise _TryAgain(busy, attempts=2) from error
        except (HTTPError, LocationParseError, OSError) as error:
            raise _TryAgain(self._unreachable(f"the connection broke, {_reason(error)}")) from error
        if answer.status >= 300:
            self._refuse(answer, of_sql=endpoint.startswith(("sql", "tql")))
        return self._json(answer.data)

    def _connections(self) -> urllib3.HTTPConnectionPool:
        with self._lock:
            if self._closed:
                raise StoreError(f"The store at {self._url.place} is closed.")
            # Sockets must not be shared with a forked child: each would read the other's answers.
            if self._pool is None or self._owner != os.getpid():
                self._pool, self._owner = self._new_pool(), os.getpid()
            return self._pool

    def _new_pool(self) -> urllib3.HTTPConnectionPool:
        shared: dict[str, Any] = {"timeout": self._timeout, "maxsize": _CONNECTIONS, "block": True}
        if self._url.scheme == "http":
            return urllib3.HTTPConnectionPool(self._url.host, self._url.port, **shared)
        if self._ca_file is not None and not self._ca_file.is_file():
            raise ConfigError(f"GRIDWATCH_GRIDDB__CA_FILE names {str(self._ca_file)!r}, which is no file.")
        ca_file = str(self._ca_file) if self._ca_file else None
        return urllib3.HTTPSConnectionPool(
            self._url.host, self._url.port, cert_reqs="CERT_REQUIRED", ca_certs=ca_file, **shared
        )

    def _json(self, data: bytes) -> Any:
        if not data:
            return None
        try:
            return json.loads(data)
        except ValueError as error:
            raise self._no_api(f"it answered {data[:80]!r}, which is no JSON") from error

    def _refuse(self, answer: urllib3.BaseHTTPResponse, *, of_sql: bool) -> None:
        """Raise what a status other than success means."""
        status, place = answer.status, self._url.place
        message, code = _told(answer.data)
        if any(sign in message for sign in _OVER_LIMIT) or status == _TOO_LARGE:
            raise TooLargeError(f"The Web API at {place} refuses a request or answer of this size: {told(message)}.")
        if status in _BUSY:
            busy = StoreBusyError(f"The GridDB Web API at {place} is busy (HTTP {status}){_said(message)}.")
            raise _TryAgain(busy, _retry_after(answer), unsent=status == 429)
        if status == _UNAUTHORIZED:
            hint = _HINT_LOGIN if self._has_login else "it wants a login: set GRIDWATCH_GRIDDB__PASSWORD"
            raise StoreError(f"The GridDB Web API at {place} refuses the login{_said(message)}; {hint}.", code=10005)
        if 300 <= status < 400:
            raise self._no_api(f"it answered with a redirect to {answer.headers.get('Location')!r}")
        if "Cluster not found" in message:
            raise ConfigError(f"The GridDB Web API at {place} knows no cluster {self._url.cluster!r}; correct the URL.")
        if code is None and not message:
            raise self._no_api(f"it answered HTTP {status} to {self._url.path}")
        if status == _NOT_FOUND:
            raise ContainerNotFoundError(f"GridDB: {told(message)}.", code=code)
        if status == _CONFLICT:
            raise ContainerExistsError(f"GridDB: {told(message)}.", code=code)
        raise refusal(message, code, of_sql=of_sql)

    def _unreachable(self, why: str) -> StoreError:
        hint = "check the store's URL, that the Web API (or gridwatch serve) runs, and the network between"
        return StoreError(f"No GridDB Web API at {self._url.place}: {why}; {hint}.", host=self._url.host)

    def _no_api(self, why: str) -> StoreError:
        return StoreError(f"What answers at {self._url.place} is no GridDB Web API: {why}.", host=self._url.host)

    @staticmethod
    def _unknown(error: StoreError) -> StoreError:
        """A statement that counts rows may have run: whoever sent it has to look before sending it again."""
        message = f"{error} It is not known whether the statement was done; look before you run it again."
        return type(error)(message, **error.values)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None and self._owner == os.getpid():
            pool.close()


def _told(data: bytes) -> tuple[str, int | None]:
    """Message and error number of a refusal; 0 and texts that are no JSON of the API's mean none."""
    try:
        body = json.loads(data)
    except ValueError:
        return "", None
    if not isinstance(body, dict):
        return "", None
    message, code = str(body.get("errorMessage") or ""), body.get("errorCode")
    if isinstance(code, str) and code.isdigit():
        code = int(code)
    return message, (code if isinstance(code, int) and code > 0 else code_of(message))


def _said(message: str) -> str:
    return f" ({told(message)})" if message else ""


def _retry_after(answer: urllib3.BaseHTTPResponse) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None


def _reason(error: Exception) -> str:
    """The operating system's words for what failed, without urllib3's objects."""
    text = str(error)
    for begin in ("[Errno", "[SSL"):
        if begin in text:
            text = text[text.index(begin) :]
    return text.rsplit("object at 0x", 1)[-1].strip("()'\" ").split("(_ssl.c", 1)[0].strip() or type(error).__name__
