"""The list of all anomalies, for people and for scripts."""

from __future__ import annotations

from flask import Response, current_app, jsonify, render_template, request

from gridwatch.alerts.anomalies import list_anomalies
from gridwatch.server.pages.shell import page_blueprint
from gridwatch.server.state import state

__all__ = ["blueprint"]

blueprint = page_blueprint("anomalies", __name__)

_SHOWN_MAX = 500


@blueprint.get("/anomalies")
def page() -> str:
    """Show the newest anomalies of all series."""
    parts = state(current_app)
    rows = list_anomalies(parts.store, symbol=request.args.get("symbol"), limit=_SHOWN_MAX)
    return render_template("anomalies.html", rows=rows, most=_SHOWN_MAX)


@blueprint.get("/anomalies.json")
def listing() -> Response:
    """Give the newest anomalies to a script."""
    parts = state(current_app)
    return jsonify(list_anomalies(parts.store, symbol=request.args.get("symbol"), limit=_SHOWN_MAX))
