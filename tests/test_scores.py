"""The tables of docs/detection.md, from one command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.scores import PROFILES, STREAMS
from gridwatch.cli.app import app
from gridwatch.detectors.registry import DETECTORS
from gridwatch.sources.testing import write_labelled

PAGE = Path(__file__).parents[1] / "docs" / "detection.md"


def test_both_tables_are_those_of_the_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_labelled(tmp_path / "made")
    written = {name: tmp_path / f"scores.{name}" for name in ("markdown", "json")}
    options = [word for name, path in written.items() for word in (f"--{name}", str(path))]
    words = ["scores", str(tmp_path / "made"), "--detector", "zscore", "--splits", "3", "--no-track", *options]
    assert main(words) == 0
    [report] = json.loads(written["json"].read_text())
    standard = report["profiles"][0]
    lines = written["markdown"].read_text().splitlines()
    assert lines[0] == f"| {' | '.join(PROFILES)} |"
    assert lines[2].startswith(f"| `zscore` | standard | {standard['best']:.1f} | {standard['cross_half']:.1f} | ")
    assert lines[6] == f"| {' | '.join(STREAMS)} |"
    assert lines[8].startswith(f"| `zscore` | {report['vus_pr']:.3f} | {report['alarms']:,} (3.29) | ")
    assert lines[8].count("|") == len(STREAMS) + 1
    assert "│ zscore" in capsys.readouterr().out


def test_the_page_has_a_row_for_each_detector() -> None:
    lines = PAGE.read_text().splitlines()
    for headings, rows in ((PROFILES, 3), (STREAMS, 1)):
        at = lines.index(f"| {' | '.join(headings)} |")
        named = [line.split("`")[1] for line in lines[at + 2 : at + 2 + rows * len(DETECTORS)]]
        assert sorted(named) == sorted(list(DETECTORS) * rows)


def test_tools_with_options_of_their_own_are_handed_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[str], Path | None]] = []

    def run(command: list[str], *, cwd: Path | None, **_how: object) -> subprocess.CompletedProcess[str]:
        asked.append((command[3:], cwd))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.chdir(tmp_path)
    for words in (["trials", "nab", "made", "--draws", "2"], ["scores", "--help"], ["store", "--json", "figures.json"]):
        assert CliRunner().invoke(app, ["bench", *words]).exit_code == 0
    figures = str(tmp_path / "figures.json")
    # Folders are those of who asks; comparisons find what they measure in the source tree.
    assert asked[:2] == [(["trials", "nab", "made", "--draws", "2"], None), (["scores", "--help"], None)]
    assert asked[2] == (["store", "--json", figures], PAGE.parents[1])
    told = CliRunner().invoke(app, ["bench", "--help"])
    assert "`gridwatch bench scores --help` names" in told.stdout
    assert len(asked) == 3
