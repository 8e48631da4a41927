"""What became of a job's rows and how much memory it takes, in Elasticsearch's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridwatch.jobs.analysis import Analyzer
    from gridwatch.jobs.service.messages import Level

__all__ = ["counts_json", "memory_message", "size_json"]

_SOFT = 0.6
"""Share of the limit above which Elasticsearch says `soft_limit`."""


def counts_json(analyzer: Analyzer, now_ms: int) -> dict[str, Any]:
    """Return `data_counts`, as of `now_ms`."""
    counts = {name: value for name, value in asdict(analyzer.counts).items() if value is not None}
    for name in ("bucket_allocation_failures_count", "pruned_series_count"):
        counts.pop(name)
    fields = len(analyzer.job.fields)
    return {
        "job_id": analyzer.job.job_id,
        **counts,
        "input_field_count": counts["input_record_count"] * fields,
        "sparse_bucket_count": 0,
        "last_data_time": now_ms,
        "log_time": now_ms,
    }


def size_json(analyzer: Analyzer, now_ms: int, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return `model_size_stats`; its `model_bytes` are measured, and `hard_limit` means that series were refused.

    `open_bucket_bytes` are ours: rows of buckets that are not complete, which no limit bounds.

    Args:
        analyzer: At its newest state.
        now_ms: The present, UTC epoch ms.
        before: What was returned last, empty for nothing.
    """
    size, limit = analyzer.nbytes, analyzer.job.memory_limit
    refused = analyzer.counts.bucket_allocation_failures_count
    # Refused since the last look: once series were forgotten there may be room again.
    more = refused > int(before.get("bucket_allocation_failures_count") or 0)
    full = before.get("memory_status") == "hard_limit" and analyzer.full
    status = "hard_limit" if more or full else "soft_limit" if size > _SOFT * limit else "ok"
    partitions = sum(len(one.series) for one in analyzer.detectors if one.config.partition_fields)
    by = sum(len({key[-1] for key in one.series.keys}) for one in analyzer.detectors if one.config.by_field_name)
    return {
        "job_id": analyzer.job.job_id,
        "result_type": "model_size_stats",
        "model_bytes": size,
        "open_bucket_bytes": analyzer.open_nbytes,
        "peak_model_bytes": max(size, int(before.get("peak_model_bytes") or 0)),
        "model_bytes_exceeded": max(size - limit, 0),
        "model_bytes_memory_limit": limit,
        "total_by_field_count": by,
        "total_over_field_count": 0,
        "total_partition_field_count": partitions,
        "bucket_allocation_failures_count": refused,
        "memory_status": status,
        "log_time": now_ms,
        "timestamp": analyzer.counts.latest_bucket_timestamp,
        **({} if analyzer.network is None else {"network": analyzer.network.summary}),
    }


def memory_message(size: Mapping[str, Any]) -> tuple[Level, str]:
    """Return what is said when a job's memory comes into another state."""
    takes = f"its models take {size['model_bytes'] / (1 << 20):.1f} MB of {size['model_bytes_memory_limit'] >> 20} MB"
    if size["memory_status"] == "hard_limit":
        return "error", (
            f"Memory is at hard_limit: {takes}, so series that are new are not analysed "
            f"({size['bucket_allocation_failures_count']} refusals so far). Raise analysis_limits.model_memory_limit "
            "while the job is closed, or shorten model_prune_window."
        )
    if size["memory_status"] == "soft_limit":
        return "warning", f"Memory is at soft_limit: {takes}."
    return "info", f"Memory is ok again: {takes}."
