"""`create_app`: the one Flask application, put together from its blueprints."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException, InternalServerError

from gridwatch.alerts.address_book import AddressBook
from gridwatch.alerts.inbox import Inbox
from gridwatch.alerts.wording import number
from gridwatch.server import health, inbox, metrics, trigger
from gridwatch.server.auth import guard, is_ml_api, is_web_api, speaks_elastic, wants_page
from gridwatch.server.griddb_webapi import blueprint as griddb_webapi
from gridwatch.server.griddb_webapi.limits import BODY_BYTES_MAX
from gridwatch.server.griddb_webapi.routes import http_error
from gridwatch.server.ml_api import blueprint as ml_api
from gridwatch.server.ml_api import home
from gridwatch.server.ml_api import http_error as ml_http_error
from gridwatch.server.pages import blueprints
from gridwatch.server.pages.session import signed_in
from gridwatch.server.pages.shell import PAGE_POLICY, error_page, install
from gridwatch.server.state import State, state
from gridwatch.server.users import users_of

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as WerkzeugResponse

    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["create_app"]

log = structlog.get_logger(__name__)


def create_app(settings: Settings, store: Store, *, clock: Callable[[], int]) -> Flask:
    """Make the application: GridDB Web API, Elasticsearch's API of jobs, trigger handler, inbox, anomaly pages, health.

    Args:
        settings: Token, mail, datasets.
        store: Holds anomalies and deliveries; a store that is only served gets no container of ours.
        clock: UTC epoch ms.
    """
    app = Flask("gridwatch.server", static_folder="static", template_folder="templates")
    app.extensions["gridwatch"] = State(
        settings=settings,
        store=store,
        clock=clock,
        inbox=Inbox(settings.home / "inbox"),
        address_book=AddressBook(settings),
        metrics=metrics.Metrics(),
        users=users_of(settings.home),
    )
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.jinja_env.globals["number"] = number
    metrics.watch(app)
    install(app)
    guard(app, signed_in=signed_in)
    for module in (trigger, inbox, health, metrics):
        app.register_blueprint(module.blueprint)
    for page in blueprints():
        app.register_blueprint(page)
    app.register_blueprint(griddb_webapi)
    app.register_blueprint(ml_api)
    # An address with an empty part is none of ours; a redirect would turn a PUT into another.
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    # Rows beside a zip archive may come as a field of the form, as large as any other body.
    app.config["MAX_FORM_MEMORY_SIZE"] = BODY_BYTES_MAX
    app.add_url_rule("/", "home", home)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _defect)
    app.after_request(_harden)
    return app


def _http_error(error: HTTPException) -> Response | WerkzeugResponse:
    if error.code is None or error.code < 400:
        return error.get_response()
    if is_web_api():
        return http_error(error.code, error.description or error.name)
    if speaks_elastic():
        return ml_http_error(error)
    if wants_page():
        return error_page(error.code, error.name, error.description or error.name)
    answer = jsonify({"status": "error", "error": error.description or error.name})
    answer.status_code = error.code
    return answer


def _defect(error: Exception) -> Response:
    """The process edge: what nobody expected is logged with its trace, and the caller learns only that it happened."""
    log.error("request_failed", method=request.method, endpoint=request.endpoint, exc_info=error)
    if is_web_api():
        return http_error(500, "gridwatch failed here; its log says why.")
    if is_ml_api():
        return ml_http_error(InternalServerError("gridwatch failed here; its log says why."))
    if wants_page():
        return error_page(500, "Something failed", "gridwatch failed here; its log says why.")
    answer = jsonify({"status": "failed", "error": "gridwatch failed here; its log says why."})
    answer.status_code = 500
    return answer


def _harden(answer: Response) -> Response:
    answer.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    answer.headers.setdefault("X-Content-Type-Options", "nosniff")
    # Nothing goes to other sites; with `no-referrer` a browser would name no origin for our own forms either.
    answer.headers.setdefault("Referrer-Policy", "same-origin")
    if request.endpoint != "static":
        answer.headers.setdefault("Cache-Control", "no-store")
    if speaks_elastic() and state(current_app).settings.server.elastic_product_header:
        # Elasticsearch's own clients speak to nothing that does not say so.
        answer.headers["X-Elastic-Product"] = "Elasticsearch"
    return answer
