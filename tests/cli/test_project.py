"""`init` lays out what is shipped; `doctor` tells what is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gridwatch.cli._doctor import checkup
from gridwatch.cli.app import app
from gridwatch.cli.project import example_env, lay_out
from gridwatch.errors import ConfigError
from gridwatch.settings import Settings, load_settings
from gridwatch.supervisor.state import free_port

ROOT = Path(__file__).parents[2]


def test_a_project_holds_what_the_repository_holds(tmp_path: Path) -> None:
    written = {str(path.relative_to(tmp_path / "p")) for path in lay_out(tmp_path / "p")}
    assert {"prefect.yaml", ".env.example", "flows/run_all.py", "flows/_edge.py", "expectations/ohlcv.json"} <= written
    assert "flows/datasets/aapl_daily.json" in written
    assert not any("__pycache__" in name for name in written)
    assert (tmp_path / "p" / "prefect.yaml").read_bytes() == (ROOT / "prefect.yaml").read_bytes()
    assert lay_out(tmp_path / "p") == []


def test_files_that_differ_are_named_and_kept(tmp_path: Path) -> None:
    lay_out(tmp_path)
    mine = tmp_path / "flows" / "train.py"
    mine.write_text("# mine", encoding="utf-8")
    (tmp_path / "prefect.yaml").unlink()
    with pytest.raises(ConfigError, match=r"other files already: flows/train\.py; --force overwrites them"):
        lay_out(tmp_path)
    assert not (tmp_path / "prefect.yaml").exists()  # nothing is written when something is in the way
    assert mine.read_text(encoding="utf-8") == "# mine"
    assert len(lay_out(tmp_path, force=True)) == 2
    assert mine.read_bytes() == (ROOT / "flows" / "train.py").read_bytes()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"Cannot write '.*file/.*': Not a directory"):
        lay_out(tmp_path / "file")


def test_the_example_env_names_every_setting_and_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for line in example_env().splitlines() if line.startswith("#GRIDWATCH_")]
    assert len(lines) >= 40
    (tmp_path / ".env").write_text(
        "\n".join(line[1:].partition("  #")[0] for line in lines if "=  #" not in line), encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("GRIDWATCH_HOME", "GRIDWATCH_SERVER__PORT"):
        monkeypatch.delenv(name, raising=False)
    assert load_settings() == Settings(_env_file=None)


def test_doctor_on_a_fresh_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / ".gridwatch"))
    monkeypatch.delenv("GRIDWATCH_STORE", raising=False)
    monkeypatch.setenv("GRIDWATCH_SENDGRID__API_KEY", "SG.secret")
    monkeypatch.setenv("GRIDWATCH_SERVER__PORT", str(free_port()))
    done = CliRunner().invoke(app, ["doctor", "--json"])
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.exit_code == 0, checks
    assert checks["store"]["state"] == "missing"
    assert checks["dataset aapl_daily"]["state"] == "ok"
    assert checks["dataset stocks_ibm_intraday"]["advice"] == "set GRIDWATCH_ALPHA_VANTAGE__API_KEY"
    assert "GRIDWATCH_SENDGRID__API_KEY=****" in checks["settings"]["found"]
    assert "SG.secret" not in done.stdout


def test_doctor_names_what_is_configured_and_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    away = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("GRIDWATCH_KAFKA__BOOTSTRAP_SERVERS", away)
    monkeypatch.setenv("GRIDWATCH_KAFKA__REQUEST_TIMEOUT_S", "1")
    monkeypatch.setenv("GRIDWATCH_MLFLOW__TRACKING_URI", f"http://u:hunter2@{away}")
    monkeypatch.setenv("GRIDWATCH_PREFECT__API_URL", f"http://{away}/api")
    monkeypatch.setenv("GRIDWATCH_ALERTS__HANDLER_URL", f"http://{away}/trigger")
    done = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "300"})
    assert done.exit_code == 1
    assert done.stdout.count("bad") == 4
    assert done.stdout.count("does not answer") >= 3
    assert "hunter2" not in done.stdout


def test_doctor_finds_a_dataset_that_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "flows" / "datasets" / "aapl_daily.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**raw, "suite": "none", "schedule": {"train": "1 1 * * *"}}), encoding="utf-8")
    [check] = [one for one in checkup(load_settings()) if one.name == "dataset aapl_daily"]
    assert check.state == "bad"
    assert (
        check.found == "its suite expectations/none.json is missing; "
        "no schedule in prefect.yaml runs train '1 1 * * *' in America/New_York"
    )
    path.write_text(json.dumps({**raw, "schedule": {"timezone": "Asia/Tokyo"}}), encoding="utf-8")
    [check] = [one for one in checkup(load_settings()) if one.name == "dataset aapl_daily"]
    assert check.state == "bad"
    assert check.found.endswith("detect '30 17 * * 1-5', train '0 6 * * 6' in Asia/Tokyo")
    path.write_text("{}", encoding="utf-8")
    [check] = [one for one in checkup(load_settings()) if one.name == "datasets"]
    assert check.state == "bad"
    assert "aapl_daily.json" in check.found
