"""Who may ask the server what: callers on this machine, and callers with the token; no web page on their behalf."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, jsonify, redirect, request, url_for

from gridwatch.alerts.sendgrid import is_loopback
from gridwatch.server.state import state
from gridwatch.server.trigger_auth import is_signed, may_name_token, signature_problem

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as WerkzeugResponse

    from gridwatch.settings import Settings

__all__ = [
    "WEB_API",
    "caller_address",
    "count_guess",
    "guard",
    "guess_wait_s",
    "is_elastic_client",
    "is_local",
    "is_ml_api",
    "is_private",
    "is_tls",
    "is_web_api",
    "speaks_elastic",
    "wants_page",
]

WEB_API = "/griddb/"
"""Where the addresses of GridDB's Web API begin."""

_ML_API = ("/_ml", "/_transform", "/_cat")

_PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP")


def guard(app: Flask, *, signed_in: Callable[[], object] = lambda: None) -> None:
    """Check every request before its view: host, origin, and the caller's right.

    Args:
        app: Gets the check.
        signed_in: Tells who has a session of the pages, which opens them as the token does; false for nobody.
    """

    def check() -> Response | WerkzeugResponse | None:
        return _check(signed_in)

    app.before_request(check)


def is_web_api() -> bool:
    """Tell whether the request is for GridDB's Web API, which has users and errors of its own."""
    return request.path.startswith(WEB_API)


def is_ml_api() -> bool:
    """Tell whether the request is for Elasticsearch's API of jobs, which has the Web API's users and its own errors."""
    path = request.path
    if path.startswith(tuple(f"{root}/" for root in _ML_API)) or path in _ML_API:
        return True
    # Elasticsearch's clients ask there first whom they talk to.
    return path == "/" and is_elastic_client()


def is_elastic_client() -> bool:
    """Tell whether the caller may take the server for Elasticsearch: the settings allow it, and no page is wanted."""
    return state(current_app).settings.server.elastic_product_header and not wants_page()


def speaks_elastic() -> bool:
    """Tell whether the answer is one of Elasticsearch's kind: of its APIs, or to a client of it that asks for more.

    What such clients ask of indices and clusters leads nowhere here, and is told in words that they know.
    """
    return is_ml_api() or (request.url_rule is None and not is_web_api() and is_elastic_client())


def refusal(status: int, message: str) -> Response:
    """Return an error answer as JSON, in the shape of GridDB's Web API or of Elasticsearch where it is asked."""
    if is_web_api():
        answer = jsonify({"version": "v2", "errorCode": 0, "errorMessage": message})
    elif is_ml_api():
        cause = {"type": "security_exception", "reason": message}
        answer = jsonify({"error": {"root_cause": [cause], **cause}, "status": status})
    else:
        answer = jsonify({"status": "refused", "error": message})
    answer.status_code = status
    if status == 401:
        # Basic lets a browser ask for the token: any user name, the token as the password.
        answer.headers["WWW-Authenticate"] = 'Basic realm="gridwatch", charset="UTF-8"'
    return answer


def is_local() -> bool:
    """Tell whether the request comes from this machine itself, not through a proxy on it."""
    return is_loopback(request.remote_addr) and not any(name in request.headers for name in _PROXY_HEADERS)


def is_private(settings: Settings) -> bool:
    """Tell whether nobody on the way can read the request: it comes from this machine, or over TLS to a trusted proxy.

    `server.insecure_http` makes every request count as private.
    """
    return settings.server.insecure_http or is_local() or is_tls(settings)


def wants_page() -> bool:
    """Tell whether the caller is a browser that opens a page, and no script: errors are told in kind."""
    kinds = request.accept_mimetypes
    return kinds["text/html"] > kinds["application/json"]


def is_tls(settings: Settings) -> bool:
    """Tell whether the caller talks TLS with a trusted proxy in front of the server."""
    # A proxy appends what it knows: the last word is that of the proxy which talks to us.
    proto = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
    return proto == "https" and _is_trusted(request.remote_addr, settings.server.trusted_proxies)


def caller_address(settings: Settings) -> str:
    """Return the address of the caller: of the one that a trusted proxy names, else of who talks to us."""
    address = request.remote_addr or ""
    named = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    return named if named and _is_trusted(address, settings.server.trusted_proxies) else address


def guess_wait_s() -> int:
    """Return how many seconds the caller has to wait after wrong passwords or tokens; 0 for not at all.

    Callers on this machine never wait: a trigger there with an old token would keep the relay from telling anybody.
    """
    parts = state(current_app)
    if is_local():
        return 0
    return -(-parts.guesses.wait_ms(caller_address(parts.settings), now_ms=parts.clock()) // 1000)


def count_guess(*, right: bool) -> None:
    """Count a password or token of the caller; a right one takes back the wrong ones before it."""
    parts = state(current_app)
    if is_local():
        return
    if right:
        parts.guesses.succeeded(caller_address(parts.settings))
    else:
        parts.guesses.failed(caller_address(parts.settings), now_ms=parts.clock())


def _is_trusted(address: str | None, proxies: list[str]) -> bool:
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in ip_network(proxy, strict=False) for proxy in proxies)


