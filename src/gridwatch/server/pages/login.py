"""Sign in and out: by user and password, by the server's token, or by the one-time link of `gridwatch login`."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import structlog
from flask import Response, abort, current_app, jsonify, make_response, redirect, render_template, request, url_for

from gridwatch.errors import ConfigError
from gridwatch.server.auth import caller_address, is_local
from gridwatch.server.pages.login_links import use_link
from gridwatch.server.pages.session import credentials_are_private, mark_of, may_write, sign_in, sign_out, signed_in
from gridwatch.server.pages.shell import local_path, page_blueprint
from gridwatch.server.state import State, state
from gridwatch.server.users import check_name

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as WerkzeugResponse

__all__ = ["blueprint"]

blueprint = page_blueprint("login", __name__)

log = structlog.get_logger(__name__)


@blueprint.get("/login")
def page() -> str:
    """Show the form."""
    return _form()


@blueprint.post("/login")
def enter() -> Response | WerkzeugResponse:
    """Check name and password, or the token as the password, and sign in."""
    parts = state(current_app)
    if not credentials_are_private():
        return _refused(
            403,
            "Passwords are not taken over plain HTTP from another machine: put a TLS proxy in front "
            "(GRIDWATCH_SERVER__TRUSTED_PROXIES), or serve with --insecure-http.",
        )
    slow, caller, now_ms = parts.guesses, caller_address(parts.settings), parts.clock()
    wait_ms = slow.wait_ms(caller, now_ms=now_ms)
    if wait_ms:
        answer = _refused(429, f"Too many wrong tries; wait {-(-wait_ms // 1000)} s and try again.")
        answer.headers["Retry-After"] = str(-(-wait_ms // 1000))
        return answer
    if not _checked(parts, request.form.get("name", "").strip(), request.form.get("password", "")):
        slow.failed(caller, now_ms=now_ms)
        return _refused(401, "Name or password is wrong.")
    slow.succeeded(caller)
    return redirect(_next(), 303)


@blueprint.get("/login/<word>")
def by_link(word: str) -> WerkzeugResponse:
    """Sign in who opens the one-time link of `gridwatch login` in a browser of this machine."""
    parts = state(current_app)
    if request.method == "HEAD":
        # Who only looks whether there is such an address must not use the link up.
        abort(405)
    if not is_local():
        abort(403, "A login link works only in a browser on the machine that gridwatch runs on.")
    author = use_link(parts.settings.home, word, now_ms=parts.clock())
    if author is None:
        abort(404, "This login link was used already, or is too old; `gridwatch login` prints a new one.")
    sign_in(author, kind="link", mark="")
    return redirect(_next(), 303)


@blueprint.get("/pages/data/session")
def who() -> Response:
    """Tell a script who is signed in."""
    return jsonify({"name": signed_in(), "may_write": may_write()})


@blueprint.post("/logout")
def leave() -> WerkzeugResponse:
    """Sign out."""
    try:
        sign_out()
    except ConfigError as error:
        # The browser is signed out; whoever copied its cookie is not until it runs out, and that has to be said.
        log.warning("login_not_ended", error=str(error))
        abort(503, f"This browser is signed out, but a copy of its login would still hold: {error}")
    return redirect(_next(), 303)


def _checked(parts: State, name: str, password: str) -> bool:
    try:
        check_name(name)
        user = parts.users.check(name, password)
        # A user's name is the user's: the token does not let somebody else sign labels with it.
        taken = parts.users.find(name) is not None
    except ConfigError:
        return False
    if user is not None:
        sign_in(name, kind="user", mark=mark_of(parts, user.password))
        return True
    token = parts.settings.alerts.token
    given = password.encode("utf-8", "surrogateescape")
    if token is None or taken or not hmac.compare_digest(given, token.get_secret_value().encode()):
        return False
    sign_in(name, kind="token", mark=mark_of(parts, token.get_secret_value()))
    return True


def _next() -> str:
    return local_path(request.values.get("next")) or url_for("home")


def _refused(status: int, message: str) -> Response:
    answer = make_response(_form(message))
    answer.status_code = status
    return answer


def _form(message: str = "") -> str:
    return render_template(
        "login.html",
        message=message,
        name=request.form.get("name", "")[:64],
        next=local_path(request.values.get("next")),
    )
