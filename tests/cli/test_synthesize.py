"""`synthesize`: writes a folder that `evaluate` judges a detector on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.errors import SourceError
from gridwatch.sources.labelled import read_labelled


def run(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_what_is_made_can_be_judged(tmp_path: Path) -> None:
    words = ["synthesize", str(tmp_path / "made"), "--series", "4", "--rows", "1000", "--base", "daily", "--clean", "0"]
    told = json.loads(run(*words, "--fault", "spike", "--json"))
    assert (told["series"], told["rows"], set(told["faults"])) == (4, 4000, {"spike"})
    read = read_labelled(tmp_path / "made")
    assert sum(len(one.windows) for one in read) == told["faults"]["spike"] >= 4


def test_a_csv_of_ones_own_is_a_base(tmp_path: Path) -> None:
    lines = "".join(f"2024-01-{1 + row // 24:02d} {row % 24:02d}:00:00,{row % 24}\n" for row in range(600))
    (tmp_path / "mine.csv").write_text("timestamp,value\n" + lines)
    shown = run("synthesize", str(tmp_path / "made"), "--series", "2", "--base", str(tmp_path / "mine.csv"))
    assert "2 series, 1,200 rows" in shown
    assert (tmp_path / "made" / "data" / "mine" / "0001.csv").exists()
    with pytest.raises(SourceError, match=r"Cannot read '.*none.csv' as CSV"):
        run("synthesize", str(tmp_path / "other"), "--base", str(tmp_path / "none.csv"))


def test_kinds_are_listed_and_a_folder_is_asked_for() -> None:
    shown = run("synthesize", "--list")
    assert "such as tweets" in shown
    assert "a cycle that does not come" in shown
    asked = CliRunner().invoke(app, ["synthesize"])
    assert asked.exit_code == 2
