"""Java services of our own that outlive the process which started them: start, recognise, end."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from gridwatch.errors import JavaError

__all__ = ["JVM", "kill", "process_of", "spawn"]

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


def kill(process: psutil.Process, *, timeout_s: float) -> None:
    """End a process at once and wait until it is gone."""
    with suppress(psutil.NoSuchProcess):
        process.kill()
        process.wait(timeout_s)
