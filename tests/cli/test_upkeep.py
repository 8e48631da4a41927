"""`gridwatch upkeep`: what goes is shown first, and then gone."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.containers import open_store
from gridwatch.containers.catalog import score_info

DAY_MS = 86_400_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a dataset and ten scored rows, one a day until now."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRIDWATCH_DATASETS_DIR", str(tmp_path))
    monkeypatch.setenv("GRIDWATCH_LOG_LEVEL", "WARNING")
    source = {"kind": "sample", "series": "AAPL"}
    (tmp_path / "pump.json").write_text(json.dumps({"name": "pump", "symbol": "pump", "source": source}))
    now_ms = time.time_ns() // 1_000_000
    with open_store(f"sqlite:///{tmp_path / 'home' / 'store.db'}") as store:
        store.put_container(score_info("pump"))
        times = [now_ms - day * DAY_MS for day in range(10)]
        store.put("SCORE_pump", pa.table({"ts": pa.array(times, pa.timestamp("ms", "UTC")), "actual": [1.0] * 10}))
    return tmp_path / "home"


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["upkeep", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def rows(home: Path) -> int:
    with open_store(f"sqlite:///{home / 'store.db'}") as store:
        return int(store.read("SCORE_pump").num_rows)


def test_what_would_go_is_shown_and_then_goes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run() == "Nothing has a retention: everything is kept. See docs/operations.md#retention.\n"
    monkeypatch.setenv("GRIDWATCH_RETENTION__SCORES_DAYS", "5")
    shown = run("--dry-run")
    assert "SCORE_pump" in shown
    assert shown.splitlines()[-1] == "5 rows would go"
    assert rows(home) == 10
    told = json.loads(run("--json"))
    assert (told["rows"], told["dry_run"]) == (5, False)
    [sweep] = told["sweeps"]
    assert (sweep["container"], sweep["kind"], sweep["days"], sweep["rows"]) == ("SCORE_pump", "scores", 5, 5)
    assert rows(home) == 5
    assert run().splitlines()[-1] == "0 rows deleted"
