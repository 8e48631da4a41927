"""Whatever a client sends, no answer is a 500, and each is JSON in Elasticsearch's shape."""

from __future__ import annotations

import copy
import json
import string
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridwatch.containers import open_store
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.server.app import create_app
from gridwatch.settings import Settings

NOW_MS = 1_760_000_000_000
ROOT = "/_ml/anomaly_detectors"
MEASURED = ContainerInfo(
    "measured",
    ContainerType.COLLECTION,
    (
        Column("id", ColumnType.LONG, nullable=False),
        Column("ts", ColumnType.TIMESTAMP),
        Column("load", ColumnType.DOUBLE),
        Column("host", ColumnType.STRING),
    ),
    ("id",),
)
FEED: dict[str, Any] = {
    "datafeed_id": "feed",
    "indices": ["measured"],
    "query": {
        "bool": {
            "must": [{"range": {"ts": {"gte": "now-30d", "lt": "now"}}}],
            "filter": [{"terms": {"host": ["a", "b"]}}, {"exists": {"field": "load"}}],
            "should": [{"prefix": {"host": "a"}}, {"wildcard": {"host": {"value": "b*"}}}],
            "must_not": [{"ids": {"values": ["1"]}}, {"regexp": {"host": "c.*"}}],
            "minimum_should_match": 1,
        }
    },
    "runtime_mappings": {"both": {"type": "keyword", "script": {"source": "emit(doc['host'].value + '-x')"}}},
    "frequency": "10m",
    "query_delay": "60s",
    "scroll_size": 100,
    "chunking_config": {"mode": "manual", "time_span": "1d"},
    "delayed_data_check_config": {"enabled": True, "check_window": "8h"},
    "max_empty_searches": 5,
}
JOB: dict[str, Any] = {
    "description": "x",
    "groups": ["all"],
    "analysis_config": {
        "bucket_span": "1h",
        "detectors": [
            {"function": "mean", "field_name": "load", "by_field_name": "both", "partition_field_name": ["host"]},
            {"function": "count"},
        ],
        "influencers": ["host"],
        "latency": "0s",
        "model_prune_window": "30d",
    },
    "analysis_limits": {"model_memory_limit": "11MB", "categorization_examples_limit": 4},
    "data_description": {"time_field": "ts", "time_format": "epoch_ms"},
    "model_plot_config": {"enabled": True, "terms": "a"},
    "results_retention_days": 3,
    "custom_settings": {"gridwatch": {"alert_score": 50}},
}
AGGREGATED: dict[str, Any] = {
    "datafeed_id": "feed",
    "indices": "measured",
    "aggregations": {
        "buckets": {
            "date_histogram": {"field": "ts", "fixed_interval": "1h"},
            "aggregations": {
                "ts": {"max": {"field": "ts"}},
                "host": {"terms": {"field": "host", "size": 10}, "aggs": {"load": {"avg": {"field": "load"}}}},
            },
        }
    },
}
SUMMARISED: dict[str, Any] = {
    "analysis_config": {
        "bucket_span": "1h",
        "detectors": [{"function": "mean", "field_name": "load", "partition_field_name": "host"}],
        "summary_count_field_name": "doc_count",
    },
    "data_description": {"time_field": "ts"},
}
TRANSFORM: dict[str, Any] = {
    "source": {"index": ["measured"], "query": {"term": {"host": "a"}}},
    "dest": {"index": "by_day"},
    "sync": {"time": {"field": "ts", "delay": "60s"}},
    "frequency": "1m",
    "pivot": {
        "group_by": {
            "host": {"terms": {"field": "host"}},
            "ts": {"date_histogram": {"field": "ts", "calendar_interval": "1d"}},
        },
        "aggregations": {"load": {"avg": {"field": "load"}}, "n": {"value_count": {"field": "ts"}}},
    },
}
BODIES = [{**JOB, "datafeed_config": FEED}, {**SUMMARISED, "datafeed_config": AGGREGATED}, TRANSFORM]

ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**30, 0.5, -0.0, 1e308]),
    st.sampled_from(["", "*", "_all", "0", "-1", "1h", "-1h", "0s", "99999999999d", "now", "now/d", "x\0y", "\u00e9",
                     "'", '"', "\\", "a.b", "@ts", "ts", "host", "load", "id", "measured", "ml_jobs", "%", "count"]),
    st.text(st.sampled_from(string.printable), max_size=8),
    st.sampled_from([[], {}, [[]], [{}], {"": None}, {"a": {"b": []}}, [None], ["host", 7]]),
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from _places(inner, (*path, key))


