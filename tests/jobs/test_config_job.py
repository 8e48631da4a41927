"""What a job's JSON may hold."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridwatch.errors import JobsBodyError, JobsError, JobsValueError
from gridwatch.jobs.config import check_new, parse_job

# As in an article on datafeeds; must be taken as it stands.
EVENT_RATE: dict[str, Any] = {
    "analysis_config": {"bucket_span": "15m", "detectors": [{"function": "count"}], "influencers": []},
    "data_description": {"time_field": "timestamp"},
    "analysis_limits": {"model_memory_limit": "11MB"},
}


def job(analysis: dict[str, Any] | None = None, detector: dict[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    """Return a job's body with changes."""
    detectors = [detector or {"function": "mean", "field_name": "price"}]
    return {
        "analysis_config": {"bucket_span": "1h", "detectors": detectors, **(analysis or {})},
        "data_description": {"time_field": "ts"},
        **top,
    }


def test_a_job_is_answered_with_its_defaults_written_out() -> None:
    assert parse_job(EVENT_RATE, job_id="event_rate_logs").to_json() == {
        "job_id": "event_rate_logs",
        "job_type": "anomaly_detector",
        "analysis_config": {
            "bucket_span": "15m",
            "detectors": [{"detector_description": "count", "function": "count", "detector_index": 0}],
            "influencers": [],
            "model_prune_window": "30d",
        },
        "analysis_limits": {"model_memory_limit": "11mb", "categorization_examples_limit": 4},
        "data_description": {"time_field": "timestamp", "time_format": "epoch"},
        "model_snapshot_retention_days": 10,
        "daily_model_snapshot_retention_after_days": 1,
        "results_index_name": "shared",
        "allow_lazy_open": False,
    }


def test_what_is_answered_is_taken_again() -> None:
    body = job(
        {"influencers": ["country"], "summary_count_field_name": "doc_count", "model_prune_window": "60h"},
        {"function": "high_avg", "field_name": "price", "partition_field_name": ["a.b", "c"], "by_field_name": "d"},
        groups=["shop"],
        model_plot_config={"enabled": True},
        model={"type": "lstm"},
    )
    first = parse_job(body, job_id="j")
    assert parse_job(json.loads(json.dumps(first.to_json()))).to_json() == first.to_json()
    assert first.detectors[0].function == "high_mean"
    assert first.detectors[0].description() == "high_mean(price) by d partitionfield=a.b partitionfield=c"
    assert first.fields == ("price", "a.b", "c", "d", "country")


@pytest.mark.parametrize("span", ["7m", "17m", "1s", "2d"])
def test_whatever_the_bucket_span_what_is_answered_is_taken_again(span: str) -> None:
    answered = parse_job(job({"bucket_span": span}), job_id="j").to_json()
    assert parse_job(answered).to_json() == answered


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], r"expected an object, got \[\]"),
        ({}, r"\[analysis_config\] is required"),
        (job(bucket_span="1h"), r"\[bucket_span\] unknown field \[bucket_span\].*analysis_config"),
        (job({"bucket_spam": "1h"}), r"\[analysis_config.bucket_spam\] unknown field .* did you mean \[bucket_span\]"),
        (job(detector={"funktion": "count"}), r"\[analysis_config.detectors\[0\].(funktion|function)\]"),
        (job({"detectors": {}}), r"\[analysis_config.detectors\] {} is not taken: should be a valid list"),
        (job({"bucket_span": 60}), r"\[analysis_config.bucket_span\] 60 is not taken: should be a valid string"),
        (job(model={"type": "forest"}), r"\[model.type\] 'forest' is not taken: should be 'auto' or 'lstm'"),
    ],
)
def test_another_shape_is_refused_with_the_path(body: Any, says: str) -> None:
    with pytest.raises(JobsBodyError, match=says) as caught:
        parse_job(body, job_id="j")
    assert (caught.value.status, caught.value.type) == (400, "x_content_parse_exception")


