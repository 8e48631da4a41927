"""The overview: swim lanes of the greatest anomaly score by series and time, and how datasets and jobs fare."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flask import Response, current_app, jsonify, render_template, request

from gridwatch.alerts.anomalies import anomaly_containers
from gridwatch.alerts.anomaly import PREFIX, SEVERITIES
from gridwatch.containers.catalog import DETECTIONS
from gridwatch.jobs.tables import DATAFEEDS, JOBS
from gridwatch.server.pages.asked import check_filters, number_of, range_of, severity_of, text_of
from gridwatch.server.pages.found import Wanted, detectors_of, lanes_of
from gridwatch.server.pages.places import places_of
from gridwatch.server.pages.shell import page_blueprint
from gridwatch.server.state import state

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["blueprint"]

blueprint = page_blueprint("overview", __name__)

_LANES_MAX = 60
_PIECES_MAX = 400


@blueprint.get("/overview")
def page() -> str:
    """Show the lanes, their filters, and the states."""
    parts = state(current_app)
    containers = anomaly_containers(parts.store)
    check_filters()
    return render_template(
        "overview.html",
        series=[name[len(PREFIX) :] for name in containers],
        severities=SEVERITIES,
        detectors=detectors_of(parts.store, containers),
        datasets=_rows(parts.store, DETECTIONS.name, "dataset, scored_to_ms, run_ms, scored, anomalies", "dataset"),
        jobs=_jobs(parts.store),
    )


@blueprint.get("/pages/data/lanes")
def lanes() -> Response:
    """Give the lanes: for each series its pieces of time with anomalies, with score, number and worst severity."""
    parts = state(current_app)
    asked = {name.lower() for name in request.args.getlist("series") if name}
    places = [place for name, place in places_of(parts).items() if place.anomalies and (not asked or name in asked)]
    from_ms, to_ms = range_of()
    wanted = Wanted(from_ms, to_ms, severity_of(), text_of("detector"))
    pieces = number_of("pieces", 96, most=_PIECES_MAX)
    # The whole of the rows and not of the anomalies alone: when nothing happened is worth seeing too.
    spans = [span for place in places if (span := place.span(parts.store)) is not None]
    first_ms = from_ms if from_ms is not None else min((span[0] for span in spans), default=0)
    last_ms = max(to_ms if to_ms is not None else max((span[1] for span in spans), default=0), first_ms)
    piece_ms = -(-(last_ms - first_ms + 1) // pieces)
    found = lanes_of(parts.store, [place.anomalies for place in places if place.anomalies], wanted, first_ms, piece_ms)
    return jsonify(
        {
            "from_ms": first_ms,
            "to_ms": last_ms,
            "piece_ms": piece_ms,
            "pieces": pieces,
            "lanes": [asdict(lane) for lane in found[:_LANES_MAX]],
            "more": max(0, len(found) - _LANES_MAX),
        }
    )


def _jobs(store: Store) -> list[dict[str, Any]]:
    """Return jobs with the states of their datafeeds, without loading what analyses them."""
    feeds = _rows(store, DATAFEEDS.name, "id, job_id, state, reason, error, fed_to_ms", "id")
    jobs = _rows(store, JOBS.name, "id, state, reason, analysed_to_ms", "id")
    return [{**job, "feeds": [feed for feed in feeds if feed["job_id"] == job["id"]]} for job in jobs]


def _rows(store: Store, container: str, columns: str, key: str) -> list[dict[str, Any]]:
    if store.container(container) is None:
        return []
    found: list[dict[str, Any]] = store.sql(
        f"SELECT {columns} FROM {container} ORDER BY {key}"  # noqa: S608 - constants
    ).to_pylist()
    return found
