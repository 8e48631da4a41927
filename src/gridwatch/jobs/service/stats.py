"""What jobs and datafeeds are and how they fare, as Elasticsearch's GET and `_stats` answer it."""

from __future__ import annotations

from typing import Any

from gridwatch.jobs.resources import Datafeed, Job
from gridwatch.jobs.timing import timing_json

__all__ = ["datafeed_json", "datafeed_stats_json", "job_json", "job_stats_json"]

_HOUR_MS = 3_600_000


def job_json(job: Job, feed: Datafeed | None) -> dict[str, Any]:
    """Return a job's config, with when it was made and closed, and its datafeed where it has one."""
    found = {**job.config.to_json(), "create_time": job.created_ms}
    if job.finished_ms is not None:
        found["finished_time"] = job.finished_ms
    if feed is not None:
        found["datafeed_config"] = feed.config.to_json()
    return found


def datafeed_json(feed: Datafeed) -> dict[str, Any]:
    """Return a datafeed's config."""
    return feed.config.to_json()


def job_stats_json(job: Job, now_ms: int) -> dict[str, Any]:
    """Return one entry of `jobs` in a job's `_stats`."""
    counts = {"job_id": job.id, **_NO_COUNTS, **job.counts}
    size = {"job_id": job.id, "result_type": "model_size_stats", "model_bytes": 0, "memory_status": "ok", **job.size}
    size.setdefault("log_time", job.created_ms)
    network = size.pop("network", None)
    found: dict[str, Any] = {
        "job_id": job.id,
        "state": job.state,
        "data_counts": counts,
        "model_size_stats": size,
        "forecasts_stats": {"total": 0, "forecasted_jobs": 0},
        "timing_stats": timing_json(job.id, job.timing, bucket_span_ms=job.config.bucket_span_ms),
        "deleting": False,
    }
    if job.state == "opened" and job.opened_ms is not None:
        found["open_time"] = f"{max(now_ms - job.opened_ms, 0) // 1000}s"
    if job.reason:
        found["assignment_explanation"] = job.reason
    if network:
        found["network"] = network
    return found


def datafeed_stats_json(feed: Datafeed, job: Job | None) -> dict[str, Any]:
    """Return one entry of `datafeeds` in a datafeed's `_stats`.

    `last_error`, with since when and how often in a row it came, is ours: a feed that reads nothing has to look it.
    """
    buckets = int((job.counts if job else {}).get("bucket_count") or 0)
    each = feed.search_time_ms / buckets if buckets else 0.0
    found: dict[str, Any] = {
        "datafeed_id": feed.id,
        "state": feed.state,
        "assignment_explanation": feed.reason or feed.error or "",
        "timing_stats": {
            "job_id": feed.config.job_id,
            "search_count": feed.searches,
            "bucket_count": buckets,
            "total_search_time_ms": feed.search_time_ms,
            "average_search_time_per_bucket_ms": each,
            # No average of its own is kept: an hour of the data takes as much as the buckets that it has.
            "exponential_average_search_time_per_hour_ms": each * _HOUR_MS / job.config.bucket_span_ms if job else 0.0,
        },
    }
    if feed.state == "started":
        found["running_state"] = {
            "real_time_configured": feed.end_ms is None,
            "real_time_running": feed.searched_ms is not None and feed.end_ms is None,
        }
    if feed.searched_ms is not None:
        found["last_search_time"] = feed.searched_ms
    if feed.fed_to_ms is not None:
        found["fed_to"] = feed.fed_to_ms
    if feed.error is not None:
        found["last_error"] = {"message": feed.error, "since": feed.failing_since_ms, "failures": feed.failures}
    return found


_NO_COUNTS = dict.fromkeys(
    (
        "processed_record_count", "processed_field_count", "input_bytes", "input_field_count", "invalid_date_count",
        "missing_field_count", "out_of_order_timestamp_count", "empty_bucket_count", "sparse_bucket_count",
        "bucket_count", "input_record_count",
    ),
    0,
)  # fmt: skip
