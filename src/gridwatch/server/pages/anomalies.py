"""The list of all anomalies, for people and for scripts."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, jsonify, render_template

from gridwatch.alerts.anomalies import anomaly_containers, list_anomalies
from gridwatch.alerts.anomaly import PREFIX, SEVERITIES
from gridwatch.server.pages.asked import severity_of, text_of
from gridwatch.server.pages.shell import page_blueprint
from gridwatch.server.state import state

__all__ = ["blueprint"]

blueprint = page_blueprint("anomalies", __name__)

_SHOWN_MAX = 500


@blueprint.get("/anomalies")
def page() -> str:
    """Show the newest anomalies, of all series or of one, by severity."""
    store = state(current_app).store
    return render_template(
        "anomalies.html",
        rows=_listed(),
        most=_SHOWN_MAX,
        series=[name[len(PREFIX) :] for name in anomaly_containers(store)],
        severities=SEVERITIES,
        asked=_series() or "",
        severity=severity_of(),
    )


@blueprint.get("/anomalies.json")
def listing() -> Response:
    """Give the newest anomalies to a script."""
    return jsonify(_listed())


def _listed() -> list[dict[str, Any]]:
    store = state(current_app).store
    return list_anomalies(store, symbol=_series(), severity=severity_of(), limit=_SHOWN_MAX)


def _series() -> str | None:
    # `symbol` is what the address called it first.
    return text_of("series") or text_of("symbol")
