"""What a datafeed says of containers and fields that do not fit, and how it cuts time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Store
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import (
    JobsError,
    JobsNotFoundError,
    JobsQueryError,
    JobsRequestError,
    JobsValueError,
    RangeTooLargeError,
)
from gridwatch.jobs.config import parse_datafeed, parse_job
from gridwatch.jobs.extraction import Extraction
from gridwatch.jobs.pieces import Pieces
from tests.jobs.backends import BACKENDS

START = 1_708_128_000_000
MINUTE = 60_000
COLUMNS = (
    Column("id", ColumnType.LONG, nullable=False),
    Column("at_timestamp", ColumnType.TIMESTAMP),
    Column("host.name", ColumnType.STRING),
    Column("bytes", ColumnType.LONG),
    Column("seen", ColumnType.TIMESTAMP),
    Column("seen_ns", ColumnType.TIMESTAMP_9),
    Column("up", ColumnType.BOOL),
    Column("body", ColumnType.BLOB),
)
LATEST = {"@timestamp": {"max": {"field": "@timestamp"}}}


@pytest.fixture(scope="module", params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with request.param(tmp_path_factory.mktemp("feeds")) as found:
        found.put_container(ContainerInfo("logs-1", ContainerType.COLLECTION, COLUMNS, ("id",)))
        found.put_container(ContainerInfo("logs-2", ContainerType.COLLECTION, COLUMNS[:3], ("id",)))
        for own in ("ml_logs", "ANOMALY_logs"):
            found.put_container(ContainerInfo(own, ContainerType.COLLECTION, COLUMNS[:3], ("id",)))
        found.put_container(ContainerInfo("untimed", ContainerType.COLLECTION, COLUMNS[:1], ("id",)))
        when = START + np.arange(6) * 5 * MINUTE
        rows = {
            "id": np.arange(6),
            "at_timestamp": pa.array(when, pa.timestamp("ms", "UTC")),
            "host.name": ["a", "b", "a", None, "b", "a"],
            "bytes": [1, 2, 4, 8, None, 32],
            "seen": pa.array(when + 7, pa.timestamp("ms", "UTC")),
            "seen_ns": pa.array(when * 1_000_000 + 7, pa.timestamp("ns", "UTC")),
            "up": [True, None, False, True, True, True],
        }
        found.put("logs-1", pa.table(rows))
        yield found


def look(store: Store, *fields: str, time: str = "@timestamp", now_ms: int = START, **feed: Any) -> Extraction:
    analysis: dict[str, Any] = {"bucket_span": "30m", "detectors": [{"function": "count"}], "influencers": fields}
    if "aggs" in feed:
        analysis["summary_count_field_name"] = "doc_count"
    job = parse_job({"analysis_config": analysis, "data_description": {"time_field": time}}, job_id="j")
    return Extraction(store, job, parse_datafeed({"indices": "logs-1", **feed}, job_id="j"), now_ms=now_ms)


def inside(inner: dict[str, Any], every: str = "10m") -> dict[str, Any]:
    return {"b": {"date_histogram": {"field": "@timestamp", "fixed_interval": every}, "aggs": {**LATEST, **inner}}}


def test_wildcards_pass_over_our_own_tables_and_names_find_any(store: Store) -> None:
    assert look(store, indices="logs-*").containers == ["logs-1", "logs-2"]
    assert look(store, indices="*,-*2").containers == ["logs-1"]
    assert look(store, indices=["LOGS-2", "ml_logs"]).containers == ["logs-2", "ml_logs"]
    assert look(store, indices="ANOMALY_*").containers == ["ANOMALY_logs"]
    for indices, says in (("nowhere", r"no such index \[nowhere\]"), ("n*", r"no such index \['n\*'\]: no container")):
        with pytest.raises(JobsNotFoundError, match=says):
            look(store, indices=indices)


def test_wildcards_pass_over_containers_without_the_time_field_and_names_are_told(store: Store) -> None:
    assert look(store, indices="*").containers == ["logs-1", "logs-2"]
    for indices in (["*", "untimed"], "unt*"):
        with pytest.raises(JobsValueError, match="container 'untimed' has no time field '@timestamp'"):
            look(store, indices=indices)


@pytest.mark.parametrize("aggregated", [False, True])
def test_scripts_that_are_too_deep_for_sql_are_told_as_a_wrong_request(store: Store, aggregated: bool) -> None:
    if not isinstance(store, SqliteStore):
        pytest.skip("GridDB takes deeper expressions")
    branches = "".join(f"if (a == '{n}') emit('{n}'); else " for n in range(40))
    source = f"String a = doc['host.name'].value; {branches} emit('other')"
    feed: dict[str, Any] = {"runtime_mappings": {"deep": {"type": "keyword", "script": {"source": source}}}}
    if aggregated:
        feed["aggs"] = inside({"deep": {"terms": {"field": "deep"}}})
    found = look(store, "deep", **feed)
    for asked in (found.preview, lambda: list(found.frames(0, START + 60 * MINUTE))):
        with pytest.raises(JobsRequestError, match=r"SQL that the store refuses: .*nested too deep\. Fewer clauses"):
            asked()


def test_what_does_not_fit_is_told_when_the_feed_looks(store: Store) -> None:
    with pytest.raises(JobsValueError, match=r"no container of .* has the field 'byte', did you mean 'bytes'"):
        look(store, "byte")
    with pytest.raises(JobsValueError, match="has no time field 'timestamp', did you mean '@timestamp'"):
        look(store, time="timestamp")
    with pytest.raises(JobsValueError, match="the time field 'bytes' of container 'logs-1' is long, not a TIMESTAMP"):
        look(store, time="bytes")
    with pytest.raises(JobsQueryError, match=r"^\[query.match\] the query \[match\]"):
        look(store, query={"match": {"a": 1}})
    with pytest.raises(JobsError, match=r"^\[runtime_mappings.x\] \[type\] is missing"):
        look(store, runtime_mappings={"x": {}})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"sum": {"field": "host.name"}}, r"a\] \[sum\] needs numbers, and the field 'host.name' is keyword; value"),
        ({"max": {"field": "seen_ns"}}, "'seen_ns' is a TIMESTAMP of micro- or nanoseconds, which can be the time"),
        ({"terms": {"field": "seen_ns"}}, "make it TIMESTAMP"),
        ({"value_count": {"field": "body"}}, "the field 'body' is binary, which cannot be aggregated"),
        ({"avg": {"field": "byte"}}, "has the field 'byte', did you mean 'bytes'"),
        ({"terms": {"field": "bytes", "missing": "x"}}, r"a.terms.missing\] \[missing\] is 'x', and .* 'bytes' is"),
        ({"terms": {"field": "up", "missing": "x"}}, r"'x', and the field 'up' is boolean"),
        ({"filter": {"match": {}}, "aggs": {"a": {"sum": {"field": "bytes"}}}}, r"a.filter.match\] the query"),
    ],
)  # fmt: skip
def test_an_aggregation_that_does_not_fit_its_field_is_told(store: Store, body: Any, says: str) -> None:
    with pytest.raises(JobsError, match=says):
        look(store, "a", aggs=inside({"a": body}))


def test_times_and_truths_can_be_aggregated(store: Store) -> None:
    metrics = {
        "seen": {"max": {"field": "seen"}},
        "seen_ns": {"value_count": {"field": "seen_ns"}},
        "up": {"avg": {"field": "up"}},
        "middle": {"percentiles": {"field": "bytes", "percents": [50]}},
    }
    rows = look(store, *metrics, aggs=inside(metrics)).preview()
    assert rows[0] == {
        "@timestamp": START + 5 * MINUTE, "seen": START + 5 * MINUTE + 7, "seen_ns": 2.0, "up": 1.0, "middle": 1.5,
        "doc_count": 2,
    }  # fmt: skip
    assert [row.get("middle") for row in rows] == [1.5, 6.0, 32.0]
    by_time = look(store, "when", aggs=inside({"when": {"terms": {"field": "seen"}}})).preview()
    assert sorted(row["when"] for row in by_time) == [START + number * 5 * MINUTE + 7 for number in range(6)]


def test_a_preview_of_a_composite_is_its_page_and_a_piece_ends_with_an_interval(store: Store) -> None:
    sources = [{"when": {"date_histogram": {"field": "@timestamp", "fixed_interval": "10m"}}}]
    page = look(store, aggs={"b": {"composite": {"sources": sources, "size": 2}, "aggs": LATEST}})
    assert [row["doc_count"] for row in page.preview()] == [2, 2]
    feed = look(store, aggs=inside({}), chunking_config={"mode": "manual", "time_span": "1s"})
    frames = [frame["@timestamp"].tolist() for frame in feed.frames(START + MINUTE, START + 24 * MINUTE)]
    assert frames == [[START + 5 * MINUTE], [START + 15 * MINUTE], [START + 20 * MINUTE]]
    assert (feed.whole(START + 9 * MINUTE), look(store).whole(START + 9)) == (START, START + 9)
    assert feed.count(START + MINUTE, START + 24 * MINUTE) == 4
    assert feed.preview(START + 60 * MINUTE) == []


def test_pieces_follow_from_what_the_last_one_had() -> None:
    pieces = Pieces(64 * MINUTE, 1000 * MINUTE, MINUTE)
    pieces.learn(0, 64 * MINUTE)
    assert pieces.length_ms == 1000 * MINUTE
    pieces.learn(1_000_000, 1000 * MINUTE)
    assert pieces.length_ms == 100 * MINUTE
    pieces.learn(90_000_000, 100 * MINUTE)
    assert pieces.length_ms == MINUTE


@pytest.mark.parametrize("here", [True, False], ids=["grouped here", "grouped by the store"])
def test_a_piece_that_is_too_large_for_the_store_is_halved(
    store: Store, monkeypatch: pytest.MonkeyPatch, here: bool
) -> None:
    by_host = inside({"host": {"terms": {"field": "host.name"}}})
    summed = inside({"bytes": {"sum": {"field": "bytes"}}})
    middle = inside({"bytes": {"percentiles": {"field": "bytes", "percents": [50]}}})
    feeds: list[tuple[str, dict[str, Any]]] = [
        ("bytes", {}), ("bytes", {"aggs": summed}), ("bytes", {"aggs": middle}), ("host", {"aggs": by_host})
    ]  # fmt: skip
    whole = [rows_of(look(store, field, **feed)) for field, feed in feeds]
    plain = store.sql
    monkeypatch.setattr(store, "groups_by_sorting", here)
    monkeypatch.setattr(store, "sql", lambda text, parameters, **_: plain(text, parameters, rows_max=1))
    assert rows_of(look(store, "bytes")) == whole[0]
    assert rows_of(look(store, "bytes", aggs=summed)) == whole[1]
    if here:
        # Rows of one bucket come in several pieces, whose groups are put together.
        assert rows_of(look(store, "bytes", aggs=middle)) == whole[2]
        assert rows_of(look(store, "host", aggs=by_host)) == whole[3]
    else:
        with pytest.raises(RangeTooLargeError):
            rows_of(look(store, "host", aggs=by_host))


def rows_of(feed: Extraction) -> list[Any]:
    frames = list(feed.frames(START, START + 24 * 60 * MINUTE))
    # Rows of one interval come in any order.
    return sorted((row for frame in frames for row in frame.fillna(-1).to_dict("records")), key=str)
