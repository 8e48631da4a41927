"""A supervisor in the background: started, waited for, stopped; and what a killed one leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gridwatch.errors import ConfigError, MissingServiceError
from gridwatch.supervisor import State, down, hold, read_state, start_detached, wait_settled
from gridwatch.supervisor.process import MARKER, started_s
from gridwatch.supervisor.state import PlatformState, ServiceState, run_dir

from .conftest import SLEEPER

# A supervisor of two sleepers, in a process of its own.
PROGRAM = f"""
import sys, signal, threading
from pathlib import Path
from gridwatch.supervisor import Service, Supervisor, hold
from gridwatch.supervisor.process import Command
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
home = Path(sys.argv[1])
one = lambda name: Service(name, lambda: Command((sys.executable, "-c", {SLEEPER!r})))
with hold(home):
    Supervisor([one("a"), one("worker")], home, {{"kafka": "h:1"}}).run(stop)
"""


@pytest.fixture
def supervisor(home: Path) -> subprocess.Popen[bytes]:
    """A running supervisor with two running services."""
    popen = subprocess.Popen([sys.executable, "-c", PROGRAM, str(home)])
    state = wait_settled(home, popen.pid, 120)
    assert [service.state for service in state.services] == [State.RUNNING, State.RUNNING]
    return popen


def test_down_stops_the_supervisor_and_its_services(home: Path, supervisor: subprocess.Popen[bytes]) -> None:
    pids = [service.pid for service in _services(home)]
    assert down(home) == (True, 0)
    assert supervisor.wait(120) == 0
    assert [started_s(pid) for pid in pids if pid] == [None, None]
    assert {service.state for service in _services(home)} == {State.STOPPED}
    assert down(home) == (False, 0)


def test_down_after_a_kill_finds_the_orphans(home: Path, supervisor: subprocess.Popen[bytes]) -> None:
    pids = [service.pid for service in _services(home)]
    supervisor.kill()
    supervisor.wait()
    assert all(started_s(pid) for pid in pids if pid)
    assert down(home) == (False, 2)
    assert [started_s(pid) for pid in pids if pid] == [None, None]


def test_down_finds_orphans_that_the_state_does_not_name(home: Path) -> None:
    environ = {**os.environ, MARKER: str(run_dir(home))}
    orphan = subprocess.Popen([sys.executable, "-c", SLEEPER], env=environ, start_new_session=True)
    # The mark is there once the new program has taken over the process.
    deadline = time.monotonic() + 120
    while down(home) == (False, 0):
        assert time.monotonic() < deadline
    assert orphan.wait(120) == -signal.SIGTERM


def test_down_leaves_a_process_alone_that_has_got_a_service_number(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True) as stranger:
        state = PlatformState(stranger.pid, 1000.0)
        state.write(run_dir(home))
        assert down(home) == (False, 0)
        assert stranger.poll() is None
        stranger.kill()


def test_a_second_supervisor_is_refused(home: Path) -> None:
    with hold(home), pytest.raises(ConfigError, match="already runs in"):
        start_detached(home)


def test_a_supervisor_that_ends_while_starting_is_told(home: Path) -> None:
    popen = subprocess.Popen([sys.executable, "-c", ""])
    with pytest.raises(
        MissingServiceError, match=rf"process {popen.pid}\) ended while starting; its log is .*supervisor.log"
    ):
        wait_settled(home, popen.pid, 120)
    popen.wait()


def test_a_platform_that_does_not_come_up_is_told(home: Path) -> None:
    with pytest.raises(MissingServiceError, match=r"not up within 0\.1 s; `gridwatch status`"):
        wait_settled(home, os.getpid(), 0.1)


def _services(home: Path) -> list[ServiceState]:
    state = read_state(home)
    assert state is not None
    return list(state.services)
