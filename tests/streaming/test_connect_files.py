"""What a worker is configured with, and what connector files may hold."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gridwatch.errors import ConfigError, StreamError
from gridwatch.settings import ConnectSettings, GridDBSettings, KafkaSettings, Settings
from gridwatch.streaming.connect_api import ConnectApi, TaskStatus
from gridwatch.streaming.connect_apply import Connector, completed, read_connectors
from gridwatch.streaming.connect_files import JAAS, STORE_URL, properties_text, worker_environ, worker_properties
from gridwatch.streaming.connect_service import wanted_connectors

ROOT = Path(__file__).parents[2]
SINK = {"connector.class": "org.gridwatch.connect.GridDBSinkConnector"}


def _guarded(tmp_path: Path, **connect: Any) -> Settings:
    kafka = KafkaSettings(
        bootstrap_servers="k:9093",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username='o"hara',
        sasl_password=SecretStr('back\\slash"quote'),
        replication_factor=3,
    )
    return Settings(home=tmp_path, kafka=kafka, connect=ConnectSettings(**connect))


def test_kafkas_login_is_named_in_the_file_and_given_in_the_environment(tmp_path: Path) -> None:
    settings = _guarded(tmp_path)
    values = worker_properties(settings, "k:9093", tmp_path, tmp_path, host="127.0.0.1", port=1)
    for prefix in ("", "consumer.", "producer.", "admin."):
        assert values[f"{prefix}security.protocol"] == "SASL_PLAINTEXT"
        assert values[f"{prefix}sasl.mechanism"] == "SCRAM-SHA-512"
        assert values[f"{prefix}sasl.jaas.config"] == f"${{env:{JAAS}}}"
    assert "slash" not in properties_text(values)
    assert worker_environ(settings, "k:9093", {})[JAAS] == (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        'username="o\\"hara" password="back\\\\slash\\"quote";'
    )


def test_the_login_of_a_cluster_is_for_its_address_alone(tmp_path: Path) -> None:
    told = ConnectSettings(url="http://connect:8083", user="me", password=SecretStr("pw"))
    settings = Settings(home=tmp_path, connect=told)
    assert ConnectApi.of(settings, "http://connect:8083").password == "pw"
    other = ConnectApi.of(settings, "http://127.0.0.1:9")
    assert (other.user, other.password) == (None, None)


def test_a_redirection_is_refused_by_name_and_the_login_does_not_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    logins: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            logins.append((self.path, self.headers.get("Authorization")))
            self.send_response(302)
            self.send_header("Location", f"http://me:pw@127.0.0.1:{server.server_port}/elsewhere?key=sesame")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody is there: loopback is reached past it
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            api = ConnectApi(f"http://127.0.0.1:{server.server_port}", "me", "pw", timeout_s=120)
            with pytest.raises(
                StreamError,
                match=r"answered 302 to GET /connectors, a redirection to 'http://127\.0\.0\.1:\d+/elsewhere', which "
                r"is not followed; set GRIDWATCH_CONNECT__URL",
            ):
                api.names()
        finally:
            server.shutdown()
            thread.join()
    assert logins == [("/connectors", "Basic bWU6cHc=")]


@pytest.mark.parametrize(
    ("host", "advertised"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("0.0.0.0", socket.gethostname()),  # noqa: S104 - nothing is bound
        ("::", socket.gethostname()),
    ],
)
def test_workers_tell_each_other_an_address_that_can_be_called(tmp_path: Path, host: str, advertised: str) -> None:
    values = worker_properties(_guarded(tmp_path), "k:9093", tmp_path, tmp_path, host=host, port=1)
    assert values["rest.advertised.host.name"] == advertised


def test_a_distributed_worker_keeps_its_topics_as_often_as_the_settings_say(tmp_path: Path) -> None:
    settings = _guarded(tmp_path, mode="distributed", group_id="team")
    values = worker_properties(settings, "k:9093", tmp_path, tmp_path, host="127.0.0.1", port=1)
    assert values["group.id"] == "team"
    for name, topic in (("config", "team-configs"), ("offset", "team-offsets"), ("status", "team-status")):
        assert values[f"{name}.storage.topic"] == topic
        assert values[f"{name}.storage.replication.factor"] == "3"
    assert "offset.storage.file.filename" not in values


def test_connectors_are_told_the_store_and_its_login(tmp_path: Path) -> None:
    login = GridDBSettings(user="me", password=SecretStr("pw"))
    settings = Settings(home=tmp_path, store_url="griddb://g:10001/c/d", griddb=login)
    others = {"GRIDWATCH_SENDGRID__API_KEY": "k", "GRIDWATCH_ALERTS__TOKEN": "t", "https_proxy": "http://me:pw@p:1"}
    environ = worker_environ(settings, "k:9092", {"PATH": "/bin", "LC_ALL": "C", "CONNECT_OWN": "x", **others})
    assert environ == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "CONNECT_OWN": "x",
        STORE_URL: "griddb://g:10001/c/d",
        "GRIDWATCH_GRIDDB__USER": "me",
        "GRIDWATCH_GRIDDB__PASSWORD": "pw",
        "GRIDWATCH_GRIDDB__CA_FILE": "",
    }
    served = Settings(home=tmp_path, connect=ConnectSettings(store_url="griddb+http://127.0.0.1:1/gridwatch/public"))
    environ = worker_environ(served, "k:9092", {})
    assert environ[STORE_URL] == "griddb+http://127.0.0.1:1/gridwatch/public"
    assert environ["GRIDWATCH_GRIDDB__PASSWORD"] == "", "an unset one must not be taken for its own name"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("a b", "k=a b\n"),
        (" a", "k=\\ a\n"),
        ("C:\\x\ny", "k=C:\\\\x\\ny\n"),
        ("ü😀", "k=\\u00fc\\ud83d\\ude00\n"),
        ("", "k=\n"),
    ],
)
def test_properties_are_written_as_java_reads_them(value: str, line: str) -> None:
    assert properties_text({"k": value}) == line


def test_a_file_is_a_connector_in_either_of_connects_shapes(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"name": "a", "config": {**SINK, "tasks.max": 2, "x": True, "f": 1.5}}))
    (tmp_path / "b.json").write_text(json.dumps({"name": "b", **SINK}))
    (tmp_path / "notes.txt").write_text("not one")
    found = read_connectors([tmp_path])
    assert [(one.name, one.config) for one in found] == [
        ("a", {**SINK, "tasks.max": "2", "x": "true", "f": "1.5"}),
        ("b", SINK),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"connector file '.*one\.json' is no JSON: "),
        ("[]", r"is no connector; it should hold \{\"name\""),
        ('{"name": "a", "config": 1}', r"is no connector; it should hold"),
        ('{"config": {"connector.class": "C"}}', r"has the name None; it should be one of A-Z"),
        ('{"name": "../a", "connector.class": "C"}', r"has the name '\.\./a'"),
        ('{"name": "a", "config": {}}', r"names no connector\.class"),
        ('{"name": "a", "connector.class": "C", "k": null}', r"gives 'k' the value None; Connect takes text only"),
        ('{"name": "a", "connector.class": "C", "k": {"x": 1}}', r"gives 'k' the value \{'x': 1\}"),
        (b"\xff", r"is no JSON: "),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "one.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=message):
        read_connectors([path])


def test_two_files_of_one_name_and_one_that_is_missing_are_told(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(json.dumps({"name": "same", **SINK}))
    with pytest.raises(ConfigError, match=r"'same' is in two files, .*a\.json' and .*b\.json'"):
        read_connectors([tmp_path])
    with pytest.raises(ConfigError, match=r"Cannot read the connector file .*none\.json': No such file"):
        read_connectors([tmp_path / "none.json"])
    gone = Settings(home=tmp_path, connect=ConnectSettings(connectors_dir=tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"no folder .*none' of connector files; .*GRIDWATCH_CONNECT__CONNECTORS_DIR"):
        wanted_connectors(gone, topics=None)


def test_what_a_file_leaves_open_is_filled_in(tmp_path: Path) -> None:
    dlq = {"errors.deadletterqueue.topic.name": "x.dlq"}
    replication = "errors.deadletterqueue.topic.replication.factor"
    done = completed(Connector("x", SINK | dlq), topics="A|B", replication=3)
    assert done.config == SINK | dlq | {"topics.regex": "A|B", replication: "3"}
    own = SINK | dlq | {"topics": "mine", replication: "1"}
    assert completed(Connector("x", own), topics="A|B", replication=3).config == own
    source = {"connector.class": "org.example.FileStreamSourceConnector"}
    assert completed(Connector("x", source), topics="A|B", replication=3).config == source


def test_the_shipped_connectors_are_connectors_and_name_no_password() -> None:
    found = read_connectors([ROOT / "kafka_connect" / "connectors", ROOT / "kafka_connect" / "griddb-sink.json"])
    assert {one.name for one in found} == {"gridwatch-sink", "griddb-sink"}
    for one in found:
        assert one.config["connection.password"].startswith("${"), one.name
        assert one.config["errors.tolerance"] == "all"
        assert "hh" not in one.config.get("timestamp.pattern", ""), "the hour of 12 hours"
    assert Settings().connect.connector in {one.name for one in found}


@pytest.mark.parametrize(
    ("trace", "reason"),
    [
        ("", ""),
        ("java.lang.OutOfMemoryError\n\tat a.B(C.java:1)\n", "java.lang.OutOfMemoryError"),
        ("a.b.ConnectException: no: way\n\tat a.B\n", "no: way"),
        (
            "o.a.k.c.e.ConnectException: Exiting WorkerSinkTask due to unrecoverable exception.\n\tat a.B\n"
            "Caused by: o.a.k.c.e.ConnectException: GridDB refuses the login\n\t... 3 more\n"
            "Caused by: com.GSException: [10005] wrong password\n\t... 9 more\n",
            "GridDB refuses the login: [10005] wrong password",
        ),
        ("x.Y: outer says inner\nCaused by: x.Z: inner\n", "outer says inner"),
        ("x.Y: Exiting WorkerSinkTask due to unrecoverable exception.\n\tat a.B\n", "Exiting WorkerSinkTask due to"),
    ],
)
def test_a_trace_is_told_in_one_line(trace: str, reason: str) -> None:
    told = TaskStatus(0, "FAILED", "w", trace).reason
    assert told.startswith(reason)
    assert "\n" not in told
