"""Results as Elasticsearch writes them: rows of the result containers to the JSON of its results APIs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridwatch.jobs.config import JobConfig

__all__ = ["bucket_json", "influencer_json", "model_plot_json", "overall_json", "record_json", "time_ms"]

_EPOCH = datetime.fromtimestamp(0, UTC)
_MANY_BUCKETS = ("mean", "silence")
"""Members whose name begins with it judge several buckets at once."""
_IMPACT_MAX = 5.0
_HIGH_P = 1e-300


def time_ms(moment: datetime) -> int:
    """Return a row's time as UTC epoch ms."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def bucket_json(row: Mapping[str, Any], records: Iterable[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Return a bucket; with `records`, their JSON, it is an expanded one.

    Beside Elasticsearch's keys: `probability` of the whole bucket, and `series`, how many values were judged.
    """
    about = {"job_id": row["job_id"], "timestamp": time_ms(row["ts"]), "bucket_span": row["bucket_span_ms"] // 1000}
    blamed = [*json.loads(row["influencers"]), ["bucket_time", row["anomaly_score"]]]
    influencers = [
        {
            **about,
            "result_type": "bucket_influencer",
            "influencer_field_name": name,
            "initial_anomaly_score": score,
            "anomaly_score": score,
            "raw_anomaly_score": score,
            "probability": row["probability"],
            "is_interim": row["is_interim"],
        }
        for name, score in blamed
        if score > 0.0
    ]
    found = {
        **about,
        "result_type": "bucket",
        "anomaly_score": row["anomaly_score"],
        "initial_anomaly_score": row["initial_anomaly_score"],
        "event_count": row["event_count"],
        "is_interim": row["is_interim"],
        "bucket_influencers": influencers,
        # A row of an earlier gridwatch has none.
        "processing_time_ms": row.get("processing_ms") or 0,
        "probability": row["probability"],
        "series": row["series"],
    }
    return found if records is None else {**found, "records": list(records)}


def record_json(row: Mapping[str, Any], job: JobConfig) -> dict[str, Any]:
    """Return a record.

    `partition_field_name` and `partition_field_value` join several fields by a comma; `partition_fields` has them
    apart. `driver` is the member of the detector that was the most surprised.
    """
    influencers: list[dict[str, Any]] = [
        {"influencer_field_name": name, "influencer_field_values": each} for name, *each in _influencers(row)
    ]
    entities = _entities(row)
    found: dict[str, Any] = {
        "job_id": row["job_id"],
        "result_type": "record",
        "timestamp": time_ms(row["ts"]),
        "bucket_span": row["bucket_span_ms"] // 1000,
        "detector_index": row["detector_index"],
        "is_interim": row["is_interim"],
        "probability": row["probability"],
        "record_score": row["record_score"],
        "initial_record_score": row["initial_record_score"],
        "multi_bucket_impact": _IMPACT_MAX if _many(row) else -_IMPACT_MAX,
        **_function(row, job),
        **entities,
        "actual": [row["actual"]],
        "typical": [] if row["typical"] is None else [row["typical"]],
        "anomaly_score_explanation": _explanation(row),
        "influencers": influencers,
        "driver": row["driver"],
    }
    # As Elasticsearch does, so that a search for a field's value finds the record.
    for one in influencers:
        found.setdefault(one["influencer_field_name"], one["influencer_field_values"])
    for part in entities.get("partition_fields", ()):
        found.setdefault(part["name"], [part["value"]])
    if row["by_field"] is not None:
        found.setdefault(row["by_field"], [row["by_value"]])
    return found


def influencer_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an influencer."""
    name, value = row["field_name"], row["field_value"]
    found = {
        "job_id": row["job_id"],
        "result_type": "influencer",
        "timestamp": time_ms(row["ts"]),
        "bucket_span": row["bucket_span_ms"] // 1000,
        "influencer_field_name": name,
        "influencer_field_value": value,
        "probability": row["probability"],
        "influencer_score": row["influencer_score"],
        "initial_influencer_score": row["initial_influencer_score"],
        "is_interim": row["is_interim"],
    }
    return {name: value, **found}


