"""Every command that the docs show runs and succeeds, in a project that `init` laid out; `up` and `down` do it all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.platform import check_down, check_up

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / "operations.md", ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# Run by other tests, at the length that they need.
ELSEWHERE = {
    "demo": "tests/e2e/test_demo.py",
    "test": "tests/test_runner.py",
    "bench": "tests/test_benchmarks.py",
}

CHECKED = {"up": check_up, "down": check_down}
"""What is looked at once such a command has run: no other test starts a platform for it."""


def shown(page: Path) -> list[str]:
    """Return the commands in the console blocks of a page, without the prompt."""
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def commands() -> list[list[str]]:
    """Return the words after `gridwatch` of every command, page by page, none twice."""
    lines = [line.split() for page in PAGES for line in shown(page) if not line.startswith("cd ")]
    for line in lines:
        assert line[0].split("/")[-1] == "gridwatch", f"{line} is no gridwatch command; show those only"
    return [list(words) for words in dict.fromkeys(tuple(line[1:]) for line in lines)]


def run(project: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("GRIDWATCH_", "PREFECT_"))}
    return subprocess.run(
        [sys.executable, "-m", "gridwatch.cli", *words],
        cwd=project,
        env=environ | {"GRIDWATCH_SERVER__PORT": "0"},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "project"
    laid_out = run(tmp_path, ["init", str(folder)])
    assert laid_out.returncode == 0, laid_out.stderr
    yield folder
    run(folder, ["down"])


def test_commands_left_to_other_tests_have_them() -> None:
    assert [path for path in ELSEWHERE.values() if not (ROOT / path).exists()] == []


@pytest.mark.e2e
@pytest.mark.timeout(3600)
def test_every_command_shown_succeeds(project: Path) -> None:
    ran = [words for words in commands() if words[0] not in ELSEWHERE]
    assert ran.index(["up"]) < ran.index(["load", "aapl_daily"]) < ran.index(["down"])
    said = {}
    for words in ran:
        done = run(project, words)
        assert done.returncode == 0, f"gridwatch {' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        if words in ([name] for name in CHECKED):
            CHECKED[words[0]](project, run)
        said[" ".join(words)] = done.stdout
    assert "gridwatch stopped" in said["down"]


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"
