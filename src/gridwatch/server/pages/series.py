"""The series: a list, and for each a chart to zoom and pan, with its anomalies and labels."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from flask import Response, abort, current_app, jsonify, render_template, request

from gridwatch.alerts.anomaly import SEVERITIES
from gridwatch.containers import TIMESTAMP_MS_MAX
from gridwatch.errors import ConfigError
from gridwatch.server.pages.asked import check_filters, number_of, range_of, severity_of, text_of
from gridwatch.server.pages.found import Wanted, detectors_of, worst_of
from gridwatch.server.pages.places import Place, place_of, places_of
from gridwatch.server.pages.rows import COLUMNS, Rows, RowsKept
from gridwatch.server.pages.session import needs_login, signed_in
from gridwatch.server.pages.shell import page_blueprint
from gridwatch.server.state import State, state

if TYPE_CHECKING:
    from gridwatch.detectors.labels import Label

__all__ = ["blueprint"]

blueprint = page_blueprint("series", __name__)

_PIECES_MAX = 4_000
_ANOMALIES_MAX = 1_000
_LABELS_MAX = 500
_KEPT = "gridwatch_rows_kept"


@blueprint.get("/series")
def index() -> str:
    """List the series."""
    parts = state(current_app)
    rows = []
    for place in places_of(parts).values():
        span = place.span(parts.store)
        count = 0
        if place.anomalies is not None:
            [counted] = parts.store.sql(f'SELECT COUNT(*) n FROM "{place.anomalies}"').to_pylist()  # noqa: S608 - checked
            count = counted["n"]
        rows.append({"place": place, "from_ms": span and span[0], "to_ms": span and span[1], "anomalies": count})
    return render_template("series_list.html", rows=rows)


@blueprint.get("/series/<name>")
def page(name: str) -> str:
    """Show one series."""
    place = _place(name)
    check_filters()
    store = state(current_app).store
    return render_template(
        "series.html",
        place=place,
        severities=SEVERITIES,
        detectors=detectors_of(store, [place.anomalies] if place.anomalies else []),
    )


@blueprint.get("/pages/data/series/<name>")
def data(name: str) -> Response:
    """Give what is drawn of a range: rows, thinned to `pieces` pieces of time, its anomalies, and labels."""
    parts = state(current_app)
    place = _place(name)
    from_ms, to_ms = range_of()
    kept = _kept(parts)
    span = (place.source and kept.span(place.source)) or place.span(parts.store)
    first_ms, last_ms = span or (0, 0)
    from_ms, to_ms = first_ms if from_ms is None else from_ms, last_ms if to_ms is None else to_ms
    to_ms = max(from_ms, to_ms)
    pieces = number_of("pieces", 1000, most=_PIECES_MAX)
    rows, count = Rows.none(), 0
    if place.source is not None:
        rows, count = kept.thinned(place.source, from_ms, to_ms, pieces)
    wanted = Wanted(from_ms, to_ms, severity_of(), text_of("detector"))
    anomalies: list[dict[str, Any]] = []
    found = 0
    if place.anomalies is not None:
        anomalies, found = worst_of(parts.store, place.anomalies, wanted, _SHOWN, limit=_ANOMALIES_MAX)
    return jsonify(
        {
            "from_ms": from_ms,
            "to_ms": to_ms,
            "span": span,
            "rows": count,
            "times_ms": rows.times_ms.tolist(),
            **{column: _plain(values) for column, values in zip(COLUMNS, rows.columns, strict=True)},
            "anomalies": anomalies,
            "anomalies_found": found,
            "labels": [_label(label) for label in _labels(parts, place)[:_LABELS_MAX]],
        }
    )


@blueprint.post("/pages/data/series/<name>/labels")
@needs_login
def say(name: str) -> Response:
    """Write down what the signed-in person says of a range: `from_ms`, `to_ms`, `verdict`, `note` as JSON."""
    from gridwatch.pipeline.label_targets import range_target
    from gridwatch.pipeline.labels import say as write

    parts, place = state(current_app), _place(name)
    given = request.get_json()
    if not isinstance(given, dict):
        abort(400, "A label is an object: from_ms, to_ms, verdict, note.")
    verdict, note = given.get("verdict"), given.get("note", "")
    from_ms, to_ms = given.get("from_ms"), given.get("to_ms")
    if type(from_ms) is not int or type(to_ms) is not int or not isinstance(note, str) or not isinstance(verdict, str):
        abort(400, "A label has from_ms and to_ms, whole numbers, and verdict and note, texts.")
    if not 0 <= from_ms <= to_ms <= TIMESTAMP_MS_MAX:
        abort(400, "The range has to end after it begins, in the years from 1970 to 9999.")
    try:
        dataset = parts.address_book.dataset(f"ANOMALY_{place.name}")
        known = [] if dataset is None else [dataset]
        target = range_target(parts.store, known, place.name, from_ms, to_ms, ahead=verdict == "expected")
        label = write(parts.store, verdict, target, author=signed_in() or "", now_ms=parts.clock(), note=note)
    except ConfigError as error:
        abort(400, str(error))
    answer = jsonify(_label(label))
    answer.status_code = 201
    return answer


@blueprint.delete("/pages/data/labels/<key>")
@needs_login
def take_back(key: str) -> Response:
    """Take a label back."""
    from gridwatch.pipeline.labels import remove_label

    parts = state(current_app)
    try:
        label = remove_label(parts.store, key, author=signed_in() or "", now_ms=parts.clock())
    except ConfigError as error:
        abort(404, str(error))
    return jsonify(_label(label))


_SHOWN = (
    "id", "severity", "score", "actual", "expected", "detector", "partition", "driver",
    "explanation",
)  # fmt: skip


def _place(name: str) -> Place:
    place = place_of(state(current_app), name)
    if place is None:
        abort(404, f"There is no series {name[:60]!r}.")
    return place


def _kept(parts: State) -> RowsKept:
    kept: RowsKept = current_app.extensions.setdefault(_KEPT, RowsKept(parts.store, parts.clock))
    return kept


def _labels(parts: State, place: Place) -> list[Label]:
    from gridwatch.pipeline.labels import list_labels

    return list_labels(parts.store, place.name)


def _label(label: Label) -> dict[str, Any]:
    return asdict(label)


def _plain(values: npt.NDArray[np.float64]) -> list[float | None]:
    """Return numbers as JSON knows them: no NaN."""
    return [value if isfinite(value) else None for value in values.tolist()]
