"""All anomalies, newest first, with what became of their mail and what people say: for people and for scripts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gridwatch.alerts.anomaly import PREFIX, SEVERITIES, is_anomaly_container, severity_rank
from gridwatch.alerts.receipts import delivery_key
from gridwatch.containers.catalog import DELIVERIES, LABELS, anomaly_container
from gridwatch.detectors import severity_score

if TYPE_CHECKING:
    from gridwatch.alerts.anomaly import Anomaly
    from gridwatch.containers import Store
    from gridwatch.detectors.labels import Label

__all__ = ["anomaly_containers", "anomaly_label", "list_anomalies"]

_EPOCH = datetime.fromtimestamp(0, UTC)


def anomaly_containers(store: Store) -> list[str]:
    """Return the names of all containers that hold anomalies, sorted."""
    names = (name for name in store.containers() if name.upper().startswith(PREFIX))
    # A name outside the catalog's alphabet is not ours, and would need quoting in SQL.
    return [
        name for name in names if re.fullmatch(r"[A-Za-z0-9_]+", name) and is_anomaly_container(store.container(name))
    ]


def list_anomalies(
    store: Store,
    *,
    symbol: str | None = None,
    since_ms: int | None = None,
    severity: str | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Return anomalies over all series, newest first, with the state of their mail.

    Args:
        store: Holds `ANOMALY_*` and `deliveries`.
        symbol: Only this series (the `symbol` of its dataset).
        since_ms: Only rows at or after this time, UTC epoch ms.
        severity: Only rows as bad as this word or worse: critical, high, medium, low.
        limit: Most rows.

    Returns:
        A dict a row, of plain values: `series`, `time` (ISO 8601, UTC), `ts_ms`, all other columns of the container,
        `severity_score` (the greatest of its scores, by which the severity goes),
        `mail` (pending, sending, sent, dead, skipped), `mail_held` (why a pending one waits: digest, quiet, snoozed),
        `mail_id`, `mail_error`, `mail_to`, `mail_possible_duplicate`, and what people say of it: `label` (true, false,
        expected; None for nothing), `label_note` and `label_by`.

    Raises:
        ValueError: `limit` is below 1, or `severity` is no such word.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}.")
    if severity is not None and severity.lower() not in SEVERITIES:
        raise ValueError(f"There is no severity {severity!r}; there are {', '.join(SEVERITIES)}.")
    wanted = anomaly_container(symbol).lower() if symbol else None
    rows: list[dict[str, Any]] = []
    for name in anomaly_containers(store):
        if wanted is None or name.lower() == wanted:
            rows += _rows(store, name, since_ms, severity, limit)
    rows.sort(key=lambda row: (row["ts_ms"], row["id"]), reverse=True)
    return _with_labels(store, _with_mail(store, rows[:limit]))


def _rows(store: Store, name: str, since_ms: int | None, severity: str | None, limit: int) -> list[dict[str, Any]]:
    where, values = "ts >= ?", [_EPOCH if since_ms is None else datetime.fromtimestamp(since_ms / 1000, UTC)]
    if severity:
        words = SEVERITIES[: severity_rank(severity) + 1]
        where += f" AND severity IN ({', '.join('?' * len(words))})"
        values += words  # type: ignore[arg-type]
    found = store.sql(f'SELECT * FROM "{name}" WHERE {where} ORDER BY ts DESC LIMIT {limit}', values)  # noqa: S608 - checked
    return [_plain(name, row) for row in found.to_pylist()]


def _plain(container: str, row: dict[str, Any]) -> dict[str, Any]:
    when: datetime = row.pop("ts")
    head = {
        "series": container[len(PREFIX) :],
        "time": when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "ts_ms": round(when.timestamp() * 1000),
        "severity": row.pop("severity"),
        "severity_score": severity_score(row["score"], row.get("anomaly_score")),
        "score": row.pop("score"),
    }
    return head | row | {"container": container}


def _with_mail(store: Store, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    mails: dict[str, dict[str, Any]] = {}
    if rows and store.container(DELIVERIES.name) is not None:
        found = store.get(DELIVERIES.name, [delivery_key(row["id"]) for row in rows])
        mails = {mail["anomaly_id"]: mail for mail in found.to_pylist()}
    for row in rows:
        mail = mails.get(row["id"], {})
        row["mail"] = mail.get("status") or "pending"
        row["mail_held"] = mail.get("held") if row["mail"] == "pending" else None
        row["mail_id"] = mail.get("message_id")
        row["mail_error"] = mail.get("error")
        row["mail_to"] = mail.get("recipients")
        row["mail_possible_duplicate"] = bool(mail.get("possible_duplicate"))
    return rows


def anomaly_label(store: Store, anomaly: Anomaly) -> Label | None:
    """Return what people say of an anomaly; None for nothing."""
    from gridwatch.pipeline.labels import labels_of

    if store.container(LABELS.name) is None:
        return None
    row = {"series": anomaly.series, "partition": anomaly.partition, "ts_ms": anomaly.ts_ms}
    return labels_of(store, [row])[0]


def _with_labels(store: Store, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    labels: list[Any] = [None] * len(rows)
    if rows and store.container(LABELS.name) is not None:
        # What NumPy and pandas take to load is for those who have labels.
        from gridwatch.pipeline.labels import labels_of

        labels = list(labels_of(store, rows))
    for row, label in zip(rows, labels, strict=True):
        row["label"] = label and label.verdict
        row["label_note"] = label and label.note
        row["label_by"] = label and label.author
    return rows
