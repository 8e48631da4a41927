"""What is drawn around an anomaly of a job: the model's band where the job keeps it, else the scores of its buckets."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from gridwatch.jobs.tables import BUCKETS, MODEL_PLOT, RECORDS
from gridwatch.server.pages.found import Wanted, anomalies_of
from gridwatch.server.pages.thinning import picked

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.provenance import Subject

__all__ = ["job_plot", "span_of_job"]

_EACH_SIDE = 60
"""Buckets before and after the anomaly that the plot begins with."""

_ROWS_MAX = 200_000
_ANOMALIES_MAX = 1_000
_SHOWN = ("id", "container", "ts_ms", "severity", "score", "severity_score", "expected", "driver")
_COLUMNS = ("actual", "expected", "lower", "upper")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def span_of_job(subject: Subject) -> tuple[int, int]:
    """Return the times that the plot begins with, UTC epoch ms."""
    bucket_ms = int(subject["input_to_ms"] or subject.ts_ms) - subject.ts_ms + 1
    return max(subject.ts_ms - _EACH_SIDE * bucket_ms, 0), subject.ts_ms + _EACH_SIDE * bucket_ms


def job_plot(store: Store, subject: Subject, from_ms: int, to_ms: int, pieces: int) -> dict[str, Any]:
    """Return what is drawn of a range, in the shape of a series' data.

    Args:
        store: Holds the job's results.
        subject: An anomaly of a job.
        from_ms: First instant, UTC epoch ms.
        to_ms: Last instant.
        pieces: See `picked`.

    Returns:
        `from_ms`, `to_ms`, `rows` (how many there are), `times_ms`, `actual`, `expected`, `lower`, `upper`,
        `anomalies`, `labels` (none), `span`, and `value`: what the values are.
    """
    rows, value = _band(store, subject, from_ms, to_ms), "actual"
    scores = not rows
    if scores:
        rows, value = _buckets(store, subject, from_ms, to_ms), "score of the bucket"
    times = np.array([_ms(row["ts"]) for row in rows], np.int64)
    actual = np.array([np.nan if row["actual"] is None else row["actual"] for row in rows], np.float64)
    places = picked(times, actual, from_ms, to_ms, pieces).tolist()
    anomalies, _ = anomalies_of(store, subject.series, Wanted(from_ms, to_ms), limit=_ANOMALIES_MAX)
    shown = [
        {
            **{name: row.get(name) for name in _SHOWN},
            "actual": row["score" if scores else "actual"],
        }
        for row in anomalies
        if scores or (row["detector"], row["partition"]) == (subject["detector"], subject["partition"])
    ]
    return {
        "from_ms": from_ms,
        "to_ms": to_ms,
        "rows": len(rows),
        "times_ms": times[places].tolist(),
        **{name: [rows[place].get(name) for place in places] for name in _COLUMNS},
        "anomalies": shown,
        "labels": [],
        "span": _span(store, subject),
        "value": value,
    }


def _band(store: Store, subject: Subject, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
    """Return the model plot of the anomaly's own series; none where the job keeps none."""
    record = _record(store, subject)
    if record is None or store.container(MODEL_PLOT.name) is None:
        return []
    where = "job_id = ? AND detector_index = ? AND function = ? AND ts >= ? AND ts <= ?"
    values: list[Any] = [subject.job_id, record["detector_index"], record["function"]]
    values += [_instant(from_ms), _instant(to_ms)]
    for column in ("partition_value", "by_value"):
        if record[column] is None:
            where += f" AND {column} IS NULL"
        else:
            where += f" AND {column} = ?"
            values.append(record[column])
    found = store.sql(
        f"SELECT ts, actual, median expected, lower, upper FROM {MODEL_PLOT.name} WHERE {where} ORDER BY ts "  # noqa: S608
        f"LIMIT {_ROWS_MAX}",
        values,
    )
    return found.to_pylist()  # type: ignore[no-any-return]


def _buckets(store: Store, subject: Subject, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
    if store.container(BUCKETS.name) is None:
        return []
    found = store.sql(
        f"SELECT ts, anomaly_score actual FROM {BUCKETS.name} WHERE job_id = ? AND ts >= ? AND ts <= ? "  # noqa: S608
        f"ORDER BY ts LIMIT {_ROWS_MAX}",
        [subject.job_id, _instant(from_ms), _instant(to_ms)],
    )
    return found.to_pylist()  # type: ignore[no-any-return]


def _record(store: Store, subject: Subject) -> dict[str, Any] | None:
    """Return the record that the anomaly was made of: the row has its entities as one text."""
    if store.container(RECORDS.name) is None:
        return None
    found = store.sql(
        f"SELECT * FROM {RECORDS.name} WHERE job_id = ? AND ts = ?",  # noqa: S608
        [subject.job_id, _instant(subject.ts_ms)],
    )
    for row in found.to_pylist():
        entities = [tuple(pair) for pair in json.loads(row["partition_fields"] or "[]")]
        entities += [(row["by_field"], row["by_value"])] if row["by_field"] else []
        partition = ", ".join(f"{name}={value}" for name, value in entities)
        detector = f"{subject.job_id}/{row['detector_index']}/{row['function']}"
        if (detector, partition) == (subject["detector"], subject["partition"] or ""):
            return dict(row)
    return None


def _span(store: Store, subject: Subject) -> list[int] | None:
    if store.container(BUCKETS.name) is None:
        return None
    [row] = store.sql(
        f"SELECT MIN(ts) a, MAX(ts) b FROM {BUCKETS.name} WHERE job_id = ?",  # noqa: S608
        [subject.job_id],
    ).to_pylist()
    return None if row["a"] is None else [_ms(row["a"]), _ms(row["b"])]


def _ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)


def _instant(time_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=time_ms)
