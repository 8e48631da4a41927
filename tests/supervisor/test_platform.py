"""What is run for which settings, and what the children are told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import SecretStr

from gridwatch.errors import ConfigError
from gridwatch.settings import (
    AlertSettings,
    ConnectSettings,
    KafkaSettings,
    MlflowSettings,
    PrefectSettings,
    RetentionSettings,
    ServerSettings,
    Settings,
    load_settings,
)
from gridwatch.supervisor import Supervisor, plan, with_addresses
from gridwatch.supervisor.platform import WORK_POOL, answers
from gridwatch.supervisor.state import run_dir

EXTERNAL = {
    "kafka": KafkaSettings(bootstrap_servers="k:9092", security_protocol="SSL"),
    "mlflow": MlflowSettings(tracking_uri="http://m:5000"),
    "prefect": PrefectSettings(api_url="http://p:4200/api"),
    "alerts": AlertSettings(handler_url="http://h:8090/trigger"),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "prefect.yaml").write_text("", encoding="utf-8")
    return tmp_path


def _settings(home: Path, **changes: object) -> Settings:
    return Settings(home=home, **changes).model_copy(update=changes)  # type: ignore[arg-type]


def test_what_is_configured_elsewhere_is_not_started(project: Path) -> None:
    platform = plan(_settings(project / "home", **EXTERNAL), project=project)
    assert [service.name for service in platform.services] == ["worker", "deploy", "sink", "relay"]
    assert platform.addresses == {}
    assert platform.env["GRIDWATCH_KAFKA__BOOTSTRAP_SERVERS"] == "k:9092"
    assert platform.env["GRIDWATCH_KAFKA__SECURITY_PROTOCOL"] == "SSL"
    assert platform.env["PREFECT_API_URL"] == "http://p:4200/api"


def test_up_deletes_what_is_old_where_anything_has_a_retention(project: Path) -> None:
    keep = {"retention": RetentionSettings(scores_days=30)}
    [*_, last] = plan(_settings(project / "home", **EXTERNAL, **keep), project=project).services
    assert (last.name, last.once) == ("upkeep", True)
    assert last.command().argv[-2:] == ("upkeep", "--json")
    folder = project / "datasets"
    folder.mkdir()
    source = '"source": {"kind": "sample", "series": "AAPL"}'
    (folder / "a.json").write_text(f'{{"name": "a", "symbol": "A", {source}, "retention": {{"rows_days": 100}}}}')
    found = _settings(project / "home", **EXTERNAL, datasets_dir=folder)
    assert plan(found, project=project).services[-1].name == "upkeep"
    (folder / "a.json").write_text("{")
    assert plan(found, project=project).services[-1].name == "relay", "a wrong file is told by those who work with it"


def test_everything_else_is_our_own_on_loopback(project: Path) -> None:
    login = KafkaSettings(security_protocol="SASL_SSL", sasl_username="me")
    platform = plan(_settings(project / "home", kafka=login), project=project)
    names = ["kafka", "mlflow", "prefect", "worker", "deploy", "sink", "server", "relay"]
    assert [service.name for service in platform.services] == names
    assert set(platform.addresses) == {"kafka", "mlflow", "prefect", "handler"}
    assert all("127.0.0.1:" in address for address in platform.addresses.values())
    assert platform.settings.kafka.bootstrap_servers == platform.addresses["kafka"]
    assert platform.env["GRIDWATCH_KAFKA__SECURITY_PROTOCOL"] == "PLAINTEXT"
    assert platform.env["GRIDWATCH_ALERTS__HANDLER_URL"].endswith("/trigger")
    assert plan(_settings(project / "home", kafka=login), project=project).addresses == platform.addresses


def test_children_are_told_the_settings_of_a_dotenv_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    lines = (
        f"GRIDWATCH_HOME={project / 'home'}",
        "GRIDWATCH_SENDGRID__API_KEY=SG.hunter2",
        'GRIDWATCH_ALERTS__RECIPIENTS=["me@example.com"]',
        "GRIDWATCH_KAFKA__SSL_CAFILE=ca.pem",
        "GRIDWATCH_LOG_LEVEL=WARNING",
    )
    (project / ".env").write_text("\n".join(lines), encoding="utf-8")
    platform = plan(load_settings(), project=project)
    commands = {service.name: service.command() for service in platform.services}
    # The settings of each of gridwatch's own, as it reads them in a folder with no .env.
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    for name in ("server", "relay", "sink", "worker"):
        with monkeypatch.context() as child:
            for key, value in commands[name].env.items():
                child.setenv(key, value)
            told = load_settings()
        assert told.sendgrid.api_key == SecretStr("SG.hunter2")
        assert told.kafka.ssl_cafile == project / "ca.pem"
        assert told == platform.settings.model_copy(
            update={
                "store_url": platform.settings.store,
                "datasets_dir": project / "flows" / "datasets",
                "expectations_dir": project / "expectations",
                "kafka": platform.settings.kafka.model_copy(update={"ssl_cafile": project / "ca.pem"}),
                "connect": platform.settings.connect.model_copy(
                    update={"connectors_dir": project / platform.settings.connect.connectors_dir}
                ),
            }
        )
    assert "hunter2" not in str([(command.argv, command.cwd) for command in commands.values()])
    assert "hunter2" not in repr((platform, commands))
    Supervisor(platform.services, project / "home", platform.addresses).state.write(run_dir(project / "home"))
    for path in (project / "home").rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes(), path


def test_kafka_connect_takes_the_place_of_the_sink(project: Path) -> None:
    connect = ConnectSettings(enabled=True)
    platform = plan(_settings(project / "home", connect=connect), project=project, deploy=False)
    names = ["kafka", "mlflow", "prefect", "worker", "server", "connect", "relay"]
    assert [service.name for service in platform.services] == names
    [service] = [service for service in platform.services if service.name == "connect"]
    assert service.needs == ("kafka", "server"), "it reaches the embedded store through the server"
    told = service.command().env
    port = platform.addresses["connect"].rpartition(":")[2]
    assert (told["GRIDWATCH_CONNECT__URL"], told["GRIDWATCH_CONNECT__REST_PORT"]) == ("", port), "a worker of its own"
    assert platform.env["GRIDWATCH_CONNECT__URL"] == platform.addresses["connect"] == service.address
    server = platform.addresses["handler"].removesuffix("/trigger")
    assert told["GRIDWATCH_CONNECT__STORE_URL"] == f"griddb+{server}/gridwatch/public"
    assert service.healthy is not None
    assert not service.healthy(), "nobody has told yet that connectors are applied"
    elsewhere = ConnectSettings(enabled=True, url="http://connect:8083")
    store = {"store_url": "griddb://g:10001/c/public", **EXTERNAL}
    platform = plan(_settings(project / "home", connect=elsewhere, **store), project=project, deploy=False)
    [service] = [service for service in platform.services if service.name == "connect"]
    assert service.address == "http://connect:8083"
    assert service.command().env["GRIDWATCH_CONNECT__URL"] == "http://connect:8083"
    assert "GRIDWATCH_CONNECT__STORE_URL" not in service.command().env, "as it is"
    assert "webapi" not in platform.addresses


def test_the_worker_polls_the_pool_of_the_deployments(project: Path) -> None:
    [worker] = [
        s for s in plan(_settings(project / "home", **EXTERNAL), project=project).services if s.name == "worker"
    ]
    assert ("--pool", WORK_POOL) in set(pairwise(worker.command().argv))


@pytest.mark.parametrize(
    ("host", "called"),
    [("0.0.0.0", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("localhost", "localhost")],  # noqa: S104  # what is tested
)
def test_the_server_is_looked_for_where_it_binds(project: Path, host: str, called: str) -> None:
    wanted = ServerSettings(host=host, port=0)
    external = {**EXTERNAL, "alerts": AlertSettings()}
    platform = plan(_settings(project / "home", server=wanted, **external), project=project)
    [server] = [service for service in platform.services if service.name == "server"]
    assert ("--host", host) in set(pairwise(server.command().argv))
    base = str(server.address)
    assert base.startswith(f"http://{called}:")
    assert platform.addresses == {"handler": f"{base}/trigger"}
    with _answering(host, int(base.rpartition(":")[2])):
        assert server.healthy is not None
        assert server.healthy()


@contextmanager
def _answering(host: str, port: int) -> Iterator[None]:
    """Answer 200 to every GET on this address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((host, port), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_telemetry_is_off(project: Path) -> None:
    env = plan(_settings(project / "home", **EXTERNAL), project=project).env
    assert env["DO_NOT_TRACK"] == "1"
    assert env["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert env["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_deployments_want_a_project(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No prefect\.yaml in .*gridwatch init DIR"):
        plan(_settings(tmp_path / "home", **EXTERNAL), project=tmp_path)
    names = [s.name for s in plan(_settings(tmp_path / "home", **EXTERNAL), project=tmp_path, deploy=False).services]
    assert "deploy" not in names


def test_addresses_fill_in_only_what_is_open(tmp_path: Path) -> None:
    addresses = {"kafka": "a:1", "mlflow": "http://b:2", "prefect": "http://c:3/api", "handler": "http://d:4/trigger"}
    filled = with_addresses(_settings(tmp_path), addresses)
    assert (filled.kafka.bootstrap_servers, filled.tracking_uri) == ("a:1", "http://b:2")
    kept = with_addresses(_settings(tmp_path, **EXTERNAL), addresses)
    assert (kept.kafka.bootstrap_servers, kept.tracking_uri) == ("k:9092", "http://m:5000")
    assert (kept.prefect.api_url, kept.alerts.handler_url) == ("http://p:4200/api", "http://h:8090/trigger")


def test_nobody_answers_on_a_closed_port_or_a_wrong_address() -> None:
    assert not answers("http://127.0.0.1:9/health")
    assert not answers("nonsense")
