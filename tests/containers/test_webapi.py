"""The Web API client: a server that is away, busy, foreign or over its limits, and what is never sent twice."""

from __future__ import annotations

import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from gridwatch.containers import (
    Column,
    ColumnType,
    ContainerInfo,
    ContainerType,
    Index,
    Partitioning,
    open_store,
    webapi,
    webapi_http,
    webapi_pages,
)
from gridwatch.containers.webapi import WebApiStore
from gridwatch.containers.webapi_url import WebApiUrl
from gridwatch.errors import (
    ConfigError,
    ContainerNotFoundError,
    RangeTooLargeError,
    SchemaError,
    SqlRefusedError,
    StoreBusyError,
    StoreError,
    ValueRefusedError,
)
from gridwatch.settings import Settings
from tests.containers.web_api import behind, served, url

T = ColumnType
BARS = ContainerInfo(
    "bars",
    ContainerType.TIME_SERIES,
    (Column("ts", T.TIMESTAMP, nullable=False), Column("v", T.DOUBLE), Column("s", T.STRING)),
    ("ts",),
)
NAMED = ContainerInfo(
    "named",
    ContainerType.COLLECTION,
    (Column("id", T.STRING, nullable=False), Column("n", T.LONG), Column("data", T.BLOB)),
    ("id",),
)


@dataclass
class Front:
    """A server in front of the real one that answers the next requests as it is told, and then passes them on.

    An item of `script` is a status, a status with headers, "close" (no answer), "lose" (passed on, answer lost), or
    JSON text to answer with.
    """

    url: str = ""
    script: list[Any] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    logins: list[str | None] = field(default_factory=list)


def handler(front: Front, target: str) -> type[http.server.BaseHTTPRequestHandler]:
    pool = urllib3.PoolManager()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one packet; two would wait for each other.
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            front.seen.append(f"{self.command} {self.path.rsplit('/public/', 1)[-1]}")
            front.bodies.append(body)
            front.logins.append(self.headers.get("Authorization"))
            action = front.script.pop(0) if front.script else None
            if action == "close":
                self.close_connection = True
                return
            if isinstance(action, int | tuple):
                status, headers = action if isinstance(action, tuple) else (action, {})
                self._answer(status, b"", headers)
                return
            if isinstance(action, str) and action != "lose":
                status_text, _, text = action.partition(" ")
                self._answer(int(status_text), text.encode(), {"Content-Type": "application/json"})
                return
            kind = {"Content-Type": self.headers["Content-Type"]} if body else {}
            answer = pool.request(self.command, target + self.path, body=body or None, headers=kind)
            if action == "lose":
                self.close_connection = True
                return
            self._answer(answer.status, answer.data, {"Content-Type": "application/json"})

        do_GET = do_PUT = do_POST  # noqa: N815

        def _answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def start(
    front: Front, wrap: Callable[[socket.socket], socket.socket] | None = None
) -> http.server.ThreadingHTTPServer:
    base = url().removeprefix("griddb+").removesuffix("/gridwatch/public")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(front, base))
    if wrap:
        server.socket = wrap(server.socket)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    front.url = f"griddb+{'https' if wrap else 'http'}://localhost:{server.server_port}/gridwatch/public"
    return server


@pytest.fixture
def store() -> Iterator[WebApiStore]:
    with served() as store:
        store.put_container(BARS)
        store.put_container(NAMED)
        yield store


@pytest.fixture
def front(store: WebApiStore) -> Iterator[Front]:
    front = Front()
    with start(front) as server:
        yield front
        server.shutdown()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def fronted(front: Front, pauses: list[float]) -> Iterator[WebApiStore]:
    with WebApiStore(front.url, pause=pauses.append, timeout_s=120) as store:
        front.seen.clear()
        front.bodies.clear()
        yield store


def bars(*times_ms: int, text: str = "x") -> pa.Table:
    ts = pa.array(times_ms, pa.timestamp("ms", "UTC"))
    return pa.table({"ts": ts, "v": [ms / 7 for ms in times_ms], "s": [text] * len(times_ms)})


