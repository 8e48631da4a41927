"""`evaluate`: the table for people, the file for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.errors import ConfigError
from gridwatch.sources.testing import write_labelled


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    write_labelled(tmp_path / "labelled")
    return tmp_path / "labelled"


def test_table_json_and_scores(folder: Path, tmp_path: Path) -> None:
    words = ["evaluate", str(folder), "--detector", "zscore", "--no-track", "--jobs", "1", "--json", "figures.json"]
    done = CliRunner().invoke(app, [*words, "--out", "scores", "--splits", "0"], catch_exceptions=False)
    assert done.exit_code == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["detector"], figures["run_id"]) == ("zscore", None)
    assert "zscore: 3 files, 1,200 rows, 3 windows" in done.stdout
    standard = next(line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["standard"])
    assert standard[1] == f"{figures['profiles'][0]['best']:.1f}"
    assert standard[4:7] == ["-"] * 3
    assert (tmp_path / "scores" / "made" / "stop.csv").exists()
    assert not (tmp_path / "home" / "mlflow.db").exists()


def test_detectors_are_listed_and_a_folder_is_asked_for(folder: Path) -> None:
    done = CliRunner().invoke(app, ["evaluate", "--list"])
    assert "lstm-fixed" in done.stdout
    assert CliRunner().invoke(app, ["evaluate"]).exit_code == 2
    refused = CliRunner().invoke(
        app, ["evaluate", str(folder), "--detector", "zscore", "--no-track", "--jobs", "1", "--json", "no/such.json"]
    )
    assert isinstance(refused.exception, ConfigError)
    assert "Cannot write 'no/such.json': No such file or directory" in str(refused.exception)
