"""A network trained in a process of its own: TensorFlow's 600 MB go with it, and Keras's seed is nobody else's.

The lesson goes through files in a private folder, and so does what comes of it; the child's stdout tells the epochs.
`python -m gridwatch.jobs.service.apart FOLDER` is the child.
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
from typing import TYPE_CHECKING, Any

import numpy as np

from gridwatch.errors import DetectorError, GridwatchError
from gridwatch.jobs.analysis.lstm_learning import Taught, learn
from gridwatch.jobs.analysis.lstm_lesson import Lesson
from gridwatch.jobs.analysis.lstm_network import Network
from gridwatch.jobs.config import parse_job

if TYPE_CHECKING:
    from gridwatch.jobs.config import JobConfig

__all__ = ["learn_apart", "main"]

_SECONDS_MAX = 3600.0
"""A training that takes longer is ended: 20,000 windows take minutes."""

_ARRAYS = ("windows", "targets")
_LESSON, _JOB, _FAILED = "lesson.npz", "job.json", "failed.json"
_MODEL = "model"

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
    numbers = {one.name: getattr(lesson, one.name) for one in fields(lesson) if one.name not in _ARRAYS}
    np.savez(path / _LESSON, windows=lesson.windows, targets=lesson.targets)
    (path / _JOB).write_text(json.dumps({"job": job.to_json(), "lesson": numbers}), encoding="utf-8")
    epochs: list[dict[str, float]] = []
    with (path / "stderr").open("wb") as said:
        command = [sys.executable, "-m", "gridwatch.jobs.service.apart", str(path)]
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
    return Taught(Network.of(parts), None, epochs, path / _MODEL)


def _why(path: Path, status: int) -> str:
    """Return why a child ended."""
    if (path / _FAILED).is_file():
        return str(json.loads((path / _FAILED).read_text(encoding="utf-8"))["message"])
    if status < 0:
        return f"its process was ended by {signal.Signals(-status).name}; is there enough memory (some 1 GB)?"
    lines = (path / "stderr").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"its process ended with status {status}: {lines[-1] if lines else 'it said nothing'}"


def main(arguments: list[str]) -> int:
    """Train what is in a folder, and write what comes of it there; return the exit status."""
    from gridwatch.tracking import write_flavour

    path = Path(arguments[0])
    raw: dict[str, Any] = json.loads((path / _JOB).read_text(encoding="utf-8"))
    try:
        with np.load(path / _LESSON, allow_pickle=False) as file:
            lesson = Lesson(**{name: file[name] for name in _ARRAYS}, **raw["lesson"])
        taught = learn(parse_job(raw["job"]), lesson, _tell)
        for name, content in taught.network.parts.items():
            (path / name).write_bytes(content)
        write_flavour(path / _MODEL, taught.keras, lesson.example)
    except GridwatchError as error:
        (path / _FAILED).write_text(json.dumps({"message": str(error)}), encoding="utf-8")
        return 1
    return 0


def _tell(_epoch: int, _of: int, row: dict[str, float]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
