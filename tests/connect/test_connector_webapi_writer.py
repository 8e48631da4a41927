"""The connector's Web API writer alone: what it sends, and what it makes of the answers."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gridwatch.containers import Store
from gridwatch.containers.webapi_url import WebApiUrl
from gridwatch.errors import ConfigError
from tests.connect.conftest import Served
from tests.connect.gateway import Answer, Asked, Gateway, gateway
from tests.connect.webapi_probe import Probe, RefusedError, Writer

SERIES = [("ts", "TIMESTAMP", False), ("v", "DOUBLE", True)]
SERIES_LOOKED_UP = [
    {"columns": [{"name": "ts", "type": "TIMESTAMP"}], "results": []},
    {"columns": [], "results": [["ts", "TIMESTAMP", False], ["v", "DOUBLE", True], ["note", "STRING", True]]},
    {"columns": [], "results": [["ts"]]},
    {"columns": [], "results": [["TIMESERIES"]]},
]


@pytest.fixture(scope="module")
def probe() -> Iterator[Probe]:
    with Probe() as probe:
        yield probe


@pytest.fixture
def writer(probe: Probe, served: Served) -> Writer:
    return probe.writer(served.url)


@pytest.fixture
def name() -> str:
    return f"w_{uuid.uuid4().hex[:8]}"


def error(status: int, code: int, message: str) -> Answer:
    return answered({"version": "v2", "errorCode": code, "errorMessage": message}, status)


def answered(body: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


class Api:
    """A Web API that knows one time series, `s`, and answers puts and statements as the test says."""

    def __init__(self, *answers: Answer, counts: bool = True) -> None:
        self._answers = list(answers)
        self._counts = counts
        self.puts: list[Asked] = []

    def __call__(self, asked: Asked) -> Answer:
        if asked.path.endswith("/sql/dml/query"):
            return answered(SERIES_LOOKED_UP)
        self.puts.append(asked)
        if self._answers:
            return self._answers.pop(0)
        if asked.path.endswith("/containers/rows"):
            return answered(
                [
                    {"containerName": one["containerName"], "updatedRows": len(one["rows"])}
                    for one in json.loads(asked.body)
                ]
            )
        return answered([{"status": 1, "updatedRows": 1, "message": None, "stmt": ""}])


def url_of(found: Gateway) -> str:
    return f"griddb+{found.base}/c/public"


@pytest.fixture
def fake(probe: Probe) -> Iterator[Callable[..., tuple[Writer, Api]]]:
    """A function that gives a writer and the Web API that it talks to."""
    running = []

    def make(*answers: Answer, **settings: Any) -> tuple[Writer, Api]:
        api = Api(*answers)
        running.append(gateway(fault=api))
        return probe.writer(url_of(running[-1].__enter__()), **settings), api

    yield make
    for one in running:
        one.__exit__(None, None, None)


ROW = ["2024-01-01T00:00:00Z", 1.5, "n"]


def test_rows_of_every_type_are_stored_as_they_are(writer: Writer, store: Store, name: str) -> None:
    types = [
        "BOOL", "STRING", "BYTE", "SHORT", "INTEGER", "LONG", "FLOAT", "DOUBLE", "TIMESTAMP_MICRO", "TIMESTAMP_NANO",
        "BLOB", "BOOL_ARRAY", "STRING_ARRAY", "BYTE_ARRAY", "SHORT_ARRAY", "INTEGER_ARRAY", "LONG_ARRAY", "FLOAT_ARRAY",
        "DOUBLE_ARRAY", "TIMESTAMP_ARRAY",
    ]  # fmt: skip
    columns = [("ts", "TIMESTAMP", False), *((f"c_{one.lower()}", one, True) for one in types)]
    moment = "2024-01-01T00:00:00.123456789Z"
    blob = base64.b64encode(bytes(range(256))).decode()
    full = [
        moment, True, "Käse \U0001f600 \"\\\n", -128, -32768, 2**31 - 1, -(2**63), 0.1, 1.7e308, moment, moment, blob,
        [True, False], ["a", ""], [-128, 127], [1], [2], [2**62], [0.5], [1e-300], [moment],
    ]  # fmt: skip
    writer.create(name, "TIME_SERIES", columns, ["ts"])
    found = writer.container(name.upper())
    assert (found["name"], found["kind"], found["key"]) == (name, "TIME_SERIES", ["ts"])
    assert [tuple(one) for one in found["columns"]] == columns
    empty = ["2024-01-01T00:00:01Z", False, "", 0, 0, 0, 0, 0, -0.0, moment, moment, "", *[[]] * 9]
    nulls = ["2024-01-01T00:00:02Z", *[None] * 20]
    writer.put({name: [full, empty, nulls]})
    first, second, third = (list(row.values()) for row in store.read(name).to_pylist())
    assert [str(first[0]), str(first[9]), str(first[10])] == [
        "2024-01-01 00:00:00.123000+00:00", "2024-01-01 00:00:00.123456+00:00", "2024-01-01 00:00:00.123456789+00:00",
    ]  # fmt: skip
    assert [first[1:7], first[8], first[11]] == [full[1:7], 1.7e308, bytes(range(256))]
    assert first[7] == pytest.approx(0.1, rel=1e-7)
    assert first[12:20] == full[12:20]
    assert str(first[20][0]) == "2024-01-01 00:00:00.123000+00:00"
    assert second[2:9] == ["", 0, 0, 0, 0, 0.0, 0.0]
    assert second[11:] == [b"", *[[]] * 9]
    assert third[1:] == [None] * 20


def test_containers_are_made_once_and_widened_once(writer: Writer, store: Store, name: str) -> None:
    assert writer.container(name) is None
    columns = [("a", "STRING", False), ("ts", "TIMESTAMP", False), ("v", "DOUBLE", False)]
    writer.create(f"{name}-x", "COLLECTION", columns, ["a", "ts"], "ts", 30, "DAY", 3, "a", 90, "DAY")
    writer.create(f"{name}-x", "TIME_SERIES", SERIES, ["ts"])
    writer.add(f"{name}-x", [("more", "STRING", True), ("again", "LONG", True)])
    writer.add(f"{name}-x", [("MORE", "STRING", True)])
    found = writer.container(f"{name}-x")
    assert (found["kind"], found["key"]) == ("COLLECTION", ["a", "ts"])
    assert found["columns"] == [*map(list, columns), ["more", "STRING", True], ["again", "LONG", True]]
    info = store.container(f"{name}-x")
    assert info is not None
    assert info.partitioning is not None
    how = info.partitioning
    assert (how.interval, how.hash_count, how.sub_column, how.expiration) == (30, 3, "a", 90)
    store.execute(f'CREATE VIEW "{name}" AS SELECT a FROM "{name}-x"')  # noqa: S608  # names of our own
    assert writer.container(name) is None
    with pytest.raises(RefusedError, match=rf"^REFUSED '{name}' is the name of a view"):
        writer.create(name, "TIME_SERIES", SERIES, ["ts"])


def test_what_the_web_api_cannot_do_is_told(writer: Writer, name: str) -> None:
    arrays = [("id", "LONG", False), ("many", "DOUBLE_ARRAY", False)]
    with pytest.raises(RefusedError, match=r"^REFUSED .* has arrays or geometry, so .* make it through griddb://"):
        writer.create(name, "COLLECTION", arrays, ["id"])
    with pytest.raises(
        RefusedError, match=r"^REFUSED The Web API cannot add the column 'many' of the type DOUBLE_ARRAY"
    ):
        writer.add(name, arrays[1:])
    with pytest.raises(RefusedError, match=rf"^REFUSED GridDB: SQL names the table '{name}', which does not exist"):
        writer.add(name, [("v", "DOUBLE", True)])
    with pytest.raises(RefusedError, match=r"^REFUSED GridDB: .*DOUBLE"):
        writer.create(name, "COLLECTION", [("id", "DOUBLE", False)], ["id"])


def test_bad_values_are_refused_before_any_row_is_stored(writer: Writer, store: Store, name: str) -> None:
    columns = [("id", "STRING", False), ("v", "LONG", False)]
    writer.create(name, "COLLECTION", columns, ["id"])
    bad: list[tuple[list[Any], str]] = [
        (["half \ud83d", 1], r"Column 'id' .* half a surrogate pair is no Unicode"),
        (["nul \0", 1], r"NUL"),
        (["x" * 40_000, 1], r"longer than 31744 bytes"),
        (["a", None], r"must not be null"),
        (["a"], r"A row of 1 values for the 2 columns of container"),
    ]
    for row, why in bad:
        with pytest.raises(RefusedError, match=f"(?s)^REFUSED .*{why}"):
            writer.put({name: [["good", 1], row]})
    assert store.sql(f'SELECT id FROM "{name}"').num_rows == 0  # noqa: S608  # a name of our own


@pytest.mark.parametrize(("kind", "zeros"), [("TIMESTAMP_NANO", "00000000"), ("TIMESTAMP", "00")])
def test_rows_are_deleted_by_keys_of_any_kind(writer: Writer, store: Store, name: str, kind: str, zeros: str) -> None:
    columns = [("a", "STRING", False), ("ts", kind, False), ("v", "DOUBLE", True)]
    writer.create(name, "COLLECTION", columns, ["a", "ts"])
    moments = [f"2024-01-01T00:00:00.{zeros}{digit}Z" for digit in range(10)]
    names = ["it's", 'a "b"', "two\nlines", "-- ;", "Käse\U0001f600"]
    writer.put({name: [[one, moment, 0.0] for one in names for moment in moments]})
    gone = [[one, moment] for one in names for moment in moments[:9]]
    writer.delete(name, [*gone, ["never", moments[0]]])
    left = store.sql(f'SELECT a FROM "{name}"').column("a").to_pylist()  # noqa: S608  # a name of our own
    assert sorted(left) == sorted(names)
    with pytest.raises(RefusedError, match="half a surrogate pair"):
        writer.delete(name, [["\udc00", moments[0]]])


def test_times_of_a_series_are_never_listed_as_times(fake: Callable[..., tuple[Writer, Api]]) -> None:
    writer, api = fake()
    keys = [[f"2024-01-01T00:{place // 60:02d}:{place % 60:02d}Z"] for place in range(3000)]
    writer.delete("s", keys)
    statements = [json.loads(one.body)[0]["stmt"] for one in api.puts]
    # A DELETE with a hundred times in an IN ends GridDB 5.9.0.
    assert all('TO_EPOCH_MS("ts") IN (17' in one and " IN (TIMESTAMP" not in one for one in statements)
    assert sum(one.count(", ") + 1 for one in statements) == 3000
    writer.delete("s", keys[:1])
    assert json.loads(api.puts[-1].body)[0]["stmt"].endswith("""WHERE "ts" = TIMESTAMP('2024-01-01T00:00:00.000Z')""")


def test_many_rows_go_in_requests_of_a_few_megabytes(fake: Callable[..., tuple[Writer, Api]]) -> None:
    writer, api = fake()
    rows = [[f"2024-01-01T00:{place // 60:02d}:{place % 60:02d}.000Z", 1.0, "n" * 2000] for place in range(3000)]
    writer.put({"s": rows, "S2": rows[:1000]})
    sent = [json.loads(one.body) for one in api.puts]
    assert len(sent) == 2
    assert all(len(one.body) < 5 << 20 for one in api.puts)
    for put in sent:
        assert len({one["containerName"] for one in put}) == len(put), "of two lists for a container one would be lost"
    arrived = [(one["containerName"], row) for put in sent for one in put for row in one["rows"]]
    assert arrived == [("s", row) for row in rows] + [("S2", row) for row in rows[:1000]]


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (error(401, 0, "Basic authentication not found"), "FATAL", r"login \(Basic .* found\); it wants a login: set"),
        (error(400, 10005, "[10005:TXN_AUTH_FAILED] no (user=a)"), "FATAL", r"refuses the login \(no\); it wants"),
        (error(400, 10099, "[10099:X] read only"), "FATAL", "lets this user only read"),
        (error(400, 0, "Repository is invalid"), "FATAL", "knows no cluster 'c'"),
        (error(421, 0, "Host not allowed"), "FATAL", "Host not allowed"),
        (Answer(302, b"", {"Location": "http://elsewhere.example/"}), "FATAL", "redirect to http://elsewhere.example/"),
        (Answer(404, b"<html>"), "FATAL", "is no GridDB Web API: it answers HTTP 404"),
        (Answer(200, b"<html>welcome"), "FATAL", "answers '<html>welcome', which is no JSON"),
        (answered([{"containerName": "s", "updatedRows": 0}]), "FATAL", "0 of 1 rows are stored"),
        (Answer(200), "FATAL", "0 of 1 rows are stored"),
        (Answer(503), "RETRIABLE", r"is busy \(HTTP 503\)"),
        (Answer(502, b"<html>"), "RETRIABLE", "HTTP 502"),
        (Answer(500, b"oops"), "RETRIABLE", r"failed \(HTTP 500\)"),
        (error(400, 145028, "[145028:JC_BAD_CONNECTION] Failed to connect"), "RETRIABLE", "Failed to connect"),
        (error(500, 10010, "[10010:TXN_X] moved (address=1)"), "RETRIABLE", r"\(moved\)\.$"),
        (error(400, 1043, "[1043:CM_X] no memory"), "RETRIABLE", r"\(no memory\)"),
        (error(400, 60064, "[60064:DS_X] locked"), "RETRIABLE", r"\(locked\)"),
        (error(500, 80007, "[80007:LM_X] the disk is full"), "RETRIABLE", "the disk is full"),
        (error(400, 200027, "[200027:SQL_X] failover"), "RETRIABLE", "failover"),
        (error(400, 260019, "[260019:JOB_X] a node is away"), "RETRIABLE", "a node is away"),
        (error(400, 420002, "[420002:NOSQL_X] too late"), "RETRIABLE", "too late"),
        (error(400, 280021, "[280021:SQL_X] another change runs"), "RETRIABLE", "another change runs"),
        (error(400, 240001, "[240001:SQL_X] syntax"), "REFUSED", "syntax"),
        (error(400, 305004, "[305004:SQL_X] overflow"), "REFUSED", "overflow"),
        (error(500, 10016, "[10016:TXN_X] no container"), "REFUSED", "no container"),
        (error(500, 145006, "[145006:JC_X] bad number (value=a)"), "REFUSED", "bad number"),
        (error(500, 60079, "[60079:DS_X] too long"), "REFUSED", "too long"),
        (error(400, 0, "Type mismatch"), "REFUSED", "GridDB: Type mismatch"),
        (error(404, 0, "Container not existed"), "REFUSED", "Container not existed"),
        (Answer(413), "REFUSED", "refuses a request of this size"),
        (error(400, 0, "Too many rows data"), "REFUSED", r"of this size \(Too many rows data\)"),
    ],
)  # fmt: skip
def test_what_a_refusal_means(fake: Callable[..., tuple[Writer, Api]], answer: Answer, kind: str, why: str) -> None:
    writer, api = fake(answer)
    with pytest.raises(RefusedError, match=f"^{kind} .*{why}"):
        writer.put({"s": [ROW]})
    assert len(api.puts) == 1, "a redirect is not followed, a refusal not repeated"


def test_a_statement_that_fails_in_an_answer_of_success_is_a_refusal(fake: Callable[..., tuple[Writer, Api]]) -> None:
    failed = answered([{"status": 0, "updatedRows": None, "message": "[60079:DS_X] no (address=1)", "stmt": ""}])
    away = answered([{"status": 0, "updatedRows": None, "message": "[145028:JC_X] away", "stmt": ""}])
    writer, _ = fake(failed, away, answered([]))
    for kind, why in (("REFUSED", r"GridDB: no\.$"), ("RETRIABLE", "away"), ("FATAL", "a statement without a status")):
        with pytest.raises(RefusedError, match=f"^{kind} .*{why}"):
            writer.delete("s", [ROW[:1]])


def test_logins(fake: Callable[..., tuple[Writer, Api]]) -> None:
    for settings, sent in [
        ({}, None),
        ({"user": "admin"}, None),
        ({"user": "Jörg", "password": "pä:ß"}, "Basic " + base64.b64encode("Jörg:pä:ß".encode()).decode()),
        ({"user": "", "password": "token"}, "Bearer token"),
    ]:
        writer, api = fake(**settings)
        writer.put({"s": [ROW]})
        assert api.puts[0].headers.get("Authorization") == sent
        assert "Upgrade" not in api.puts[0].headers


def test_a_connection_that_breaks_is_tried_once_more_where_that_is_harmless(
    fake: Callable[..., tuple[Writer, Api]], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, api = fake(Answer(0))
    writer.put({"s": [ROW]})
    assert len(api.puts) == 2
    writer, api = fake(Answer(0), Answer(0))
    with pytest.raises(
        RefusedError, match=r"^RETRIABLE No GridDB Web API at http://127.0.0.1:\d+: .*; check connection"
    ):
        writer.put({"s": [ROW]})
    keyless = [*SERIES_LOOKED_UP[:2], {"columns": [], "results": []}, {"columns": [], "results": [["COLLECTION"]]}]
    monkeypatch.setattr("tests.connect.test_connector_webapi_writer.SERIES_LOOKED_UP", keyless)
    writer, api = fake(Answer(0))
    with pytest.raises(RefusedError, match=r"^RETRIABLE No GridDB Web API"):
        writer.put({"s": [ROW]})
    assert len(api.puts) == 1, "a row without a key would be there twice"


def test_servers_that_say_nothing_or_are_not_there(fake: Callable[..., tuple[Writer, Api]], probe: Probe) -> None:
    wait = threading.Event()
    writer, _ = fake(Answer(200, wait=wait), timeout_ms=300)
    with pytest.raises(RefusedError, match=r"^RETRIABLE .* gave no answer within 300 ms"):
        writer.put({"s": [ROW]})
    wait.set()
    with pytest.raises(RefusedError, match=r"^RETRIABLE No GridDB Web API at http://127.0.0.1:1: "):
        probe.writer("griddb+http://127.0.0.1:1/c/public").container("s")
    writer.close()
    with pytest.raises(RefusedError, match=r"^RETRIABLE The writer to http://.* is closed"):
        writer.put({"s": [ROW]})


def test_tls_wants_a_certificate_that_is_known_and_of_this_host(probe: Probe, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",  # noqa: S607
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    api = Api()
    with gateway(fault=api, wrap=lambda plain: context.wrap_socket(plain, server_side=True)) as found:
        port = found.server.server_address[1]
        url = f"griddb+https://localhost:{port}/c/public"
        with pytest.raises(RefusedError, match=r"^FATAL The TLS certificate .* is refused .*connection.ca.file"):
            probe.writer(url).container("s")
        trusting = probe.writer(url, ca_file=str(certificate))
        trusting.put({"s": [ROW]})
        assert len(api.puts) == 1
        with pytest.raises(RefusedError, match=r"^FATAL The TLS certificate .*127.0.0.1"):
            probe.writer(url.replace("localhost", "127.0.0.1"), ca_file=str(certificate)).container("s")
    with gateway(fault=api) as plain:
        with pytest.raises(RefusedError, match=r"use griddb\+http:// where there is no TLS"):
            probe.writer(url_of(plain).replace("http", "https"), timeout_ms=5000).container("s")
    with pytest.raises(RefusedError, match=r"^FATAL connection.ca.file names '.*key.pem', which is no file of certif"):
        probe.writer(url, ca_file=str(key)).container("s")


@pytest.mark.parametrize(
    "url",
    [
        "griddb+http://host/c/public",
        "griddb+https://host/c/public",
        "griddb+https://host:8443/griddb/v2/c/dbs/db-1",
        "griddb+https://host/proxy/path/my.cluster/db",
        "griddb+http://[::1]:81/c/public/",
    ],
)
def test_urls_mean_the_same_as_for_python(probe: Probe, url: str) -> None:
    parsed = WebApiUrl.parse(url)
    assert probe.url(url) == (parsed.place + parsed.path, parsed.cluster, parsed.database)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("griddb+http://host", "it names no cluster and database"),
        ("griddb+http://host/c", "it names no cluster and database"),
        ("griddb+http://host:0/c/db", "its port is no number from 1 to 65535"),
        ("griddb+http://host/c/db?x=1", "it has a query"),
        ("griddb+http:///c/db", "it names no host"),
        ("griddb+http://host/c/d%20b", "'d b' is no name"),
        ("http://host/c/db", "begin with"),
    ],
)
def test_wrong_urls_are_told(probe: Probe, url: str, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        probe.url(url)
    if url.startswith("griddb"):
        with pytest.raises(ConfigError):
            WebApiUrl.parse(url)


def test_a_login_in_a_url_is_refused_and_not_repeated(probe: Probe) -> None:
    with pytest.raises(RefusedError, match=r"^FATAL A URL must hold no login: set connection.user") as told:
        probe.writer("griddb+http://admin:s3cret@host/c/public").container("s")
    assert "s3cret" not in str(told.value)
