"""Anomalies, deliveries, validations and what jobs said: rows by key that are old enough and that nothing names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gridwatch.alerts.anomalies import anomaly_containers
from gridwatch.alerts.receipt import FINISHED
from gridwatch.containers.catalog import DELIVERIES, DETECTIONS, TRAININGS, VALIDATIONS
from gridwatch.jobs.tables import BUCKETS, JOBS, MESSAGES
from gridwatch.upkeep.reading import instant, ms, pages, quoted
from gridwatch.upkeep.sweeps import DAY_MS

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["Batch", "old_anomalies", "old_messages", "old_results", "old_validations", "orphan_deliveries"]

Batch = tuple[list[str], dict[str, int]]
"""Keys that may go, and how many more stay for which reason."""


def old_anomalies(store: Store, container: str, before_ms: int) -> Iterator[Batch]:
    """Yield anomalies found before an instant whose people have been told, and that nobody has labelled."""
    from gridwatch.pipeline.labels import labels_of

    series = container[len("ANOMALY_") :]
    columns = "id, ts, partition"
    for rows in pages(store, container, columns, "detected_ms < ?", [before_ms]):
        told = _told(store, [row["id"] for row in rows])
        labels = labels_of(
            store,
            [
                {"series": series, "partition": row["partition"], "ts_ms": ms(row["ts"]) if row["ts"] else 0}
                for row in rows
            ],
        )
        keys, kept = [], {"alerts that are not finished": 0, "labelled": 0}
        for row, label in zip(rows, labels, strict=True):
            if row["id"] not in told:
                kept["alerts that are not finished"] += 1
            elif label is not None:
                kept["labelled"] += 1
            else:
                keys.append(row["id"])
        yield keys, kept


def _told(store: Store, ids: list[str]) -> set[str]:
    """Return those anomalies that have deliveries, all of them finished."""
    if store.container(DELIVERIES.name) is None:
        return set()
    rows = store.sql(
        f"SELECT anomaly_id, status FROM {DELIVERIES.name} WHERE anomaly_id IN ({', '.join('?' * len(ids))})", ids
    ).to_pylist()
    working = {row["anomaly_id"] for row in rows if row["status"] not in FINISHED}
    return {row["anomaly_id"] for row in rows} - working


def orphan_deliveries(store: Store, before_ms: int) -> Iterator[Batch]:
    """Yield finished deliveries whose anomaly is gone: it goes first, or its people would be told once more."""
    words = ", ".join("?" * len(FINISHED))
    known = {name.lower(): name for name in anomaly_containers(store)}
    where = f"(last_ms IS NULL OR last_ms < ?) AND status IN ({words})"
    for rows in pages(store, DELIVERIES.name, "id, anomaly_id, container", where, [before_ms, *FINISHED]):
        there: set[str] = set()
        for name in {known.get(str(row["container"]).lower()) for row in rows} - {None}:
            ids = [row["anomaly_id"] for row in rows if str(row["container"]).lower() == str(name).lower()]
            there |= set(store.get(str(name), ids).column("id").to_pylist())
        yield [row["id"] for row in rows if row["anomaly_id"] not in there], {}


def old_validations(store: Store, before_ms: int) -> Iterator[Batch]:
    """Yield validations that ran before an instant, but for the newest of each dataset and those that rows name."""
    newest = store.sql(f"SELECT dataset, MAX(run_ms) AS newest FROM {VALIDATIONS.name} GROUP BY dataset").to_pylist()
    last = {row["dataset"]: row["newest"] for row in newest}
    named: set[str] = set()
    for name in [*anomaly_containers(store), TRAININGS.name, DETECTIONS.name]:
        if store.container(name) is not None:
            found = store.sql(f"SELECT DISTINCT validation_id FROM {quoted(name)} WHERE validation_id IS NOT NULL")
            named |= set(found.column(0).to_pylist())
    for rows in pages(store, VALIDATIONS.name, "id, dataset, run_ms", "run_ms < ?", [before_ms]):
        kept = {"anomalies, trainings or detections name them": 0, "the newest of its dataset": 0}
        keys = []
        for row in rows:
            if row["id"] in named:
                kept["anomalies, trainings or detections name them"] += 1
            elif row["run_ms"] == last[row["dataset"]]:
                kept["the newest of its dataset"] += 1
            else:
                keys.append(row["id"])
        yield keys, kept


def old_results(store: Store, container: str, days: int) -> Iterator[Batch]:
    """Yield what jobs have said more than so many days before their newest bucket; a job's own word wins."""
    from gridwatch.jobs.resources import Resources

    own = set()
    if store.container(JOBS.name) is not None:
        jobs = Resources(store, make=False).jobs()
        own = {job.id for job in jobs if job.config.results_retention_days is not None}
    newest = store.sql(f"SELECT job_id, MAX(ts) AS newest FROM {BUCKETS.name} GROUP BY job_id").to_pylist()
    for row in newest:
        if row["job_id"] not in own:
            before = instant(max(ms(row["newest"]) - days * DAY_MS, 0))
            for found in pages(store, container, "id", "job_id = ? AND ts < ?", [row["job_id"], before]):
                yield [one["id"] for one in found], {}


def old_messages(store: Store, before_ms: int) -> Iterator[Batch]:
    """Yield messages of jobs older than an instant."""
    for rows in pages(store, MESSAGES.name, "id", "ts < ?", [instant(max(before_ms, 0))]):
        yield [row["id"] for row in rows], {}