@st.composite
def spoilt(draw: st.DrawFn) -> Any:
    """Return a config in which up to three places were changed, renamed, copied elsewhere or left out."""
    body = copy.deepcopy(draw(st.sampled_from(BODIES)))
    for _ in range(draw(st.integers(0, 3))):
        places = list(_places(body))
        if not places:
            return draw(ODD)
        path = draw(st.sampled_from(places))
        holder = body
        for key in path[:-1]:
            holder = holder[key]
        how = draw(st.sampled_from(["other", "leave out", "rename", "copy", "twice"]))
        if how == "leave out":
            del holder[path[-1]]
        elif how == "rename" and isinstance(holder, dict):
            holder[draw(st.sampled_from(["aggs", "field", "x", "", "query", "terms", "filter"]))] = holder.pop(path[-1])
        elif how == "copy":
            other: Any = body
            for key in draw(st.sampled_from(places)):
                other = other[key] if isinstance(other, dict | list) and _has(other, key) else other
            holder[path[-1]] = copy.deepcopy(other)
        elif how == "twice" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        else:
            holder[path[-1]] = draw(ODD)
    return body


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else isinstance(key, int) and key < len(holder)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    home = tmp_path_factory.mktemp("random")
    groups = Settings(_env_file=None, home=home, datasets_dir=home)
    with open_store(groups.store) as store:
        store.put_container(MEASURED)
        times = NOW_MS - 3_600_000 * np.arange(200)
        rows = {"id": np.arange(200), "ts": pa.array(times, pa.timestamp("ms", "UTC")), "load": times % 7 * 1.0,
                "host": ["a", "b"] * 100}  # fmt: skip
        store.put("measured", pa.table(rows))
        yield create_app(groups, store, clock=lambda: NOW_MS)


@pytest.fixture(scope="module")
def client(app: Flask) -> FlaskClient:
    client = app.test_client()
    assert (
        client.put(f"{ROOT}/there", json={**JOB, "datafeed_config": {**FEED, "datafeed_id": "there"}}).status_code
        == 200
    )
    assert client.post(f"{ROOT}/there/_open").status_code == 200
    return client


def sent(client: FlaskClient, method: str, path: str, **given: Any) -> Any:
    """Return the JSON of an answer that is no defect."""
    answer = client.open(path, method=method, **given)
    assert answer.status_code < 500, (method, path, given, answer.text)
    body = answer.get_json()
    if answer.status_code >= 400 and isinstance(body["error"], dict):
        assert body["status"] == answer.status_code
        assert body["error"]["reason"]
    return body


quick = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@quick
@given(body=spoilt())
def test_configs_are_taken_or_refused(client: FlaskClient, body: Any) -> None:
    sent(client, "POST", f"{ROOT}/_validate", json=body)
    made = sent(client, "PUT", f"{ROOT}/random", json=body)
    if "error" not in made:
        # What was taken can be given back.
        assert sent(client, "GET", f"{ROOT}/random")["jobs"] == [made]
        assert sent(client, "PUT", f"{ROOT}/random", json=body)["error"]["type"] == "resource_already_exists_exception"
        feed = made.get("datafeed_config", {}).get("datafeed_id")
        if feed is not None:
            sent(client, "GET", f"/_ml/datafeeds/{feed}/_preview")
            assert sent(client, "POST", f"{ROOT}/random/_open")["opened"] is True
            sent(client, "POST", f"/_ml/datafeeds/{feed}/_start")
        assert sent(client, "DELETE", f"{ROOT}/random?force=true") == {"acknowledged": True}
    if isinstance(body, dict):
        feed = body.get("datafeed_config")
        job = {name: value for name, value in body.items() if name != "datafeed_config"}
        sent(client, "POST", "/_ml/datafeeds/_preview", json={"datafeed_config": feed, "job_config": job})
        sent(client, "POST", f"{ROOT}/_estimate_model_memory", json={"analysis_config": body.get("analysis_config")})
        sent(client, "POST", f"{ROOT}/there/_update", json=job)
        sent(client, "POST", "/_ml/datafeeds/there/_update", json=feed)
    sent(client, "POST", "/_transform/_preview", json=body)
    if "error" not in sent(client, "PUT", "/_transform/random", json=body):
        sent(client, "POST", "/_transform/random/_start")
        assert sent(client, "DELETE", "/_transform/random?force=true") == {"acknowledged": True}


