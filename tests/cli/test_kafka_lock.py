"""The command that the header of the lock file names."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.java.jars import ENVIRONMENTS, lock_path, read_lock


def test_the_lock_file_is_written_by_the_command_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENTS, "kafka", ())  # nothing to resolve, so nothing to download
    out = tmp_path / "new.lock.toml"
    done = CliRunner().invoke(app, ["kafka", "lock", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}\n"
    assert read_lock(out) == []
    first = out.read_text(encoding="utf-8").splitlines()[0]
    assert first == lock_path("kafka").read_text(encoding="utf-8").splitlines()[0]
    assert "`gridwatch kafka lock`" in first
