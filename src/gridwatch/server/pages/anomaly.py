"""One anomaly: its page, with its plot."""

from __future__ import annotations

from flask import Response, abort, current_app, render_template

from gridwatch.alerts.anomaly import Anomaly, find_anomaly, is_anomaly_container
from gridwatch.alerts.email import compose, subject_of
from gridwatch.alerts.inbox import Mail
from gridwatch.alerts.receipts import delivery_key
from gridwatch.server.inbox import MAIL_POLICY
from gridwatch.server.pages.shell import page_blueprint
from gridwatch.server.state import state

__all__ = ["blueprint"]

blueprint = page_blueprint("anomaly", __name__)


@blueprint.get("/anomalies/<container>/<key>")
def anomaly_page(container: str, key: str) -> str:
    """Show one anomaly as its mail tells it, drawn anew."""
    anomaly = _anomaly(container, key)
    dataset = state(current_app).address_book.dataset(anomaly.container)
    title = subject_of(anomaly, dataset).removeprefix("[gridwatch] ")
    return render_template("anomaly.html", title=title, container=anomaly.container, key=key)


@blueprint.get("/anomalies/<container>/<key>/html")
def anomaly_html(container: str, key: str) -> Response:
    """Give the frame of the page: what the mail shows, locked in as a mail is."""
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


def _anomaly(container: str, key: str) -> Anomaly:
    parts = state(current_app)
    info = parts.store.container(container) if container.isidentifier() and container.isascii() else None
    # No key holds a NUL; the store would refuse it.
    known = info is not None and is_anomaly_container(info) and "\0" not in key
    anomaly = find_anomaly(parts.store, info.name, key) if info is not None and known else None
    if anomaly is None:
        abort(404, f"There is no anomaly {key[:60]!r} in {container[:60]!r}.")
    return anomaly
