"""The benchmarks' runner: figures, table, JSON; one comparison for real. Speeds are not tested."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import benchmarks.artifacts
import benchmarks.bursts
import benchmarks.store
from benchmarks.__main__ import NAMES, main
from benchmarks.figure import Figure


def test_a_figure_has_rate_and_ratio() -> None:
    figure = Figure("work", 100, "rows", 0.5, "plain", 2.0)
    assert (figure.rate, figure.ratio) == (200.0, 4.0)
    assert Figure("work", 1, "rows", 0.5).ratio is None


def test_an_unknown_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["stoer"])
    assert f"no benchmark stoer; there are {', '.join(NAMES)}" in capsys.readouterr().err


def test_the_store_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmarks.store, "ROWS", 1)
    files = ["--json", str(tmp_path / "figures.json"), "--markdown", str(tmp_path / "table.md")]
    assert main(["store", "--rows", "500", *files]) == 0
    report = json.loads((tmp_path / "figures.json").read_text())
    assert {figure["amount"] for figure in report["figures"]} == {500}
    assert [figure["name"] for figure in report["figures"]] == ["store write", "store read"]
    assert report["figures"][1]["note"] == "equal values: True"
    assert all(figure["ratio"] > 0 for figure in report["figures"])
    assert (tmp_path / "table.md").read_text().count("| store ") == 2
    assert "pandas.read_sql" in capsys.readouterr().out


def test_artifacts_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.artifacts, "MIB", 1)
    monkeypatch.setattr(benchmarks.artifacts, "SMALL", 2)
    figures = list(benchmarks.artifacts.run())
    assert [figure.aim for figure in figures] == [0.8, None, None, 0.4, None, None]
    assert figures[3].note == "sha256 checked; equal bytes: True"


def test_what_jobs_find_is_told_beside_what_they_say_of_ordinary_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.bursts, "LENGTH", 600)
    monkeypatch.setattr(benchmarks.bursts, "SERIES", 2)
    monkeypatch.setattr(benchmarks.bursts, "KINDS", benchmarks.bursts.KINDS[::7])
    figures = {figure.name: figure for figure in benchmarks.bursts.run()}
    assert len(figures) == 3
    told = figures["bursts: counts, 30 a bucket"].note
    assert re.fullmatch(
        r"critical 100 % of odd; of 1,000 ordinary \d+\.\d records, \d\.\d\d minor, \d\.\d\d critical", told
    )
    assert {figure.amount for figure in figures.values()} == {2 * 2 * 2 * 600}


def test_every_benchmark_has_its_module() -> None:
    folder = Path(benchmarks.store.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} == {
        *NAMES,
        "__init__",
        "__main__",
        "figure",
        "job_runs",
        "mail_server",
        "pictures",
        "scores",
        "sinks",
        "trials",
    }
