"""`backup` and `restore`: a whole copy, and nothing replaced under a running platform."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gridwatch.cli.app import app
from gridwatch.containers import open_store
from gridwatch.containers.catalog import series_info
from gridwatch.errors import ConfigError, StoreError
from gridwatch.supervisor.process import started_s
from gridwatch.supervisor.state import PlatformState, run_dir


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose store has one container."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    with open_store(f"sqlite:///{tmp_path / 'home' / 'store.db'}") as store:
        store.put_container(series_info("first"))
    return tmp_path / "home"


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=answer)


def containers(home: Path) -> list[str]:
    with open_store(f"sqlite:///{home / 'store.db'}") as store:
        return sorted(store.containers())


def test_what_came_after_the_backup_is_gone_and_kept_beside(home: Path) -> None:
    assert run("backup", "copy.db").stdout.startswith("copy.db: ")
    with open_store(f"sqlite:///{home / 'store.db'}") as store:
        store.put_container(series_info("second"))
    assert run("restore", "copy.db", answer="n\n").exit_code == 1
    assert containers(home) == ["first", "second"]
    done = run("restore", "copy.db", "--yes")
    assert "what was there before is" in done.stdout
    assert containers(home) == ["first"]


def test_a_running_platform_keeps_its_store(home: Path) -> None:
    run("backup", "copy.db")
    PlatformState(os.getpid(), started_s(os.getpid()) or 0.0, [], {}).write(run_dir(home))
    done = run("restore", "copy.db", "--yes")
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith("The platform is running and uses the store; stop it first with `gridwatch d")


@pytest.mark.parametrize("command", [("backup", "copy.db"), ("restore", "copy.db", "--yes")])
def test_another_store_has_its_own_backup(
    home: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("GRIDWATCH_STORE_URL", "griddb://db.example:10001/cluster/public")
    done = run(*command)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == (
        "The store at griddb://db.example:10001/cluster/public is no file of gridwatch's; use its own backup."
    )


def test_a_backup_is_replaced_when_asked_for_and_told_in_json(home: Path) -> None:
    run("backup", "copy.db")
    again = run("backup", "copy.db")
    assert isinstance(again.exception, StoreError)
    assert str(again.exception).endswith("exists; name a new file, or replace it with --force.")
    told = json.loads(run("backup", "copy.db", "--force", "--json").stdout)
    assert told["file"] == "copy.db"
    assert told["bytes"] == Path("copy.db").stat().st_size
    assert told["objects"] == {"folder": str(Path("copy.db.objects").absolute()), "count": 0, "bytes": 0}
    assert run("restore", "copy.db", "--yes").exit_code == 0
    lost = run("restore", "copy.db", "--yes")
    assert isinstance(lost.exception, StoreError)
    assert "which an earlier restore kept, would be lost" in str(lost.exception)
    assert run("restore", "copy.db", "--yes", "--force").exit_code == 0
