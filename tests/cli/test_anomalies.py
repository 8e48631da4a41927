"""`anomalies`: what may be asked for is what the store holds."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from gridwatch.alerts.anomaly import SEVERITIES
from gridwatch.cli.anomalies import Severity
from gridwatch.cli.app import app
from gridwatch.containers import open_store
from gridwatch.containers.catalog import ARTIFACTS, anomaly_id, anomaly_info

NOW_MS = 1_800_000_000_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose store has one anomaly of each severity, the worst first in time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    rows = [
        {
            "id": anomaly_id("INTRADAY_X", "lstm", "", day * 86_400_000),
            "ts": pd.Timestamp(day, unit="D", tz="UTC"),
            "actual": 2.0,
            "expected": 1.0,
            "score": 99.0,
            "severity": severity,
            "detected_ms": NOW_MS,
        }
        for day, severity in enumerate(SEVERITIES)
    ]
    with open_store(f"sqlite:///{tmp_path / 'home' / 'store.db'}") as store:
        store.put_container(anomaly_info("X"))
        store.put("ANOMALY_X", pd.DataFrame(rows))
    return tmp_path / "home"


def test_the_words_are_those_of_the_rows() -> None:
    assert {severity.value for severity in Severity} == set(SEVERITIES)


@pytest.mark.parametrize("asked", SEVERITIES)
def test_this_bad_or_worse(home: Path, asked: str) -> None:
    done = CliRunner().invoke(app, ["anomalies", "--severity", asked, "--json"], catch_exceptions=False)
    worse = SEVERITIES[: SEVERITIES.index(asked) + 1]
    assert [row["severity"] for row in json.loads(done.stdout)] == list(reversed(worse))


def test_since_and_limit(home: Path) -> None:
    done = CliRunner().invoke(app, ["anomalies", "--since", "1970-01-02", "--limit", "2", "--json"])
    assert [row["time"] for row in json.loads(done.stdout)] == ["1970-01-04T00:00:00Z", "1970-01-03T00:00:00Z"]


def test_the_table_shows_series_severity_and_mail(home: Path) -> None:
    done = CliRunner().invoke(app, ["anomalies", "--limit", "1"])
    assert done.stdout.split("\n")[3].split()[:6] == ["X", "1970-01-04T00:00:00Z", "2", "1", "99.00", "low"]
    assert "pending" in done.stdout


def test_why_is_told(home: Path) -> None:
    with open_store(f"sqlite:///{home / 'store.db'}") as store:
        worst = store.read("ANOMALY_X").to_pylist()[0]
        store.put("ANOMALY_X", pd.DataFrame([{**worst, "explanation": "2 is above the ordinary 0 to 1.5."}]))
    done = CliRunner().invoke(app, ["anomalies", "--why"], catch_exceptions=False)
    lines = done.stdout.splitlines()[-len(SEVERITIES) :]
    assert lines[0].startswith("X 1970-01-04T00:00:00Z: nothing is written")
    assert f"X {worst['ts']:%Y-%m-%dT%H:%M:%SZ}: 2 is above the ordinary 0 to 1.5." in lines


def test_the_demos_are_shown_while_there_is_nothing_but_runs_of_ones_own(home: Path) -> None:
    """An evaluation writes a run, whose files are in the store: that are no data yet."""
    (home / "demo").mkdir()
    (home / "store.db").rename(home / "demo" / "store.db")
    with open_store(f"sqlite:///{home / 'store.db'}") as store:
        store.put_container(ARTIFACTS)
    done = CliRunner().invoke(app, ["anomalies", "--json"], catch_exceptions=False)
    assert len(json.loads(done.stdout)) == len(SEVERITIES)
    assert "these are the demo's" in done.stderr
    with open_store(f"sqlite:///{home / 'store.db'}") as store:
        store.put_container(anomaly_info("X"))
    done = CliRunner().invoke(app, ["anomalies", "--json"], catch_exceptions=False)
    assert (json.loads(done.stdout), done.stderr) == ([], "")


def test_another_word_is_refused(home: Path) -> None:
    done = CliRunner().invoke(app, ["anomalies", "--severity", "awful"])
    assert done.exit_code == 2
    assert "'awful' is not one of" in done.stderr
