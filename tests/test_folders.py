"""The folders with gridwatch's data are their owner's alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridwatch.containers import open_store
from gridwatch.folders import make_private
from gridwatch.supervisor import hold

# What other folders are: a person's own project, downloads that hold no data, a temporary folder.
NOT_HOME = {
    "cli/_artifact_copy.py",
    "cli/demo.py",
    "cli/project.py",
    "grafana/files.py",
    "java/compiler.py",
    "java/connector.py",
    "java/jars.py",
    "pipeline/evaluate.py",
    "sources/synthetic.py",
    "sources/testing.py",
    "tracking/evaluations.py",
    "tracking/recording.py",
}


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


def test_whatever_comes_first_makes_the_home_private(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'store' / 'home' / 'store.db'}"):
        pass
    with hold(tmp_path / "up"):
        pass
    for folder in ("store", "store/home", "up", "up/run"):
        assert mode(tmp_path / folder) == 0o700


def test_what_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    make_private(tmp_path / "home" / "run")
    make_private(tmp_path / "home" / "run")
    assert (mode(tmp_path / "home"), mode(tmp_path / "home" / "run")) == (0o755, 0o700)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        make_private(tmp_path / "file" / "home")


def test_nothing_else_makes_the_home() -> None:
    source = Path(__file__).parents[1] / "src" / "gridwatch"
    makers = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if re.search(r"\b(mkdir|makedirs)\(", path.read_text(encoding="utf-8"))
    }
    assert makers - NOT_HOME == {"folders.py"}
