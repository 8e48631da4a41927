"""GET /healthz: does the server reach its store, and which versions run."""

from __future__ import annotations

import platform
from importlib.metadata import version

import structlog
from flask import Blueprint, Response, current_app, jsonify

from gridwatch.containers.catalog import DELIVERIES
from gridwatch.errors import GridwatchError
from gridwatch.server.state import state

__all__ = ["blueprint"]

log = structlog.get_logger(__name__)

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Answer 200 when the store can be read, else 503."""
    parts = state(current_app)
    reachable = True
    try:
        parts.store.container(DELIVERIES.name)
    except GridwatchError as error:
        log.warning("store_unreachable", error=str(error))
        reachable = False
    mail = parts.settings.sendgrid
    answer = jsonify(
        {
            "status": "ok" if reachable else "store_unreachable",
            "mail": "sendgrid" if mail.api_key else ("other" if mail.base_url else "inbox"),
            "versions": {"gridwatch": version("gridwatch"), "python": platform.python_version()},
        }
    )
    answer.status_code = 200 if reachable else 503
    return answer