def _check(signed_in: Callable[[], object]) -> Response | WerkzeugResponse | None:
    settings = state(current_app).settings
    host = _host(request.host)
    if not _known(host, settings):
        # A foreign name that leads here is how a web page reaches a loopback server (DNS rebinding).
        return refusal(421, f"Unknown host {host!r}; add it to GRIDWATCH_SERVER__ALLOWED_HOSTS.")
    origin = request.headers.get("Origin")
    if origin and _netloc(origin) != request.host.lower():
        return refusal(403, f"Requests from pages of {origin!r} are refused.")
    # The APIs have users of their own, and check them themselves; a label link is signed, and that is the right.
    if request.endpoint == "health.healthz" or request.blueprint == "label_link" or is_web_api() or is_ml_api():
        return None
    if request.path.startswith("/trigger"):
        return _check_trigger(settings)
    return _check_caller(settings, signed_in)


def _check_caller(settings: Settings, signed_in: Callable[[], object]) -> Response | WerkzeugResponse | None:
    token = settings.alerts.token.get_secret_value() if settings.alerts.token else None
    local = is_local()
    if token is None:
        if local:
            return None
        return refusal(403, "Without GRIDWATCH_ALERTS__TOKEN only callers on this machine are served.")
    # The pages and the inbox of a server on loopback stay open to its own machine; triggers always need the token.
    if local:
        return None
    # The form and its style are for everybody: who fills it in is checked there.
    if request.blueprint == "login" or request.endpoint == "static":
        return None
    # Not from the address, where logs and proxies see it: a browser asks for it, or has the form.
    given = _given_token()
    if given is None and signed_in():
        return None
    if given is None and is_private(settings) and wants_page():
        return redirect(url_for("login.page", next=request.full_path.rstrip("?")), 303)
    return _check_token(given, token)


def _check_trigger(settings: Settings) -> Response | None:
    """Check who triggers: signed, or with the token, which only some may give in the address."""
    if is_signed(settings):
        problem = signature_problem(settings)
        return refusal(401, problem) if problem else None
    token = settings.alerts.token.get_secret_value() if settings.alerts.token else None
    local = is_local()
    if token is None and settings.alerts.hmac_secret:
        return refusal(401, "Triggers are signed here, with the headers of Standard Webhooks.")
    if token is None:
        if local:
            return None
        return refusal(403, "Without GRIDWATCH_ALERTS__TOKEN only callers on this machine are served.")
    given = _given_token()
    # GridDB's own trigger can send no header: its URL carries the token as query or last part of the path.
    named = request.args.get("token") or (request.view_args or {}).get("token")
    if given is None and named is not None and not may_name_token(settings, local=local):
        return refusal(
            403,
            f"The token in the address is taken from this machine and GRIDWATCH_ALERTS__TRIGGER_ADDRESSES, not from "
            f"{request.remote_addr}; send it as `Authorization: Bearer ...`.",
        )
    return _check_token(given or named, token)


def _check_token(given: str | None, token: str) -> Response | None:
    if given is None:
        return refusal(401, "A token is needed: `Authorization: Bearer ...` or `X-Gridwatch-Token`.")
    wait_s = guess_wait_s()
    if wait_s:
        answer = refusal(429, f"Too many wrong tokens; wait {wait_s} s and try again.")
        answer.headers["Retry-After"] = str(wait_s)
        return answer
    right = hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())
    # A user's own password is no guess at the token: their client may ask here by mistake.
    if right or not _is_user():
        count_guess(right=right)
    return None if right else refusal(401, "The token is wrong.")


def _is_user() -> bool:
    given = request.authorization
    if given is None or given.type != "basic" or not given.username or not given.password:
        return False
    return state(current_app).users.check(given.username, given.password) is not None


def _given_token() -> str | None:
    authorization = request.authorization
    if authorization is not None and authorization.type == "bearer" and authorization.token:
        return authorization.token
    if authorization is not None and authorization.type == "basic" and authorization.password:
        return authorization.password
    return request.headers.get("X-Gridwatch-Token")


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _host(value: str) -> str:
    return (urlsplit(f"//{value}").hostname or "").lower()


def _known(host: str, settings: Settings) -> bool:
    if host == "localhost":
        return True
    try:
        ip_address(host)
    except ValueError:
        pass
    else:
        # An address was not looked up, so no name server can have been lied to.
        return True
    public = urlsplit(settings.alerts.public_url or "").hostname
    handler = urlsplit(settings.alerts.handler_url or "").hostname
    names = {settings.server.host, public, handler, *settings.server.allowed_hosts}
    return host in {name.lower() for name in names if name}
