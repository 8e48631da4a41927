"""What else belongs to an anomaly: the validation before it, the libraries, what people said, and who was told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridwatch.alerts.deliveries import deliveries_of
from gridwatch.alerts.inbox import INBOX_ID, Inbox
from gridwatch.alerts.receipts import CHANNEL
from gridwatch.containers.catalog import VALIDATIONS
from gridwatch.pipeline.anomaly_rows import library_versions
from gridwatch.pipeline.label_targets import instant
from gridwatch.pipeline.labels import labels_of
from gridwatch.provenance.link import Link, Status

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.provenance.subject import Subject
    from gridwatch.settings import Settings

__all__ = ["labels", "libraries", "receipts", "validation"]


def validation(subject: Subject, store: Store) -> Link:
    """Look up the validation of the rows, and its report."""
    name, key = "validation", subject["validation_id"]
    if not key:
        why = "jobs read rows as they are" if subject.job_id else "it was scored with --force"
        return Link(name, Status.NOT_RECORDED, f"The rows were not validated before: {why}.")
    found = store.get(VALIDATIONS.name, [key]).to_pylist() if store.container(VALIDATIONS.name) else []
    if not found:
        return Link(name, Status.MISSING, f"Validation {key} is not there any more.", {"id": key})
    row = found[0]
    facts = {"id": key, **{one: row[one] for one in ("suite", "success", "rows", "expectations", "failed", "report")}}
    outcome = "passed" if row["success"] else f"failed {row['failed']} of"
    text = f"Validation {key} {outcome} {row['expectations']} expectations of {row['suite']!r} on {row['rows']:,} rows"
    if not row["report"]:
        return Link(name, Status.OK, f"{text}.", facts)
    if not Path(row["report"]).is_file():
        return Link(name, Status.MISSING, f"{text}; its report {row['report']} is not there any more.", facts)
    return Link(name, Status.OK, f"{text}; report {row['report']}.", facts)


def libraries(subject: Subject) -> Link:
    """Compare the versions of what computed the score with those of this process."""
    name, then, now = "libraries", subject.said.get("libraries"), library_versions()
    if not isinstance(then, dict):
        return Link(name, Status.NOT_RECORDED, "Their versions were not written down.", {"now": now})
    facts = {"then": then, "now": now}
    differ = [
        f"{one} {then.get(one, 'none')}, here {now.get(one, 'none')}"
        for one in sorted({*then, *now})
        if then.get(one) != now.get(one)
    ]
    if differ:
        return Link(name, Status.CHANGED, f"Scored with other versions: {'; '.join(differ)}.", facts)
    return Link(name, Status.OK, f"{', '.join(f'{one} {at}' for one, at in sorted(then.items()))}, as here.", facts)


def labels(subject: Subject, store: Store) -> list[Link]:
    """Return a link with what people say of it; none where nobody said anything."""
    row = {"series": subject.series, "partition": subject["partition"] or "", "ts_ms": subject.ts_ms}
    found = labels_of(store, [row])[0]
    if found is None:
        return []
    note = f": {found.note}" if found.note else ""
    text = f"Called {found.verdict} by {found.author} at {instant(found.labelled_ms)}{note}."
    facts = {"label": found.verdict, "by": found.author, "note": found.note, "labelled_ms": found.labelled_ms}
    return [Link("label", Status.OK, text, facts)]


def receipts(subject: Subject, store: Store, settings: Settings) -> list[Link]:
    """Return a link for each channel that people were told by."""
    rows = deliveries_of(store, subject.id)
    if not rows:
        return [Link("receipt", Status.NOT_RECORDED, "Nobody was told: no delivery has been made yet.")]
    return [_receipt(row, settings) for row in rows]


def _receipt(row: dict[str, Any], settings: Settings) -> Link:
    name = f"{row['channel']} receipt"
    keys = ("status", "message_id", "recipients", "attempts", "first_ms", "last_ms", "error", "possible_duplicate")
    facts = {one: row[one] for one in keys}
    if row["status"] == "sent":
        twice = " It may have come twice." if row["possible_duplicate"] else ""
        text = (
            f"Sent to {row['recipients']} at {instant(row['last_ms'])}, receipt {row['message_id'] or 'none'}.{twice}"
        )
        # Of SendGrid's there is nothing to ask; the local inbox is a folder.
        if row["channel"] == CHANNEL and INBOX_ID.match(row["message_id"] or ""):
            if Inbox(settings.home / "inbox").mail(row["message_id"]) is None:
                return Link(name, Status.MISSING, f"{text} The inbox has the mail no more.", facts)
            text += " The inbox has the mail."
        return Link(name, Status.OK, text, facts)
    why = f": {row['error']}" if row["error"] else ""
    status = Status.MISSING if row["status"] == "dead" else Status.NOT_RECORDED
    return Link(name, status, f"Not sent: {row['status']} after {row['attempts']} tries{why}.", facts)
