"""One supervised child: its own process group, its log file, and an identity that outlives the supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from gridwatch.folders import make_private

__all__ = ["MARKER", "Child", "Command", "child_environ", "is_same", "marked", "started_s", "stop_groups"]

MARKER = "_GRIDWATCH_RUN"
"""Environment variable of every child, holding the run folder: finds children that no state file names."""

_LOG_BYTES_MAX = 16 * 1024 * 1024
_POLL_S = 0.05
_KILLED_S = 5.0


@dataclass(frozen=True)
class Command:
    """What to run: arguments, additions to the environment, and the working folder."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold secrets
    cwd: Path | None = None


class Child:
    """A running child that leads a process group of its own."""

    def __init__(self, popen: subprocess.Popen[bytes], started: float) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.started = started

    @classmethod
    def spawn(cls, command: Command, log: Path, marker: str) -> Child:
        """Start the command with stdout and stderr appended to `log`.

        Raises:
            OSError: The program cannot be started.
        """
        make_private(log.parent)
        if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as out:
            popen = subprocess.Popen(
                list(command.argv),
                env=child_environ({**command.env, MARKER: marker}),
                cwd=command.cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                # A group of its own: Ctrl-C reaches the supervisor only, and a stop reaches grandchildren too.
                start_new_session=True,
            )
        return cls(popen, started_s(popen.pid) or 0.0)

    def exit_code(self) -> int | None:
        """Return the exit status, negative for a signal, or None while it runs."""
        return self._popen.poll()

    def stop(self, timeout_s: float) -> bool:
        """Stop the whole group; return whether it went without SIGKILL."""
        clean = stop_groups([self.pid], timeout_s)
        self._popen.wait()
        return clean


def child_environ(more: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with additions: how children come by secrets without a command line."""
    return {**os.environ, **more}


def started_s(pid: int) -> float | None:
    """Return when a process started (epoch seconds), or None when there is no such live process."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def is_same(pid: int | None, started: float | None) -> bool:
    """Whether `pid` is still the process that started then, not another that got its number."""
    if not pid or not started:
        return False
    now = started_s(pid)
    # Boot time, which the start is counted from, may be stepped by the clock; a reused number is seconds apart.
    return now is not None and abs(now - started) < 1.0


def marked(marker: str) -> list[int]:
    """Return the live processes that carry this marker, other than this one and its ancestors."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.pid not in own
                and process.status() != psutil.STATUS_ZOMBIE
                and process.environ().get(MARKER) == marker
            ):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's
    return found


def _members(groups: set[int]) -> list[psutil.Process]:
    """Live processes of these groups; a dead one that nobody reaps does not count."""
    members = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) in groups and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
        except (psutil.Error, OSError):
            continue
    return members


def _signal(groups: Iterable[int], number: signal.Signals) -> None:
    for group in groups:
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            continue
        except PermissionError:
            continue  # macOS says so when only zombies are left


def stop_groups(groups: Iterable[int], timeout_s: float) -> bool:
    """Ask process groups to stop, and kill what is left of them after `timeout_s`.

    Returns:
        Whether all of them went without SIGKILL.
    """
    wanted = set(groups)
    _signal(wanted, signal.SIGTERM)
    if _gone(wanted, timeout_s):
        return True
    _signal(wanted, signal.SIGKILL)
    _gone(wanted, _KILLED_S)
    return False


def _gone(groups: set[int], timeout_s: float) -> bool:
    # Looked at, not waited for: a wait here would take the exit status from the Popen that it belongs to.
    deadline = time.monotonic() + timeout_s
    while _members(groups):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
