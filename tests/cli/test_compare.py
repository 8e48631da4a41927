"""`compare`: detectors side by side from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.containers import open_store
from gridwatch.detectors.testing import random_walk
from gridwatch.sources import load_dataset


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset with 600 rows in a store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRIDWATCH_DATASETS_DIR", str(tmp_path))
    columns = [{"name": "bar"}]
    raw = {"name": "pump", "symbol": "pump", "source": {"kind": "csv_folder", "path": "."}, "columns": columns}
    (tmp_path / "pump.json").write_text(json.dumps(raw | {"value": "bar", "feature": "level"}))
    dataset = load_dataset(tmp_path / "pump.json")
    times, values = random_walk(600, seed=2)
    values[585] *= 2.0
    with open_store(f"sqlite:///{tmp_path / 'home' / 'store.db'}") as store:
        store.put_container(dataset.info)
        store.put(dataset.container, pd.DataFrame({"ts": times, "bar": values}))
    return tmp_path


def test_detectors_stand_side_by_side(project: Path) -> None:
    asked = ["compare", "pump", "--detector", "auto", "--detector", "range"]
    done = CliRunner().invoke(app, [*asked, "--json", "--plot", "both.png"], catch_exceptions=False)
    auto, alone = json.loads(done.stdout)
    assert (auto["detector"], alone["detector"], auto["scored"], alone["scored"]) == ("auto", "range", 30, 30)
    assert 1 <= auto["anomalies"] == len(auto["times_ms"])
    assert (project / "both.png").read_bytes().startswith(b"\x89PNG")
    table = CliRunner().invoke(app, asked, catch_exceptions=False).stdout
    assert "pump: bar, the same rows by each detector" in table
    assert "alarm >= 96.98" in table


def test_an_unknown_detector_is_told(project: Path) -> None:
    done = CliRunner().invoke(app, ["compare", "pump", "--detector", "prophet"])
    assert "'prophet'" in str(done.exception)
    assert "'auto', 'auto+lstm'" in str(done.exception)
