"""Elasticsearch's API of jobs: shapes, statuses, parameters, bodies, media types and rights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gridwatch.containers import Store, open_store
from gridwatch.errors import (
    ConfigError,
    ContainerNotFoundError,
    DetectorError,
    GridwatchError,
    JobsBusyError,
    JobsCapacityError,
    JobsConflictError,
    StoreBusyError,
    StoreError,
    TrackingError,
    ValueRefusedError,
)
from gridwatch.jobs.analysis import Bucket, Record, Results
from gridwatch.jobs.analysis.results import Influence, InfluencerResult
from gridwatch.jobs.config import parse_job
from gridwatch.jobs.results import ResultRows
from gridwatch.server.app import create_app
from gridwatch.server.ml_api.errors import of_ours
from gridwatch.server.ml_api.posted import frame_of
from gridwatch.server.state import state
from gridwatch.settings import Settings

NOW_MS = 1_760_000_000_000
HOUR = 3_600_000
START = NOW_MS // HOUR * HOUR - 24 * HOUR
ROOT = "/_ml/anomaly_detectors"
AWAY = {"REMOTE_ADDR": "192.0.2.7"}
JSON_8 = "application/vnd.elasticsearch+json; compatible-with=8"
JOB: dict[str, Any] = {
    "analysis_config": {
        "bucket_span": "1h",
        "detectors": [{"function": "mean", "field_name": "load", "partition_field_name": "host"}],
        "influencers": ["host"],
    },
    "data_description": {"time_field": "ts", "time_format": "epoch_ms"},
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Path]]:
    home = tmp_path_factory.mktemp("ml_api")
    settings = Settings(_env_file=None, home=home)
    with open_store(settings.store) as store:
        yield store, home


@pytest.fixture(scope="module")
def client_of(parts: tuple[Store, Path]) -> Callable[..., FlaskClient]:
    store, home = parts

    def made(**groups: Any) -> FlaskClient:
        settings = Settings(_env_file=None, home=home, datasets_dir=home, **groups)
        return create_app(settings, store, clock=lambda: NOW_MS).test_client()

    return made


@pytest.fixture(scope="module")
def client(client_of: Callable[..., FlaskClient], parts: tuple[Store, Path]) -> FlaskClient:
    """A client of a store with the jobs `loads` (group `all_loads`), which has results, and `posted`, which is open."""
    client = client_of()
    put(client, f"{ROOT}/loads", {**JOB, "groups": ["all_loads"], "datafeed_config": {"indices": ["measured"]}})
    put(client, f"{ROOT}/posted", JOB)
    ResultRows(parts[0]).write(parse_job(JOB, job_id="loads"), _results())
    assert client.post(f"{ROOT}/posted/_open").json == {"opened": True, "node": "gridwatch"}
    return client


def _results() -> Results:
    """Return 30 hours, of which every tenth has a record of 90, 60 and 30; the last one may still change."""
    results = Results()
    for hour in range(30):
        at, odd = START + hour * HOUR, hour % 10 == 5
        score = 90.0 - 3.0 * (hour - 5) if odd else 0.0
        results.buckets.append(Bucket(at, 100, 2, 1.0, score, (("host", score),) if odd else (), hour == 29))
        if odd:
            blamed = (Influence("host", ("a",)),)
            results.records.append(
                Record(at, 0, "mean", "load", (("host", "a"),), None, 9.0, 1.0, 0.0, 2.0, 1e-9, score, "x", blamed)
            )
            results.influencers.append(InfluencerResult(at, "host", "a", 1e-9, score))
    return results


def put(client: FlaskClient, path: str, body: Any) -> dict[str, Any]:
    answer = client.put(path, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def refused(answer: TestResponse, status: int, kind: str) -> str:
    """Return the reason of a refusal, whose body has Elasticsearch's shape."""
    body = answer.get_json()
    assert (answer.status_code, body["status"], body["error"]["type"]) == (status, status, kind), answer.text
    assert body["error"]["root_cause"] == [{"type": kind, "reason": body["error"]["reason"]}]
    return str(body["error"]["reason"])


