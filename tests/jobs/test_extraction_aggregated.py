"""Datafeeds with aggregations: what is worked out in the store is what pandas works out of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.jobs.results import Wanted
from gridwatch.jobs.service import JobsService

MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_708_128_000_000
LOGS = ContainerInfo(
    "kibana_sample_data_logs",
    ContainerType.COLLECTION,
    (Column("id", ColumnType.LONG, nullable=False), Column("timestamp", ColumnType.TIMESTAMP)),
    ("id",),
)
EVENT_RATE_AGG: dict[str, Any] = {
    "analysis_config": {
        "bucket_span": "15m",
        "detectors": [{"function": "count"}],
        "influencers": [],
        "summary_count_field_name": "doc_count",
    },
    "data_description": {"time_field": "timestamp"},
    "analysis_limits": {"model_memory_limit": "11MB"},
    "datafeed_config": {
        "datafeed_id": "datafeed-event_rate_agg",
        "job_id": "event_rate_agg",
        "indices": ["kibana_sample_data_logs"],
        "query": {"bool": {"must": [{"match_all": {}}]}},
        "aggregations": {
            "buckets": {
                "date_histogram": {"field": "timestamp", "fixed_interval": "900000ms"},
                "aggregations": {"timestamp": {"max": {"field": "timestamp"}}},
            }
        },
    },
}


def times() -> np.ndarray[Any, Any]:
    """Return when logs were written: some eight in a quarter of an hour of three days, and 200 in one of them."""
    rng = np.random.default_rng(1)
    usual = rng.integers(0, 72 * HOUR, 72 * 32)
    return np.sort(np.concatenate([usual, rng.integers(0, 15 * MINUTE, 200) + 60 * HOUR])) + START


@pytest.fixture
def service(tmp_path: Path) -> Iterator[JobsService]:
    with SqliteStore(tmp_path / "store.db") as store:
        store.put_container(LOGS)
        when = times()
        rows = {"id": np.arange(len(when)), "timestamp": pa.array(when, pa.timestamp("ms", "UTC"))}
        store.put(LOGS.name, pa.table(rows))
        yield JobsService(store, now_ms=lambda: START + 73 * HOUR)


def test_an_aggregated_feed_previews_flat_rows_and_gives_the_records_of_the_raw_feed(service: JobsService) -> None:
    service.put_job(EVENT_RATE_AGG, job_id="event_rate_agg")
    raw = {**EVENT_RATE_AGG, "analysis_config": {"bucket_span": "15m", "detectors": [{"function": "count"}]}}
    raw["datafeed_config"] = {"indices": [LOGS.name]}
    service.put_job(raw, job_id="event_rate_logs")
    when = times()
    first = when[when // (15 * MINUTE) == when[0] // (15 * MINUTE)]
    preview = service.preview_datafeed("datafeed-event_rate_agg")
    assert preview[0] == {"timestamp": int(first[-1]), "doc_count": len(first)}
    assert sum(row["doc_count"] for row in preview) == len(when)
    found = {}
    for job, feed in (("event_rate_agg", "datafeed-event_rate_agg"), ("event_rate_logs", "event_rate_logs")):
        service.open_job(job)
        service.start_datafeed(feed, end_ms=START + 72 * HOUR)
        service.run_datafeed(feed)
        found[job] = service.results.find("records", [job], Wanted(size=10_000)).rows
    assert [
        {key: value for key, value in row.items() if key not in {"id", "job_id"}}
        for row in found["event_rate_agg"]
    ] == [
        {key: value for key, value in row.items() if key not in {"id", "job_id"}}
        for row in found["event_rate_logs"]
    ]
    assert max(row["record_score"] for row in found["event_rate_agg"]) > 75.0