_DETECTOR = r"\[analysis_config.detectors\[0\]"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (job({"detectors": []}), "at least one"),
        (job(detector={"function": "avarage", "field_name": "x"}), _DETECTOR + r".function\] unknown function"),
        (job(detector={"function": "rare", "by_field_name": "x"}), r"\[rare\] is not supported yet; allowed: count"),
        (job(detector={"function": "mean"}), r"\[mean\] needs a field_name"),
        (job(detector={"function": "count", "field_name": "x"}), r"cannot be used with the function \[count\]"),
        (job(detector={"function": "count", "over_field_name": "x"}), r"over_field_name\] \(population"),
        (job(detector={"function": "count", "by_field_name": "over"}), r"by_field_name may not be 'over'"),
        (job(detector={"function": "count", "by_field_name": "a", "partition_field_name": ["b", "a"]}), "twice by 'a'"),
        (job(detector={"function": "count", "partition_field_name": []}), "empty list partitions by nothing"),
        (job(detector={"function": "min", "field_name": 'a"b'}), r"field_name\] invalid field name"),
        (job({"detectors": [{"function": "count"}] * 2}), r"detectors\[1\]\] duplicate detectors"),
        (job({"summary_count_field_name": "n"}, {"function": "metric", "field_name": "x"}), "use mean, min or max"),
        (job({"bucket_span": "0s"}), r"bucket_span\] has to be whole seconds"),
        (job({"bucket_span": "1500ms"}), r"bucket_span\] has to be whole seconds"),
        (job({"bucket_span": "quarter"}), r"bucket_span\] failed to parse"),
        (job({"latency": "-1s"}), r"latency\] cannot be less than 0"),
        (job({"model_prune_window": "90m"}), r"multiple of bucket_span \(1h\)"),
        (job({"categorization_field_name": "m"}), r"categorization_field_name\] is not supported yet"),
        (job({"influencers": ["ts"]}), r"time field 'ts' may not be used"),
        (job({"influencers": ["geo", "geo.country"]}), r"'geo' and 'geo.country' cannot both"),
        (job(analysis_limits={"model_memory_limit": "1kb"}), r"model_memory_limit\] has to be at least 1mb"),
        (job(analysis_limits={"model_memory_limit": 1 << 43}), r"model_memory_limit\] has to be below 8388608tb"),
        (job(analysis_limits={"model_memory_limit": "8192pb"}), r"has to be below 8388608tb, got '8192pb'"),
        (job(background_persist_interval="5m"), "at least 1h"),
        (job(daily_model_snapshot_retention_after_days=11), r"more than model_snapshot_retention_days \(10\)"),
        (job(create_time=1), r"cannot be set: create_time"),
        (job(groups=["j"]), "own id 'j' as a group"),
        (job(groups=["A"]), r"groups\[0\]\] invalid id 'A'"),
        (job(job_id="other"), "the job_id in the body is 'other', in the address 'j'"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_what_is(body: Any, says: str) -> None:
    with pytest.raises(JobsValueError, match=says) as caught:
        parse_job(body, job_id="j")
    assert (caught.value.status, caught.value.type) == (400, "illegal_argument_exception")


@pytest.mark.parametrize("name", ["UPPER", "-a", "a-", "a b", "", "ä", "a" * 65])
def test_ids_that_elasticsearch_refuses(name: str) -> None:
    with pytest.raises(JobsError, match="job_id"):
        parse_job(EVENT_RATE, job_id=name)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["analysis_config", "detectors", "bucket_span", "groups", "model", "data_description"]), _JSON)
def test_whatever_json_comes_nothing_but_our_error_is_raised(key: str, junk: Any) -> None:
    body = job({key: junk}) if key in {"detectors", "bucket_span"} else {**job(), key: junk}
    with contextlib.suppress(JobsError):
        parse_job(body, job_id="j")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            job(data_description={"time_field": "ts", "time_format": "foo"}),
            r"\[data_description.time_format\] Invalid date format \[foo\]",
        ),
        (
            job(detector={"function": "count", "by_field_name": "mlcategory"}),
            r"\[analysis_config.detectors\[0\]\] \[mlcategory\] stands for categories",
        ),
        (
            job(custom_settings={"gridwatch": {"alert": 50}}),
            r"\[custom_settings.gridwatch.alert\] unknown key \[alert\]; allowed: alert_score",
        ),
        (
            job(custom_settings={"gridwatch": {"alert_score": "50"}}),
            r"\[custom_settings.gridwatch.alert_score\] '50' is not taken: should be a number from 0 to 100",
        ),
        (job(custom_settings={"gridwatch": [50]}), r"\[custom_settings.gridwatch\] \[50\] is not taken"),
        (job({"bucket_span": "366d"}), r"\[analysis_config.bucket_span\] has to be at most 365d, got '366d'"),
        *(
            (
                job(data_description={"time_field": "ts", "time_format": pattern}),
                rf"\[data_description.time_format\] no moment .*{re.escape(pattern)}.* has no {lacks}; .*"
                "allowed: epoch, epoch_ms",
            )
            for pattern, lacks in (
                ("yyyy", "month"),
                ("year", "month"),
                ("yyyy-MM-dd", "hour"),
                ("HH:mm:ss", "year"),
                ("MMM dd HH:mm:ss", "year"),
                ("yyyy-MM-dd hh:mm", "hour"),
                ("yyyy-MM HH", "day"),
                ("epoch_millis||yyyy", "month"),
            )
        ),
        *(
            (job(results_index_name=name), r"\[results_index_name\] invalid name of an index '")
            for name in ("Mine", "mine,yours", "-mine", "mine_", "..", "a/b", "a*", "a" * 235)
        ),
    ],
)
def test_what_a_new_job_may_not_hold_is_still_read_from_the_store(body: dict[str, Any], says: str) -> None:
    stored = parse_job(body, job_id="a")
    with pytest.raises(JobsValueError, match=says):
        check_new(stored)


def test_what_is_switched_off_is_not_refused() -> None:
    parse_job(job({"per_partition_categorization": {"enabled": False}, "multivariate_by_fields": False}), job_id="a")
    with pytest.raises(JobsValueError, match=r"\[analysis_config.per_partition_categorization\] is not supported yet"):
        parse_job(job({"per_partition_categorization": {"enabled": True}}), job_id="a")


def test_a_new_job_may_hold_what_others_keep_in_its_settings() -> None:
    check_new(parse_job(job(custom_settings={"created_by": "wizard", "gridwatch": {"alert_score": 50}}), job_id="a"))
    for pattern in ("yyyy-MM-dd HH:mm", "yy-D H", "epoch_second||date_time", "strict_date_optional_time"):
        check_new(parse_job(job(data_description={"time_field": "ts", "time_format": pattern}), job_id="a"))
    check_new(parse_job(job({"bucket_span": "365d"}, results_index_name="mine.2-b"), job_id="a"))
    assert parse_job(job(results_index_name=""), job_id="a").results_index_name == "shared"
