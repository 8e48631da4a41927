"""The folder of the Data Docs: one writer at a time, and no more pages than are looked at."""

from __future__ import annotations

import fcntl
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gridwatch.errors import QualityError
from gridwatch.folders import make_private

__all__ = ["RUNS_MAX", "one_at_a_time", "prune"]

RUNS_MAX = 200
"""Most runs whose pages are kept; the index lists them all, and is written anew in every run."""

_WAIT_S = 300.0
_LOOK_S = 0.05
_KEPT = (Path("gx/uncommitted/validations"), Path("gx/uncommitted/data_docs/local_site/validations"))

# Great Expectations keeps the context in use in a global.
_thread_lock = threading.Lock()


@contextmanager
def one_at_a_time(folder: Path | None, *, wait_s: float = _WAIT_S) -> Iterator[None]:
    """Hold this process's lock and the folder's, which ends with its process: each run rewrites the project's files.

    Raises:
        QualityError: The folder cannot be written, or another validation holds it for longer than `wait_s`.
    """
    deadline = time.monotonic() + wait_s
    if not _thread_lock.acquire(timeout=wait_s):
        raise QualityError(f"Another validation of this process has been running for {wait_s:g} s.")
    try:
        if folder is None:
            yield
            return
        try:
            make_private(folder)
            file = (folder / ".lock").open("w")
        except OSError as error:
            raise QualityError(f"Cannot write Data Docs to {str(folder)!r}: {error.strerror}.") from error
        with file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() >= deadline:
                        raise QualityError(
                            f"Another validation holds {str(folder / '.lock')!r} for {wait_s:g} s; is one stuck?"
                        ) from error
                    time.sleep(_LOOK_S)
            yield
    finally:
        _thread_lock.release()


def prune(folder: Path, *, runs_max: int = RUNS_MAX) -> int:
    """Remove the results and pages of all but the newest runs; return how many were removed."""
    removed = 0
    for kept in _KEPT:
        runs = [run for run in (folder / kept).glob("*/*") if run.is_dir()]
        runs.sort(key=lambda run: run.stat().st_mtime_ns, reverse=True)
        for run in runs[runs_max:]:
            shutil.rmtree(run)
            removed += 1
    return removed
