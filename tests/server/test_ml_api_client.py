"""Elasticsearch's own Python client against a served store, over real HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from elasticsearch import BadRequestError, ConflictError, Elasticsearch, NotFoundError, UnsupportedProductError

from gridwatch.containers import Store
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType

MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_708_128_000_000
BURST = START + 5 * 24 * HOUR
LOGS = ContainerInfo(
    "kibana_sample_data_logs",
    ContainerType.COLLECTION,
    (Column("id", ColumnType.LONG, nullable=False), Column("timestamp", ColumnType.TIMESTAMP)),
    ("id",),
)
EVENT_RATE: dict[str, Any] = {
    "analysis_config": {"bucket_span": "15m", "detectors": [{"function": "count"}], "influencers": []},
    "data_description": {"time_field": "timestamp"},
    "analysis_limits": {"model_memory_limit": "11MB"},
    "datafeed_config": {
        "indices": ["kibana_sample_data_logs"],
        "query": {"bool": {"must": [{"match_all": {}}]}},
        "datafeed_id": "datafeed-event_rate_logs",
    },
}
JOB, FEED = "event_rate_logs", "datafeed-event_rate_logs"


def logs_of() -> np.ndarray[Any, Any]:
    """Return when logs were written in six days: some eight in a quarter of an hour, and 200 in one of them."""
    rng = np.random.default_rng(1)
    usual = rng.integers(0, 6 * 24 * HOUR, 6 * 24 * 32)
    burst = rng.integers(0, 15 * MINUTE, 200) + BURST - START
    return np.sort(np.concatenate([usual, burst])) + START


@pytest.fixture
def logs(store: Store) -> np.ndarray[Any, Any]:
    when = logs_of()
    store.put_container(LOGS)
    store.put(LOGS.name, pa.table({"id": np.arange(len(when)), "timestamp": pa.array(when, pa.timestamp("ms", "UTC"))}))
    return when


@pytest.fixture
def client(serving: Callable[..., str], make_settings: Callable[..., Any]) -> Iterator[Elasticsearch]:
    url = serving(make_settings(server={"port": 0, "elastic_product_header": True}))
    with Elasticsearch(url, request_timeout=60, retry_on_status=()) as client:
        yield client


def wait_for(asked: Callable[[], Any], wanted: Any) -> None:
    ends = time.monotonic() + 60
    while asked() != wanted:
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_a_job_from_its_making_to_its_end(client: Elasticsearch, logs: np.ndarray[Any, Any]) -> None:
    ml = client.ml
    made = ml.put_job(job_id=JOB, **EVENT_RATE)
    assert (made["job_id"], made["datafeed_config"]["datafeed_id"]) == (JOB, FEED)
    preview = ml.preview_datafeed(datafeed_id=FEED).body
    assert preview == [{"timestamp": int(when)} for when in logs[:1000]]
    assert ml.open_job(job_id=JOB)["opened"] is True
    end = START + 6 * 24 * HOUR
    assert ml.start_datafeed(datafeed_id=FEED, start=START, end=end)["started"] is True
    wait_for(lambda: ml.get_job_stats(job_id=JOB)["jobs"][0]["state"], "closed")
    assert ml.get_datafeed_stats(datafeed_id=FEED)["datafeeds"][0]["state"] == "stopped"
    counts = ml.get_job_stats(job_id=JOB)["jobs"][0]["data_counts"]
    assert counts["processed_record_count"] == len(logs)
    worst = ml.get_records(job_id=JOB, record_score=75)["records"]
    assert [record["timestamp"] for record in worst] == [BURST]
    bucket = ml.get_buckets(job_id=JOB, timestamp=str(BURST), expand=True)["buckets"][0]
    assert [record["timestamp"] for record in bucket["records"]] == [BURST]
    buckets = ml.get_buckets(job_id=JOB, size=10, sort="anomaly_score", desc=True)
    assert (buckets["count"], len(buckets["buckets"]), buckets["buckets"][0]["timestamp"]) == (6 * 96, 10, BURST)
    overall = ml.get_overall_buckets(job_id="_all", overall_score=75, bucket_span="1h")
    assert [one["timestamp"] for one in overall["overall_buckets"]] == [BURST]
    assert ml.get_influencers(job_id=JOB)["count"] == 0
    assert ml.delete_job(job_id=JOB)["acknowledged"] is True
    assert ml.get_jobs()["count"] == ml.get_datafeeds()["count"] == 0
    with pytest.raises(NotFoundError, match="No known job with id 'event_rate_logs'"):
        ml.get_records(job_id=JOB)


def test_a_transform_is_previewed_run_and_deleted(client: Elasticsearch, logs: np.ndarray[Any, Any]) -> None:
    pivot = {
        "group_by": {"timestamp": {"date_histogram": {"field": "timestamp", "calendar_interval": "1d"}}},
        "aggregations": {"many": {"value_count": {"field": "timestamp"}}},
    }
    source, per_day = {"index": [LOGS.name]}, np.bincount((logs - START) // (24 * HOUR)).tolist()
    transform = client.transform
    preview = transform.preview_transform(source=source, pivot=pivot)["preview"]
    assert [row["many"] for row in preview] == per_day
    made: dict[str, Any] = {"source": source, "pivot": pivot, "dest": {"index": "logs_per_day"}}
    assert transform.put_transform(transform_id="daily", **made)["acknowledged"] is True
    assert transform.get_transform(transform_id="da*")["transforms"][0]["dest"]["index"] == "logs_per_day"
    assert transform.preview_transform(transform_id="daily")["preview"] == preview
    assert transform.update_transform(transform_id="daily", description="a day a row")["description"] == "a day a row"
    assert transform.start_transform(transform_id="daily")["acknowledged"] is True

    def stats() -> tuple[str, int]:
        found = transform.get_transform_stats(transform_id="daily")["transforms"][0]
        return found["state"], found["stats"]["documents_indexed"]

    wait_for(stats, ("stopped", len(per_day)))
    assert transform.stop_transform(transform_id="daily")["acknowledged"] is True
    assert transform.reset_transform(transform_id="daily")["acknowledged"] is True
    assert transform.delete_transform(transform_id="daily")["acknowledged"] is True
    with pytest.raises(NotFoundError, match=r"Transform with id \[daily\] could not be found"):
        transform.get_transform(transform_id="daily")


def test_the_client_refuses_a_server_that_does_not_say_what_it_is(serving: Callable[..., str], settings: Any) -> None:
    with Elasticsearch(serving(settings)) as client, pytest.raises(UnsupportedProductError):
        client.ml.info()


# Elasticsearch's client warns of what Elasticsearch itself will drop.
@pytest.mark.filterwarnings("ignore::elasticsearch.exceptions.GeneralAvailabilityWarning", "ignore::DeprecationWarning")
def test_what_else_the_client_can_ask(client: Elasticsearch, logs: np.ndarray[Any, Any]) -> None:
    ml = client.ml
    assert ml.info()["defaults"]["datafeeds"]["scroll_size"] == 1000
    found = client.info()
    assert (found["name"], found["version"]["number"].split(".")[0]) == ("gridwatch", "9")
    assert client.ping() is True
    with pytest.raises(BadRequestError, match="no handler found"):
        client.search(index="kibana_sample_data_logs")
    with pytest.raises(BadRequestError, match="not supported by gridwatch"):
        client.cat.ml_jobs()
    job = {name: value for name, value in EVENT_RATE.items() if name != "datafeed_config"}
    assert ml.validate(job_id="any", **job)["acknowledged"] is True
    assert ml.validate_detector(detector={"function": "high_mean", "field_name": "bytes"})["acknowledged"] is True
    with pytest.raises(BadRequestError, match=r"unknown function \[middle\]"):
        ml.validate_detector(detector={"function": "middle"})
    split = {"detectors": [{"function": "count", "partition_field_name": "host"}]}
    estimate = ml.estimate_model_memory(analysis_config=split, overall_cardinality={"host": 500})
    assert int(estimate["model_memory_estimate"].removesuffix("mb")) >= 1
    ml.put_job(job_id="posted", **job)
    ml.put_datafeed(datafeed_id="feed", job_id="posted", indices="kibana_*")
    assert ml.update_datafeed(datafeed_id="feed", scroll_size=10)["scroll_size"] == 10
    assert len(ml.preview_datafeed(datafeed_id="feed").body) == 10
    inline = ml.preview_datafeed(datafeed_config={"indices": ["kibana_*"], "scroll_size": 3}, job_config=job)
    assert inline.body == [{"timestamp": int(when)} for when in logs[:3]]
    assert ml.update_job(job_id="posted", description="by hand")["description"] == "by hand"
    with pytest.raises(ConflictError, match="open it first"):
        ml.post_data(job_id="posted", data=[{"timestamp": START // 1000}])
    ml.open_job(job_id="posted")
    rows = [{"timestamp": START // 1000 + 60 * minute} for minute in range(60)]
    counts = ml.post_data(job_id="posted", data=[*rows, {"timestamp": "yesterday"}])
    assert (counts["processed_record_count"], counts["invalid_date_count"]) == (60, 1)
    flushed = ml.flush_job(job_id="posted", advance_time=START + HOUR)
    assert (flushed["flushed"], flushed["last_finalized_bucket_end"]) == (True, START + HOUR)
    assert [one["event_count"] for one in ml.get_buckets(job_id="posted")["buckets"]] == [15] * 4
    assert ml.close_job(job_id="posted")["closed"] is True
    assert ml.reset_job(job_id="posted")["acknowledged"] is True
    assert ml.get_buckets(job_id="posted")["count"] == 0
    assert ml.stop_datafeed(datafeed_id="feed")["stopped"] is True
    assert ml.delete_datafeed(datafeed_id="feed")["acknowledged"] is True
