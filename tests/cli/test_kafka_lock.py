"""The command that the header of the lock file names."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.errors import ConfigError
from gridwatch.java.jars import ENVIRONMENTS, lock_path, read_lock


@pytest.mark.parametrize("environment", ["kafka", "griddb", "ecj"])
def test_the_lock_file_is_written_by_the_command_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    monkeypatch.setitem(ENVIRONMENTS, environment, ())  # nothing to resolve, so nothing to download
    out = tmp_path / "new.lock.toml"
    words = [] if environment == "kafka" else [environment]
    done = CliRunner().invoke(app, ["kafka", "lock", *words, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}\n"
    assert read_lock(out) == []
    first = out.read_text(encoding="utf-8").splitlines()[0]
    assert first == lock_path(environment).read_text(encoding="utf-8").splitlines()[0]
    assert f"`{' '.join(['gridwatch kafka lock', *words])}`" in first


def test_other_jars_are_told() -> None:
    done = CliRunner().invoke(app, ["kafka", "lock", "maven"])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == "No jars 'maven'; there are kafka, griddb, ecj."
