"""Who is signed in on the pages, and the proof that a change comes from one of them: signed cookie and CSRF token."""

from __future__ import annotations

import functools
import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import structlog
from flask import Flask, abort, current_app, request, session
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from typing_extensions import override

from gridwatch.errors import ConfigError
from gridwatch.secrets import secret
from gridwatch.server.auth import is_private, is_tls
from gridwatch.server.pages.ended import end, is_ended
from gridwatch.server.state import State, state

if TYPE_CHECKING:
    from flask import Request

__all__ = [
    "SESSION_MS",
    "Sessions",
    "check_csrf",
    "credentials_are_private",
    "csrf_token",
    "mark_of",
    "may_write",
    "needs_login",
    "sign_in",
    "sign_out",
    "signed_in",
]

log = structlog.get_logger(__name__)

SESSION_MS = 12 * 3_600_000
"""How long a login holds: a working day."""

_CSRF_HEADER = "X-CSRF-Token"
_CSRF_FIELD = "csrf_token"

P = ParamSpec("P")
R = TypeVar("R")


class Sessions(SecureCookieSessionInterface):
    """Flask's signed cookie; its key is made at the first login, so that a server that only answers APIs has none.

    Args:
        parts: Of the application.
    """

    digest_method = staticmethod(hashlib.sha256)

    def __init__(self, parts: State) -> None:
        self._parts = parts
        # Browsers send cookies to every port of a host: two servers on one machine must not sign each other out.
        self._name = f"gridwatch-{hashlib.sha256(str(parts.settings.home.absolute()).encode()).hexdigest()[:12]}"

    @override
    def get_cookie_name(self, app: Flask) -> str:
        return self._name

    @override
    def get_cookie_httponly(self, app: Flask) -> bool:
        return True

    @override
    def get_cookie_samesite(self, app: Flask) -> str:
        return "Strict"

    @override
    def get_cookie_secure(self, app: Flask) -> bool:
        return is_tls(self._parts.settings)

    @override
    def get_signing_serializer(self, app: Flask) -> Any:
        if not app.secret_key:
            app.secret_key = secret(self._parts.settings.home, "session")
        return super().get_signing_serializer(app)

    @override
    def open_session(self, app: Flask, request: Request) -> Any:
        if self._name not in request.cookies:
            return self.session_class()
        try:
            return super().open_session(app, request)
        except ConfigError as error:
            log.warning("session_unreadable", error=str(error))
            return self.session_class()

    @override
    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        return session.modified


def signed_in() -> str | None:
    """Return the name of who is signed in, by which labels are signed; None for a visitor.

    A user who was removed or has a new password is signed out, and so is the token's holder when the token changes.
    """
    who = session.get("who")
    return str(who["name"]) if isinstance(who, dict) and _rights(who) is not None else None


def may_write() -> bool:
    """Tell whether who is signed in may change something: a user with no more than `read` may not."""
    who = session.get("who")
    return isinstance(who, dict) and _rights(who) in {"admin", "write"}


def needs_login(view: Callable[P, R]) -> Callable[P, R]:
    """Refuse a view to visitors (401) and to users who may only read (403)."""

    @functools.wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if signed_in() is None:
            abort(401, "Sign in first: only people with a name may change something here.")
        if not may_write():
            abort(403, f"{signed_in()} may only read; `gridwatch users add` gives a user the right to write.")
        return view(*args, **kwargs)

    return checked


def sign_in(name: str, *, kind: str, mark: str) -> None:
    """Sign somebody in whose right was checked.

    Args:
        name: Who it is.
        kind: `user`: of the users' file; `token`: holds the server's token; `link`: came by `gridwatch login`.
        mark: What ends the login when it changes, as `mark_of` returns it; empty for a link.
    """
    # A new session: what a visitor's held, its CSRF token above all, may be known to others.
    session.clear()
    until_ms = state(current_app).clock() + SESSION_MS
    session["who"] = {"name": name, "kind": kind, "mark": mark, "until_ms": until_ms, "id": secrets.token_urlsafe(16)}


def sign_out() -> None:
    """End the login of who is signed in, on this server too: a copy of the cookie opens nothing any more.

    Raises:
        ConfigError: The end cannot be kept; the browser forgets the cookie all the same.
    """
    who, parts = session.get("who"), state(current_app)
    session.clear()
    if isinstance(who, dict) and isinstance(who.get("until_ms"), int) and isinstance(who.get("id"), str):
        end(parts.settings.home, who["id"], who["until_ms"], now_ms=parts.clock())


def mark_of(parts: State, credential: str) -> str:
    """Return what stands for a password's hash or a token in a cookie: it tells a change, and nothing else."""
    return hmac.digest(secret(parts.settings.home, "session"), credential.encode(), "sha256").hex()[:32]


def csrf_token() -> str:
    """Return the token that forms send back as `csrf_token` and scripts as `X-CSRF-Token`; made once a session."""
    token = session.get("csrf")
    if not isinstance(token, str):
        token = session["csrf"] = secrets.token_urlsafe(24)
    return token


def check_csrf() -> None:
    """Refuse a request that changes something and does not come from a page of this session (403)."""
    if request.method in {"GET", "HEAD", "OPTIONS"}:
        return
    wanted = session.get("csrf")
    given = request.headers.get(_CSRF_HEADER) or request.form.get(_CSRF_FIELD) or ""
    if not isinstance(wanted, str) or not hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode()):
        abort(403, "This page is out of date, or the request comes from elsewhere: load the page anew and try again.")


def credentials_are_private() -> bool:
    """Tell whether a password can be taken over this connection, by the same rule as the Web API's."""
    return is_private(state(current_app).settings)


def _rights(who: dict[str, Any]) -> str | None:
    """Return the rights of a session, `admin`, `write`, `read` or `none`; None when it no longer holds."""
    parts = state(current_app)
    if not isinstance(who.get("until_ms"), int) or who["until_ms"] <= parts.clock():
        return None
    if not isinstance(who.get("id"), str) or is_ended(parts.settings.home, who["id"], who["until_ms"]):
        return None
    if who.get("kind") == "link":
        return "admin"
    if who.get("kind") == "token":
        token = parts.settings.alerts.token
        held = token is not None and mark_of(parts, token.get_secret_value()) == who.get("mark")
        return "admin" if held else None
    try:
        user = parts.users.find(str(who.get("name")))
    except ConfigError as error:
        log.warning("users_unreadable", error=str(error))
        return None
    return user.rights if user is not None and mark_of(parts, user.password) == who.get("mark") else None
