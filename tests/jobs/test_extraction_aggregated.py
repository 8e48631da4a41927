"""Datafeeds with aggregations: what is worked out in the store is what pandas works out of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gridwatch.containers import Store
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.jobs.results import Wanted
from gridwatch.jobs.service import JobsService
from tests.jobs.backends import BACKENDS

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


@pytest.fixture(params=BACKENDS)
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobsService]:
    with request.param(tmp_path) as store:
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
    assert [told(row) for row in found["event_rate_agg"]] == [told(row) for row in found["event_rate_logs"]]
    assert max(row["record_score"] for row in found["event_rate_agg"]) > 75.0


SHOP = ContainerInfo(
    "shop",
    ContainerType.COLLECTION,
    (
        Column("id", ColumnType.LONG, nullable=False),
        Column("at_timestamp", ColumnType.TIMESTAMP),
        Column("geoip.country", ColumnType.STRING),
        Column("price", ColumnType.DOUBLE),
    ),
    ("id",),
)
SPLIT = {"terms": {"field": "geoip.country"}}
LATEST = {"@timestamp": {"max": {"field": "@timestamp"}}}
METRICS = {
    "sum": {"price": {"sum": {"field": "price"}}},
    "non_null_sum": {"price": {"sum": {"field": "price"}}},
    "mean": {"price": {"avg": {"field": "price"}}},
    "min": {"price": {"min": {"field": "price"}}},
    "max": {"price": {"max": {"field": "price"}}},
    "count": {},
}


def orders() -> pa.Table:
    """Return orders of four days in three countries, some of them dear, whose prices add up exactly."""
    rng = np.random.default_rng(3)
    count = 3000
    when = np.sort(rng.integers(0, 96 * HOUR, count)) + START
    price = rng.integers(4, 400, count) / 4.0
    price[(when >= START + 80 * HOUR) & (when < START + 81 * HOUR)] *= 64.0
    return pa.table(
        {
            "id": np.arange(count),
            "at_timestamp": pa.array(when, pa.timestamp("ms", "UTC")),
            "geoip.country": rng.choice(["GB", "FR", "DE"], count),
            "price": price,
        }
    )


def around(how: str, inner: dict[str, Any]) -> dict[str, Any]:
    """Return the aggregations of one of the shapes that a feed may have."""
    histogram = {"date_histogram": {"field": "@timestamp", "fixed_interval": "15m"}}
    split = {"geoip.country": {**SPLIT, "aggs": {**LATEST, **inner}}}
    if how == "terms inside":
        return {"b": {**histogram, "aggs": {**LATEST, "geoip.country": {**SPLIT, "aggs": inner}}}}
    if how == "terms outside":
        split["geoip.country"]["aggs"] = {"b": {**histogram, "aggs": {**LATEST, **inner}}}
        return split
    sources = [{"geoip.country": SPLIT}, {"when": histogram}]
    return {"b": {"composite": {"sources": sources, "size": 100}, "aggs": {**LATEST, **inner}}}


@pytest.mark.parametrize("opened", BACKENDS)
@pytest.mark.parametrize(
    ("how", "functions"), [("terms inside", list(METRICS)), ("terms outside", ["sum"]), ("composite", ["mean"])]
)
def test_the_records_of_an_aggregated_feed_are_those_of_its_rows(
    opened: Callable[[Path], Store], tmp_path: Path, how: str, functions: list[str]
) -> None:
    with opened(tmp_path) as store:
        store.put_container(SHOP)
        store.put(SHOP.name, orders())
        service = JobsService(store, now_ms=lambda: START + 97 * HOUR)
        found = {}
        for shape in ("raw", "aggregated"):
            for function in functions:
                inner = METRICS[function]
                detector = {"function": function, "partition_field_name": "geoip.country"}
                analysis: dict[str, Any] = {"bucket_span": "1h", "detectors": [detector]}
                if inner:
                    detector["field_name"] = "price"
                body: dict[str, Any] = {"indices": SHOP.name}
                if shape == "aggregated":
                    analysis["summary_count_field_name"] = "doc_count"
                    body["aggs"] = around(how, inner)
                name = f"{shape}_{function}"
                config = {"analysis_config": analysis, "data_description": {"time_field": "@timestamp"}}
                service.put_job({**config, "datafeed_config": body}, job_id=name)
                service.open_job(name)
                service.start_datafeed(name, start_ms=START + 7 * MINUTE, end_ms=START + 95 * HOUR + 7 * MINUTE)
                assert service.run_datafeed(name).done
                rows = service.results.find("records", [name], Wanted(size=10_000)).rows
                found[shape, function] = sorted(map(told, rows), key=lambda row: (row["ts"], row["partition_value"]))
        for function in functions:
            assert found["aggregated", function] == found["raw", function]
        assert max(row["record_score"] for row in found["raw", functions[0]]) > 50.0


def told(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a record says, but for whose it is; numbers up to how they are added."""
    return {
        key: float(f"{value:.9g}") if isinstance(value, float) else value
        for key, value in row.items()
        if key not in {"id", "job_id"}
    }


def test_in_real_time_an_interval_is_read_when_it_is_over_and_nothing_twice(service: JobsService) -> None:
    clock = [START + 10 * HOUR]
    service = JobsService(service.store, now_ms=lambda: clock[0])
    config = {**EVENT_RATE_AGG, "datafeed_config": {**EVENT_RATE_AGG["datafeed_config"], "query_delay": "0s"}}
    service.put_job(config, job_id="event_rate_agg")
    service.open_job("event_rate_agg")
    service.start_datafeed("datafeed-event_rate_agg")
    for minutes in (0, 7, 14, 15, 31, 200, 201, 62 * 60):
        clock[0] = START + 10 * HOUR + minutes * MINUTE
        service.run_datafeed("datafeed-event_rate_agg")
        done = clock[0] // (15 * MINUTE) * 15 * MINUTE
        assert service.resources.job("event_rate_agg").counts["processed_record_count"] == len(
            set(times()[times() < done] // (15 * MINUTE))
        )
    buckets = service.results.find("buckets", ["event_rate_agg"], Wanted(size=10_000, interim=False)).rows
    assert sum(bucket["event_count"] for bucket in buckets) == (times() < clock[0]).sum()
