"""`gridwatch triggers` where there are none, and the URL that a GridDB server is told to call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.cli.triggers import _redacted, _url, _warnings
from gridwatch.containers import open_store
from gridwatch.containers.catalog import anomaly_info
from gridwatch.errors import ConfigError
from gridwatch.settings import Settings


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path))
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.put_container(anomaly_info("AAPL"))
    return tmp_path


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("install", "Nothing to install: the embedded store has no triggers of its own. The relay calls the handler"),
        ("list", "No triggers: the embedded store has no triggers of its own."),
        ("remove", "There was none."),
    ],
)
def test_the_embedded_store_has_none_and_the_relay_does_it(project: Path, command: str, told: str) -> None:
    done = CliRunner().invoke(app, ["triggers", command])
    assert done.exit_code == 0, done.output
    assert told in done.output


def test_scripts_get_json_without_the_secret(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDWATCH_ALERTS__TOKEN", "s3cret-s3cret-s3cret")
    done = CliRunner().invoke(app, ["triggers", "install", "--json"])
    assert json.loads(done.stdout) == {
        "native": False,
        "reason": "the embedded store has no triggers of its own",
        "installed": [],
        "url": "http://127.0.0.1:8090/trigger/***",
        "warnings": [],
    }
    assert "s3cret" not in done.output
    assert json.loads(CliRunner().invoke(app, ["triggers", "list", "--json"]).stdout) == []


def of(**alerts: Any) -> Settings:
    return Settings.model_validate({"alerts": alerts})


@pytest.mark.parametrize(
    ("alerts", "url"),
    [
        ({"handler_url": "http://127.0.0.1:8090/trigger"}, "http://127.0.0.1:8090/trigger"),
        ({"handler_url": "http://10.0.0.5/trigger/", "token": "a/b c"}, "http://10.0.0.5/trigger/a%2Fb%20c"),
    ],
)
def test_the_token_is_the_last_part_of_the_path(alerts: dict[str, Any], url: str) -> None:
    assert _url(of(**alerts)) == url


@pytest.mark.parametrize(
    ("alerts", "message"),
    [
        ({"handler_url": "https://h/trigger", "token": "t"}, "GridDB's triggers call http:// only"),
        ({"handler_url": "http://10.0.0.5/trigger"}, r"handler at 10\.0\.0\.5 .* set GRIDWATCH_ALERTS__TOKEN"),
    ],
)
def test_handlers_that_griddb_cannot_call(alerts: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _url(of(**alerts))


@pytest.mark.parametrize(
    ("alerts", "store", "told"),
    [
        ({"token": "s3cret"}, "griddb://127.0.0.1:10001,localhost/c/public", []),
        (
            {},
            "griddb://127.0.0.1:10001/c/public",
            ["GRIDWATCH_ALERTS__TOKEN is not set, so anyone who reaches the handler at 127.0.0.1 can have mails sent"],
        ),
        (
            {"token": "s3cret"},
            "griddb://10.0.0.11:10001,10.0.0.12/c/public",
            ["GridDB runs on 10.0.0.11, 10.0.0.12 and is told to call 127.0.0.1, which is itself there; set "],
        ),
        ({"token": "t", "handler_url": "http://10.0.0.5/trigger"}, "griddb://10.0.0.11/c/public", []),
    ],
)
def test_what_is_likely_not_meant_is_told(tmp_path: Path, alerts: dict[str, Any], store: str, told: list[str]) -> None:
    found = Settings.model_validate({"alerts": alerts, "home": tmp_path})
    warnings = _warnings(found, store)
    assert len(warnings) == len(told)
    for warning, beginning in zip(warnings, told, strict=True):
        assert warning.startswith(beginning)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h:1/trigger", "http://h:1/trigger"),
        ("http://h:1/trigger/s3cret", "http://h:1/trigger/***"),
        ("http://u:s3cret@h:1/trigger?token=s3cret", "http://h:1/trigger?***"),
        ("http://h:1/s3cret", "http://h:1/***"),
    ],
)
def test_what_may_be_a_secret_is_not_shown(url: str, shown: str) -> None:
    assert _redacted(url) == shown
