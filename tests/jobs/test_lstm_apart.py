"""Trainings in a process of their own, with children that stand for it; a real one is in tests/pipeline."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridwatch.errors import DetectorError
from gridwatch.jobs import training_child
from gridwatch.jobs.analysis.lstm_lesson import Lesson
from gridwatch.jobs.service import apart
from gridwatch.jobs.service.apart import learn_apart
from tests.jobs.lstm_parts import START, WINDOW, lstm_job, network

LESSON = Lesson(np.zeros((300, WINDOW), np.float32), np.zeros(300, np.float32), 30, 1, START, START, 120)


def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Have a shell script run in the place of Python; its third argument is the folder."""
    script = tmp_path / "child"
    script.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))


def test_epochs_and_network_come_from_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in network().parts.items():
        (tmp_path / name).write_bytes(content)
    rows = [{"loss": 2.0, "val_loss": 3.0, "seconds": 0.1}, {"loss": 1.0, "val_loss": 2.0, "seconds": 0.1}]
    say = [f"echo '{json.dumps(row)}'" for row in rows]
    child(tmp_path, monkeypatch, *say, f"cp {tmp_path}/detector.json {tmp_path}/model.onnx $3")
    told: list[tuple[int, int, dict[str, float]]] = []
    taught = learn_apart(lstm_job(), LESSON, lambda *epoch: told.append(epoch))
    assert told == [(1, 2, rows[0]), (2, 2, rows[1])]
    assert (taught.epochs, taught.network.sha256) == (rows, network().sha256)
    assert taught.folder is not None
    folder = taught.folder.parent
    assert (folder.stat().st_mode & 0o777) == 0o700
    del taught
    assert not folder.exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["kill -9 $$"], r"job \[deep\] failed: its process was ended by SIGKILL; is there enough memory"),
        (["echo 'Traceback' >&2", "echo 'no room' >&2", "exit 3"], "ended with status 3: no room"),
        (["exit 4"], "ended with status 4: it said nothing"),
        (["""echo '{"message": "differs from Keras"}' > $3/failed.json""", "exit 1"], "failed: differs from Keras"),
    ],
)
def test_a_child_that_fails_is_told(
    lines: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(tmp_path, monkeypatch, *lines)
    with pytest.raises(DetectorError, match=message):
        learn_apart(lstm_job(), LESSON)


def test_a_child_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child(tmp_path, monkeypatch, "exec sleep 600")
    monkeypatch.setattr(apart, "_SECONDS_MAX", 0.2)
    with pytest.raises(DetectorError, match="was ended by SIGKILL"):
        learn_apart(lstm_job(), LESSON)


def test_a_child_is_ended_where_nobody_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child(tmp_path, monkeypatch, """echo '{"loss": 1.0}'""", "exec sleep 600")

    def interrupted(*_epoch: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn_apart(lstm_job(), LESSON, interrupted)


def test_what_the_child_cannot_learn_is_left_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_given: Any) -> None:
        raise DetectorError("The ONNX model differs from the Keras model.")

    monkeypatch.setattr(training_child, "learn", refused)
    np.savez(tmp_path / "lesson.npz", windows=LESSON.windows, targets=LESSON.targets)
    numbers = {"held": 30, "series": 1, "from_ms": START, "to_ms": START, "memory_rows": 120}
    (tmp_path / "job.json").write_text(json.dumps({"job": lstm_job().to_json(), "lesson": numbers}), encoding="utf-8")
    assert training_child.main([str(tmp_path)]) == 1
    assert "differs from the Keras" in (tmp_path / "failed.json").read_text(encoding="utf-8")
