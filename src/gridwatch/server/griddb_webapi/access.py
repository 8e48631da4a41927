"""Who calls the Web API, and what for: Basic authentication as GridDB's, its cluster and its database."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import current_app, g, request

from gridwatch.alerts.sendgrid import is_loopback
from gridwatch.server.auth import count_guess, guess_wait_s, is_local, is_private
from gridwatch.server.griddb_webapi.errors import ApiError, named
from gridwatch.server.griddb_webapi.rights import file_untold
from gridwatch.server.state import state

if TYPE_CHECKING:
    from gridwatch.server.state import State

__all__ = ["Caller", "caller", "database_of", "enter", "need_write", "rights_of"]

AUTH_FAILED = 10005
ACCESS_INVALID = 10099

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)?")


@dataclass(frozen=True, slots=True)
class Caller:
    """Credentials as they were given, not yet checked; no name for this machine itself."""

    name: str | None
    password: str = ""


def caller() -> Caller:
    """Return who calls; the form of the credentials is checked here, they themselves in `enter`.

    Raises:
        ApiError: No credentials, or none of the form (401); from another machine without TLS (403).
    """
    settings = state(current_app).settings
    if not is_private(settings):
        raise ApiError(
            403,
            "Credentials are not taken over plain HTTP from another machine: put a TLS proxy in front "
            "(GRIDWATCH_SERVER__TRUSTED_PROXIES), or serve with --insecure-http.",
        )
    header = request.headers.get("Authorization")
    if header is None and _open():
        return Caller(None)
    if header is not None and header.startswith("Bearer "):
        return Caller("", header.removeprefix("Bearer ").strip())
    if header is None or "Basic " not in header:
        raise ApiError(401, "Basic authentication not found")
    encoded = header[6:]
    if not _BASE64.fullmatch(encoded):
        raise ApiError(401, "Basic authentication is not encoded by Base64")
    try:
        name, colon, password = base64.b64decode(encoded).decode("utf-8", "surrogateescape").partition(":")
    except binascii.Error:
        raise ApiError(401, "Basic authentication is not encoded by Base64") from None
    if not colon:
        raise ApiError(401, "Basic authentication is invalid format")
    return Caller(name, password)


def _open() -> bool:
    """Tell whether this request needs no credentials: from this machine, to a server that only this machine reaches."""
    settings = state(current_app).settings
    return settings.server.auth == "auto" and is_loopback(settings.server.host) and is_local()


def database_of(parts: State) -> str:
    """Return the name of the store's database, as in `griddb://host:port/cluster/db`."""
    url = urlsplit(parts.store.url)
    steps = url.path.strip("/").split("/")
    return steps[1] if url.scheme.startswith("griddb") and len(steps) > 1 else "public"


def enter(who: Caller, cluster: str, database: str, *, sql: bool = False) -> None:
    """Check the cluster, the credentials and the database, and remember the caller's rights.

    Args:
        who: What `caller` returned.
        cluster: The cluster in the address.
        database: The database in the address.
        sql: SQL's endpoints tell the same refusals in another form.

    Raises:
        ApiError: Another cluster (400), wrong credentials or another database (401), a damaged users' file (503).
    """
    parts = state(current_app)
    if cluster != parts.settings.server.cluster:
        raise ApiError(400, "Repository is invalid" if sql else "Cluster not found in repository")
    rights = rights_of(parts, who)
    if rights is None:
        raise _failed(f"invalid user name or password (user name = {who.name})", sql=sql)
    if rights == "none" or database != database_of(parts):
        raise _failed("", sql=sql)
    g.rights, g.user = rights, who.name


def rights_of(parts: State, who: Caller) -> str | None:
    """Return what the caller may: `admin`, `write`, `read` or `none`; None for wrong credentials.

    Raises:
        ApiError: Too many wrong credentials before (429); the users' file is damaged (503).
    """
    if who.name is None:
        return "admin"
    wait_s = guess_wait_s()
    if wait_s:
        raise ApiError(429, f"Too many wrong passwords or tokens; wait {wait_s} s and try again.")
    rights = _rights(parts, who.name, who.password)
    count_guess(right=rights is not None)
    return rights


def _rights(parts: State, name: str, password: str) -> str | None:
    token = parts.settings.alerts.token
    if token and hmac.compare_digest(password.encode("utf-8", "surrogateescape"), token.get_secret_value().encode()):
        return "admin"
    with file_untold():
        user = parts.users.check(name, password)
    return user.rights if user is not None else None


def _failed(message: str, *, sql: bool) -> ApiError:
    return ApiError(401, named(AUTH_FAILED, message), 0 if sql else AUTH_FAILED)


def need_write() -> None:
    """Refuse a caller who may only read.

    Raises:
        ApiError: With GridDB's number of this refusal.
    """
    if g.rights not in {"admin", "write"}:
        raise ApiError(400, named(ACCESS_INVALID, "this user may only read"), ACCESS_INVALID)
