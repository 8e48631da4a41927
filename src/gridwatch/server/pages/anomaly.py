"""One anomaly: the plot around it, why it was found, all that led to it with its checks, who was told, and labels."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flask import Response, abort, current_app, flash, get_flashed_messages, jsonify, redirect, render_template, request
from flask import url_for as address_of

from gridwatch.alerts.anomaly import Anomaly, find_anomaly, is_anomaly_container
from gridwatch.alerts.deliveries import deliveries_of
from gridwatch.alerts.email import compose, subject_of
from gridwatch.alerts.inbox import Mail
from gridwatch.alerts.plot import rows_around
from gridwatch.alerts.receipts import delivery_key
from gridwatch.alerts.wording import one_in
from gridwatch.detectors.labels import VERDICTS
from gridwatch.errors import ConfigError
from gridwatch.server.inbox import MAIL_POLICY
from gridwatch.server.pages.asked import number_of, range_of
from gridwatch.server.pages.job_plot import job_plot, span_of_job
from gridwatch.server.pages.places import place_of
from gridwatch.server.pages.session import needs_login, signed_in
from gridwatch.server.pages.shell import page_blueprint
from gridwatch.server.state import State, state

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as WerkzeugResponse

    from gridwatch.provenance import Subject
    from gridwatch.sources.dataset import Dataset

__all__ = ["REPLAYED_ROWS_MAX", "WAIT_S", "blueprint"]

blueprint = page_blueprint("anomaly", __name__)

REPLAYED_ROWS_MAX = 500_000
"""Most rows that the page goes through again; beyond, it names the command that does."""

WAIT_S = 10.0
"""How long a check waits for another one."""

_EACH_SIDE = 60
_PIECES_MAX = 4_000
_BUSY = "gridwatch_provenance"


@blueprint.get("/anomalies/<container>/<key>")
def anomaly_page(container: str, key: str) -> str:
    """Show one anomaly."""
    from gridwatch.pipeline.labels import NOTE_MAX, labels_of
    from gridwatch.provenance.recorded import recorded

    parts = state(current_app)
    anomaly = _anomaly(container, key)
    subject, dataset = _subject(anomaly), parts.address_book.dataset(anomaly.container)
    asked = {"series": anomaly.series, "partition": anomaly.partition or "", "ts_ms": anomaly.ts_ms}
    return render_template(
        "anomaly.html",
        title=subject_of(anomaly, dataset).removeprefix("[gridwatch] "),
        anomaly=anomaly,
        subject=subject,
        dataset=dataset,
        why=anomaly.why,
        one_in=one_in(anomaly.p_value),
        plot=_plot(parts, anomaly, subject),
        label=labels_of(parts.store, [asked])[0],
        verdicts=VERDICTS,
        note_max=NOTE_MAX,
        problems=get_flashed_messages(),
        links=recorded(subject, parts.store, parts.settings),
        inside=_inside(subject),
        receipts=_receipts(parts, anomaly.id),
        grafana=_grafana(parts, dataset, subject),
    )


@blueprint.get("/anomalies/<container>/<key>/html")
def anomaly_html(container: str, key: str) -> Response:
    """Give the anomaly as its mail tells it, drawn anew, locked in as a mail is."""
    parts = state(current_app)
    anomaly = _anomaly(container, key)
    request_body = compose(
        anomaly,
        parts.address_book.dataset(anomaly.container),
        parts.store,
        parts.settings,
        recipients=[parts.settings.sendgrid.sender],
        key=delivery_key(anomaly.id),
    )
    answer = Response(Mail("", 0, request_body).html, mimetype="text/html")
    answer.headers["Content-Security-Policy"] = MAIL_POLICY
    return answer


@blueprint.post("/anomalies/<container>/<key>/label")
@needs_login
def say(container: str, key: str) -> WerkzeugResponse:
    """Write down what the signed-in person says of it."""
    from gridwatch.pipeline.label_targets import anomaly_target
    from gridwatch.pipeline.labels import remove_label
    from gridwatch.pipeline.labels import say as write

    parts = state(current_app)
    anomaly = _anomaly(container, key)
    verdict, note, author = request.form.get("verdict", ""), request.form.get("note", "").strip(), signed_in() or ""
    try:
        if verdict == "removed":
            remove_label(parts.store, anomaly.id, author=author, now_ms=parts.clock())
        else:
            target = anomaly_target(parts.store, anomaly.id)
            write(parts.store, verdict, target, author=author, now_ms=parts.clock(), note=note)
    except ConfigError as error:
        flash(str(error))
    # See other: a reload of the page says nothing twice.
    return redirect(address_of("anomaly.anomaly_page", container=anomaly.container, key=anomaly.id) + "#label", 303)


@blueprint.get("/pages/data/anomalies/<container>/<key>/chain")
def chain(container: str, key: str) -> Response:
    """Check each link of the chain, which hashes rows and bytes and asks MLflow and Prefect."""
    from gridwatch.provenance import explain

    parts = state(current_app)
    anomaly = _anomaly(container, key)
    with _alone():
        found = explain(parts.store, parts.settings, anomaly.id)
    return jsonify({**asdict(found), "sound": found.sound})


@blueprint.get("/pages/data/anomalies/<container>/<key>/replay")
def replayed(container: str, key: str) -> Response:
    """Compute it again, where that is a matter of seconds."""
    from gridwatch.provenance import Replay, replay

    parts = state(current_app)
    subject = _subject(_anomaly(container, key))
    long = subject.job_id is not None or (subject["input_rows"] or 0) > REPLAYED_ROWS_MAX
    if long:
        why = "all rows of its job" if subject.job_id else f"{subject['input_rows']:,} rows"
        text = f"That goes through {why}: `gridwatch replay {subject.id}` does it."
        done = Replay(subject.id, subject.container, subject.ts_ms, str(subject["detector"]), "not replayed", text)
    else:
        with _alone():
            [done] = replay(parts.store, parts.settings, [subject], now_ms=parts.clock())
    columns = [{**asdict(column), "equal": column.equal} for column in done.columns]
    return jsonify({**asdict(done), "columns": columns})


@blueprint.get("/pages/data/anomalies/<container>/<key>/around")
def around(container: str, key: str) -> Response:
    """Give what is drawn around an anomaly of a job."""
    subject = _subject(_anomaly(container, key))
    if subject.job_id is None:
        abort(404, "Only anomalies of jobs are drawn from here; the others from their series.")
    from_ms, to_ms = range_of()
    first_ms, last_ms = span_of_job(subject)
    from_ms, to_ms = first_ms if from_ms is None else from_ms, last_ms if to_ms is None else to_ms
    pieces = number_of("pieces", 1000, most=_PIECES_MAX)
    return jsonify(job_plot(state(current_app).store, subject, from_ms, max(from_ms, to_ms), pieces))


@contextmanager
def _alone() -> Iterator[None]:
    """Let one check run at a time: they read and hash all rows of a model's life."""
    lock: threading.Lock = current_app.extensions.setdefault(_BUSY, threading.Lock())
    if not lock.acquire(timeout=WAIT_S):
        abort(503, "Another anomaly is being checked; try again in a moment.")
    try:
        yield
    finally:
        lock.release()