def test_a_get_of_a_store_without_jobs_makes_no_container(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    with open_store(settings.store) as store:
        client = create_app(settings, store, clock=lambda: NOW_MS).test_client()
        assert client.get(ROOT).json == {"count": 0, "jobs": []}
        assert client.get("/_ml/datafeeds/_stats").json == {"count": 0, "datafeeds": []}
        assert client.get("/_transform/_all").json == {"count": 0, "transforms": []}
        assert refused(client.get(f"{ROOT}/one"), 404, "resource_not_found_exception") == "No known job with id 'one'."
        assert client.get(f"{ROOT}/one/results/records").status_code == 404
        assert client.post(f"{ROOT}/one/_open").status_code == 404
        assert client.post(f"{ROOT}/_validate", json=JOB).json == {"acknowledged": True}
        inline = {"job_config": {**JOB, "datafeed_config": {"indices": ["measured"]}}}
        assert "no such index [measured]" in client.get("/_ml/datafeeds/_preview", json=inline).text
        assert store.containers() == []
        put(client, f"{ROOT}/one", JOB)
        assert "ml_jobs" in store.containers()


def test_a_job_is_answered_with_its_defaults(client: FlaskClient) -> None:
    job = client.get(f"{ROOT}/loads").get_json()["jobs"][0]
    assert (job["job_type"], job["create_time"], job["analysis_limits"]["model_memory_limit"]) == (
        "anomaly_detector", NOW_MS, "1024mb",
    )  # fmt: skip
    assert job["datafeed_config"]["datafeed_id"] == "loads"
    exported = client.get(f"{ROOT}/loads?exclude_generated").get_json()["jobs"][0]
    del exported["job_id"], exported["datafeed_config"]
    assert put(client, f"{ROOT}/exported", exported)["analysis_config"] == job["analysis_config"]
    assert client.delete(f"{ROOT}/exported?wait_for_completion=false").json == {"task": "gridwatch:0"}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("loads", ["loads"]), ("*", ["loads", "posted"]), ("_all", ["loads", "posted"]), ("all_loads", ["loads"]),
     ("posted,lo*", ["loads", "posted"]), ("none*", [])],
)  # fmt: skip
def test_jobs_are_named_by_lists_and_patterns(client: FlaskClient, pattern: str, found: list[str]) -> None:
    answer = client.get(f"{ROOT}/{pattern}/_stats").get_json()
    assert (answer["count"], [job["job_id"] for job in answer["jobs"]]) == (len(found), found)


@pytest.mark.parametrize("path", [f"{ROOT}/none*", f"{ROOT}/none*/_stats", "/_ml/datafeeds/none*", "/_transform/none*"])
def test_a_pattern_without_match_can_be_refused(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 200
    refused(client.get(f"{path}?allow_no_match=false"), 404, "resource_not_found_exception")


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/_ml/nothing", 400, "no handler found for uri [/_ml/nothing] and method [GET]"),
        ("PUT", f"{ROOT}/loads/_open/wide", 400, f"uri [{ROOT}/loads/_open/wide] and method [PUT]"),
        ("PATCH", f"{ROOT}/loads?pretty", 405, "uri [/_ml/anomaly_detectors/loads?pretty] and method [PATCH], allowed: "
         "[DELETE, GET, PUT]"),
        ("GET", f"{ROOT}/loads/_open", 405, "method [GET], allowed: [POST]"),
    ],
)  # fmt: skip
def test_other_addresses_are_refused_as_elasticsearch_does(
    client: FlaskClient, method: str, path: str, status: int, told: str
) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == status
    assert told in answer.get_json()["error"]


