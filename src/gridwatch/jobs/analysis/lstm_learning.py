"""Training of the network that the series of a job share. TensorFlow is imported when it is called, not before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gridwatch.jobs.analysis.lstm_network import Learnt, Network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gridwatch.jobs.analysis.lstm_lesson import Lesson
    from gridwatch.jobs.config import JobConfig

__all__ = ["Taught", "Teacher", "learn", "plain_teacher"]

_PATIENCE = 4


class Teacher(Protocol):
    """Makes a network of what the series of a job have to teach."""

    def __call__(self, job: JobConfig, lesson: Lesson, at_ms: int, before: Network | None) -> Network | None:
        """Return the network that the job goes on with; None where it goes on as it is.

        Args:
            job: Whose.
            lesson: What there is to learn.
            at_ms: End of its last bucket, UTC epoch ms.
            before: The network that the job has.
        """


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Taught:
    """A network that has just been trained.

    Attributes:
        network: As it scores.
        keras: The Keras model; None where another process trained it.
        epochs: `loss`, `val_loss` and `seconds` of each epoch.
        folder: Where that process has written the model for MLflow; gone with this object.
    """

    network: Network
    keras: Any
    epochs: list[dict[str, float]]
    folder: Path | None = None


def learn(
    job: JobConfig, lesson: Lesson, on_epoch: Callable[[int, int, dict[str, float]], None] | None = None
) -> Taught:
    """Train a network: the same for the same lesson.

    Args:
        job: Its `model` says how large and how long.
        lesson: What to learn, enough of it.
        on_epoch: Told after each epoch.

    Raises:
        DetectorError: The ONNX graph says something else than the Keras model.
    """
    from gridwatch.detectors.lstm import check_agreement
    from gridwatch.detectors.training import LstmConfig, train_lstm

    chosen, edge = job.model, len(lesson.targets) - lesson.held
    config = LstmConfig(window=chosen.window, units=(chosen.units,), epochs=chosen.epochs, patience=_PATIENCE)
    windows, targets = lesson.windows, lesson.targets
    trained = train_lstm(config, (windows[:edge], targets[:edge]), (windows[edge:], targets[edge:]), on_epoch)
    learnt = Learnt(
        from_ms=lesson.from_ms,
        to_ms=lesson.to_ms + job.bucket_span_ms,
        series=lesson.series,
        windows=edge,
        held=lesson.held,
        val_loss=trained.history[trained.best_epoch - 1]["val_loss"],
        naive_loss=float(np.square(targets[edge:] - windows[edge:, -1]).mean()),
        epoch=trained.best_epoch,
        digest=lesson.digest,
    )
    network = Network(trained.onnx, chosen.window, lesson.memory_rows, learnt)
    check_agreement(trained.model, windows[edge:], network.predict(windows[edge:]))
    return Taught(network, trained.model, trained.history)


def plain_teacher(job: JobConfig, lesson: Lesson, at_ms: int, before: Network | None) -> Network | None:
    """Train where there is enough to learn and no network yet, and tell nobody."""
    return learn(job, lesson).network if lesson.enough and before is None else None
