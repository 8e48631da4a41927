"""A network trained in a process of its own: TensorFlow's 600 MB go with it, and Keras's seed is nobody else's.

The lesson goes through files in a private folder, and so does what comes of it; the child's stdout tells the epochs.
`gridwatch.jobs.training_child` is the child.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gridwatch.errors import DetectorError
from gridwatch.jobs import training_child
from gridwatch.jobs.analysis.lstm_learning import Taught
from gridwatch.jobs.analysis.lstm_network import Network
from gridwatch.jobs.training_child import ARRAYS, FAILED, JOB, LESSON, MODEL

if TYPE_CHECKING:
    from gridwatch.jobs.analysis.lstm_lesson import Lesson
    from gridwatch.jobs.config import JobConfig

__all__ = ["learn_apart"]

_SECONDS_MAX = 3600.0
"""A training that takes longer is ended: 20,000 windows take minutes."""

OnEpoch = Callable[[int, int, dict[str, float]], None]


def learn_apart(job: JobConfig, lesson: Lesson, on_epoch: OnEpoch | None = None) -> Taught:
    """Train a network in another process; see `learn`.

    Raises:
        DetectorError: It could not be trained, or the process ended before it was.
    """
    path = Path(tempfile.mkdtemp(prefix="gridwatch-training-"))
    try:
        taught = _learn_in(path, job, lesson, on_epoch)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    # What MLflow is to have may have to wait for it.
    weakref.finalize(taught, shutil.rmtree, path, ignore_errors=True)
    return taught


def _learn_in(path: Path, job: JobConfig, lesson: Lesson, on_epoch: OnEpoch | None) -> Taught:
    numbers = {one.name: getattr(lesson, one.name) for one in fields(lesson) if one.name not in ARRAYS}
    np.savez(path / LESSON, windows=lesson.windows, targets=lesson.targets)
    (path / JOB).write_text(json.dumps({"job": job.to_json(), "lesson": numbers}), encoding="utf-8")
    epochs: list[dict[str, float]] = []
    with (path / "stderr").open("wb") as said:
        command = [sys.executable, "-m", training_child.__name__, str(path)]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said) as child:
            late = threading.Timer(_SECONDS_MAX, child.kill)
            late.start()
            try:
                for line in child.stdout or ():
                    epochs.append(json.loads(line))
                    if on_epoch:
                        on_epoch(len(epochs), job.model.epochs, epochs[-1])
                status = child.wait()
            except BaseException:
                child.kill()
                raise
            finally:
                late.cancel()
    if status:
        raise DetectorError(f"The training of job [{job.job_id}] failed: {_why(path, status)}")
    parts = {name: (path / name).read_bytes() for name in ("detector.json", "model.onnx")}
    return Taught(Network.of(parts), None, epochs, path / MODEL)


def _why(path: Path, status: int) -> str:
    """Return why a child ended."""
    if (path / FAILED).is_file():
        return str(json.loads((path / FAILED).read_text(encoding="utf-8"))["message"])
    if status < 0:
        return f"its process was ended by {signal.Signals(-status).name}; is there enough memory (some 1 GB)?"
    lines = (path / "stderr").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"its process ended with status {status}: {lines[-1] if lines else 'it said nothing'}"
