"""What is shown while one waits: bars on a terminal, nothing off it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gridwatch.cli._output import JARS, progresses
from gridwatch.cli.app import app, main
from gridwatch.cli.project import lay_out
from gridwatch.containers import open_store
from gridwatch.containers.catalog import series_info
from gridwatch.errors import JavaError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make stderr a terminal; in the test's body, for before it pytest sets stderr once more."""
    shown = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", shown)
    return shown


def test_a_second_bar_comes_with_its_first_word(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    with progresses("rows", "jars") as (rows, jars):
        rows(1, 4)
    assert "rows" in terminal.getvalue()
    assert "jars" not in terminal.getvalue()
    with progresses("rows", "jars") as (_, jars):
        jars(3, 25)
    assert "jars" in terminal.getvalue()
    assert "3/25" in terminal.getvalue()


def test_off_a_terminal_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with progresses("rows", "jars") as (rows, jars):
        rows(1, 4)
        jars(3, 25)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("command", "label"),
    [(("validate", "aapl_daily"), "validate aapl_daily"), (("detect", "aapl_daily"), "detect aapl_daily")],
)
def test_what_has_no_steps_is_seen_to_go_on(
    command: tuple[str, ...], label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    for name in ("validate", "detect"):
        monkeypatch.setattr(f"gridwatch.pipeline.{name}.{name}", _failing)
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(sys, "argv", ["gridwatch", *command])
    with pytest.raises(SystemExit):
        main()
    assert label in terminal.getvalue()
    assert terminal.getvalue().endswith("error: No rows.\n")


def test_a_backup_is_seen_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    with open_store(f"sqlite:///{tmp_path / 'home' / 'store.db'}") as store:
        store.put_container(series_info("first"))
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(sys, "argv", ["gridwatch", "backup", "copy.db"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert "backup to copy.db" in terminal.getvalue()


def _failing(*_: object, **__: object) -> None:
    raise JavaError("No rows.")


def _downloading(*_: object, progress: Callable[[int, int | None], None], **__: object) -> None:
    progress(3, 25)
    raise JavaError("The network is gone.")


@pytest.mark.parametrize("command", [("demo",), ("up",), ("up", "--foreground")])
def test_the_platform_shows_that_jars_are_downloaded(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("gridwatch.supervisor.plan", _downloading)
    told: list[tuple[str, int, int | None]] = []
    monkeypatch.setattr("gridwatch.cli.demo.progress", _noted(told))
    monkeypatch.setattr("gridwatch.cli.platform.progress", _noted(told))
    assert isinstance(CliRunner().invoke(app, list(command)).exception, JavaError)
    assert told == [(JARS, 3, 25)]


@pytest.mark.parametrize("command", ["load", "ingest"])
def test_a_load_shows_that_jars_are_downloaded(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("gridwatch.streaming.broker_for", _downloading)
    told: list[tuple[str, int, int | None]] = []

    @contextmanager
    def noted(*labels: str) -> Iterator[tuple[Any, ...]]:
        yield tuple(lambda done, total, label=label: told.append((label, done, total)) for label in labels)

    monkeypatch.setattr("gridwatch.cli.data.progresses", noted)
    assert isinstance(CliRunner().invoke(app, [command, "aapl_daily"]).exception, JavaError)
    assert told == [(JARS, 3, 25)]


def _noted(told: list[tuple[str, int, int | None]]) -> Any:
    @contextmanager
    def noted(label: str) -> Iterator[Any]:
        yield lambda done, total: told.append((label, done, total))

    return noted
