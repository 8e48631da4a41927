"""What a datafeed's JSON may hold."""

from __future__ import annotations

from typing import Any

import pytest

from gridwatch.errors import JobsBodyError, JobsValueError
from gridwatch.jobs.config import check_together, parse_datafeed, parse_job

LOGS: dict[str, Any] = {
    "indices": ["kibana_sample_data_logs"],
    "query": {"bool": {"must": [{"match_all": {}}]}},
    "job_id": "event_rate_logs2",
}


def feed(**changes: Any) -> dict[str, Any]:
    """Return a datafeed's body with changes."""
    return {**LOGS, **changes}


def test_a_datafeed_is_answered_with_its_defaults_written_out() -> None:
    answered = parse_datafeed(LOGS, datafeed_id="datafeed-event_rate_logs2").to_json()
    assert 60_000 <= int(answered.pop("query_delay").rstrip("ms")) < 120_000
    assert answered == {
        "datafeed_id": "datafeed-event_rate_logs2",
        "job_id": "event_rate_logs2",
        "indices": ["kibana_sample_data_logs"],
        "query": {"bool": {"must": [{"match_all": {}}]}},
        "scroll_size": 1000,
        "chunking_config": {"mode": "auto"},
        "delayed_data_check_config": {"enabled": True},
    }


def test_without_a_name_of_its_own_it_has_its_jobs() -> None:
    assert parse_datafeed({"indexes": "a, b-*"}, job_id="j").datafeed_id == "j"
    assert parse_datafeed({"indexes": "a, b-*"}, job_id="j").index_names == ["a", "b-*"]


@pytest.mark.parametrize(
    ("span", "frequency"),
    [("30s", 60_000), ("2m", 60_000), ("5m", 150_000), ("20m", 600_000), ("1h", 600_000), ("1d", 3_600_000)],
)
def test_the_default_frequency_follows_the_bucket_span(span: str, frequency: int) -> None:
    job = parse_job({"analysis_config": {"bucket_span": span, "detectors": [{"function": "count"}]}}, job_id="j")
    assert parse_datafeed(LOGS).frequency_ms(job.bucket_span_ms) == frequency


def test_the_default_frequency_keeps_whole_intervals_of_the_histogram() -> None:
    assert parse_datafeed(LOGS).frequency_ms(900_000, 240_000) == 240_000
    assert parse_datafeed(LOGS).frequency_ms(900_000, 900_000) == 900_000


def test_chunks_follow_the_aggregation_unless_told() -> None:
    plain = parse_datafeed(LOGS)
    assert plain.chunk_ms(None, composite=False) is None
    assert plain.chunk_ms(60_000, composite=False) == 60_000_000
    assert plain.chunk_ms(60_000, composite=True) == 0
    assert parse_datafeed(feed(chunking_config={"mode": "manual"})).chunk_ms(None, composite=False) == 10_800_000
    assert parse_datafeed(feed(chunking_config={"mode": "off"})).chunk_ms(60_000, composite=False) == 0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (feed(index="a"), r"unknown field \[index\], did you mean"),
        (feed(scroll_size=-1), r"\[scroll_size\] -1 is not taken: should be greater than or equal to 0"),
        (feed(scroll_size=10_001), r"\[scroll_size\] 10001 is not taken: should be less than or equal to 10000"),
        (feed(chunking_config={"mode": "fast"}), r"\[chunking_config.mode\] 'fast' is not taken"),
        (feed(query=[]), r"\[query\] \[\] is not taken"),
        ({"indices": ["a"]}, r"\[job_id\] is required"),
    ],
)
def test_another_shape_is_refused_with_the_path(body: Any, says: str) -> None:
    with pytest.raises(JobsBodyError, match=says):
        parse_datafeed(body)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (feed(aggs={}, aggregations={}), r"\[aggs\] and \[aggregations\] are the same"),
        (feed(indices=[" , "]), r"\[indices\] names no container"),
        (feed(script_fields={}), r"\[script_fields\] is not supported; use runtime_mappings"),
        (feed(max_empty_searches=0), "above 0, or -1 for none, got 0"),
        (feed(frequency="1500ms"), r"\[frequency\] has to be whole seconds"),
        (feed(query_delay="-1s"), r"\[query_delay\] cannot be less than 0"),
        (feed(chunking_config={"mode": "auto", "time_span": "1h"}), "goes with mode manual only"),
        (feed(chunking_config={"mode": "manual", "time_span": "0s"}), r"time_span\] has to be above 0"),
        (feed(datafeed_id="Feed"), r"\[datafeed_id\] invalid id 'Feed'"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(body: Any, says: str) -> None:
    with pytest.raises(JobsValueError, match=says):
        parse_datafeed(body)


@pytest.mark.parametrize(
    ("analysis", "changes", "says"),
    [
        ({"latency": "1m"}, {}, "job with latency cannot have a datafeed"),
        ({}, {"aggregations": {"buckets": {}}}, "needs a job with summary_count_field_name"),
        ({}, {"runtime_mappings": {"ts": {"type": "long"}}}, "'ts' may not be a runtime field"),
        ({}, {"delayed_data_check_config": {"check_window": "1m"}}, r"at least the bucket_span \(5m\)"),
        ({}, {"delayed_data_check_config": {"check_window": "100d"}}, "below 10000 of them"),
    ],
)
def test_a_job_and_a_datafeed_that_cannot_work_together(analysis: Any, changes: Any, says: str) -> None:
    body = {
        "analysis_config": {"detectors": [{"function": "count"}], **analysis},
        "data_description": {"time_field": "ts"},
    }
    with pytest.raises(JobsValueError, match=says):
        check_together(parse_job(body, job_id="j"), parse_datafeed(feed(job_id="j", **changes)))