PATHS: list[tuple[str, str, tuple[str, ...]]] = [
    ("GET", ROOT + "/{id}", ("allow_no_match", "exclude_generated")),
    ("GET", ROOT + "/{id}/_stats", ("allow_no_match",)),
    ("POST", ROOT + "/{id}/_open", ("timeout",)),
    ("POST", ROOT + "/{id}/_flush", ("calc_interim", "start", "end", "advance_time")),
    ("POST", ROOT + "/{id}/results/buckets", ("start", "end", "page", "sort", "desc", "expand", "timestamp")),
    ("GET", ROOT + "/{id}/results/buckets/{id}", ("from", "size", "expand")),
    ("POST", ROOT + "/{id}/results/records", ("start", "end", "page", "sort", "desc", "record_score")),
    ("POST", ROOT + "/{id}/results/influencers", ("start", "size", "sort", "desc", "influencer_score")),
    ("POST", ROOT + "/{id}/results/overall_buckets", ("top_n", "bucket_span", "overall_score", "start")),
    ("POST", ROOT + "/_estimate_model_memory", ("analysis_config", "overall_cardinality", "max_bucket_cardinality")),
    ("GET", "/_ml/datafeeds/{id}", ("allow_no_match",)),
    ("POST", "/_ml/datafeeds/{id}/_preview", ("start", "end", "datafeed_config", "job_config")),
    ("POST", "/_ml/datafeeds/{id}/_start", ("start", "end", "timeout")),
    ("POST", "/_ml/datafeeds/{id}/_stop", ("force", "close_job", "allow_no_match", "timeout")),
    ("GET", "/_transform/{id}", ("from", "size", "allow_no_match")),
    ("POST", "/_transform/{id}/_start", ("from", "timeout")),
]  # fmt: skip
CHARACTERS = st.characters(blacklist_characters="/?#", blacklist_categories=["Cs"])
IDS = st.sampled_from(
    ["there", "feed", "_all", "*", "there,none*", "none", "1759999999000", "a b", ",", "%00"]
) | st.text(CHARACTERS, min_size=1, max_size=6)


@quick
@given(data=st.data())
def test_parameters_are_taken_or_refused(client: FlaskClient, data: st.DataObject) -> None:
    method, path, names = data.draw(st.sampled_from(PATHS))
    path = path.replace("{id}", data.draw(IDS))
    values = data.draw(st.dictionaries(st.sampled_from(names), ODD, max_size=3))
    if method == "POST":
        sent(client, method, path, json=values)
    plain = {name: str(value) for name, value in values.items()}
    sent(client, method, path, query_string=plain)


ROWS = st.lists(
    st.one_of(
        ODD,
        st.fixed_dictionaries(
            {},
            optional={"ts": st.one_of(ODD, st.integers(NOW_MS, NOW_MS + 10**7)), "load": ODD, "host": ODD, "both": ODD},
        ),
    ),
    max_size=6,
)


def as_lines(rows: list[Any]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


@quick
@given(rows=ROWS, written=st.sampled_from([as_lines, lambda rows: json.dumps(rows).encode()]), cut=st.integers(0, 3))
def test_rows_are_taken_or_refused(
    client: FlaskClient, rows: list[Any], written: Callable[[list[Any]], bytes], cut: int
) -> None:
    content = written(rows)
    sent(client, "POST", f"{ROOT}/there/_open")
    path = f"{ROOT}/there/_data"
    sent(client, "POST", path, data=content[: len(content) - cut], content_type="application/x-ndjson")


@quick
@given(
    content=st.binary(max_size=30),
    kind=st.sampled_from(["application/json", "text/plain", "", ";", "a/b; c=\u00e9"]),
    accept=st.sampled_from(["*/*", "", ",", "application/json;compatible-with=8", "\u00e9"]),
)
def test_bytes_are_refused(client: FlaskClient, content: bytes, kind: str, accept: str) -> None:
    for method, path in (("PUT", f"{ROOT}/random"), ("POST", f"{ROOT}/there/_data"), ("POST", "/_transform/_preview")):
        sent(client, method, path, data=content, content_type=kind, headers={"Accept": accept})
