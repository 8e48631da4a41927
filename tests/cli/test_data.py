"""Reports of the pipeline's functions, as tables and as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.cli.data import show_reports
from gridwatch.containers import open_store
from gridwatch.pipeline.transport import LoadReport
from gridwatch.pipeline.validate import ValidationReport
from gridwatch.sources import load_dataset

ROOT = Path(__file__).parents[2]


def test_narrow_reports_are_rows(capsys: pytest.CaptureFixture[str]) -> None:
    show_reports([LoadReport("a", 1, 3270, 0, 0, 0, None, ["day.csv, line 2: no price"])], as_json=False)
    shown = capsys.readouterr().out
    assert "3,270" in shown
    assert "1970-01-01 00:00:00" in shown
    assert "day.csv, line 2: no price" in shown


def test_wide_reports_are_columns_and_name_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    failures = [{"expectation": "expect_x", "column": "open", "reason": "2 nulls", "failing": 2, "rows": []}]
    report = ValidationReport("i", "a", "A", "ohlcv", 0, False, 5, 0, 1, 3, failures, markdown="# long")
    show_reports([report], as_json=False)
    shown = capsys.readouterr().out
    assert "expect_x on open: 2 nulls" in shown
    assert "# long" not in shown
    show_reports([report], as_json=True)
    assert json.loads(capsys.readouterr().out)[0]["failures"] == failures


def test_no_datasets(capsys: pytest.CaptureFixture[str]) -> None:
    show_reports([], as_json=False)
    assert capsys.readouterr().out == "No datasets.\n"


def test_validate_of_bad_rows_is_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """High below low: the reason is in the table, and a script sees the status."""
    import pandas as pd

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path))
    dataset = load_dataset(ROOT / "flows" / "datasets" / "aapl_daily.json")
    days = pd.date_range("2004-01-05 05:00", periods=5, freq="D", tz="UTC").as_unit("ms")
    frame = pd.DataFrame({"ts": days, "open": 10.0, "high": 9.0, "low": 11.0, "close": 10.0, "volume": 1})
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.put_container(dataset.info)
        store.put(dataset.container, frame)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    done = CliRunner().invoke(app, ["validate", "aapl_daily", "--json"])
    assert done.exit_code == 1, done.output
    [report] = json.loads(done.stdout)
    assert not report["success"]
    assert "expect_ohlc_to_be_consistent" in {failure["expectation"] for failure in report["failures"]}
    missing = CliRunner().invoke(app, ["validate", "buoy_temperature"])
    assert "first run `gridwatch load buoy_temperature`" in str(missing.exception)
