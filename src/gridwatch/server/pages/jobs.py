"""Jobs: how each fares, what it has to say, and the records it has written."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flask import abort, current_app, render_template, request

from gridwatch.alerts.anomaly import SEVERITIES
from gridwatch.containers.catalog import anomaly_container, series_name
from gridwatch.detectors import job_severity_of
from gridwatch.errors import JobsNotFoundError
from gridwatch.jobs.resources import Resources
from gridwatch.jobs.results import ResultRows, Wanted
from gridwatch.jobs.results_json import time_ms
from gridwatch.jobs.tables import BUCKETS, DATAFEEDS, JOBS, MESSAGES, RECORDS
from gridwatch.server.pages.asked import number_of, range_of, text_of
from gridwatch.server.pages.paging import Paging, paging_of
from gridwatch.server.pages.shell import page_blueprint
from gridwatch.server.state import state

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.jobs.resources import Datafeed, Job

__all__ = ["blueprint"]

blueprint = page_blueprint("jobs", __name__)

_COUNTS = (
    ("processed_record_count", "Rows"),
    ("bucket_count", "Buckets"),
    ("empty_bucket_count", "Empty buckets"),
    ("missing_field_count", "Missing fields"),
    ("out_of_order_timestamp_count", "Late rows"),
)
_TIMES = (
    ("earliest_record_timestamp", "First row"),
    ("latest_record_timestamp", "Newest row"),
    ("latest_bucket_timestamp", "Newest bucket"),
)
_SORTS = {"time": "ts", "score": "record_score"}
_STATES = ("opened", "opening", "closing", "closed", "failed")
_AROUND_BUCKETS = 100


@blueprint.get("/jobs")
def page() -> str:
    """List the jobs with their datafeeds, counts and newest messages."""
    store = state(current_app).store
    wanted, words = text_of("state"), text_of("id")
    if wanted is not None and wanted not in _STATES:
        abort(400, f"There is no state {wanted[:40]!r}; there are {', '.join(_STATES)}.")
    jobs = Resources(store, make=False).jobs() if store.container(JOBS.name) else []
    jobs = [job for job in jobs if wanted in {None, job.state} and (words is None or words.lower() in job.id.lower())]
    paging = paging_of(len(jobs))
    shown = jobs[paging.offset : paging.offset + paging.size]
    feeds = _feeds(store)
    rows = [
        {"job": job, "feeds": feeds.get(job.id, []), "message": next(iter(_messages(store, job.id, 1, 0)), None)}
        for job in shown
    ]
    return render_template("jobs.html", rows=rows, states=_STATES, paging=paging)


@blueprint.get("/jobs/<job_id>")
def one(job_id: str) -> str:
    """Show one job: its state, counts, datafeed, messages and records."""
    store = state(current_app).store
    try:
        if store.container(JOBS.name) is None:
            abort(404, f"There is no job {job_id[:60]!r}.")
        job = Resources(store, make=False).job(job_id)
    except JobsNotFoundError:
        abort(404, f"There is no job {job_id[:60]!r}.")
    said = paging_of(_count(store, job.id), name="messages")
    found, paging = _records(store, job)
    return render_template(
        "job.html",
        job=job,
        feeds=_feeds(store).get(job.id, []),
        counts=[(word, job.counts.get(name)) for name, word in _COUNTS],
        times=[(word, job.counts.get(name)) for name, word in _TIMES],
        config=json.dumps(job.config.to_json(), indent=2),
        messages=_messages(store, job.id, said.size, said.offset),
        said=said,
        records=found,
        paging=paging,
        sorts=_SORTS,
        severities=SEVERITIES,
        series=_series(store, job.id),
        buckets=store.container(BUCKETS.name) is not None,
    )


def _feeds(store: Store) -> dict[str, list[Datafeed]]:
    """Return the datafeeds by their job."""
    found: dict[str, list[Datafeed]] = {}
    for feed in Resources(store, make=False).datafeeds() if store.container(DATAFEEDS.name) else []:
        found.setdefault(feed.config.job_id, []).append(feed)
    return found


def _messages(store: Store, job_id: str, size: int, offset: int) -> list[dict[str, Any]]:
    """Return messages of a job, newest first."""
    if store.container(MESSAGES.name) is None:
        return []
    rows = store.sql(
        f"SELECT ts, level, message FROM {MESSAGES.name} WHERE job_id = ? "  # noqa: S608 - constants and whole numbers
        f"ORDER BY ts DESC, id LIMIT {size} OFFSET {offset}",
        [job_id],
    ).to_pylist()
    return [row | {"ts_ms": time_ms(row["ts"])} for row in rows]


def _count(store: Store, job_id: str) -> int:
    if store.container(MESSAGES.name) is None:
        return 0
    found = store.sql(f"SELECT COUNT(*) AS n FROM {MESSAGES.name} WHERE job_id = ?", [job_id])  # noqa: S608 - constant
    return int(found.column(0)[0].as_py())


def _records(store: Store, job: Job) -> tuple[list[dict[str, Any]], Paging]:
    """Return the records that the address asks for, each with the range of the series around it."""
    from_ms, to_ms = range_of()
    sort = text_of("sort") or "time"
    if sort not in _SORTS:
        abort(400, f"Records are sorted by {' or '.join(_SORTS)}, not by {sort[:40]!r}.")
    least = number_of("score", 1, most=100) if request.args.get("score") else 0
    if store.container(RECORDS.name) is None:
        return [], paging_of(0)
    results = ResultRows(store, make=False)
    wanted = Wanted(
        start_ms=from_ms,
        end_ms=None if to_ms is None else to_ms + 1,
        score_min=float(least),
        sort=_SORTS[sort],
        descending=True,
        size=0,
    )
    paging = paging_of(results.find("records", [job.id], wanted).count)
    found = results.find("records", [job.id], replace(wanted, start=paging.offset, size=paging.size))
    return [_record(row, job) for row in found.rows], paging


def _record(row: dict[str, Any], job: Job) -> dict[str, Any]:
    at_ms = time_ms(row["ts"])
    entities = [f"{name}={value}" for name, value in json.loads(row["partition_fields"] or "[]")]
    entities += [f"{row['by_field']}={row['by_value']}"] if row["by_field"] else []
    around_ms = _AROUND_BUCKETS * job.config.bucket_span_ms
    return row | {
        "at_ms": at_ms,
        "of": ", ".join(entities),
        "severity": job_severity_of(row["record_score"]) if row["record_score"] is not None else None,
        "from_ms": max(at_ms - around_ms, 0),
        "to_ms": at_ms + around_ms,
    }


def _series(store: Store, job_id: str) -> str | None:
    """Return the name of the series of a job's anomalies; None while it has told of none."""
    return series_name(job_id) if store.container(anomaly_container(job_id)) is not None else None
