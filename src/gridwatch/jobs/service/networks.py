"""The networks of jobs: trained, kept in MLflow as models of their own, and told of in the messages of their jobs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import structlog

from gridwatch.jobs.analysis.lstm_learning import Taught
from gridwatch.jobs.service.apart import learn_apart
from gridwatch.jobs.units import iso_text

if TYPE_CHECKING:
    from gridwatch.jobs.analysis.lstm_lesson import Lesson
    from gridwatch.jobs.analysis.lstm_network import Network
    from gridwatch.jobs.config import JobConfig
    from gridwatch.jobs.service.messages import Messages
    from gridwatch.settings import Settings
    from gridwatch.tracking import Training

__all__ = ["Networks", "model_name"]

log = structlog.get_logger(__name__)

_training = threading.Lock()

Progress = Callable[[int, int], None]


def model_name(job_id: str) -> str:
    """Return the registered model that has the networks of a job."""
    # Those of datasets begin with `gridwatch-`.
    return f"job-{job_id}"


class Networks:
    """Trains the networks of jobs: what an analysis takes as its teacher.

    Args:
        messages: What owners of jobs should know.
        settings: Where MLflow is; None to keep networks in the states of their jobs alone.
        now_ms: The clock, UTC epoch ms.
    """

    def __init__(self, messages: Messages, settings: Settings | None, *, now_ms: Callable[[], int]) -> None:
        self._messages = messages
        self._settings = settings
        self._now_ms = now_ms
        self._watching: dict[str, Progress] = {}
        self._newest: dict[str, tuple[Taught, float]] = {}

    def __call__(self, job: JobConfig, lesson: Lesson, at_ms: int, before: Network | None) -> Network | None:
        """Train the network of a job; see `Teacher`.

        Raises:
            DetectorError: What was trained cannot be exported.
            TrackingError: MLflow failed; what was trained is kept for the next try.
        """
        if not lesson.enough:
            self._messages.say(
                job.job_id, "warning",
                f"The LSTM is not trained yet: {len(lesson.targets)} windows of {lesson.series} series are too few at "
                f"{iso_text(at_ms)}. The usual model goes on; it is tried again after more buckets.",
                about=("lstm", at_ms),
            )  # fmt: skip
            return None
        taught, seconds = self._taught(job, lesson)
        reigning = None if before is None else _loss(before, lesson)
        better = reigning is None or taught.network.learnt.val_loss < reigning
        network = self._recorded(job, lesson, taught, reigning, better, seconds)
        self._newest.pop(job.job_id, None)
        self._messages.say(job.job_id, "info", _told(network, reigning, better, at_ms, seconds), about=("lstm", at_ms))
        return network if better else None

    @contextmanager
    def watched(self, job_id: str, progress: Progress | None) -> Iterator[None]:
        """Have the epochs of a job's trainings told: those done, of at most how many."""
        if progress is not None:
            self._watching[job_id] = progress
        try:
            yield
        finally:
            self._watching.pop(job_id, None)

    def _taught(self, job: JobConfig, lesson: Lesson) -> tuple[Taught, float]:
        known = self._newest.get(job.job_id)
        if known is not None and known[0].network.learnt.digest == lesson.digest:
            # MLflow was away when it was trained.
            return known
        started = time.monotonic()
        log.info("lstm_training", job=job.job_id, windows=len(lesson.targets), series=lesson.series)
        progress = self._watching.get(job.job_id, _nobody)
        # One at a time: each takes a core and half a gigabyte.
        with _training:
            taught = learn_apart(job, lesson, lambda epoch, most, _row: progress(epoch, most))
        self._newest[job.job_id] = taught, time.monotonic() - started
        return self._newest[job.job_id]

    def _recorded(
        self, job: JobConfig, lesson: Lesson, taught: Taught, reigning: float | None, better: bool, seconds: float
    ) -> Network:
        if self._settings is None:
            return taught.network
        from gridwatch import tracking

        training = _for_mlflow(job, lesson, taught, reigning, better, seconds, self._now_ms())
        recorded = tracking.record(self._settings, training)
        if better:
            tracking.crown(self._settings, training.model_name, recorded.model_version)
        return taught.network.recorded(recorded.model_uri, recorded.run_id)


def _nobody(_done: int, _of: int) -> None:
    """Watch no training."""


def _loss(network: Network, lesson: Lesson) -> float:
    """Return the error of a network on what was kept from another."""
    edge = len(lesson.targets) - lesson.held
    return float(np.square(lesson.targets[edge:] - network.predict(lesson.windows[edge:])).mean())


def _told(network: Network, reigning: float | None, better: bool, at_ms: int, seconds: float) -> str:
    learnt = network.learnt
    what = f"{learnt.windows:,} windows of {learnt.series:,} series up to {iso_text(learnt.to_ms)}, {seconds:.1f} s"
    errors = f"its error on the {learnt.held:,} newest is {learnt.val_loss:.3g}"
    errors += f", that of expecting the value before {learnt.naive_loss:.3g}"
    if reigning is not None:
        errors += f", that of the network so far {reigning:.3g}"
    named = f" ({network.uri})" if network.uri else ""
    if not better:
        return f"An LSTM was trained{named} and is not used, since it is no better: {what}; {errors}."
    return f"The LSTM is trained{named} and judges from {iso_text(at_ms)} on: {what}; {errors}."


def _for_mlflow(
    job: JobConfig, lesson: Lesson, taught: Taught, reigning: float | None, better: bool, seconds: float, now_ms: int
) -> Training:
    from gridwatch.pipeline.training_plots import loss_curve
    from gridwatch.tracking import Training

    network, learnt = taught.network, taught.network.learnt
    metrics = {
        "best_val_loss": learnt.val_loss,
        "best_epoch": float(learnt.epoch),
        "naive_loss": learnt.naive_loss,
        "val_skill": 1.0 - learnt.val_loss / learnt.naive_loss if learnt.naive_loss else 0.0,
        "train_seconds": seconds,
        "became_champion": float(better),
    }
    metrics |= {} if reigning is None else {"champion_loss": reigning}
    return Training(
        dataset=f"job {job.job_id}",
        model_name=model_name(job.job_id),
        container=f"job {job.job_id}",
        kind="job-lstm",
        network=taught.folder or taught.keras,
        parts=network.parts,
        sha256=network.sha256,
        example=lesson.example,
        params={"detector": "job-lstm", "bucket_span": job.analysis_config.bucket_span, **_params(job)},
        epochs=taught.epochs,
        metrics=metrics,
        tags={"gridwatch.job": job.job_id, "gridwatch.became_champion": str(better).lower()},
        rows={
            "digest": learnt.digest,
            "rows": len(lesson.targets),
            "from_ms": learnt.from_ms,
            "to_ms": learnt.to_ms,
            "columns": {"window": "double"},
        },
        files={"plots/loss.png": loss_curve(taught.epochs, learnt.epoch)},
        started_ms=now_ms - round(seconds * 1000),
        ended_ms=now_ms,
    )


def _params(job: JobConfig) -> dict[str, object]:
    return {**job.model.model_dump(), "train_buckets": job.train_buckets}