URLS = {
    "griddb+http://h/c/d": ("http://h:8081", "/griddb/v2/c/dbs/d"),
    "griddb+http://h:1/c/d/": ("http://h:1", "/griddb/v2/c/dbs/d"),
    "griddb+https://cloud1.griddb.com/gs_cl/dB1": ("https://cloud1.griddb.com:443", "/griddb/v2/gs_cl/dbs/dB1"),
    "griddb+https://h:443/griddb/v2/c/dbs/d": ("https://h:443", "/griddb/v2/c/dbs/d"),
    "griddb+https://h/a/griddb/v2/c/dbs/d": ("https://h:443", "/a/griddb/v2/c/dbs/d"),
    "griddb+https://h/a/b/c/d": ("https://h:443", "/a/b/griddb/v2/c/dbs/d"),
    "griddb+http://[::1]:8/c/d": ("http://[::1]:8", "/griddb/v2/c/dbs/d"),
}


@pytest.mark.parametrize("text", URLS)
def test_urls(text: str) -> None:
    found = WebApiUrl.parse(text)
    assert (found.place, found.path) == URLS[text]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("griddb+https:///c/d", "it names no host; use griddb\\+https://host/cluster/database"),
        ("griddb+https://h/", "it names no cluster and database"),
        ("griddb+https://h/c", "it names no cluster and database"),
        ("griddb+https://h/c/d?x=1", "it has a query"),
        ("griddb+http://h:x/c/d", "its port is no number"),
        ("griddb+http://h:0/c/d", "it names no host"),
        ("griddb+http://h/c/d%0a", "'d\\\\n' is no name of a cluster or database"),
    ],
)
def test_wrong_urls(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"is wrong: {message}"):
        open_store(text, settings=Settings(_env_file=None))


def test_a_url_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError, match=r"griddb\+https://\*\*\*@h/c/d carries a user or password") as caught:
        open_store("griddb+https://me:geheim@h/c/d", settings=Settings(_env_file=None))
    assert "geheim" not in str(caught.value)