@pytest.mark.parametrize(
    ("path", "what"),
    [(f"{ROOT}/loads/_forecast", "forecasts"), (f"{ROOT}/loads/model_snapshots/1/_revert", "model snapshots"),
     (f"{ROOT}/loads/results/categories/1", "categories"), ("/_ml/calendars", "calendars"),
     ("/_ml/filters/safe", "filters"), ("/_transform/daily/_schedule_now", "schedule of transforms"),
     ("/_cat/ml/anomaly_detectors/loads?v", "tables for the eye")],
)  # fmt: skip
def test_what_gridwatch_has_not_is_refused_by_name(client: FlaskClient, path: str, what: str) -> None:
    told = refused(client.post(path), 400, "illegal_argument_exception")
    assert what in told
    assert "not supported by gridwatch" in told


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("GET", f"{ROOT}?size=3&deep=1", "contains unrecognized parameters: [size], [deep]; allowed: allow_no_match"),
        ("GET", f"{ROOT}?allow_no_match=no", "value [no] of [allow_no_match] as only [true] or [false]"),
        ("POST", f"{ROOT}/posted/_open?timeout=soon", "[timeout] failed to parse 'soon' as a time value"),
        ("GET", f"{ROOT}/loads/results/buckets?from=-1", "Parameter [from] cannot be < 0, got -1."),
        ("GET", f"{ROOT}/loads/results/buckets?size=9999&from=2", "[from] and [size] are 10001 together, at most"),
        ("GET", f"{ROOT}/loads/results/buckets?size=1e3", "[size] with value [1e3]: it has to be a whole number"),
        ("GET", f"{ROOT}/loads/results/records?record_score=nan", "[record_score] with value [nan]: it has to be a n"),
        ("GET", f"{ROOT}/loads/results/records?sort=height", "[sort] records are sorted by timestamp, record_score,"),
        ("GET", f"{ROOT}/loads/results/records?start=9999999999999999", "outside the years 1970 to 9999"),
        ("GET", f"{ROOT}/_all/results/overall_buckets?top_n=0", "[top_n] has to be 1 or more"),
        ("GET", f"{ROOT}/_all/results/overall_buckets?bucket_span=1m", "at least the longest bucket_span"),
        ("GET", "/_ml/datafeeds/_preview", "a preview needs the id of a datafeed, or [datafeed_config]"),
        ("POST", "/_ml/datafeeds/loads/_start?start=2&end=1", "invalid [start]"),
        ("DELETE", f"{ROOT}/loads?force=perhaps", "as only [true] or [false] are allowed"),
    ],
)  # fmt: skip
def test_parameters_are_checked(client: FlaskClient, method: str, path: str, told: str) -> None:
    if "_start" in path:
        assert client.post(f"{ROOT}/loads/_open").status_code == 200
    assert told in refused(client.open(path, method=method), 400, "illegal_argument_exception")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind", "told"),
    [
        ("PUT", f"{ROOT}/new", {}, 400, "x_content_parse_exception", "[analysis_config] is required and is missing"),
        ("PUT", f"{ROOT}/new", [], 400, "x_content_parse_exception", "expected an object"),
        ("PUT", f"{ROOT}/NEW", JOB, 400, "illegal_argument_exception", "[job_id] invalid id 'NEW'"),
        ("PUT", f"{ROOT}/new", {**JOB, "job_id": "old"}, 400, "illegal_argument_exception", "in the body is 'old'"),
        ("PUT", f"{ROOT}/loads", JOB, 400, "resource_already_exists_exception", "The Id is already used"),
        ("PUT", "/_ml/datafeeds/new", {"indices": ["a"], "job_id": "none"}, 404, "resource_not_found_exception", "no"),
        ("PUT", "/_ml/datafeeds/new", {"indices": ["a"], "job_id": "loads"}, 409, "status_exception", "already"),
        ("POST", f"{ROOT}/posted/_open", {"wide": 1}, 400, "x_content_parse_exception", "unknown field [wide]"),
        ("POST", f"{ROOT}/posted/_close", {"force": 1}, 400, "illegal_argument_exception", "value [1] of [force]"),
        ("POST", f"{ROOT}/posted/_update", {"analysis_config": {}}, 400, "x_content_parse_exception", "cannot be chan"),
        ("POST", f"{ROOT}/loads/results/records", {"page": {"to": 3}}, 400, "x_content_parse_exception", "[page] has"),
        ("POST", f"{ROOT}/posted/_flush", {"advance_time": "soon"}, 400, "parse_exception", "[advance_time]"),
        ("POST", f"{ROOT}/posted/_reset", None, 409, "status_exception", "only reset a job when it is closed"),
        ("DELETE", f"{ROOT}/posted", None, 409, "status_exception", "because the job is opened"),
        ("POST", f"{ROOT}/posted/_train", None, 400, "status_exception", "Job [posted] has nothing to train"),
        ("POST", f"{ROOT}/_estimate_model_memory", {}, 400, "x_content_parse_exception", "[analysis_config] is req"),
        ("GET", ROOT, {"a": 1}, 400, "illegal_argument_exception", "does not support having a body"),
        ("PUT", f"{ROOT}/new", None, 400, "parse_exception", "request body is required"),
        ("POST", "/_ml/datafeeds/_preview", {"datafeed_config": 7}, 400, "x_content_parse_exception", "expected an"),
        ("POST", "/_ml/datafeeds/loads/_preview", {"datafeed_config": {}}, 400, "status_exception", "not both"),
    ],
)  # fmt: skip
def test_bodies_are_checked(
    client: FlaskClient, method: str, path: str, body: Any, status: int, kind: str, told: str
) -> None:
    given = {} if body is None else {"json": body}
    assert told in refused(client.open(path, method=method, **given), status, kind)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "Expecting property name enclosed in double quotes at line 1, column 2"),
        (b"{} {}", "expected one JSON value, got 2"),
        (b'{"a": NaN}', "NaN is no JSON"),
        (b'{"a": 1e999}', "the number 1e999 is out of range"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is out of range"),
        (b'{"a": 1, "a": 2}', "the key 'a' is there twice"),
        (b'{"a": "\xff"}', "not UTF-8: invalid start byte at byte 7"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}", "deeper than 100 levels"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
def test_what_is_no_json_is_told(client: FlaskClient, content: bytes, told: str) -> None:
    answer = client.put(f"{ROOT}/new", data=content, content_type="application/json")
    assert told in refused(answer, 400, "x_content_parse_exception")


def test_a_large_config_is_refused_and_large_data_is_not(client: FlaskClient) -> None:
    blank = b" " * (5 << 20)
    answer = client.put(f"{ROOT}/new", data=b"{}" + blank, content_type="application/json")
    assert "more than 4194304 bytes" in refused(answer, 413, "content_too_long_exception")
    assert client.post(f"{ROOT}/posted/_data", data=b"{}" + blank, content_type="application/json").status_code == 202


@pytest.mark.parametrize(
    ("headers", "status", "answered"),
    [
        ({}, 200, "application/json"),
        ({"Accept": "*/*"}, 200, "application/json"),
        ({"Accept": "text/html, application/json;q=0.5"}, 200, "application/json"),
        ({"Accept": JSON_8}, 200, "application/vnd.elasticsearch+json;compatible-with=8"),
        ({"Accept": "application/vnd.elasticsearch+json;compatible-with=9"}, 200,
         "application/vnd.elasticsearch+json;compatible-with=9"),
        ({"Accept": "application/vnd.elasticsearch+json; compatible-with=7"}, 400, "application/json"),
        ({"Accept": "application/yaml"}, 406, "application/json"),
    ],
)  # fmt: skip
def test_the_answer_is_of_the_kind_that_is_asked_for(
    client: FlaskClient, headers: dict[str, str], status: int, answered: str
) -> None:
    answer = client.get("/_ml/info", headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, answered)
    if status != 200:
        assert "Accept" in refused(answer, status, "media_type_header_exception")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/yaml", "*/*"])
def test_a_body_that_is_not_declared_as_json_is_refused(client: FlaskClient, kind: str) -> None:
    for method, path in (("PUT", f"{ROOT}/new"), ("POST", f"{ROOT}/posted/_close"), ("POST", f"{ROOT}/posted/_data")):
        answer = client.open(path, method=method, data=b"{}", content_type=kind)
        assert "Content-Type" in refused(answer, 406, "media_type_header_exception")
    # A form without fields is what a page can send as well.
    assert client.post(f"{ROOT}/posted/_close", content_type=kind).status_code == 406
    assert client.post(f"{ROOT}/_validate", data=json.dumps(JOB), content_type=JSON_8).status_code == 200


def test_pretty_is_indented(client: FlaskClient) -> None:
    assert client.get(f"{ROOT}/none*?pretty").text == '{\n  "count": 0,\n  "jobs": []\n}\n'


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("count", {"count": 1}),
        ("jobs.job_id", {"jobs": [{"job_id": "loads"}]}),
        ("jobs.*_id,**.memory_status", {"jobs": [{"job_id": "loads", "model_size_stats": {"memory_status": "ok"}}]}),
        ("jobs,-jobs.*s", {"jobs": [{"job_id": "loads", "deleting": False}]}),
        ("-jobs", {"count": 1}),
        ("none", {}),
    ],
)
def test_parts_of_an_answer_are_chosen(client: FlaskClient, wanted: str, found: Any) -> None:
    answer = client.get(f"{ROOT}/loads/_stats", query_string={"filter_path": wanted}).get_json()
    # Whether other tests have opened it.
    for job in answer.get("jobs", ()):
        job.pop("state", None), job.pop("open_time", None)
    assert answer == found
    assert "[format] has to be json" in client.get("/_ml/info?format=yaml").text


def test_the_product_header_is_sent_only_where_it_is_wanted(
    client: FlaskClient, client_of: Callable[..., FlaskClient]
) -> None:
    told = client_of(server={"elastic_product_header": True})
    for path in ("/_ml/info", f"{ROOT}/none", "/_ml/nothing", "/_transform"):
        assert told.get(path).headers["X-Elastic-Product"] == "Elasticsearch"
        assert "X-Elastic-Product" not in client.get(path).headers
    assert "X-Elastic-Product" not in told.get("/healthz").headers


def test_what_a_client_asks_of_the_whole_is_answered_where_it_may_be(
    client: FlaskClient, client_of: Callable[..., FlaskClient]
) -> None:
    page, json_8 = {"Accept": "text/html,*/*;q=0.8"}, {"Accept": JSON_8}
    told = client_of(server={"elastic_product_header": True, "cluster": "mine"})
    answer = told.get("/", headers=json_8)
    assert (answer.status_code, answer.headers["X-Elastic-Product"]) == (200, "Elasticsearch")
    found = answer.get_json()
    assert (found["name"], found["cluster_name"], len(found["cluster_uuid"])) == ("gridwatch", "mine", 22)
    assert told.get("/").get_json() == found
    other = client_of(server={"elastic_product_header": True}).get("/").get_json()
    assert other["cluster_uuid"] != found["cluster_uuid"]
    assert (told.head("/").status_code, told.head("/").data) == (200, b"")
    for one, headers in ((told, page), (client, {}), (client, json_8)):
        answer = one.get("/", headers=headers)
        assert (answer.status_code, answer.location) == (302, "/overview")
        assert "X-Elastic-Product" not in answer.headers
    nowhere = told.get("/logs/_search", headers=json_8)
    assert nowhere.headers["X-Elastic-Product"] == "Elasticsearch"
    assert nowhere.status_code == 400
    assert nowhere.get_json() == {"error": "no handler found for uri [/logs/_search] and method [GET]"}
    wrong = told.post("/", json={})
    assert (wrong.status_code, "allowed: [GET]" in wrong.get_json()["error"]) == (405, True)
    assert told.get("/logs/_search", headers=page).mimetype == "text/html"
    assert client.get("/logs/_search").status_code == 404
    assert told.get("/griddb/nothing").status_code == 404
    away = client_of(server={"elastic_product_header": True, "insecure_http": True}, alerts={"token": "right"})
    assert refused(away.get("/", environ_base=AWAY), 401, "security_exception")
    assert away.get("/", environ_base=AWAY, headers={"Authorization": "Bearer right"}).get_json()["name"] == "gridwatch"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [5, 15, 25]),
        ({"record_score": 50}, [5, 15]),
        ({"desc": "false"}, [25, 15, 5]),
        ({"sort": "timestamp"}, [25, 15, 5]),
        ({"sort": "timestamp", "desc": "false", "from": 1, "size": 1}, [15]),
        ({"start": START + 6 * HOUR, "end": START + 25 * HOUR}, [15]),
        ({"start": "2025-10-08T10:00:00Z"}, [5, 15, 25]),
        ({"start": "now-12h/h"}, [15, 25]),
        ({"end": "now-1d||/d"}, []),
    ],
)  # fmt: skip
def test_records_are_chosen_by_the_address_or_the_body(
    client: FlaskClient, asked: dict[str, Any], found: list[int]
) -> None:
    path = f"{ROOT}/loads/results/records"
    if "||" in str(asked.get("end")):
        refused(client.get(path, query_string=asked), 400, "parse_exception")
        return
    answer = client.get(path, query_string=asked)
    assert [(one["timestamp"] - START) // HOUR for one in answer.get_json()["records"]] == found
    body = {name: value for name, value in asked.items() if name not in {"from", "size"}}
    page = {name: value for name, value in asked.items() if name in {"from", "size"}}
    assert client.post(path, json={**body, "page": page}).get_json() == answer.get_json()


def test_buckets_are_paged_expanded_and_found_by_their_time(client: FlaskClient) -> None:
    path = f"{ROOT}/loads/results/buckets"
    answer = client.get(f"{path}?size=4&from=2").get_json()
    assert (answer["count"], [(one["timestamp"] - START) // HOUR for one in answer["buckets"]]) == (30, [2, 3, 4, 5])
    assert client.get(f"{path}?exclude_interim=true").get_json()["count"] == 29
    worst = client.post(path, json={"sort": "anomaly_score", "desc": True, "page": {"size": 1}, "expand": True})
    bucket = worst.get_json()["buckets"][0]
    assert (bucket["timestamp"], bucket["bucket_span"]) == (START + 5 * HOUR, 3600)
    assert [one["influencer_field_name"] for one in bucket["bucket_influencers"]] == ["host", "bucket_time"]
    assert bucket["records"][0]["partition_field_value"] == "a"
    same = client.get(f"{path}/{bucket['timestamp']}?expand").get_json()
    assert same == {"count": 1, "buckets": [bucket]}
    told = refused(client.get(f"{path}/{START + 1}"), 404, "resource_not_found_exception")
    assert f"with timestamp [{START + 1}]" in told


def test_influencers_and_overall_buckets(client: FlaskClient) -> None:
    found = client.get(f"{ROOT}/loads/results/influencers?influencer_score=50&sort=timestamp&desc=false").get_json()
    assert [(one["timestamp"] - START) // HOUR for one in found["influencers"]] == [5, 15]
    overall = client.post(f"{ROOT}/lo*/results/overall_buckets", json={"overall_score": 50, "bucket_span": "2h"})
    assert [one["overall_score"] for one in overall.get_json()["overall_buckets"]] == [90.0, 60.0]
    refused(client.get(f"{ROOT}/none/results/overall_buckets"), 404, "resource_not_found_exception")


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


@pytest.mark.parametrize(
    ("name", "kind", "written"),
    [
        ("lines", "application/x-ndjson", _lines),
        ("together", "application/json", lambda rows: _lines(rows).replace(b"\n", b"")),
        ("array", "application/json", lambda rows: json.dumps(rows).encode()),
        ("arrays", "application/vnd.elasticsearch+x-ndjson; compatible-with=9",
         lambda rows: json.dumps(rows[:2]).encode() + b"\n" + json.dumps(rows[2:]).encode()),
    ],
)  # fmt: skip
def test_rows_are_posted_in_any_of_three_forms(
    client: FlaskClient, name: str, kind: str, written: Callable[[list[dict[str, Any]]], bytes]
) -> None:
    put(client, f"{ROOT}/{name}", JOB)
    client.post(f"{ROOT}/{name}/_open")
    rows = [{"ts": START + hour * HOUR, "load": 1.0, "host": host} for hour in range(3) for host in "ab"]
    rows += [{"ts": "noon", "load": 1.0, "host": "a"}, {"load": 1.0, "host": "a"}]
    answer = client.post(f"{ROOT}/{name}/_data", data=written(rows), content_type=kind)
    counts = answer.get_json()
    assert answer.status_code == 202
    assert (counts["input_record_count"], counts["processed_record_count"], counts["invalid_date_count"]) == (8, 6, 2)
    assert (counts["bucket_count"], counts["input_bytes"]) == (2, len(written(rows)))
    stats = client.get(f"{ROOT}/{name}/_stats").get_json()["jobs"][0]["data_counts"]
    assert (stats["invalid_date_count"], stats["latest_record_timestamp"]) == (2, START + 2 * HOUR)
    assert client.delete(f"{ROOT}/{name}?force=true").json == {"acknowledged": True}


@pytest.mark.parametrize(
    ("time_format", "first", "second", "bad"),
    [
        ("epoch", START // 1000, str(START // 1000 + 3600), -1),
        ("epoch", START / 1000 + 0.25, START / 1000 + 3600.25, True),
        ("epoch_ms", START, str(START + HOUR), 10**18),
        ("yyyy-MM-dd HH:mm:ssX", "2025-10-08 12:00:00Z", "2025-10-08 15:00:00+02", "2025-10-08T12:00:00Z"),
    ],
)
def test_times_are_read_as_the_job_describes_them(
    client: FlaskClient, time_format: str, first: Any, second: Any, bad: Any
) -> None:
    description = {"time_field": "ts", "time_format": time_format}
    job = parse_job({**JOB, "data_description": description}, job_id="one")
    rows = [{"ts": second, "event": {"load": 2}}, {"ts": first, "load": [1], "host": ["a", "b"]}, {"ts": bad}]
    frame, invalid = frame_of(job, rows)
    assert invalid == 1
    assert (frame["ts"].diff().iloc[1], frame["load"].tolist(), frame["host"].tolist()) == (
        HOUR,
        [1, None],
        ["a,b", None],
    )


def test_a_time_that_is_likely_wrong_is_told(client: FlaskClient) -> None:
    put(client, f"{ROOT}/seconds", {**JOB, "analysis_config": {**JOB["analysis_config"], "bucket_span": "1m"}})
    client.post(f"{ROOT}/seconds/_open")
    rows = [{"ts": START, "load": 1, "host": "a"}, {"ts": START // 1000, "load": 1, "host": "a"}]
    told = refused(client.post(f"{ROOT}/seconds/_data", json=rows), 400, "illegal_argument_exception")
    assert "[ts] 1970-01-21T" in told
    assert "more than 100000 buckets of 1m apart; is the [time_format] right (epoch_ms)?" in told
    assert client.post(f"{ROOT}/seconds/_data", json=rows[1:]).status_code == 202
    assert client.post(f"{ROOT}/seconds/_data", json=rows[:1]).status_code == 400
    told = refused(client.post(f"{ROOT}/seconds/_flush?advance_time=9999-01-01"), 400, "illegal_argument_exception")
    assert "and 9999-01-01T00:00:00Z follow one another" in told
    assert client.post(f"{ROOT}/seconds/_flush", json={"skip_time": START}).status_code == 200
    assert client.post(f"{ROOT}/seconds/_data", json=rows[:1]).status_code == 202
    assert client.delete(f"{ROOT}/seconds?force").status_code == 200


def test_rows_that_are_posted_again_under_their_key_are_taken_once(client: FlaskClient) -> None:
    put(client, f"{ROOT}/keyed", JOB)
    client.post(f"{ROOT}/keyed/_open")
    rows = [{"ts": START + hour * HOUR, "load": 1.0, "host": "a"} for hour in range(3)]
    address = f"{ROOT}/keyed/_data"
    answers = [client.post(address, json=rows, headers={"Idempotency-Key": key}) for key in ("1", "1", "2")]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert [answer.get_json()["input_record_count"] for answer in answers] == [3, 3, 6]
    told = refused(
        client.post(address, json=rows, headers={"Idempotency-Key": "k" * 257}), 400, "illegal_argument_exception"
    )
    assert told == "[Idempotency-Key] has to have 1 to 256 characters, got 257; a UUID will do."
    assert client.delete(f"{ROOT}/keyed?force").status_code == 200


def test_a_row_that_is_no_object_is_refused_and_nothing_is_analysed(client: FlaskClient) -> None:
    before = client.get(f"{ROOT}/posted/_stats").get_json()["jobs"][0]["data_counts"]
    rows = [{"ts": START, "load": 1, "host": "a"}, 7]
    told = refused(client.post(f"{ROOT}/posted/_data", json=rows), 400, "x_content_parse_exception")
    assert told == "[[0][1]] a row has to be an object, got '7'."
    assert client.get(f"{ROOT}/posted/_stats").get_json()["jobs"][0]["data_counts"] == before
    told = refused(client.post(f"{ROOT}/posted/_data?reset_start=0", json=rows[:1]), 400, "illegal_argument_exception")
    assert "is not supported; reset the job" in told


def test_strangers_need_the_rights_of_the_web_api(client_of: Callable[..., FlaskClient]) -> None:
    client = client_of(alerts={"token": "right"}, server={"insecure_http": True})
    users = state(client.application).users
    users.add("reader", "secret", rights="read", replace=False)
    users.add("writer", "secret", rights="write", replace=False)
    path = f"{ROOT}/none*"
    answer = client.get(path, environ_base=AWAY)
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    refused(answer, 401, "security_exception")
    wrong = client.get(path, environ_base=AWAY, auth=("reader", "wrong"))
    assert "the user name, password or token is wrong" in refused(wrong, 401, "security_exception")
    bearer = {"Authorization": "Bearer right"}
    assert client.get(path, environ_base=AWAY, headers=bearer).status_code == 200
    assert client.get(path, environ_base=AWAY, auth=("anybody", "right")).status_code == 200
    assert client.get(path, environ_base=AWAY, auth=("reader", "secret")).status_code == 200
    preview = client.post("/_ml/datafeeds/none/_preview", environ_base=AWAY, auth=("reader", "secret"))
    assert preview.status_code == 404
    for method, where in (("PUT", f"{ROOT}/new"), ("DELETE", f"{ROOT}/none"), ("POST", f"{ROOT}/none/_open"),
                          ("PUT", "/_transform/new"), ("POST", "/_ml/datafeeds/none/_start")):  # fmt: skip
        read = client.open(where, method=method, environ_base=AWAY, auth=("reader", "secret"))
        assert refused(read, 403, "security_exception") == "this user may only read."
        write = client.open(where, method=method, environ_base=AWAY, auth=("writer", "secret"))
        assert write.status_code in {400, 404}
    key = client.get(path, environ_base=AWAY, headers={"Authorization": "ApiKey cmlnaHQ6cmlnaHQ="})
    assert "Basic authentication not found" in refused(key, 401, "security_exception")
    plain = client_of(alerts={"token": "right"}).get(path, environ_base=AWAY, headers=bearer)
    assert "plain HTTP" in refused(plain, 403, "security_exception")


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 421), ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403),
     ({"Sec-Fetch-Site": "cross-site"}, 403)],
)  # fmt: skip
def test_web_pages_reach_nothing(client: FlaskClient, headers: dict[str, str], status: int) -> None:
    refused(client.post(f"{ROOT}/posted/_close", headers=headers), status, "security_exception")
    assert client.get(f"{ROOT}/posted/_stats").get_json()["jobs"][0]["state"] == "opened"


@pytest.mark.parametrize(
    ("error", "status", "kind", "again"),
    [
        (JobsBusyError("at work"), 409, "status_exception", True),
        (JobsConflictError("closed"), 409, "status_exception", False),
        (JobsCapacityError("full"), 429, "status_exception", True),
        (ContainerNotFoundError("no container"), 404, "index_not_found_exception", False),
        (StoreBusyError("locked"), 503, "store_busy_exception", True),
        (StoreError("the disk is full", unusable=True), 503, "store_busy_exception", True),
        (ValueRefusedError("a NUL"), 400, "store_exception", False),
        (ConfigError("no such key"), 503, "status_exception", True),
        (TrackingError("MLflow is away"), 503, "status_exception", True),
        (DetectorError("no window"), 400, "status_exception", False),
    ],
)
def test_errors_below_have_a_status(error: GridwatchError, status: int, kind: str, again: bool) -> None:
    told = of_ours(error)
    assert (told.status, told.type, told.reason) == (status, kind, str(error))
    assert ("Retry-After" in told.headers) is again


def test_too_many_at_once_are_asked_to_come_again(client: FlaskClient) -> None:
    parts = state(client.application)
    taken = 0
    while parts.statements.acquire(blocking=False):
        taken += 1
    try:
        answer = client.post("/_ml/datafeeds/loads/_preview")
        assert "too many searches and analyses" in refused(answer, 429, "es_rejected_execution_exception")
        assert answer.headers["Retry-After"] == "1"
        assert client.get(ROOT).status_code == 200
    finally:
        parts.statements.release(taken)
    assert client.post("/_ml/datafeeds/loads/_preview").status_code == 404
