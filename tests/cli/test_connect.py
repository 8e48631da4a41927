"""`gridwatch connect`: a real worker in the background, asked and told over the command line."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from gridwatch.cli._connect import start_in_background
from gridwatch.cli._context import settings
from gridwatch.cli.app import app
from gridwatch.cli.connect import _unattached
from gridwatch.errors import ConfigError, MissingServiceError
from gridwatch.supervisor.process import started_s
from gridwatch.supervisor.state import PlatformState, run_dir

WAIT_S = 240.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose Connect writes to a store that is not there; the worker is up, its connectors are applied."""
    home = tmp_path_factory.mktemp("connect-cli")
    project = home / "project"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRIDWATCH_HOME", str(home))
        patch.setenv("GRIDWATCH_CONNECT__ENABLED", "true")
        patch.setenv("GRIDWATCH_CONNECT__HEAP_MIB", "192")
        patch.setenv("GRIDWATCH_CONNECT__STORE_URL", "griddb+http://127.0.0.1:9/gridwatch/public")
        patch.setenv("OPENBLAS_NUM_THREADS", "1")
        assert CliRunner().invoke(app, ["init", str(project)]).exit_code == 0
        patch.chdir(project)
        try:
            done = CliRunner().invoke(app, ["connect", "up"])
            assert done.exit_code == 0, done.output
            assert done.stdout.startswith("Kafka Connect answers at http://127.0.0.1:")
            yield home
        finally:
            CliRunner().invoke(app, ["connect", "down"])
            CliRunner().invoke(app, ["kafka", "stop"])
            # They log to an output that is closed by now.
            structlog.reset_defaults()


@pytest.fixture(autouse=True)
def in_project(home: Path) -> None:
    """Every test runs in the project's folder, with the environment of its home."""


def test_up_applies_the_folder_and_is_not_started_twice(home: Path) -> None:
    again = CliRunner().invoke(app, ["connect", "up"])
    assert again.stdout.startswith("Kafka Connect runs already, at http://127.0.0.1:")
    foreground = CliRunner().invoke(app, ["connect", "up", "--foreground"])
    assert isinstance(foreground.exception, ConfigError)
    assert "Kafka Connect is looked after already in" in str(foreground.exception)
    status = CliRunner().invoke(app, ["connect", "status", "--json"])
    report = json.loads(status.stdout)
    assert [(one["name"], one["state"]) for one in report["connectors"]] == [("gridwatch-sink", "RUNNING")]
    assert [worker["worker"] for worker in report["workers"]] == ["worker-1"]
    shown = CliRunner().invoke(app, ["connect", "status"]).stdout
    assert "gridwatch-sink" in shown
    assert report["url"] in shown


