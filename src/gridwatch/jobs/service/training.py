"""Trainings that are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gridwatch.errors import JobsRequestError
from gridwatch.jobs.analysis import Results
from gridwatch.jobs.service.passes import Passes

__all__ = ["Trainings"]


class Trainings(Passes):
    """What can be done with the network of a job."""

    def train_job(self, job_id: str, *, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
        """Train the network of an open job anew, on its newest buckets; it is used if it is better than the one so far.

        Args:
            job_id: Which.
            progress: Called with epochs done, of at most how many.

        Returns:
            `job_id`; `used`, whether it judges from now on; and `network`, what judges.

        Raises:
            JobsNotFoundError: There is none.
            JobsRequestError: Its model is no LSTM, or there is too little to learn yet.
            JobsConflictError: It is not open, or somebody is at work with it and does not end.
            TrackingError: MLflow failed.
        """
        job = self.resources.job(job_id)
        if job.config.model.type != "lstm":
            raise JobsRequestError(
                f"Job [{job_id}] has nothing to train: its model is [auto], which learns as it goes. A job that is "
                'made with "model": {"type": "lstm"} has a network.',
                path="model.type",
            )
        with self.running.hold(job_id) as open_job:
            analyzer = open_job.analyzer
            course = analyzer.course
            lesson = None if course is None else course.lesson(analyzer.detectors)
            if course is None or lesson is None or not lesson.enough:
                known = 0 if lesson is None else len(lesson.targets)
                raise JobsRequestError(
                    f"Job [{job_id}] has too little to learn yet: {known} windows of {job.config.model.window} "
                    "buckets; let it analyse more.",
                    job_id=job_id,
                )
            with self.networks.watched(job_id, progress):
                used = course.train(analyzer.next_bucket or lesson.to_ms, analyzer.detectors)
            if used:
                open_job.commit(Results(), open_job.fed_to_ms)
            return {
                "job_id": job_id,
                "used": used,
                "network": None if course.network is None else course.network.summary,
            }
