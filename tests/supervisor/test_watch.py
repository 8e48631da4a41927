"""The loop: order, health, back-off, giving up, stopping."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gridwatch.errors import JavaError
from gridwatch.supervisor import BackOff, Service, State, Supervisor, read_state
from gridwatch.supervisor.process import Command, started_s

from .conftest import SLEEPER, STUBBORN, python, quick


def _until(supervisor: Supervisor, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not done():
        assert time.monotonic() < deadline, supervisor.state
        supervisor.step()
        time.sleep(0.02)


def test_services_start_after_those_they_need_and_stop_before(home: Path) -> None:
    supervisor = quick([python("b", SLEEPER, needs=("a",)), python("a", SLEEPER)], home)
    supervisor.step()
    assert supervisor.service("b").state is State.WAITING
    _until(supervisor, lambda: supervisor.settled)
    a, b = supervisor.service("a"), supervisor.service("b")
    assert (a.started or 0) < (b.started or 0)
    supervisor.stop()
    assert [a.state, b.state] == [State.STOPPED, State.STOPPED]


def test_a_service_that_dies_is_started_again(home: Path) -> None:
    supervisor = quick([python("a", SLEEPER)], home)
    _until(supervisor, lambda: supervisor.settled)
    first = supervisor.service("a").pid
    assert first
    os.kill(first, signal.SIGKILL)
    _until(supervisor, lambda: supervisor.service("a").pid not in {first, None} and supervisor.settled)
    assert supervisor.service("a").restarts == 1
    supervisor.stop()


def test_one_that_always_dies_is_given_up_and_those_that_need_it_are_blocked(home: Path) -> None:
    # It never answers: on a busy machine it may live long enough to pass for a service that runs.
    dies = python("a", "raise SystemExit(3)", healthy=lambda: False)
    supervisor = quick([dies, python("b", SLEEPER, needs=("a",))], home)
    _until(supervisor, lambda: supervisor.settled)
    a, b = supervisor.service("a"), supervisor.service("b")
    assert (a.state, a.restarts, a.error) == (State.FAILED, 2, "ended with status 3")
    assert (b.state, b.error) == (State.BLOCKED, "needs a")
    supervisor.stop()
    kept = read_state(home)
    assert kept is not None
    assert kept.services[0].state is State.FAILED


def test_one_that_cannot_be_started_says_why(home: Path) -> None:
    def command() -> Command:
        raise JavaError("No Java here.")

    supervisor = quick([Service("a", command), Service("b", lambda: Command(("/no/such/program",)))], home)
    _until(supervisor, lambda: supervisor.settled)
    assert supervisor.service("a").error == "cannot be started: No Java here."
    assert "No such file" in supervisor.service("b").error


def test_one_that_never_answers_is_stopped_and_given_up(home: Path) -> None:
    supervisor = quick([python("a", SLEEPER, healthy=lambda: False, start_timeout_s=0.2)], home)
    _until(supervisor, lambda: supervisor.settled)
    assert supervisor.service("a").error == "did not answer within 0.2 s"
    assert supervisor.service("a").pid is None


def test_one_that_stops_answering_is_started_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridwatch.supervisor.watch._HEALTH_EVERY_S", 0.01)
    well = threading.Event()
    well.set()
    supervisor = quick([python("a", SLEEPER, healthy=well.is_set)], home)
    _until(supervisor, lambda: supervisor.settled)
    first = supervisor.service("a").pid
    well.clear()
    _until(supervisor, lambda: supervisor.service("a").restarts == 1)
    assert supervisor.service("a").error == "stopped answering 5 times in a row"
    well.set()
    _until(supervisor, lambda: supervisor.settled)
    assert supervisor.service("a").pid != first
    supervisor.stop()


def test_one_that_runs_once_is_done(home: Path) -> None:
    supervisor = quick([python("a", "pass", once=True), python("b", SLEEPER, needs=("a",))], home)
    _until(supervisor, lambda: supervisor.settled)
    assert supervisor.service("a").state is State.DONE
    assert supervisor.service("b").state is State.RUNNING
    supervisor.stop()


def test_held_back_until_released(home: Path) -> None:
    supervisor = quick([python("a", SLEEPER), python("b", SLEEPER)], home, hold_back=("b",))
    _until(supervisor, lambda: supervisor.settled)
    assert supervisor.service("b").state is State.WAITING
    supervisor.release("b")
    _until(supervisor, lambda: supervisor.service("b").state is State.RUNNING)
    supervisor.stop()


def test_run_stops_all_when_told_also_the_deaf(home: Path) -> None:
    supervisor = quick([python("a", STUBBORN, stop_timeout_s=0.1), python("b", SLEEPER, needs=("a",))], home)
    stop = threading.Event()
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + 120
    while not supervisor.settled:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pids = [service.pid for service in supervisor.state.services]
    stop.set()
    thread.join(120)
    assert [started_s(pid) for pid in pids if pid] == [None, None]


def test_a_service_is_told_its_number(home: Path) -> None:
    told: list[int] = []
    supervisor = quick([python("a", SLEEPER, spawned=told.append)], home)
    _until(supervisor, lambda: supervisor.settled)
    assert told == [supervisor.service("a").pid]
    supervisor.stop()


def test_an_unknown_need_is_refused(home: Path) -> None:
    with pytest.raises(ValueError, match=r"'a' needs \['nothing'\]"):
        quick([python("a", SLEEPER, needs=("nothing",))], home)


def test_pauses_grow_and_are_bounded() -> None:
    assert [BackOff().pause_s(failures) for failures in (1, 2, 3, 9)] == [1.0, 2.0, 4.0, 30.0]
