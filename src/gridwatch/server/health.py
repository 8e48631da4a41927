"""GET /healthz: does the server reach its store; for callers on this machine also where mail goes and what runs."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

import structlog
from flask import Blueprint, Response, current_app, jsonify

from gridwatch.containers.catalog import DELIVERIES
from gridwatch.errors import GridwatchError
from gridwatch.server.auth import is_local
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
    told: dict[str, object] = {"status": "ok" if reachable else "store_unreachable"}
    if is_local():
        mail = parts.settings.sendgrid
        told["mail"] = "sendgrid" if mail.api_key else ("other" if mail.base_url else "inbox")
        # By which a caller tells this server from another one that has its port now.
        told["pid"] = os.getpid()
        told["versions"] = {"gridwatch": version("gridwatch"), "python": platform.python_version()}
    answer = jsonify(told)
    answer.status_code = 200 if reachable else 503
    return answer
