"""A supervisor of its own in the background: start it, wait for it, stop it and whatever it left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gridwatch.errors import MissingServiceError
from gridwatch.folders import make_private
from gridwatch.supervisor.process import is_same, marked, started_s, stop_groups
from gridwatch.supervisor.state import PlatformState, State, hold, read_state, run_dir

__all__ = ["down", "start_detached", "sweep", "wait_settled"]

_SETTLED = {State.RUNNING, State.DONE, State.FAILED, State.BLOCKED}


def start_detached(home: Path, *arguments: str) -> int:
    """Start `gridwatch up --foreground` in a session of its own and return its process number.

    Raises:
        ConfigError: A supervisor already runs in this home.
    """
    with hold(home):
        pass  # only to ask early; the child takes the lock for good
    log = home / "logs" / "supervisor.log"
    make_private(log.parent)
    with log.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "gridwatch.cli", "up", "--foreground", *arguments],
            env={**os.environ, "GRIDWATCH_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return child.pid


def wait_settled(
    home: Path, pid: int, timeout_s: float, changed: Callable[[PlatformState], None] | None = None
) -> PlatformState:
    """Wait until every service of the supervisor `pid` runs, is done, or was given up.

    Raises:
        MissingServiceError: The supervisor ended, or the time is over.
    """
    deadline = time.monotonic() + timeout_s
    log = home / "logs" / "supervisor.log"
    while time.monotonic() < deadline:
        state = read_state(home)
        if state and state.pid == pid:
            if changed:
                changed(state)
            if all(service.state in _SETTLED for service in state.services):
                return state
        if started_s(pid) is None:
            raise MissingServiceError(f"The supervisor (process {pid}) ended while starting; its log is {log}.")
        time.sleep(0.2)
    raise MissingServiceError(
        f"The platform was not up within {timeout_s:g} s; `gridwatch status` shows what is missing, {log} why."
    )


def sweep(home: Path, timeout_s: float = 8.0) -> int:
    """Stop what a dead supervisor of this home left running; return how many processes that were.

    They are found by number and start time in the state file, and by the mark in their environment, which also
    covers those started in the instant before the state was written.
    """
    state = read_state(home)
    left = {service.pid for service in state.services if service.alive and service.pid} if state else set()
    found = left | set(marked(str(run_dir(home))))
    groups = set()
    for pid in found:
        try:
            groups.add(os.getpgid(pid))
        except ProcessLookupError:
            continue
    # Never the caller's own group, should a marked process have joined it.
    groups.discard(os.getpgid(0))
    # Workers first: Prefect's does not end by itself once its server is gone.
    order = [service.pid for service in state.services if service.name == "worker"] if state else []
    first = groups & {pid for pid in order if pid}
    if first:
        stop_groups(first, min(4.0, timeout_s))
    stop_groups(groups - first, timeout_s)
    return len(found)


def down(home: Path, timeout_s: float = 40.0) -> tuple[bool, int]:
    """Stop the supervisor of this home, and orphans of one that died.

    Returns:
        Whether a supervisor was running, and how many processes it had left behind.
    """
    state = read_state(home)
    running = state is not None and state.alive
    if state is not None and running:
        _end(state, timeout_s)
    left = sweep(home)
    state = read_state(home)
    if state is not None:
        for service in state.services:
            service.pid, service.started = None, None
            if service.state is not State.FAILED:
                service.state = State.STOPPED
        state.write(run_dir(home))
    return running, left


def _end(state: PlatformState, timeout_s: float) -> None:
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while is_same(state.pid, state.started):
        if time.monotonic() > deadline:
            os.kill(state.pid, signal.SIGKILL)
            return
        time.sleep(0.1)
