"""The networks that a job has trained, handed out again as MLflow keeps them: a replay trains nothing."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from gridwatch.errors import ProvenanceError
from gridwatch.jobs.analysis.lstm_network import Network
from gridwatch.jobs.service.networks import model_name
from gridwatch.jobs.units import iso_text
from gridwatch.provenance.model import not_there

if TYPE_CHECKING:
    from gridwatch.jobs.analysis.lstm_lesson import Lesson
    from gridwatch.jobs.config import JobConfig
    from gridwatch.settings import Settings

__all__ = ["RecordedNetworks"]


class RecordedNetworks:
    """What an analysis takes as its teacher: it knows what came of each lesson.

    Args:
        settings: Where MLflow is.
        job_id: Whose networks.
    """

    def __init__(self, settings: Settings, job_id: str) -> None:
        self._settings = settings
        self._job_id = job_id

    def __call__(self, job: JobConfig, lesson: Lesson, at_ms: int, before: Network | None) -> Network | None:
        """Return the network that was trained on these windows, None where it was no better than the one before.

        Raises:
            ProvenanceError: MLflow has none that learnt these windows.
            TrackingError: MLflow failed.
        """
        del job, before
        if not lesson.enough:
            return None
        if lesson.digest not in self._known:
            raise ProvenanceError(
                f"Job {self._job_id!r} trains its LSTM at {iso_text(at_ms)}, and MLflow has no version of "
                f"{model_name(self._job_id)!r} that learnt the windows of these rows (digest {lesson.digest}): they "
                "have changed since, or it was not kept in MLflow. Trained anew, it would not be the same to the bit."
            )
        network, better = self._known[lesson.digest]
        return network if better else None

    @cached_property
    def _known(self) -> dict[str, tuple[Network, bool]]:
        """Return the networks by the digest of what they learnt, and whether they came to judge."""
        from gridwatch import tracking

        away = not_there(self._settings)
        if away is not None:
            raise ProvenanceError(f"The networks of job {self._job_id!r} are in MLflow. {away}")
        found: dict[str, tuple[Network, bool]] = {}
        for row in tracking.model_versions(self._settings, model_name(self._job_id)):
            version = tracking.recorded_version(self._settings, f"models:/{row['model']}/{row['version']}")
            if version is None or not version.parts:
                continue
            network = Network.of(version.parts, uri=version.uri, run_id=version.run_id)
            found[network.learnt.digest] = network, row["metrics"].get("became_champion") == 1.0
        return found