def test_nothing_listens(pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(
        StoreError, match=rf"No GridDB Web API at http://127\.0\.0\.1:{port}: .*refused; check the store's URL"
    ):
        WebApiStore(f"griddb+http://127.0.0.1:{port}/c/d", pause=pauses.append)
    assert len(pauses) == webapi_http.ATTEMPTS - 1
    assert sorted(pauses) == pauses or max(pauses) <= 8


def test_an_unknown_host_is_named(pauses: list[float]) -> None:
    with pytest.raises(StoreError, match=r"No GridDB Web API at http://gridwatch\.invalid:8081: "):
        WebApiStore("griddb+http://gridwatch.invalid/c/d", pause=pauses.append)


def test_something_else_listens(front: Front) -> None:
    answers = {
        '200 {"no": "api"': "which is no JSON",
        "404 <html>": "it answered HTTP 404 to /griddb/v2/gridwatch/dbs/public",
    }
    for answer, message in answers.items():
        front.script = [answer]
        with pytest.raises(StoreError, match=f"What answers at http://localhost:.* is no GridDB Web API: .*{message}"):
            WebApiStore(front.url)
    front.script = [(302, {"Location": "https://elsewhere/"})]
    with pytest.raises(StoreError, match="a redirect to 'https://elsewhere/'"):
        WebApiStore(front.url)


def test_another_cluster_is_named() -> None:
    with pytest.raises(ConfigError, match="knows no cluster 'other'; correct the URL"):
        WebApiStore(url().replace("/gridwatch/", "/other/"))


def test_logins(front: Front, tmp_path: Path) -> None:
    settings_ = Settings(_env_file=None, home=tmp_path, griddb={"user": "ann", "password": "ä:b"})
    with open_store(front.url, settings=settings_):
        pass
    assert front.logins == ["Basic YW5uOsOkOmI="]
    refusal = (
        '401 {"version":"v2","errorCode":10005,"errorMessage":"[10005:TXN_AUTH_FAILED] invalid user name or password"}'
    )
    front.script = [refusal]
    with pytest.raises(
        StoreError, match=r"\[10005\] .* refuses the login \(invalid user name .*check GRIDWATCH_GRIDDB__USER"
    ):
        open_store(front.url, settings=settings_)
    front.script = [refusal]
    with pytest.raises(StoreError, match="it wants a login: set GRIDWATCH_GRIDDB__PASSWORD"):
        WebApiStore(front.url)


@pytest.mark.parametrize("trouble", ["close", "lose", 429, 502, 503, 504])
def test_reads_and_puts_are_tried_again(
    front: Front, fronted: WebApiStore, store: WebApiStore, pauses: list[float], trouble: object
) -> None:
    fronted.container("bars")
    front.seen.clear()
    front.script = [trouble, trouble]
    assert fronted.put("bars", bars(1, 2)) == 2
    assert front.seen == ["PUT containers/rows"] * 3
    assert pauses == pytest.approx(pauses)
    assert 0.125 <= pauses[0] <= 0.25 <= pauses[1] <= 0.5
    front.script = [trouble]
    assert fronted.read("bars").num_rows == 2
    assert store.read("bars").num_rows == 2


def test_retry_after_is_kept_to(front: Front, fronted: WebApiStore, pauses: list[float]) -> None:
    front.script = [(429, {"Retry-After": "7"}), (503, {"Retry-After": "999"})]
    fronted.containers()
    assert pauses == [7, 60]


def test_a_server_that_stays_busy_is_told(front: Front, fronted: WebApiStore) -> None:
    front.script = [503] * webapi_http.ATTEMPTS
    with pytest.raises(StoreBusyError, match=r"The GridDB Web API at http://localhost:\d+ is busy \(HTTP 503\)\."):
        fronted.containers()
    assert fronted.containers() == ["bars", "named"]


@pytest.mark.parametrize("trouble", ["lose", "close", 502, 503, 504])
@pytest.mark.parametrize(
    "statement", ["INSERT INTO named (id, n) VALUES ('a', 1)", "UPDATE named SET n = 2 WHERE id = 'k'"]
)
def test_a_statement_that_counts_rows_is_not_repeated(
    front: Front, fronted: WebApiStore, store: WebApiStore, statement: str, trouble: object
) -> None:
    store.put("named", pa.table({"id": ["k"], "n": [1]}))
    front.script = [trouble]
    with pytest.raises(
        StoreError, match="It is not known whether the statement was done; look before you run it again"
    ):
        fronted.execute(statement)
    assert front.seen == ["POST sql/dml/update"]
    assert (store.sql("SELECT COUNT(*) FROM named WHERE n = 2 OR id = 'a'").column(0)[0].as_py() == 1) == (
        trouble == "lose"
    )


def test_a_statement_that_was_not_taken_is_repeated(front: Front, fronted: WebApiStore) -> None:
    front.script = [429]
    assert fronted.execute("INSERT INTO named (id) VALUES ('a')") == 1
    assert len(front.seen) == 2


def test_rows_without_a_key_are_not_put_twice(front: Front, fronted: WebApiStore, store: WebApiStore) -> None:
    store.put_container(ContainerInfo("keyless", ContainerType.COLLECTION, (Column("s", T.STRING),)))
    fronted.container("keyless")
    front.script = ["lose"]
    with pytest.raises(StoreError, match="It is not known"):
        fronted.put("keyless", pa.table({"s": ["a"]}))
    assert store.read("keyless").num_rows == 1


@pytest.mark.parametrize("message", ["Too many rows data", "Request entity is too large"])
def test_puts_that_are_too_large_are_split(
    front: Front, fronted: WebApiStore, store: WebApiStore, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    monkeypatch.setattr(webapi, "PUT_BYTES", 200_000)
    fronted.container("bars")
    front.seen.clear()
    refusal = f'400 {{"version":"v2","errorCode":0,"errorMessage":"{message}"}}'
    front.script = [refusal, refusal, None, refusal]
    rows = bars(*range(3_000), text="y" * 200)
    assert fronted.put("bars", rows) == 3_000
    assert len(front.seen) > 5
    assert max(map(len, front.bodies[-3:])) < 50_000
    assert store.read("bars").equals(rows.cast(BARS.arrow))


def test_a_row_that_is_too_large_is_told(front: Front, fronted: WebApiStore) -> None:
    fronted.container("named")
    front.script = ['400 {"errorCode":0,"errorMessage":"Too many rows data"}'] * 9
    with pytest.raises(ValueRefusedError, match=r"A row for named is too large: .*Too many rows data"):
        fronted.put("named", pa.table({"id": ["a"], "data": [b"x"]}))


def test_pages_shrink_and_grow(
    front: Front, fronted: WebApiStore, store: WebApiStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webapi_pages, "_PAGE_BYTES", 4_000)
    rows = bars(*range(500))
    store.put("bars", rows)
    fronted.container("bars")
    front.script = ['400 {"errorCode":0,"errorMessage":"Too many result"}'] * 2
    front.bodies.clear()
    assert fronted.read("bars").equals(rows.cast(BARS.arrow))
    limits = [int(json.loads(body)[0]["stmt"].rsplit(" ", 1)[1]) for body in front.bodies]
    assert limits[0] > 4 * limits[2]
    assert limits[3] > limits[2]


def test_a_result_that_is_too_large_is_told(front: Front, fronted: WebApiStore, store: WebApiStore) -> None:
    store.put("named", pa.table({"id": ["a"]}))
    fronted.container("named")
    too_many = '400 {"errorCode":0,"errorMessage":"Too many result"}'
    front.script = [too_many]
    with pytest.raises(RangeTooLargeError, match=r"larger than the Web API sends at once .*ask for fewer rows"):
        fronted.sql("SELECT * FROM named")
    front.script = [too_many] * 12
    with pytest.raises(
        RangeTooLargeError, match=r"A row of container 'named' is larger than the Web API sends \(20 MB\)"
    ):
        fronted.read("named")
    front.script = [too_many]
    with pytest.raises(RangeTooLargeError, match=r"The row with key .'a',. of container 'named' is larger"):
        fronted.get("named", ["a"])
    front.script = [too_many]
    with pytest.raises(RangeTooLargeError, match="The answer to TQL on container 'named' is larger"):
        fronted.tql("named", "select *")


def test_blobs_beyond_one_answer(store: WebApiStore) -> None:
    data = {f"{place}": os.urandom(3_000_000) for place in range(9)}
    store.put("named", pa.table({"id": list(data), "data": list(data.values())}))
    assert dict(zip(*store.read("named").select(["id", "data"]).to_pydict().values(), strict=True)) == data
    assert store.get("named", list(data)).column("data").to_pylist() == list(data.values())


def test_a_schema_that_changes_meanwhile_is_read_again(store: WebApiStore) -> None:
    assert store.read("bars").num_rows == 0
    behind().execute("ALTER TABLE bars ADD COLUMN w LONG")
    assert store.put("bars", bars(1)) == 1
    behind().drop_container("bars")
    with pytest.raises(ContainerNotFoundError, match="No container 'bars' in store 'griddb"):
        store.read("bars")
    behind().put_container(BARS)
    store.put("bars", bars(2))
    assert store.read("bars").num_rows == 1


def test_what_an_answer_holds_is_checked(front: Front, fronted: WebApiStore) -> None:
    columns = '[{"columns":[{"name":"a","type":"%s"}],"results":[[%s]],"responseSizeByte":1}]'
    for kind, value, message in [
        ("LONG", '"x"', "a value in column 'a' that is no LONG"),
        ("TIMESTAMP", "5", "a value in column 'a' that is no TIMESTAMP"),
        ("BLOB", '"%%%"', "a value in column 'a' that is no BLOB"),
        ("FOO", "1", "a column 'a' of the unknown type FOO"),
        ("LONG", "1, 2", "2 values in a row of 1 columns"),
    ]:
        front.script = [f"200 {columns % (kind, value)}"]
        with pytest.raises(StoreError, match=message):
            fronted.sql("SELECT 1")
    front.script = [f"200 {columns % ('DOUBLE', chr(34) + 'NaN' + chr(34))}"]
    assert str(fronted.sql("SELECT 1").column(0)[0]) == "nan"


def test_partitioned_tables(store: WebApiStore) -> None:
    info = ContainerInfo(
        "parts",
        ContainerType.COLLECTION,
        (Column("id", T.STRING, nullable=False), Column("at", T.TIMESTAMP, nullable=False), Column("v", T.DOUBLE)),
        ("id", "at"),
        named_indexes=(Index(("v",), "by-v"), Index(("v", "id"), "two")),
        partitioning=Partitioning("at", 4, 10, "DAY", "id", 3650, "DAY"),
    )
    store.put_container(info)
    found = store.container("PARTS")
    assert found == info
    assert set(found.named_indexes) == set(info.named_indexes)
    assert store.put_container(info) == info
    with pytest.raises(SqlRefusedError, match="TQL on container 'parts', which has partitions; use sql"):
        store.tql("parts", "select *")


def test_times_of_finer_precision(store: WebApiStore) -> None:
    info = ContainerInfo(
        "fine",
        ContainerType.COLLECTION,
        (Column("us", T.TIMESTAMP_6, nullable=False), Column("ns", T.TIMESTAMP_9)),
        ("us",),
    )
    store.put_container(info)
    assert store.container("fine") == info
    rows = pa.table(
        {
            "us": pa.array([1_001, 2_002], pa.timestamp("us", "UTC")),
            "ns": pa.array([7, None], pa.timestamp("ns", "UTC")),
        }
    )
    store.put("fine", rows)
    assert store.read("fine").equals(rows.cast(info.arrow))
    count = store.sql("SELECT COUNT(*) FROM fine WHERE us = TIMESTAMP_US('1970-01-01T00:00:00.001001Z')")
    assert count.column(0)[0].as_py() == 1


@pytest.mark.parametrize("statement", ["select *", "select * limit 9"])
def test_rows_that_the_api_cuts_off_are_told(front: Front, fronted: WebApiStore, statement: str) -> None:
    fronted.container("named")
    columns = '"columns":[{"name":"id","type":"STRING"}],"results":[["a"],["b"]],"offset":0'
    front.script = [f'200 [{{{columns},"limit":2,"total":3,"responseSizeByte":2}}]']
    with pytest.raises(RangeTooLargeError, match="TQL on container 'named' has more than 2 rows; add a LIMIT"):
        fronted.tql("named", statement)
    front.script = [f'200 [{{{columns},"limit":2,"total":3,"responseSizeByte":2}}]']
    assert fronted.tql("named", "select * limit 2").num_rows == 2


def test_arrays_and_geometry_are_read_through_tql(store: WebApiStore) -> None:
    columns = (
        Column("ts", T.TIMESTAMP, nullable=False),
        Column("a", T.LONG_ARRAY),
        Column("s", T.STRING_ARRAY),
        Column("t", T.TIMESTAMP_ARRAY),
        Column("g", T.GEOMETRY),
    )
    info = ContainerInfo("shapes", ContainerType.TIME_SERIES, columns, ("ts",))
    store.put_container(info)
    rows = pa.table(
        {
            "ts": [3, 1, 2],
            "a": pa.array([[1, 2**62], [], [-1]], pa.list_(pa.int64())),
            "s": pa.array([["é'"], ["a", "b"], []], pa.list_(pa.string())),
            "t": pa.array([[5], [], [6]], pa.list_(pa.int64())).cast(T.TIMESTAMP_ARRAY.arrow),
            "g": ["POINT(1 2)", None, None],
        }
    )
    assert store.container("shapes") == info
    assert store.put("shapes", rows) == 3
    assert (
        store.read("shapes", 2, columns=["a", "s", "t"]).to_pylist()
        == behind().read("shapes", 2, columns=["a", "s", "t"]).to_pylist()
    )
    assert store.get("shapes", [3]).to_pydict()["a"] == [[1, 2**62]]
    assert store.read("shapes", 2).column("a").to_pylist() == [[-1], [1, 2**62]]


def test_what_the_api_cannot_do_is_refused_by_name(store: WebApiStore) -> None:
    store.put("bars", bars(1, 2))
    with pytest.raises(SqlRefusedError, match="The Web API cannot work out VARIANCE of a time series"):
        store.aggregate("bars", "variance", "v")
    with pytest.raises(SqlRefusedError, match="for EMPTY or other columns use griddb://"):
        store.sample("bars", 0, 9, 1, "SECOND", mode="EMPTY")
    columns = (Column("a", T.LONG, nullable=False), Column("b", T.LONG, nullable=False), Column("c", T.LONG_ARRAY))
    with pytest.raises(SchemaError, match="arrays or geometry, so the Web API can give it neither a key of several"):
        store.put_container(ContainerInfo("arrays", ContainerType.COLLECTION, columns, ("a", "b")))
    with pytest.raises(SqlRefusedError, match=r"UPDATE as a query; execute\(\) takes it"):
        store.sql("UPDATE named SET n = 1")
    with pytest.raises(SqlRefusedError, match=r"SELECT in execute\(\); sql\(\) takes SELECT"):
        store.execute("SELECT 1")
    with pytest.raises(SqlRefusedError, match="parameters of CREATE, DROP or ALTER"):
        store.execute("CREATE TABLE x (a LONG)", [1])


def test_names_with_other_characters(store: WebApiStore) -> None:
    name = "7-a.b/c=d"
    store.put_container(
        ContainerInfo(name, ContainerType.COLLECTION, (Column("a-b", T.LONG, nullable=False),), ("a-b",))
    )
    store.put(name, pa.table({"a-b": [2, 1]}))
    assert store.read(name.upper()).to_pydict() == {"a-b": [1, 2]}
    assert store.get(name, [2, 3]).to_pydict() == {"a-b": [2]}
    assert store.delete(name, [1]) == 1


def test_many_threads_share_a_store(store: WebApiStore) -> None:
    def work(number: int) -> int:
        store.put("bars", bars(number))
        return int(store.get("bars", [number]).num_rows)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == [1] * 40
    assert store.read("bars").num_rows == 40


def test_a_closed_store_says_so(store: WebApiStore) -> None:
    store.close()
    with pytest.raises(StoreError, match=r"The store at http://127\.0\.0\.1:\d+ is closed"):
        store.containers()


def test_tls(store: WebApiStore, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",  # noqa: S607
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    front = Front()
    with start(front, lambda plain: context.wrap_socket(plain, server_side=True)) as server:
        trusting = Settings(_env_file=None, griddb={"ca_file": certificate})
        with open_store(front.url, settings=trusting) as trusted:
            assert trusted.containers() == store.containers()
        with pytest.raises(
            StoreError, match=r"certificate or connection of https://localhost:.* is refused .*verify failed"
        ):
            WebApiStore(front.url)
        with pytest.raises(StoreError, match="is refused"):
            WebApiStore(front.url.replace("localhost", "127.0.0.1"), ca_file=certificate)
        with pytest.raises(ConfigError, match="GRIDWATCH_GRIDDB__CA_FILE names '/nosuch', which is no file"):
            WebApiStore(front.url, ca_file=Path("/nosuch"))
        server.shutdown()


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
BREAKERS = st.lists(
    st.sampled_from(["'", "''", "\\", "--", "/*", "*/", ";", "?", '"', "x'", "\n", "\r", "%", "`"]), max_size=9
)
VALUES = st.one_of(
    TEXT,
    BREAKERS.map("".join),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.binary(max_size=40),
    st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)).map(
        lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    ),
)


@settings(max_examples=150, deadline=None)
@given(VALUES, VALUES)
def test_parameters_come_back_as_they_went(first: Any, second: Any) -> None:
    store = shared()
    answer = store.sql("SELECT ? a, 'between' b, ? c -- '?", [first, second]).to_pylist()[0]
    assert answer == {"a": first, "b": "between", "c": second}
    assert [type(value) for value in answer.values()] == [type(first), str, type(second)]


@settings(max_examples=60, deadline=None)
@given(st.one_of(TEXT, BREAKERS.map("".join)), st.integers(-5, 5))
def test_parameters_stay_where_they_are_put(text: str, number: int) -> None:
    store = shared()
    # Without blanks around the marks, where `--1` would begin a comment.
    answer = store.sql("SELECT 5-? a, ?||'!' b, CASE WHEN ?=? THEN 1 END c", [number, text, text, text])
    assert answer.to_pylist() == [{"a": 5 - number, "b": f"{text}!", "c": 1}]


def shared() -> WebApiStore:
    if "store" not in _SHARED:
        _SHARED["store"] = served()
    return _SHARED["store"]


_SHARED: dict[str, WebApiStore] = {}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "parameter 1, nan, which is not finite"),
        (float("inf"), "parameter 1, inf, which is not finite"),
        (2**63, r"\[305004\].*outside the range of LONG"),
        ("a\0", r"\[145006\].*NUL"),
        ("\ud800", "text that is not Unicode"),
        (datetime(1969, 12, 31, tzinfo=UTC), r"\[60079\].*outside 1970 to 9999"),
        (object(), "parameter 1 of type object"),
        (datetime(2024, 1, 1, microsecond=1, tzinfo=UTC), "finer than a millisecond"),
    ],
)
def test_parameters_that_are_refused(store: WebApiStore, value: object, message: str) -> None:
    with pytest.raises(SqlRefusedError, match=message):
        store.sql("SELECT ?", [value])
    with pytest.raises(SqlRefusedError, match=r"2 '\?' with 1 parameters"):
        store.sql("SELECT ?, ?", [1])