def model_plot_json(row: Mapping[str, Any], job: JobConfig) -> dict[str, Any]:
    """Return the band of one series in one bucket."""
    found: dict[str, Any] = {
        "job_id": row["job_id"],
        "result_type": "model_plot",
        "timestamp": time_ms(row["ts"]),
        "bucket_span": row["bucket_span_ms"] // 1000,
        "detector_index": row["detector_index"],
        "model_feature": f"'bucket {row['function']}'",
        **_function(row, job),
        **_entities(row),
        "model_lower": row["lower"],
        "model_median": row["median"],
        "model_upper": row["upper"],
    }
    if row["actual"] is not None:
        found["actual"] = row["actual"]
    return found


def overall_json(
    rows: Sequence[Mapping[str, Any]], *, job_span_ms: int, span_ms: int, top_n: int, score_min: float
) -> list[dict[str, Any]]:
    """Return overall buckets: what several jobs say of the same time.

    In each span of the jobs the mean of the `top_n` greatest scores, one a job; in a longer one the greatest of those.

    Args:
        rows: `job_id`, `ts`, `anomaly_score` and `is_interim` of buckets.
        job_span_ms: The longest bucket span of the jobs.
        span_ms: Length of an overall bucket, a multiple of it.
        top_n: How many jobs count.
        score_min: Least score wanted.
    """
    greatest: dict[int, dict[str, float]] = {}
    interim: set[int] = set()
    for row in rows:
        start = time_ms(row["ts"]) // job_span_ms * job_span_ms
        jobs = greatest.setdefault(start, {})
        jobs[row["job_id"]] = max(row["anomaly_score"], jobs.get(row["job_id"], 0.0))
        if row["is_interim"]:
            interim.add(start // span_ms * span_ms)
    found: dict[int, dict[str, Any]] = {}
    for start, jobs in sorted(greatest.items()):
        top = sorted(jobs.values(), reverse=True)[:top_n]
        at = start // span_ms * span_ms
        one = found.setdefault(at, {"score": 0.0, "jobs": {}})
        one["score"] = max(one["score"], sum(top) / len(top))
        one["jobs"] = {job: max(score, one["jobs"].get(job, 0.0)) for job, score in {**one["jobs"], **jobs}.items()}
    return [
        {
            "result_type": "overall_bucket",
            "timestamp": at,
            "bucket_span": span_ms // 1000,
            "overall_score": one["score"],
            "jobs": [{"job_id": job, "max_anomaly_score": score} for job, score in sorted(one["jobs"].items())],
            "is_interim": at in interim,
        }
        for at, one in found.items()
        if one["score"] >= score_min
    ]


def _function(row: Mapping[str, Any], job: JobConfig) -> dict[str, Any]:
    detector = job.detectors[row["detector_index"]]
    # One that judges several things at once says which it was.
    several = len(detector.spec.metrics) > 1
    described = row["function"] if several else detector.spec.metrics[0]
    found = {"function": detector.function, "function_description": described}
    return found if detector.field_name is None else {**found, "field_name": detector.field_name}


def _entities(row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    partition = json.loads(row["partition_fields"])
    if partition:
        found["partition_field_name"] = ",".join(name for name, _ in partition)
        found["partition_field_value"] = ",".join(value for _, value in partition)
        found["partition_fields"] = [{"name": name, "value": value} for name, value in partition]
    if row["by_field"] is not None:
        found["by_field_name"], found["by_field_value"] = row["by_field"], row["by_value"]
    return found


def _influencers(row: Mapping[str, Any]) -> list[list[str]]:
    return json.loads(row["influencers"])  # type: ignore[no-any-return]


def _many(row: Mapping[str, Any]) -> bool:
    return bool(row["driver"]) and str(row["driver"]).startswith(_MANY_BUCKETS)


def _explanation(row: Mapping[str, Any]) -> dict[str, Any]:
    typical = row["typical"]
    found: dict[str, Any] = {}
    impact = round(-math.log10(max(row["probability"], _HIGH_P)))
    found["multi_bucket_impact" if _many(row) else "single_bucket_impact"] = impact
    if typical is not None:
        found["anomaly_type"] = "spike" if row["actual"] > typical else "dip"
        found["typical_value"] = typical
    for key, column in (("lower_confidence_bound", "lower"), ("upper_confidence_bound", "upper")):
        if row[column] is not None:
            found[key] = row[column]
    return found
