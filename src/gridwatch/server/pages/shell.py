"""What all pages share: the navigation, who is signed in, and the check of every change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, current_app, make_response, render_template, request, url_for

from gridwatch.server.pages.session import Sessions, check_csrf, csrf_token, may_write, signed_in
from gridwatch.server.state import state

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["NAVIGATION", "PAGE_POLICY", "error_page", "install", "local_path", "moment", "page_blueprint"]

# Nothing from elsewhere, and nothing inline: what an attacker could bring into a page would not run.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)

NAVIGATION = (
    ("overview", "overview.page", "Overview"),
    ("series", "series.index", "Series"),
    ("anomalies", "anomalies.page", "Anomalies"),
    ("jobs", "jobs.page", "Jobs"),
    ("models", "models.page", "Models"),
    ("validations", "validations.page", "Validations"),
    ("dead_letters", "dead_letters.page", "Dead letters"),
    ("inbox", "inbox.page", "Inbox"),
)
"""Blueprint, endpoint and word of each page in the navigation, in its order; one whose endpoint is missing is left
out."""

# Pages that hang below another one are found under its word.
_BELOW = {"anomaly": "anomalies"}


def page_blueprint(name: str, import_name: str) -> Blueprint:
    """Return the blueprint of a page: every request that changes something has to bring the session's CSRF token.

    Args:
        name: As in `NAVIGATION`, where the page is in it.
        import_name: The module's `__name__`.
    """
    blueprint = Blueprint(name, import_name)
    blueprint.before_request(check_csrf)
    blueprint.before_request(_check_address)
    return blueprint


def install(app: Flask) -> None:
    """Give an application its sessions, and its templates `navigation`, `signed_in`, `may_write` and `csrf_token`."""
    app.session_interface = Sessions(state(app))
    app.context_processor(_context)
    app.jinja_env.globals["moment"] = moment


def error_page(status: int, title: str, message: str) -> Response:
    """Return an error in the pages' shell."""
    answer = make_response(render_template("error.html", status=status, title=title, message=message))
    answer.status_code = status
    return answer


def moment(time_ms: int | None) -> str:
    """Return UTC epoch ms as text for a table.

    >>> moment(0)
    '1970-01-01 00:00:00'
    """
    return "–" if time_ms is None else f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def local_path(path: str | None) -> str | None:
    """Return the path when it is one of this server's, so that a redirect leads nowhere else; else None.

    >>> local_path("/anomalies?series=AAPL"), local_path("//evil.example"), local_path("https://evil.example")
    ('/anomalies?series=AAPL', None, None)
    """
    if not path or not path.startswith("/") or path.startswith(("//", "/\\")):
        return None
    return None if any(ord(character) < 32 for character in path) else path


def _check_address() -> None:
    """Refuse what no name, key or path can hold, before a store or a file system does so with an error of its own."""
    if "\0" in request.path or any("\0" in value for _, value in request.args.items(multi=True)):
        abort(400, "The address holds a NUL character (%00); leave it out.")


def _context() -> dict[str, Any]:
    here = request.blueprint or ""
    here = _BELOW.get(here, here)
    return {
        "navigation": [
            {"url": url_for(endpoint), "word": word, "current": here == blueprint}
            for blueprint, endpoint, word in NAVIGATION
            if endpoint in current_app.view_functions
        ],
        "signed_in": signed_in,
        "may_write": may_write,
        "csrf_token": csrf_token,
        "here": request.full_path.rstrip("?"),
    }
