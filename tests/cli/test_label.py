"""`label`: what people say, from the command line."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.containers import open_store
from gridwatch.containers.catalog import anomaly_id, anomaly_info, score_info
from gridwatch.errors import ConfigError

FIRST, SECOND = (anomaly_id("INTRADAY_X", "auto", "", day * 86_400_000) for day in (3, 4))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRIDWATCH_DATASETS_DIR", str(tmp_path / "none"))
    with open_store(f"sqlite:///{tmp_path / 'home' / 'store.db'}") as store:
        store.put_container(anomaly_info("X"))
        store.put_container(score_info("X"))
        ts = [pd.Timestamp(day, unit="D", tz="UTC") for day in (3, 4)]
        store.put("ANOMALY_X", pd.DataFrame({"id": [FIRST, SECOND], "ts": ts, "detector": "auto"}))
        store.put("SCORE_X", pd.DataFrame({"ts": ts, "actual": 1.0}))
    return tmp_path / "home"


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["label", *words], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_said_listed_and_taken_back(home: Path) -> None:
    assert run("list") == "No labels.\n"
    said = json.loads(run("false", FIRST, SECOND, "--note", "backup", "--by", "ann", "--json"))
    assert [(one["series"], one["label"], one["anomaly_id"], one["author"]) for one in said] == [
        ("X", "false", FIRST, "ann"),
        ("X", "false", SECOND, "ann"),
    ]
    assert list(said[0])[:2] == ["id", "series"]
    run("true", "x", "--from", "1970-01-04", "--to", "1970-01-05")
    run("expected", "X", "--from", "2031-01-01T10:00", "--note", "[red]works[/red]")
    listed = json.loads(run("list", "--json"))
    assert [one["label"] for one in listed] == ["expected", "true", "false", "false"]
    assert listed[0]["author"] == getpass.getuser()
    table = run("list", "x")
    assert "2031-01-01 10:00:00" in table
    assert "[red]works[/red]" in table
    run("remove", FIRST, listed[0]["id"], "--by", "eve")
    assert [one["label"] for one in json.loads(run("list", "--json"))] == ["true", "false"]
    history = json.loads(run("list", "--history", "--json"))
    assert [one["label"] for one in history[:2]] == ["removed", "removed"]
    assert len(history) == 6


def test_what_is_refused_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="There is no anomaly"):
        run("false", FIRST, "0" * 32)
    with pytest.raises(ConfigError, match="A range is said of one anomaly or series, and 2 are named"):
        run("true", FIRST, SECOND, "--from", "1970-01-04")
    with pytest.raises(ConfigError, match="no dataset or series 'y'; there are no datasets"):
        run("list", "y")

    def nobody() -> str:
        raise KeyError("uid")

    monkeypatch.setattr(getpass, "getuser", nobody)
    with pytest.raises(ConfigError, match="does not say who you are; say it with --by NAME"):
        run("true", FIRST)
    assert run("list", "--history") == "No labels.\n"