def _anomaly(container: str, key: str) -> Anomaly:
    parts = state(current_app)
    info = parts.store.container(container) if container.isidentifier() and container.isascii() else None
    # No key holds a NUL; the store would refuse it.
    known = info is not None and is_anomaly_container(info) and "\0" not in key
    anomaly = find_anomaly(parts.store, info.name, key) if info is not None and known else None
    if anomaly is None:
        abort(404, f"There is no anomaly {key[:60]!r} in {container[:60]!r}.")
    return anomaly


def _subject(anomaly: Anomaly) -> Subject:
    from gridwatch.provenance import Subject

    [row] = state(current_app).store.get(anomaly.container, [anomaly.id]).to_pylist()
    return Subject.of(anomaly.container, row)


def _plot(parts: State, anomaly: Anomaly, subject: Subject) -> dict[str, Any] | None:
    """Return what the plot begins with: where its rows are, and the time of some before and after; None without."""
    if subject.job_id is not None:
        rows_at = address_of("anomaly.around", container=anomaly.container, key=anomaly.id)
        from_ms, to_ms = span_of_job(subject)
        value = job_plot(parts.store, subject, anomaly.ts_ms, anomaly.ts_ms, 1)["value"]
        return {"series": None, "rows": rows_at, "value": value, "from_ms": from_ms, "to_ms": to_ms}
    place = place_of(parts, anomaly.series)
    if place is None or place.source is None:
        return None
    rows = rows_around(parts.store, anomaly, each_side=_EACH_SIDE)
    if rows is None or not rows.num_rows:
        return None
    times = [round(one.timestamp() * 1000) for one in (rows["ts"][0].as_py(), rows["ts"][-1].as_py())]
    rows_at = address_of("series.data", name=place.name)
    return {"series": place.name, "rows": rows_at, "value": place.value, "from_ms": times[0], "to_ms": times[1]}


def _inside(subject: Subject) -> dict[str, str]:
    """Return gridwatch's own pages of what led to an anomaly, by the names of the links."""
    wanted = {
        "validation": ("validations.one", {"key": subject["validation_id"]}),
        "model version": ("models.one", {"name": subject.said.get("dataset")}),
        "job": ("jobs.one", {"job_id": subject.job_id}),
    }
    return {
        name: address_of(endpoint, **values)
        for name, (endpoint, values) in wanted.items()
        if endpoint in current_app.view_functions and all(values.values())
    }


def _receipts(parts: State, key: str) -> list[dict[str, Any]]:
    rows = deliveries_of(parts.store, key)
    # A mail that the local inbox keeps can be looked at.
    return [{**row, "kept": parts.inbox.mail(row["message_id"] or "") is not None} for row in rows]


def _grafana(parts: State, dataset: Dataset | None, subject: Subject) -> str | None:
    from gridwatch.provenance.addresses import grafana_url

    return grafana_url(parts.settings, dataset, subject)
