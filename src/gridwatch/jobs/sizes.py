"""What became of a job's rows and how much memory it takes, in Elasticsearch's words."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridwatch.jobs.analysis import Analyzer

__all__ = ["counts_json", "size_json"]

_SOFT = 0.6
"""Share of the limit above which Elasticsearch says `soft_limit`."""


def counts_json(analyzer: Analyzer, now_ms: int) -> dict[str, Any]:
    """Return `data_counts`, as of `now_ms`."""
    counts = {name: value for name, value in asdict(analyzer.counts).items() if value is not None}
    counts.pop("bucket_allocation_failures_count")
    fields = len(analyzer.job.fields)
    return {
        "job_id": analyzer.job.job_id,
        **counts,
        "input_field_count": counts["input_record_count"] * fields,
        "sparse_bucket_count": 0,
        "last_data_time": now_ms,
        "log_time": now_ms,
    }


def size_json(analyzer: Analyzer, now_ms: int) -> dict[str, Any]:
    """Return `model_size_stats`; its `model_bytes` are measured, and `hard_limit` means that series were refused."""
    size, limit = analyzer.nbytes, analyzer.job.memory_limit
    refused = analyzer.counts.bucket_allocation_failures_count
    status = "hard_limit" if refused else "soft_limit" if size > _SOFT * limit else "ok"
    partitions = sum(len(one.series) for one in analyzer.detectors if one.config.partition_fields)
    by = sum(len({key[-1] for key in one.series.keys}) for one in analyzer.detectors if one.config.by_field_name)
    return {
        "job_id": analyzer.job.job_id,
        "result_type": "model_size_stats",
        "model_bytes": size,
        "peak_model_bytes": size,
        "model_bytes_exceeded": max(size - limit, 0),
        "model_bytes_memory_limit": limit,
        "total_by_field_count": by,
        "total_over_field_count": 0,
        "total_partition_field_count": partitions,
        "bucket_allocation_failures_count": refused,
        "memory_status": status,
        "log_time": now_ms,
        "timestamp": analyzer.counts.latest_bucket_timestamp,
    }