def test_apply_shows_what_it_would_do_and_does_it(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    config = {"connector.class": "org.gridwatch.connect.GridDBSinkConnector", "topics": "pump"}
    login = {"connection.url": "${env:GRIDWATCH_CONNECT__STORE_URL}"}
    path.write_text(json.dumps({"name": "one", "config": config | login}))
    would = CliRunner().invoke(app, ["connect", "apply", str(path), "--dry-run"])
    assert would.exit_code == 0, would.output
    assert would.stdout.startswith("one: would be made\n  + connection.url = ${env:")
    done = CliRunner().invoke(app, ["connect", "apply", str(path), "--json"])
    [change] = json.loads(done.stdout)
    assert (change["name"], change["action"], change["applied"]) == ("one", "create", True)
    again = CliRunner().invoke(app, ["connect", "apply", str(path)])
    assert again.stdout == "one: is so already\n"
    path.write_text(json.dumps({"name": "one", "config": config | login | {"batch.max.rows": "none"}}))
    wrong = CliRunner().invoke(app, ["connect", "apply", str(path), "--dry-run"])
    assert wrong.exit_code == 1
    assert "  ! batch.max.rows: Invalid value none for configuration batch.max.rows" in wrong.stdout
    refused = CliRunner().invoke(app, ["connect", "apply", str(path)])
    assert isinstance(refused.exception, ConfigError)
    assert "Kafka Connect refuses one: batch.max.rows: Invalid value none" in str(refused.exception)
    unknown = CliRunner().invoke(app, ["connect", "restart", "two"])
    assert str(unknown.exception) == "There is no connector 'two'; there are gridwatch-sink, one."
    restarted = CliRunner().invoke(app, ["connect", "restart", "one"])
    assert restarted.stdout == "one: nothing has failed\n"
    assert CliRunner().invoke(app, ["connect", "restart", "one", "--all-tasks"]).stdout == "one: restarted\n"
    assert CliRunner().invoke(app, ["connect", "delete", "one"], input="n\n").exit_code == 1
    assert CliRunner().invoke(app, ["connect", "delete", "one", "--yes"]).stdout == "one: deleted\n"
    gone = CliRunner().invoke(app, ["connect", "delete", "one", "--yes"])
    assert str(gone.exception) == "There is no connector 'one'."


def test_a_task_that_fails_is_shown_and_doctor_is_not_content(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    config = {
        "connector.class": "org.gridwatch.connect.GridDBSinkConnector",
        "topics": "pump",
        "connection.url": "griddb+http://127.0.0.1:9/gridwatch/public",
        # More than there are brokers: the task cannot make its dead-letter topic, and fails at its start.
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": "bad.dlq",
        "errors.deadletterqueue.topic.replication.factor": "3",
    }
    path.write_text(json.dumps({"name": "bad", "config": config}))
    assert CliRunner().invoke(app, ["connect", "apply", str(path)]).exit_code == 0
    deadline = time.monotonic() + WAIT_S
    while (status := CliRunner().invoke(app, ["connect", "status"])).exit_code == 0:
        assert time.monotonic() < deadline, "the task does not fail"
    assert "bad" in status.stdout
    assert "FAILED" in status.stdout
    checks = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    [check] = [one for one in checks if one["name"] == "connect"]
    assert check["state"] == "bad"
    assert "connector bad task 0: " in check["found"]
    assert CliRunner().invoke(app, ["connect", "delete", "bad", "--yes"]).exit_code == 0
    checks = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    [check] = [one for one in checks if one["name"] == "connect"]
    assert check["state"] == "ok"
    assert "1 connector; 2 tasks run" in check["found"]


def test_down_ends_it(home: Path) -> None:
    stays = "The broker stays; `gridwatch kafka stop` stops it.\n"
    assert CliRunner().invoke(app, ["connect", "down"]).stdout == "stopped\n" + stays
    assert CliRunner().invoke(app, ["connect", "down"]).stdout == "was not running\n" + stays
    assert CliRunner().invoke(app, ["kafka", "stop"]).stdout == "stopped\n"
    assert CliRunner().invoke(app, ["connect", "down"]).stdout == "was not running\n"
    status = CliRunner().invoke(app, ["connect", "status"])
    assert status.exit_code == 1
    assert "does not answer" in status.stdout


def test_a_start_that_takes_long_says_that_it_goes_on_and_where_its_log_is(tmp_path: Path) -> None:
    with pytest.raises(
        MissingServiceError, match=r"still starting \(process \d+\), and its log is .*connect\.log"
    ) as told:
        start_in_background(tmp_path, ["--help"], dict(os.environ), timeout_s=0)
    assert "`gridwatch connect down` ends it" in str(told.value)


def test_the_embedded_store_wants_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRIDWATCH_CONNECT__STORE_URL")
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["connect", "up"])
    assert isinstance(done.exception, ConfigError)
    assert "reaches the embedded store through gridwatch's server, and none runs for" in str(done.exception)
    monkeypatch.delenv("GRIDWATCH_CONNECT__ENABLED")
    checks = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    [check] = [one for one in checks if one["name"] == "connect"]
    assert (check["state"], check["found"]) == ("missing", "not used: rows go through gridwatch's own sink")


def test_the_worker_that_the_platform_announces_is_not_taken_for_another_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path))
    up = PlatformState(os.getpid(), started_s(os.getpid()) or 0.0, [], {"connect": "http://127.0.0.1:9"})
    up.write(run_dir(tmp_path))
    assert settings().connect.url == "http://127.0.0.1:9", "what other commands use"
    assert _unattached(settings()).connect.url is None, "what is to be started here"
    monkeypatch.setenv("GRIDWATCH_CONNECT__URL", "http://elsewhere:8083")
    assert _unattached(settings()).connect.url == "http://elsewhere:8083"
    monkeypatch.setenv("GRIDWATCH_CONNECT__URL", "")
    assert _unattached(settings()).connect.url is None
