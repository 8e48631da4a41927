"""The process that trains a job's network: `python -m gridwatch.jobs.training_child FOLDER`; `service.apart` starts it.

The folder is private. It has the lesson and the job; what comes of them is written beside. Epochs are told on stdout.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from gridwatch.errors import GridwatchError
from gridwatch.jobs.analysis.lstm_learning import learn
from gridwatch.jobs.analysis.lstm_lesson import Lesson
from gridwatch.jobs.config import parse_job

__all__ = ["ARRAYS", "FAILED", "JOB", "LESSON", "MODEL", "main"]

LESSON, JOB, MODEL, FAILED = "lesson.npz", "job.json", "model", "failed.json"
"""Names in the folder: arrays of the lesson, the job with the lesson's numbers; the model for MLflow, or why not."""

ARRAYS = ("windows", "targets")
"""What of a lesson is arrays."""


def main(arguments: list[str], told: TextIO = sys.stdout) -> int:
    """Train what is in a folder, and write what comes of it there; return the exit status.

    Args:
        arguments: The folder.
        told: Where each epoch is a line of JSON.
    """
    from gridwatch.tracking import write_flavour

    path = Path(arguments[0])
    raw: dict[str, Any] = json.loads((path / JOB).read_text(encoding="utf-8"))
    try:
        with np.load(path / LESSON, allow_pickle=False) as file:
            lesson = Lesson(**{name: file[name] for name in ARRAYS}, **raw["lesson"])
        taught = learn(parse_job(raw["job"]), lesson, partial(_tell, told))
        for name, content in taught.network.parts.items():
            (path / name).write_bytes(content)
        write_flavour(path / MODEL, taught.keras, lesson.example)
    except GridwatchError as error:
        (path / FAILED).write_text(json.dumps({"message": str(error)}), encoding="utf-8")
        return 1
    return 0


def _tell(told: TextIO, _epoch: int, _of: int, row: dict[str, float]) -> None:
    # Fails, and ends the process, once nobody reads it any more.
    told.write(json.dumps(row) + "\n")
    told.flush()


if __name__ == "__main__":
    # What libraries print goes where nobody takes it for an epoch.
    epochs = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.exit(main(sys.argv[1:], epochs))
