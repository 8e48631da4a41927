"""Java services of our own that outlive the process which started them: start, recognise, end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from gridwatch.errors import JavaError

__all__ = ["JVM", "await_healthy", "end", "kill", "on_free_ports", "process_of", "spawn"]

_LAUNCHES_MAX = 3
_LOOK_S = 0.1

JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-XX:+ExitOnOutOfMemoryError")
"""Options of a JVM that is to start fast and stay small."""


def spawn(argv: Sequence[str], environ: Mapping[str, str], output: Path) -> psutil.Process:
    """Start a program in a session of its own, with its output in a file.

    Raises:
        JavaError: It cannot be started.
    """
    try:
        with output.open("wb") as out, Path(os.devnull).open("rb") as nothing:
            # Not a Popen: it may outlive both the caller and this process. A session of its own, since Ctrl-C in the
            # terminal must not end it before its users are done.
            files = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 0)]
            files += [(os.POSIX_SPAWN_DUP2, out.fileno(), number) for number in (1, 2)]
            return psutil.Process(os.posix_spawn(argv[0], list(argv), environ, file_actions=files, setsid=True))
    except OSError as error:
        raise JavaError(f"Cannot start {argv[0]!r}: {error}.") from error


def process_of(pid: int, started_s: float) -> psutil.Process | None:
    """Return the live process that had this number at this time (epoch seconds); None when it is gone."""
    if not pid:
        return None
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started_s) < 1.0
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def on_free_ports(launch: Callable[[], None], choose_again: Callable[[], object]) -> None:
    """Launch a service, with other ports when somebody else was faster to take those that had been free.

    Args:
        launch: Starts it on the ports that are chosen.
        choose_again: Lets the next launch choose others.

    Raises:
        JavaError: The last launch failed, or one for another reason.
    """
    for left in reversed(range(_LAUNCHES_MAX)):
        try:
            return launch()
        except JavaError as error:
            if not left or "already in use" not in str(error):
                raise
            choose_again()
    return None


def await_healthy(
    what: str,
    healthy: Callable[[], bool],
    process: psutil.Process | None,
    last_lines: Callable[[], str],
    *,
    timeout_s: float,
) -> None:
    """Wait until a service answers.

    Args:
        what: Its name in errors.
        healthy: Asks it.
        process: Its process, where that is known.
        last_lines: What it said last, for errors.
        timeout_s: Longest wait.

    Raises:
        JavaError: It died, or does not answer in time.
    """
    deadline = time.monotonic() + timeout_s
    while not healthy():
        if process is not None and process_of(process.pid, process.create_time()) is None:
            raise JavaError(f"The {what} died at start. {last_lines()}", pid=process.pid)
        if time.monotonic() >= deadline:
            raise JavaError(f"The {what} does not answer after {timeout_s:g} s. {last_lines()}")
        time.sleep(_LOOK_S)


def end(process: psutil.Process, *, timeout_s: float, kill_timeout_s: float = 20.0) -> bool:
    """End a process by SIGTERM, and by SIGKILL when that takes too long; tell whether it took the latter."""
    with suppress(psutil.NoSuchProcess):
        process.terminate()
    try:
        process.wait(timeout_s)
    except psutil.TimeoutExpired:
        kill(process, timeout_s=kill_timeout_s)
        return True
    return False


def kill(process: psutil.Process, *, timeout_s: float) -> None:
    """End a process at once and wait until it is gone."""
    with suppress(psutil.NoSuchProcess):
        process.kill()
        process.wait(timeout_s)
