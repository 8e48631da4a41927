"""The page behind a mail's label links: it asks, and only its POST labels, since mail scanners follow every link.

The signature in the address is the right to label one anomaly until the link expires: there is no login here.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, make_response, render_template, request

from gridwatch.alerts.anomalies import anomaly_label
from gridwatch.alerts.anomaly import Anomaly, find_anomaly, is_anomaly_container
from gridwatch.alerts.email import subject_of
from gridwatch.alerts.links import LINK_SECRET, LabelRight, open_token
from gridwatch.alerts.wording import moment
from gridwatch.errors import ConfigError
from gridwatch.pipeline.label_targets import Target
from gridwatch.pipeline.labels import NOTE_MAX, say
from gridwatch.secrets import secret
from gridwatch.server.pages.shell import error_page
from gridwatch.server.state import State, state

__all__ = ["blueprint"]

blueprint = Blueprint("label_link", __name__)

VERDICTS = {
    "true": ("It was right", "Something was wrong there."),
    "false": ("False alarm", "Nothing was wrong. Two of a kind, and alarms like them are no longer raised."),
    "expected": ("Expected", "Out of the ordinary, and known to be: maintenance, a holiday."),
}


@blueprint.get("/label/<token>")
def page(token: str) -> Response | str:
    """Ask whether to label."""
    parts = state(current_app)
    found = _opened(parts, token)
    if isinstance(found, Response):
        return found
    right, anomaly = found
    return _form(parts, right, anomaly, chosen=request.args.get("say", ""))


@blueprint.post("/label/<token>")
def label(token: str) -> Response | str:
    """Write the label down."""
    parts = state(current_app)
    found = _opened(parts, token)
    if isinstance(found, Response):
        return found
    right, anomaly = found
    verdict, note = request.form.get("verdict", ""), request.form.get("note", "").strip()
    if verdict not in VERDICTS:
        return _form(parts, right, anomaly, chosen="", note=note, message="Choose one of the three.", status=400)
    target = Target(anomaly.series, anomaly.partition or "", anomaly.id, anomaly.ts_ms, anomaly.ts_ms)
    try:
        say(parts.store, verdict, target, author=right.author, now_ms=parts.clock(), note=note)
    except ConfigError as error:
        return _form(parts, right, anomaly, chosen=verdict, note=note, message=str(error), status=400)
    return _form(parts, right, anomaly, chosen=verdict, note=note, saved=True)


def _opened(parts: State, token: str) -> tuple[LabelRight, Anomaly] | Response:
    """What a link gives a right to, or the page that says why it gives none."""
    right = open_token(secret(parts.settings.home, LINK_SECRET), token)
    if right is None:
        return error_page(404, "No such link", "This link is damaged or none of ours: copy all of it from the mail.")
    if right.until_ms < parts.clock():
        return error_page(
            410, "The link has expired", f"It held until {moment(right.until_ms)}. Label on the anomaly's own page."
        )
    info = parts.store.container(right.container)
    anomaly = find_anomaly(parts.store, info.name, right.anomaly_id) if is_anomaly_container(info) else None
    if anomaly is None:
        return error_page(404, "No such anomaly", "This anomaly is no longer in the store.")
    return right, anomaly


def _form(
    parts: State,
    right: LabelRight,
    anomaly: Anomaly,
    *,
    chosen: str,
    note: str = "",
    message: str | None = None,
    saved: bool = False,
    status: int = 200,
) -> Response:
    dataset = parts.address_book.dataset(anomaly.container)
    words: dict[str, Any] = {
        "title": subject_of(anomaly, dataset).removeprefix("[gridwatch] "),
        "sentence": anomaly.explanation or (anomaly.why.sentence() if anomaly.why else ""),
        "verdicts": VERDICTS,
        "chosen": chosen,
        "note": note,
        "note_max": NOTE_MAX,
        "message": message,
        "saved": saved,
        "said": anomaly_label(parts.store, anomaly),
        "author": right.author,
        "until": moment(right.until_ms),
        "container": anomaly.container,
        "key": anomaly.id,
    }
    answer = make_response(render_template("label_link.html", **words))
    answer.status_code = status
    # The address is a right: neither another site nor a search engine is to learn it.
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer
