"""Whatever is sent to the Web API: an answer of its own form, never a failure of ours, never half a write."""

from __future__ import annotations

import io
import json
import os
import zipfile
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
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["2024-01-01T00:00:00.000Z", "9999999999-99-99T99:99:99.999Z", "NaN", "0x1p3", "\0", "\ud800", "a' or 1"]
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
            "select '\ud800' from c",
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
    """Containers `c` (INTEGER key) and `t` (time series), each with one row, and `f` (with a BLOB), which is empty."""
    for name in store.containers():
        store.drop_container(name)
    fill(client)


def fill(client: FlaskClient) -> None:
    kinds = {
        "c": [("k", "INTEGER"), ("s", "STRING"), ("d", "DOUBLE")],
        "t": [("ts", "TIMESTAMP"), ("v", "DOUBLE")],
        "f": [("k", "INTEGER"), ("b", "BLOB")],
    }
    for name, columns in kinds.items():
        asked = {
            "container_name": name, "container_type": "TIME_SERIES" if name == "t" else "COLLECTION", "rowkey": True,
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
    # Half of a surrogate pair is sent as an escape, which is how one reaches a view.
    text = json.dumps(body).encode()
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


HALVES = [
    ("DELETE", "/containers", ["c", "\ud800"]),
    ("POST", "/tql", [{"name": "c", "stmt": "select * where s = '\ud800'"}]),
    ("POST", "/containers", {"container_name": "\ud800", "container_type": "COLLECTION", "columns": [{"name": "k"}]}),
    ("POST", "/sql", [{"stmt": "select '\ud800'"}]),
    ("POST", "/sql/ddl", [{"stmt": "create table \ud800 (k integer)"}]),
    ("POST", "/containers/c/rows", {"limit": 1, "condition": "s = '\ud800'"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), HALVES)
def test_half_a_surrogate_pair_is_refused_before_anything_is_done(
    client: FlaskClient, store: Store, method: str, path: str, body: Any
) -> None:
    assert send(client, method, BASE + path, data=json.dumps(body), content_type="application/json").status_code == 400
    assert store.containers() == ["c", "f", "t"]


def packed(method: int, files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def put_files(client: FlaskClient, rows: Any, archive: bytes) -> Any:
    sent = {"rows": (io.BytesIO(json.dumps(rows).encode()), "rows.json"), "file": (io.BytesIO(archive), "files.zip")}
    return send(client, "PUT", f"{BASE}/containers/f/rows/blob", data=sent)


METHODS = {zipfile.ZIP_STORED: 200, zipfile.ZIP_DEFLATED: 200, zipfile.ZIP_BZIP2: 400, zipfile.ZIP_LZMA: 400}


@pytest.mark.parametrize(("method", "code"), METHODS.items())
def test_files_of_other_compressions_are_refused(client: FlaskClient, store: Store, method: int, code: int) -> None:
    answer = put_files(client, [[1, "a"]], packed(method, {"a": b"x" * 1000}))
    assert answer.status_code == code
    assert store.read("f").num_rows == (code == 200)


@FIXED
@given(
    method=st.sampled_from(sorted(METHODS)),
    content=st.binary(max_size=60),
    changes=st.lists(st.tuples(st.integers(-400, 400), st.integers(0, 255)), max_size=4),
    cut=st.none() | st.integers(0, 200),
    rows=st.just([[1, "a"], [2, "b"]]) | st.lists(st.lists(SCALARS | st.just("a"), max_size=3), max_size=3) | VALUES,
)
def test_any_archive_is_answered_or_refused(
    client: FlaskClient, store: Store, method: int, content: bytes, changes: Any, cut: int | None, rows: Any
) -> None:
    archive = bytearray(packed(method, {"a": content, "b": b"x" * 1000}))
    for place, byte in changes:
        archive[place % len(archive)] = byte
    before = store.read("f").to_pylist()
    answer = put_files(client, rows, bytes(archive[:cut]))
    assert answer.status_code in {200, 400, 500}
    assert answer.status_code == 200 or store.read("f").to_pylist() == before


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
