"""Changing jobs and datafeeds, and asking for what they are, how they fare and what they found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import (
    JobsBodyError,
    JobsConflictError,
    JobsExistsError,
    JobsNotFoundError,
    JobsRequestError,
    JobsValueError,
)
from gridwatch.jobs.results import Wanted
from gridwatch.jobs.service import JobsService

MINUTE = 60_000
SPAN = 15 * MINUTE
START = 1_708_128_000_000
JOB: dict[str, Any] = {
    "description": "orders",
    "groups": ["shop"],
    "analysis_config": {
        "bucket_span": "15m",
        "detectors": [
            {"function": "sum", "field_name": "price", "partition_field_name": ["country", "gender"]},
            {"function": "high_count", "by_field_name": "country"},
        ],
        "influencers": ["country", "gender"],
    },
    "data_description": {"time_field": "time", "time_format": "epoch_ms"},
    "model_plot_config": {"enabled": True, "terms": "GB"},
}


def rows(buckets: int = 300, burst: int = 280) -> pd.DataFrame:
    """Return some 40 orders in each bucket, and in one of them 300 more, all from British men."""
    rng = np.random.default_rng(3)
    usual = pd.DataFrame(
        {
            "time": START + rng.integers(0, buckets * SPAN, buckets * 40),
            "country": rng.choice(["GB", "FR"], buckets * 40),
            "gender": rng.choice(["MALE", "FEMALE"], buckets * 40),
            "price": rng.gamma(4.0, 10.0, buckets * 40),
        }
    )
    more = pd.DataFrame({"time": START + burst * SPAN + rng.integers(0, SPAN, 300), "price": 50.0})
    odd = more.assign(country="GB", gender="MALE")
    return pd.concat([usual, odd]).sort_values("time", ignore_index=True)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobsService]:
    """A job whose rows have been posted; its tests only ask."""
    with SqliteStore(tmp_path_factory.mktemp("jobs") / "store.db") as store:
        service = JobsService(store, now_ms=lambda: START + 400 * SPAN)
        service.put_job(JOB, job_id="orders")
        service.open_job("orders")
        service.post_data("orders", rows())
        service.flush_job("orders", advance_time_ms=START + 299 * SPAN)
        yield service


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[JobsService]:
    """A job that has no rows, and its datafeed."""
    with SqliteStore(tmp_path / "store.db") as store:
        service = JobsService(store, now_ms=lambda: START)
        service.put_job({**JOB, "datafeed_config": {"indices": ["orders"], "datafeed_id": "feed"}}, job_id="orders")
        yield service


def test_records_are_elasticsearchs_json(service: JobsService) -> None:
    found = service.records("orders")
    worst = [one for one in found["records"] if one["timestamp"] == START + 280 * SPAN]
    record = next(one for one in worst if one["function"] == "sum")
    explained = record.pop("anomaly_score_explanation")
    assert record.pop("actual")[0] > 15_000 > 800 > record.pop("typical")[0]
    assert record.pop("record_score") == record.pop("initial_record_score") > 75.0
    assert record.pop("probability") < 1e-4
    assert record == {
        "job_id": "orders",
        "result_type": "record",
        "timestamp": START + 280 * SPAN,
        "bucket_span": 900,
        "detector_index": 0,
        "is_interim": False,
        "multi_bucket_impact": -5.0,
        "function": "sum",
        "function_description": "sum",
        "field_name": "price",
        "partition_field_name": "country,gender",
        "partition_field_value": "GB,MALE",
        "partition_fields": [{"name": "country", "value": "GB"}, {"name": "gender", "value": "MALE"}],
        "influencers": [
            {"influencer_field_name": "country", "influencer_field_values": ["GB"]},
            {"influencer_field_name": "gender", "influencer_field_values": ["MALE"]},
        ],
        "driver": record["driver"],
        "country": ["GB"],
        "gender": ["MALE"],
    }
    assert explained["anomaly_type"] == "spike"
    assert explained["lower_confidence_bound"] < explained["typical_value"] < explained["upper_confidence_bound"]
    assert explained["single_bucket_impact"] >= 4
    count = next(one for one in worst if one["function"] == "high_count")
    assert (count["function_description"], count["by_field_value"], count["country"]) == ("count", "GB", ["GB"])
    assert "field_name" not in count


def test_buckets_influencers_and_the_band(service: JobsService) -> None:
    burst = START + 280 * SPAN
    (bucket,) = service.buckets("orders", timestamp_ms=burst, expand=True)["buckets"]
    assert bucket["event_count"] > 300
    blamed = {one["influencer_field_name"]: one["anomaly_score"] for one in bucket["bucket_influencers"]}
    assert blamed["bucket_time"] == bucket["anomaly_score"] > 75.0
    assert {record["timestamp"] for record in bucket["records"]} == {burst}
    assert set(blamed) == {"country", "gender", "bucket_time"}
    assert service.buckets("orders")["count"] == 299
    worst = service.influencers("orders")["influencers"][0]
    assert (worst["timestamp"], worst[worst["influencer_field_name"]]) == (burst, worst["influencer_field_value"])
    plot = service.model_plot("orders", Wanted(burst, burst + 1))["model_plot"]
    assert {(one["function"], one.get("by_field_value", "GB")) for one in plot} == {("sum", "GB"), ("high_count", "GB")}
    assert all(one["model_lower"] < one["model_median"] < one["model_upper"] for one in plot)
    with pytest.raises(JobsNotFoundError, match=r"No known bucket of job \[orders\] with timestamp \[5\]"):
        service.buckets("orders", timestamp_ms=5)
    with pytest.raises(JobsValueError, match=r"\[sort\] buckets are sorted by timestamp, anomaly_score"):
        service.buckets("orders", Wanted(sort="colour"))


def test_overall_buckets_take_the_worst_of_each_time(service: JobsService) -> None:
    found = service.overall_buckets("orders", bucket_span="1h", overall_score=75.0)
    assert [one["timestamp"] for one in found["overall_buckets"]] == [START + 280 * SPAN]
    (one,) = found["overall_buckets"]
    assert one["jobs"] == [{"job_id": "orders", "max_anomaly_score": one["overall_score"]}]
    assert (one["bucket_span"], one["is_interim"]) == (3600, False)
    with pytest.raises(JobsValueError, match=r"\[bucket_span\] has to be at least .* 15m, got 5m"):
        service.overall_buckets("orders", bucket_span="5m")
    with pytest.raises(JobsValueError, match=r"\[top_n\] has to be 1 or more, got 0"):
        service.overall_buckets("orders", top_n=0)


def test_stats_say_what_came_and_what_it_takes(service: JobsService) -> None:
    found = service.job_stats("shop")
    (job,) = found["jobs"]
    assert (found["count"], job["state"], job["open_time"]) == (1, "opened", "0s")
    assert job["data_counts"]["processed_record_count"] == 12_300
    assert job["data_counts"]["bucket_count"] == 299
    assert job["model_size_stats"]["memory_status"] == "ok"
    assert job["model_size_stats"]["total_partition_field_count"] == 4
    (config,) = service.jobs_json("orders")["jobs"]
    assert config["analysis_config"]["detectors"][0]["partition_field_name"] == ["country", "gender"]


def test_an_update_changes_what_may_change(empty: JobsService) -> None:
    updated = empty.update_job(
        "orders",
        {
            "description": "all orders",
            "groups": ["web"],
            "detectors": [{"detector_index": 1, "description": "many"}],
            "analysis_limits": {"model_memory_limit": "20mb"},
            "model_plot_config": None,
            "model_prune_window": "30d",
        },
    )
    config = updated.config
    assert (config.description, config.groups, config.detectors[1].description()) == ("all orders", ["web"], "many")
    assert (config.memory_limit, config.model_plot_config.enabled) == (20 << 20, False)
    assert [job.id for job in empty.resources.jobs("web")] == ["orders"]


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ({"analysis_config": {}}, JobsBodyError, r"\[analysis_config\] cannot be changed once a job is made"),
        ({"colour": 1}, JobsBodyError, r"\[colour\] unknown field"),
        ({"groups": ["orders"]}, JobsValueError, "may not have its own id"),
        ({"groups": ["other"]}, JobsExistsError, r"share one name space; \[other\] is a job"),
        (
            {"analysis_limits": {"model_memory_limit": "20mb"}},
            JobsConflictError,
            r"\[analysis_limits\] while .* opened",
        ),
        (
            {"detectors": [{"detector_index": 2, "description": "x"}]},
            JobsRequestError,
            r"\[detectors\[0\].detector_index\] detector_index is out of range: 2; the job has 2",
        ),
        (
            {"detectors": [{"detector_index": 0, "custom_rules": [{}]}]},
            JobsValueError,
            r"\[detectors\[0\].custom_rules\].*not supported",
        ),
        ({"job_id": "x"}, JobsValueError, "in the body is 'x', in the address 'orders'"),
        ({"model_prune_window": "10m"}, JobsValueError, "has to be a multiple of bucket_span"),
    ],
)
def test_an_update_that_cannot_be_is_refused(
    empty: JobsService, body: dict[str, Any], error: type[Exception], message: str
) -> None:
    empty.put_job({"analysis_config": {"detectors": [{"function": "count"}]}}, job_id="other")
    empty.open_job("orders")
    before = empty.resources.job("orders")
    with pytest.raises(error, match=message):
        empty.update_job("orders", body)
    assert empty.resources.job("orders") == before


def test_a_limit_below_what_the_models_take_is_refused(service: JobsService) -> None:
    service.put_job({**JOB, "groups": []}, job_id="small")
    used = service.resources.job("orders").size
    service.resources.change_job("small", size={**used, "model_bytes": 5 << 20})
    with pytest.raises(JobsValueError, match=r"cannot be 4mb: the models of job \[small\] take 5mb already"):
        service.update_job("small", {"analysis_limits": {"model_memory_limit": "4mb"}})
    service.delete_job("small")


def test_a_datafeed_is_updated_while_it_is_stopped(empty: JobsService) -> None:
    feed = empty.update_datafeed("feed", {"query": {"term": {"country": "GB"}}, "query_delay": "90s"})
    assert feed.config.query_delay_ms == 90_000
    assert empty.update_datafeed("feed", {"query": None}).config.query == {"match_all": {}}
    with pytest.raises(JobsValueError, match=r"\[job_id\] cannot be changed; it is 'orders', got 'x'"):
        empty.update_datafeed("feed", {"job_id": "x"})
    with pytest.raises(JobsValueError, match=r"\[analysis_config.summary_count_field_name\]"):
        empty.update_datafeed("feed", {"aggs": {"buckets": {"date_histogram": {}}}})
    empty.resources.change_datafeed("feed", state="started")
    with pytest.raises(JobsConflictError, match=r"Cannot update datafeed \[feed\] while its status is started"):
        empty.update_datafeed("feed", {"query_delay": "1s"})


def test_patterns_stand_for_many(empty: JobsService) -> None:
    empty.put_job({"analysis_config": {"detectors": [{"function": "count"}]}}, job_id="other")
    assert [job.state for job in empty.open_jobs("shop,oth*")] == ["opened", "opened"]
    empty.resources.change_datafeed("feed", state="started")
    with pytest.raises(JobsConflictError, match=r"Cannot close job \[orders\] while its datafeed \[feed\] is started"):
        empty.close_jobs("_all")
    assert empty.resources.job("other").state == "opened"
    assert [feed.state for feed in empty.stop_datafeeds("f*", close_job=True)] == ["stopped"]
    assert [job.state for job in empty.close_jobs("*")] == ["closed", "closed"]
    assert empty.stop_datafeeds("nothing*") == []
    with pytest.raises(JobsNotFoundError, match="No known job with id 'nothing"):
        empty.close_jobs("nothing*", allow_no_match=False)
    with pytest.raises(JobsNotFoundError, match="No known datafeed with id 'nothing'"):
        empty.stop_datafeeds("nothing")


def test_flush_finishes_skips_or_looks_ahead(empty: JobsService) -> None:
    with pytest.raises(JobsConflictError, match=r"Cannot use job \[orders\] while its state is \[closed\]"):
        empty.flush_job("orders")
    empty.open_job("orders")
    assert empty.flush_job("orders") == {"flushed": True, "last_finalized_bucket_end": 0}
    empty.post_data("orders", rows(100, burst=99))
    done = empty.flush_job("orders", calc_interim=True)
    assert done["last_finalized_bucket_end"] == START + 99 * SPAN
    assert [one["is_interim"] for one in empty.records("orders", Wanted(START + 99 * SPAN))["records"]]
    done = empty.flush_job("orders", advance_time_ms=START + 100 * SPAN)
    assert done["last_finalized_bucket_end"] == START + 100 * SPAN
    empty.flush_job("orders", skip_time_ms=START + 200 * SPAN)
    assert empty.resources.job("orders").analysed_to_ms == START + 200 * SPAN
    with pytest.raises(JobsValueError, match="exclude each other"):
        empty.flush_job("orders", advance_time_ms=1, skip_time_ms=1)
    with pytest.raises(JobsValueError, match=r"go with \[calc_interim\]"):
        empty.flush_job("orders", start_ms=1)


def test_configs_are_checked_without_being_made(empty: JobsService) -> None:
    assert empty.validate_job(JOB).detectors[0].partition_fields == ("country", "gender")
    with pytest.raises(JobsValueError, match=r"\[analysis_config.detectors\[0\].function\] unknown function \[x\]"):
        empty.validate_job({"analysis_config": {"detectors": [{"function": "x"}]}})
    assert empty.validate_detector({"function": "nzc"}).function == "non_zero_count"
    with pytest.raises(JobsValueError, match=r"the function \[sum\] needs a field_name"):
        empty.validate_detector({"function": "sum"})
    assert [job.id for job in empty.resources.jobs()] == ["orders"]


def test_memory_is_estimated_from_what_a_series_takes(empty: JobsService) -> None:
    analysis = JOB["analysis_config"]
    few = empty.estimate_model_memory(analysis, {"country": 10, "gender": 2})
    many = empty.estimate_model_memory(analysis, {"country": 1000, "gender": 2})
    assert few == {"model_memory_estimate": "1mb"}
    assert 30 < int(many["model_memory_estimate"].removesuffix("mb")) < 100
    with pytest.raises(JobsValueError, match=r"\[overall_cardinality.gender\] is needed for the field \[gender\]"):
        empty.estimate_model_memory(analysis, {"country": 10})


def test_stats_tell_how_long_buckets_take_over_all_processes(empty: JobsService) -> None:
    job = {**JOB, "analysis_config": {**JOB["analysis_config"], "bucket_span": "30m"}}
    empty.put_job(job, job_id="timed")
    empty.open_job("timed")
    frame = rows(80, burst=70)
    for start in range(0, len(frame), 700):
        # Each time as another process.
        JobsService(empty.store, now_ms=empty.now_ms).post_data("timed", frame.iloc[start : start + 700])
    stats = empty.job_stats("timed")["jobs"][0]
    timing = stats["timing_stats"]
    least, most = (timing[f"{which}_bucket_processing_time_ms"] for which in ("minimum", "maximum"))
    assert timing["bucket_count"] == stats["data_counts"]["bucket_count"] == 39
    assert 0.0 < least < timing["average_bucket_processing_time_ms"] < most
    assert timing["total_bucket_processing_time_ms"] == pytest.approx(39 * timing["average_bucket_processing_time_ms"])
    average = timing["exponential_average_bucket_processing_time_ms"]
    assert least <= average <= most
    assert timing["exponential_average_bucket_processing_time_per_hour_ms"] == pytest.approx(2 * average)
    buckets = empty.buckets("timed")["buckets"]
    each = [one["processing_time_ms"] for one in buckets]
    assert min(each) >= 1
    assert timing["total_bucket_processing_time_ms"] <= sum(each) <= timing["total_bucket_processing_time_ms"] + 39
    # Rows of the open bucket are no part of what the limit bounds.
    assert stats["model_size_stats"]["open_bucket_bytes"] > 0
    empty.close_job("timed")
    empty.reset_job("timed")
    assert empty.job_stats("timed")["jobs"][0]["timing_stats"]["total_bucket_processing_time_ms"] == 0.0


def test_memory_that_is_full_is_told_of(empty: JobsService) -> None:
    empty.put_job(
        {
            "analysis_config": {"detectors": [{"function": "count", "partition_field_name": "p"}]},
            "analysis_limits": {"model_memory_limit": "1mb"},
        },
        job_id="full",
    )
    empty.open_job("full")
    for bucket, partitions in enumerate((20, 30, 100, 100)):
        times = np.full(partitions, START + bucket * 5 * MINUTE)
        empty.post_data("full", pd.DataFrame({"time": times, "p": [f"p{one}" for one in range(partitions)]}))
    size = empty.job_stats("full")["jobs"][0]["model_size_stats"]
    assert size["memory_status"] == "hard_limit"
    assert size["peak_model_bytes"] >= size["model_bytes"]
    assert size["total_partition_field_count"] < 100
    hard, soft = sorted(one["message"] for one in empty.messages.of("full") if "Memory" in one["message"])
    assert re.fullmatch(r"Memory is at soft_limit: its models take 0\.[6-9] MB of 1 MB\.", soft)
    assert "at hard_limit: its models take 1.0 MB of 1 MB, so series that are new are not analysed" in hard
    assert "Raise analysis_limits.model_memory_limit while the job is closed" in hard


def test_a_new_job_begins_without_what_an_old_one_of_its_name_left(empty: JobsService) -> None:
    empty.open_job("orders")
    empty.post_data("orders", rows(100, burst=90))
    empty.close_job("orders")
    # As a process does that dies in the middle of deleting.
    empty.resources.drop_datafeed("feed")
    empty.resources.drop_job("orders")
    empty.put_job(JOB, job_id="orders")
    assert empty.buckets("orders")["count"] == 0
    empty.open_job("orders")
    empty.post_data("orders", rows(2, burst=1))
    assert empty.job_stats("orders")["jobs"][0]["data_counts"]["processed_record_count"] == 380
