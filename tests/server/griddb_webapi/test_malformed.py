"""Whatever is sent to the Web API: an answer of its own form, never a failure of ours, never half a write."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import structlog.testing
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridwatch.containers import Store, open_store
from gridwatch.server.app import create_app
from gridwatch.settings import Settings

BASE = "/griddb/v2/gridwatch/dbs/public"
# GridDB's own 500s, by its numbers.
NUMBERED_500 = {145006, 145009, 145023}
FIXED = settings(
    max_examples=int(os.environ.get("GRIDWATCH_TEST_EXAMPLES", "25")),
    deadline=None,
    derandomize="GRIDWATCH_TEST_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["2024-01-01T00:00:00.000Z", "9999999999-99-99T99:99:99.999Z", "NaN", "0x1p3", "\0", "\udc00", "a' or 1"]
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
NAMES = st.sampled_from(
    ["c", "C", "t", "none", "#tables", "wa%20k", "a.b", "deliveries", "", "x" * 300, "%ff", "%00"]
) | st.text(max_size=6)
FIELDS = st.sampled_from(
    [
        *(
            "name",
            "stmt",
            "columns",
            "hasPartialExecution",
            "container_name",
            "container_type",
            "rowkey",
            "type",
            "index",
        ),
        *("timePrecision", "limit", "offset", "condition", "sort", "fileNameCol", "containerName", "rows", "keyValues"),
        *("startKeyValue", "finishKeyValue"),
    ]
)
WORDS = st.sampled_from(
    [
        *(
            "c",
            "t",
            "COLLECTION",
            "TIME_SERIES",
            "STRING",
            "TIMESTAMP(6)",
            "GEOMETRY",
            "BLOB_ARRAY",
            "TREE",
            "MICROSECOND",
        ),
        *(
            "select * from c",
            "select *",
            "select count(*)",
            "drop table c",
            "insert into c values (1,'x',1.5)",
            "k > 1",
        ),
        *(
            "k = 'x",
            "select time_sampling(*)",
            "set password = ''",
            "grant all on public to x",
            "create user a identified by ''",
        ),
    ]
)
OBJECTS = st.dictionaries(FIELDS, WORDS | VALUES, max_size=5)
BODIES = VALUES | OBJECTS | st.lists(OBJECTS, max_size=3) | st.lists(st.lists(SCALARS, max_size=4), max_size=4)
ROUTES = [
    ("GET", "/checkConnection"), ("GET", "/containers"), ("POST", "/containers"), ("DELETE", "/containers"),
    ("GET", "/containers/{}/info"), ("PUT", "/containers/{}/rows"), ("POST", "/containers/{}/rows"),
    ("DELETE", "/containers/{}/rows"), ("PUT", "/containers/rows"), ("POST", "/containers/rows"),
    ("PUT", "/containers/{}/rows/blob"), ("POST", "/containers/{}/rows/blob"), ("POST", "/tql"), ("POST", "/sql"),
    ("POST", "/sql/select"), ("POST", "/sql/dml/query"), ("POST", "/sql/update"), ("POST", "/sql/dml/update"),
    ("POST", "/sql/ddl"), ("POST", "/sql/dcl"), ("PATCH", "/sql"), ("GET", "/{}"),
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('home') / 'store.db'}") as opened:
        yield opened


@pytest.fixture(scope="module")
def client(store: Store, tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    made = Settings(_env_file=None, home=tmp_path_factory.mktemp("users"), server={"port": 0})
    return create_app(made, store, clock=lambda: 0).test_client()


@pytest.fixture(autouse=True)
def containers(client: FlaskClient, store: Store) -> None:
    """Containers `c` (INTEGER key) and `t` (time series), each with one row."""
    for name in store.containers():
        store.drop_container(name)
    fill(client)


def fill(client: FlaskClient) -> None:
    kinds = {"c": [("k", "INTEGER"), ("s", "STRING"), ("d", "DOUBLE")], "t": [("ts", "TIMESTAMP"), ("v", "DOUBLE")]}
    for name, columns in kinds.items():
        asked = {
            "container_name": name, "container_type": "COLLECTION" if name == "c" else "TIME_SERIES", "rowkey": True,
            "columns": [{"name": column, "type": kind} for column, kind in columns],
        }  # fmt: skip
        client.post(f"{BASE}/containers", json=asked)
    client.put(f"{BASE}/containers/c/rows", json=[[1, "one", 1.5]])
    client.put(f"{BASE}/containers/t/rows", json=[["2024-01-01T00:00:00.000Z", 1.5]])


def send(client: FlaskClient, method: str, path: str, **sent: Any) -> Any:
    """Send a request and hold its answer to the form that every answer has."""
    with structlog.testing.capture_logs() as logs:
        answer = client.open(path, method=method, **sent)
    assert [entry for entry in logs if entry["event"] == "request_failed"] == []
    if answer.status_code >= 400:
        assert answer.content_type == "application/json" or not answer.data
        told = json.loads(answer.data or "{}")
        assert answer.status_code < 500 or told["errorCode"] in NUMBERED_500
        assert answer.status_code in {404, 406} or {"version", "errorCode", "errorMessage"} == set(told)
    return answer


@pytest.mark.parametrize(("method", "path"), ROUTES)
@FIXED
@given(
    name=NAMES,
    body=BODIES,
    query=st.dictionaries(st.sampled_from(["limit", "offset", "type", "sort", "timeout"]), SCALARS),
)
def test_any_json_is_answered_or_refused(
    client: FlaskClient, method: str, path: str, name: str, body: Any, query: dict[str, Any]
) -> None:
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    values = {key: str(value).encode("utf-8", "replace").decode() for key, value in query.items()}
    address = path.format(quote(name, safe="%", errors="replace"))
    send(client, method, BASE + address, data=text, query_string=values, content_type="application/json")


BYTES = st.binary(max_size=40) | st.sampled_from(
    [b"", b"null", b"[" * 20_000, b'{"a":' * 20_000, b"[1e999999]", b"[" + b"9" * 5000 + b"]", b"[[1,-0e-999,0E1]]"]
)
KINDS = [
    *("application/json", "application/json; charset=utf-16", "application/json; charset=nope", "text/plain", "", "x"),
    *("multipart/form-data; boundary=b", "multipart/form-data"),
]
ACCEPTS = [None, "*/*", "application/xml", "application/json;q=0.5", ";;", "a/b;q=x"]


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[0] in {"PUT", "POST", "DELETE"}])
@FIXED
@given(body=BYTES, kind=st.sampled_from(KINDS), accept=st.sampled_from(ACCEPTS))
def test_any_bytes_are_refused(
    client: FlaskClient, method: str, path: str, body: bytes, kind: str, accept: str | None
) -> None:
    headers = {"Content-Type": kind} | ({"Accept": accept} if accept else {})
    send(client, method, BASE + path.format("c"), data=body, headers=headers)


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Basic ", "Basic !!!", "Basic YQ==", "Basic YTo=", "Basic /////w==", "Bearer ", "x\xff"],
)
def test_any_credentials_are_answered(client: FlaskClient, authorization: str) -> None:
    answer = send(client, "GET", f"{BASE}/checkConnection", headers={"Authorization": authorization})
    assert answer.status_code == 401


BAD_ROWS = [
    *([2], [1, "a", "x"], ["1.5", "a", 1], [None, "a", 1], [9, "a\0", 1], [9, ["a"], 1], [9, "a", "NaN"]),
    *([9, "\ud800", 1], [2**31, "a", 1], [9, "x" * 31_745, 1], [9, {}, 1], [9, "a", 1e999], [9, "a", [1]]),
]


@FIXED
@given(
    rows=st.lists(st.tuples(st.integers(1, 5), st.text("ab", max_size=3), st.integers(-3, 3)), min_size=1, max_size=6),
    place=st.integers(0, 6),
    bad=st.sampled_from(BAD_ROWS),
)
def test_a_refused_put_stores_nothing(
    client: FlaskClient, store: Store, rows: list[Any], place: int, bad: list[Any]
) -> None:
    before = store.read("c").to_pylist()
    sent = [list(row) for row in rows]
    sent.insert(min(place, len(sent)), bad)
    good = {"containerName": "t", "rows": [["2024-01-02T00:00:00.000Z", 2]]}
    for path, body in (("c/rows", sent), ("rows", [good, {"containerName": "c", "rows": sent}])):
        text = json.dumps(body).replace("Infinity", "1e999")
        answer = send(client, "PUT", f"{BASE}/containers/{path}", data=text, content_type="application/json")
        assert answer.status_code in {400, 500}
    assert store.read("c").to_pylist() == before
    assert store.read("t").num_rows == 1


def test_a_refused_insert_stores_nothing(client: FlaskClient, store: Store) -> None:
    answer = send(
        client, "POST", f"{BASE}/sql/dml/update", json=[{"stmt": "insert into c values (7,'a',1.0),(1,'b',2.0)"}]
    )
    assert [one["status"] for one in answer.json] == [0]
    assert store.read("c").num_rows == 1
