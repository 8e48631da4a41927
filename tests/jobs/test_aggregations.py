"""What the aggregations of a datafeed may be, for which job, and what they are refused for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gridwatch.errors import JobsBodyError, JobsError, JobsValueError
from gridwatch.jobs.aggregations import check_aggregations, interval_of
from gridwatch.jobs.aggregations.tree import Interval
from gridwatch.jobs.config import check_together, parse_datafeed, parse_job

LATEST = {"ts": {"max": {"field": "ts"}}}
HISTOGRAM = {"date_histogram": {"field": "ts", "fixed_interval": "5m"}}


def job(**analysis: Any) -> Any:
    """Return a job of 15 minutes that measures `bytes` by `host`, with changes."""
    detector = {"function": "mean", "field_name": "bytes", "partition_field_name": "host"}
    body = {"bucket_span": "15m", "detectors": [detector], "summary_count_field_name": "doc_count", **analysis}
    return parse_job({"analysis_config": body, "data_description": {"time_field": "ts"}}, job_id="j")


def counting(**analysis: Any) -> Any:
    return job(detectors=[{"function": "count"}], **analysis)


def feed(aggs: Any, **changes: Any) -> Any:
    return parse_datafeed({"indices": "logs", "job_id": "j", "aggs": aggs, **changes})


def inside(inner: dict[str, Any], **around: Any) -> dict[str, Any]:
    """Return a histogram with the latest time and more inside it."""
    return {"buckets": {**(around or HISTOGRAM), "aggs": {**LATEST, **inner}}}


def by_host(inner: dict[str, Any], name: str = "host") -> dict[str, Any]:
    return {name: {"terms": {"field": "host", "size": 1000}, "aggs": inner}}


BYTES = {"bytes": {"avg": {"field": "bytes"}}}
GOOD = inside(by_host(BYTES))


def histogram(**body: Any) -> dict[str, Any]:
    return inside({}, date_histogram={"field": "ts", **body})


def composite(*sources: dict[str, Any], **body: Any) -> dict[str, Any]:
    return inside(BYTES, composite={"sources": list(sources), **body})


AVG_BYTES = inside(by_host({"avg_bytes": {"avg": {"field": "bytes"}}}))
TWICE = inside({**by_host(BYTES), "b": {"terms": {"field": "x"}, "aggs": BYTES}})
OVER_AT = inside({}, date_histogram={"field": "at", "fixed_interval": "5m"})
WHEN = {"when": HISTOGRAM}
HOST = {"host": {"terms": {"field": "host"}}}


def test_a_plan_has_the_levels_columns_and_fields_that_the_job_needs() -> None:
    unused = {"other": {"terms": {"field": "region"}, "aggs": {"x": {"max": {"field": "y"}}}}}
    plan = check_aggregations(job(), feed(inside({**by_host(BYTES), **unused, "z": {"sum": {"field": "z"}}})))
    assert plan is not None
    assert [len(level.keys) for level in plan.levels] == [0, 1]
    assert (plan.columns, plan.fields, plan.summary) == (("bytes", "host", "doc_count"), ("host", "bytes"), "doc_count")
    assert check_aggregations(job(), parse_datafeed({"indices": "a", "job_id": "j"})) is None


@pytest.mark.parametrize(
    "aggs",
    [
        by_host({"buckets": {**HISTOGRAM, "aggs": {**LATEST, **BYTES}}}),
        {"f": {"filter": {"term": {"up": True}}, "aggs": inside(by_host(BYTES))}},
        inside({"f": {"filter": {"match_all": {}}, "aggs": by_host(BYTES)}}),
        composite(HOST, WHEN, size=500),
        {"b": {"histogram": {"field": "ts", "interval": 300000}, "aggs": {**LATEST, **by_host(BYTES)}, "meta": {}}},
        inside(by_host({"bytes": {"percentiles": {"field": "bytes", "percents": [95], "keyed": False}}})),
        inside(
            by_host(BYTES),
            date_histogram={
                "field": "ts", "calendar_interval": "1m", "time_zone": "UTC", "offset": 0, "order": {"_key": "asc"},
                "keyed": False, "min_doc_count": 0,
            },
        ),
    ],
)  # fmt: skip
def test_what_elasticsearch_takes_is_taken(aggs: Any) -> None:
    check_together(job(), feed(aggs))


@pytest.mark.parametrize(
    ("aggs", "says"),
    [
        ([], r"^\[aggregations\] expected an object, got \[\[\]\]"),
        ({"b": {}}, r"^\[aggregations.b\] \[b\] has no kind of aggregation; it takes one; allowed: date_histogram"),
        ({"b": {"terms": {}, "max": {}}}, r"\[b\] has 2 kinds \(terms, max\)"),
        ({"b": {"median": {"field": "x"}}}, r"^\[aggregations.b.median\] the aggregation \[median\] is unknown"),
        ({"b": {"stats": {"field": "x"}}}, r"\[stats\] is unknown or not supported; use max, min, avg, sum"),
        (inside({"x": {"scripted_metric": {}}}), r"\[scripted_metric\] is .* not supported; use a runtime field"),
        (inside({"x": {"derivative": {"buckets_path": "a"}}}), r"buckets.aggs.x.derivative\] the aggregation"),
        (inside({"x": {"max": {}}}), r"x.max\] \[field\] is required and is missing"),
        (inside({"x": {"max": {"field": 5}}}), r"x.max.field\] expected a text, got \[5\]"),
        (inside({"x": {"max": {"script": "1"}}}), r"\[script\] is not supported: name a runtime field"),
        (inside({"x": {"max": {"feild": "y"}}}), r"unknown key \[feild\]; allowed: field, format, missing"),
        (histogram(interval="5m"), r'date_histogram.interval\] \[interval\] is not supported: write "fixed_interval"'),
        (histogram(fixed_interval="5m", extended_bounds={}), r"\[extended_bounds\] is not supported: empty buckets"),
        (composite(HOST), r"sources\] exactly one source has to be a date_histogram, got 0"),
        (composite(WHEN, {"a": {"histogram": {}}}), r"sources\[1\].a\] got \[histogram\]; allowed: terms"),
        (composite(WHEN, after={"host": "a"}), r"\[after\] is not supported: the datafeed pages by itself"),
    ],
)  # fmt: skip
def test_another_shape_is_refused_with_path_and_choices(aggs: Any, says: str) -> None:
    with pytest.raises((JobsBodyError, JobsValueError), match=says) as caught:
        check_aggregations(counting(), feed({"a": 1}).model_copy(update={"aggregations": aggs}))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("aggs", "says"),
    [
        ({}, "exactly one aggregation leads to the date_histogram.*there is none"),
        ({"a": HISTOGRAM, "b": HISTOGRAM}, r"alone at its level.*got \[a\], \[b\]"),
        ({"a": {"max": {"field": "ts"}}}, r"^\[aggregations.a\] \[a\] is max; a datafeed needs a date_histogram"),
        (inside({"c": HISTOGRAM}), r"aggs.c\] a second histogram below the first"),
        ({"b": HISTOGRAM}, r'^\[aggregations.b\] has to have the latest .*: "ts": \{"max": \{"field": "ts"\}\}'),
        ({"b": {**HISTOGRAM, "aggs": {"latest": {"max": {"field": "ts"}}}}}, r"called \[latest\]; rename it to \[ts\]"),
        ({"b": {**HISTOGRAM, "aggs": {"ts": {"min": {"field": "ts"}}}}}, r"aggs.ts\].*has to be its max"),
        (OVER_AT, r"over 'at', the job's time_field is 'ts'"),
        ({"x": {"terms": {"field": "a"}, "aggs": composite(WHEN)}}, r"a composite has to be the top aggregation"),
        (histogram(), r"give one of \[fixed_interval\] and \[calendar_interval\]"),
        (histogram(fixed_interval="0s"), r"fixed_interval\] has to be above 0, got \[0s\]"),
        (histogram(fixed_interval="x"), r"fixed_interval\] failed to parse 'x' as a time value"),
        (histogram(fixed_interval="30m"), r"\[30m\] is longer than the job's bucket_span \[15m\]; make it 15m"),
        (histogram(fixed_interval="7m"), r"\[7m\] does not divide the job's bucket_span \[15m\].*such as 5m"),
        (histogram(calendar_interval="month"), r"may be a week at most, got \[month\]; allowed: 1m, minute"),
        (histogram(calendar_interval="2d"), r"unknown calendar interval \[2d\]; fixed_interval takes any"),
        (histogram(fixed_interval="5m", time_zone="Asia/Tokyo"), r"has to be in UTC, got \[Asia/Tokyo\]"),
        (histogram(fixed_interval="5m", offset="1m"), r"offset\] \[1m\] would let buckets lie across the job's"),
        (histogram(fixed_interval="5m", min_doc_count=5), r"min_doc_count\] \[5\]: a datafeed reads all buckets"),
        (inside({"a": {"percentiles": {"field": "x"}}}), r'seven unless told; give one: "percents": \[95\]'),
        (inside({"a": {"percentiles": {"field": "x", "percents": [5, 95]}}}), "takes one value, got 2"),
        (inside({"a": {"percentiles": {"field": "x", "percents": [101]}}}), "101.0 is out of bounds: 0 to 100"),
        (inside({"a": {"filter": {"match_all": {}}}}), "a filter by itself gives no field; put a metric inside it"),
        (inside({"a": {"max": {"field": "x"}, "aggs": {"b": HISTOGRAM}}}), r"\[max\] cannot have aggregations"),
        (inside({"a]": {"max": {"field": "x"}}}), r"invalid aggregation name \[a\]\]"),
        (inside({"doc_count": {"max": {"field": "x"}}}), r"\[doc_count\] is the number of rows in a bucket"),
        (composite(WHEN, WHEN), r"two sources are called \[when\]"),
        (composite(WHEN, size=0), r"size\] 0 is out of bounds: 1 to 65536"),
        (composite(WHEN, {"a": {"terms": {"field": "x", "missing_bucket": True}}}), "rows without a value cannot"),
        (composite(WHEN, {"a": {"terms": {"field": "x", "order": "desc"}}}), "reads in ascending order; allowed: asc"),
        (inside({"a": {"terms": {"field": "x", "include": ["b"]}}}), r"\[include\] is not supported: narrow the rows"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_what_to_change(aggs: Any, says: str) -> None:
    with pytest.raises(JobsError, match=says) as caught:
        check_together(counting(), feed(aggs))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("aggs", "says"),
    [
        (AVG_BYTES, r"rename \[avg_bytes\] \(at .*\), which is of this field, to \[bytes\]"),
        (inside(by_host(BYTES, name="hosts")), r"the job needs the field 'host', and no .* rename \[hosts\]"),
        (inside({"byte": {"avg": {"field": "x"}}, **by_host({})}), r"'bytes'.* did you mean it by \[byte\]\?"),
        (inside({}), r"add one called \[bytes\]: a metric where it is measured, terms where it splits"),
        (inside({**BYTES, **by_host(BYTES)}), r"two aggregations are called \[bytes\], here and at .*aggs.bytes\]"),
        (TWICE, r"\[host\] and \[b\] make buckets at one level"),
    ],
)  # fmt: skip
def test_a_field_that_no_aggregation_is_called_by_is_an_error(aggs: Any, says: str) -> None:
    with pytest.raises(JobsValueError, match=says):
        check_aggregations(job(), feed(aggs))


def test_the_job_and_the_feed_have_to_fit_the_interval() -> None:
    with pytest.raises(JobsValueError, match=r"frequency\] has to be a multiple of .* \[5m\], got '7m'; take 5m"):
        check_together(job(), feed(GOOD, frequency="7m"))
    with pytest.raises(JobsValueError, match=r"needs a job with summary_count_field_name, usually doc_count"):
        check_together(job(summary_count_field_name=None), feed(GOOD))
    check_together(
        job(summary_count_field_name="n"), feed(inside(by_host({**BYTES, "n": {"value_count": {"field": "bytes"}}})))
    )
    assert feed(GOOD).frequency_ms(15 * 60_000) == 5 * 60_000
    assert feed(GOOD).to_json()["chunking_config"] == {"mode": "manual", "time_span": "5000m"}
    assert feed(composite(WHEN)).to_json()["chunking_config"] == {"mode": "off"}


def test_weeks_begin_on_monday() -> None:
    assert interval_of(histogram(calendar_interval="week")) == (7 * 86_400_000, False)
    monday = 1_708_300_800_000  # 2024-02-19
    week = Interval("b", "", "ts", 7 * 86_400_000, 4 * 86_400_000)
    assert [week.floor(monday - 1), week.floor(monday), week.floor(monday + 6 * 86_400_000)] == [
        monday - 7 * 86_400_000,
        monday,
        monday,
    ]


def test_depth_and_number_are_bounded() -> None:
    deep: dict[str, Any] = inside({})
    for _ in range(25):
        deep = {"a": {"filter": {"match_all": {}}, "aggs": deep}}
    with pytest.raises(JobsValueError, match="nested deeper than 20 levels"):
        check_together(counting(), feed(deep))
    many = {f"a{number}": {"max": {"field": "x"}} for number in range(300)}
    with pytest.raises(JobsValueError, match="more than 200 aggregations"):
        check_together(counting(), feed(inside(many)))


JUNK: list[Any] = [
    None,
    True,
    0,
    -1,
    1e308,
    10**400,
    "9" * 5000 + "m",
    "",
    "x",
    "5m",
    [],
    [[]],
    {},
    {"a": {}},
    {"field": "ts"},
    HISTOGRAM,
]
WHOLE = [
    GOOD,
    composite(HOST, WHEN, size=500),
    {"f": {"filter": {"term": {"up": True}}, "aggs": inside(by_host(BYTES))}},
    inside(
        by_host({"bytes": {"percentiles": {"field": "bytes", "percents": [95]}}}),
        histogram={"field": "ts", "interval": 1},
    ),
]  # fmt: skip


def places(content: Any) -> list[tuple[Any, Any]]:
    """Return every object or list in JSON with each of its keys."""
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    return [(content, key) for key in keys] + [found for key in keys for found in places(content[key])]


def test_whatever_stands_anywhere_is_taken_or_refused_as_a_jobs_error() -> None:
    taken = refused = 0
    for whole in WHOLE:
        for number in range(len(places(whole))):
            for junk in JUNK:
                aggs = json.loads(json.dumps(whole))
                outer, key = places(aggs)[number]
                outer[key] = junk
                try:
                    checked = feed(GOOD).model_copy(update={"aggregations": aggs})
                    check_together(job(), checked)
                    checked.to_json()
                    taken += 1
                except JobsError:
                    refused += 1
    assert taken > 10
    assert refused > 500
