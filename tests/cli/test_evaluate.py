"""`evaluate`: the table for people, the file for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.containers import open_store
from gridwatch.containers.catalog import series_info
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


@pytest.mark.parametrize(
    ("words", "drawn"),
    [([], True), (["--no-plots"], False), (["--no-track"], False), (["--no-track", "--plots"], True)],
)
def test_a_run_has_pictures_unless_told_otherwise(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], drawn: bool
) -> None:
    seen: dict[str, object] = {}

    def judge(*_series: object, **how: object) -> None:
        seen.update(how)
        raise ConfigError("Enough was seen.")

    monkeypatch.setattr("gridwatch.pipeline.evaluate.evaluate_series", judge)
    done = CliRunner().invoke(app, ["evaluate", str(folder), *words])
    assert "Enough was seen" in str(done.exception)
    assert seen["plots"] is drawn


def test_detectors_are_listed_and_a_folder_is_asked_for(folder: Path) -> None:
    done = CliRunner().invoke(app, ["evaluate", "--list"])
    assert "lstm-fixed" in done.stdout
    assert CliRunner().invoke(app, ["evaluate"]).exit_code == 2
    refused = CliRunner().invoke(
        app, ["evaluate", str(folder), "--detector", "zscore", "--no-track", "--jobs", "1", "--json", "no/such.json"]
    )
    assert isinstance(refused.exception, ConfigError)
    assert "Cannot write 'no/such.json': No such file or directory" in str(refused.exception)


def test_own_labels(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = {"name": "pump", "symbol": "PUMP", "source": {"kind": "sample", "series": "AAPL"}, "feature": "level"}
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "pump.json").write_text(json.dumps(raw))
    monkeypatch.setenv("GRIDWATCH_DATASETS_DIR", str(tmp_path / "datasets"))
    close = [1.0, 2.0] * 200
    close[350] = 50.0
    ts = pd.date_range("2024-01-01", periods=400, freq="min", tz="UTC").as_unit("ms")
    with open_store(f"sqlite:///{tmp_path / 'home' / 'store.db'}") as store:
        store.put_container(series_info("INTRADAY_PUMP"))
        store.put("INTRADAY_PUMP", pd.DataFrame({"ts": ts, "close": close}))
    words = ["label", "true", "pump", "--from", "2024-01-01T05:45", "--to", "2024-01-01T05:55"]
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    words = ["evaluate", "--dataset", "pump", "--detector", "zscore", "--no-track", "--jobs", "1", "--splits", "0"]
    done = CliRunner().invoke(app, [*words, "--from", "2024-01-01T03:00", "--to", "2024-01-01"], catch_exceptions=False)
    assert "zscore: 1 files, 258 rows, 1 windows" in done.stdout
    assert "1 of 1, 100.0%" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nab", "--dataset", "pump"], "name a labelled folder, or datasets with --dataset"),
        (["nab", "--from", "2024-01-01"], "a labelled folder is judged as a whole"),
    ],
)
def test_a_folder_or_datasets(folder: Path, words: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["evaluate", *words], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert message in done.stderr
