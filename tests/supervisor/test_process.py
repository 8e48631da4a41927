"""Children: groups, logs, identity, and an end that comes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gridwatch.supervisor.process import Child, Command, is_same, marked, started_s

from .conftest import SLEEPER, STUBBORN


def _wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 120
    while text not in (path.read_text(encoding="utf-8") if path.exists() else ""):
        assert time.monotonic() < deadline, f"{text!r} never came in {path}"
        time.sleep(0.02)


def test_a_child_writes_to_its_log_and_gets_its_environment(home: Path) -> None:
    code = "import os; print(os.environ['COLOUR'], os.getcwd())"
    child = Child.spawn(
        Command((sys.executable, "-c", code), {"COLOUR": "green"}, home), home / "c.log", str(home / "run")
    )
    _wait_for(home / "c.log", f"green {home}")
    child.stop(60)
    assert child.exit_code() is not None


def test_stop_ends_grandchildren_too(home: Path) -> None:
    start = f"p = subprocess.Popen([sys.executable, '-c', {SLEEPER!r}])"
    code = f"import subprocess, sys; {start}; print(p.pid, flush=True); p.wait()"
    child = Child.spawn(Command((sys.executable, "-c", code)), home / "c.log", str(home / "run"))
    _wait_for(home / "c.log", "\n")
    grandchild = int((home / "c.log").read_text(encoding="utf-8"))
    assert set(marked(str(home / "run"))) == {child.pid, grandchild}
    assert child.stop(60)
    assert started_s(grandchild) is None


def test_a_child_that_ignores_sigterm_is_killed(home: Path) -> None:
    child = Child.spawn(Command((sys.executable, "-c", STUBBORN)), home / "c.log", str(home / "run"))
    _wait_for(home / "c.log", "deaf")
    assert not child.stop(0.2)
    assert child.exit_code() == -9


def test_a_program_that_there_is_not_is_an_error(home: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        # Not looked for in PATH: a folder there that this user may not enter would make it another error.
        Child.spawn(Command((str(home / "no-such-program"),)), home / "c.log", "mark")


def test_a_full_log_is_put_aside(home: Path) -> None:
    log = home / "c.log"
    with log.open("wb") as out:
        out.truncate(17 * 1024 * 1024)
    child = Child.spawn(Command((sys.executable, "-c", "print('new')")), log, "mark")
    _wait_for(log, "new")
    child.stop(60)
    assert (home / "c.log.1").stat().st_size == 17 * 1024 * 1024


def test_identity_is_number_and_start() -> None:
    own = psutil.Process().create_time()
    assert is_same(os.getpid(), own)
    assert not is_same(os.getpid(), own - 3600)
    assert not is_same(None, None)


def test_a_dead_process_that_nobody_reaped_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as popen:
        deadline = time.monotonic() + 120
        while psutil.Process(popen.pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert started_s(popen.pid) is None
