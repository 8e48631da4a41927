"""When a job's network is trained: once, at the end of a bucket that the data alone decide, and when it is asked for.

Were it trained beside the analysis, what a bucket scores would depend on how fast that was. So the bucket after which
there is enough to learn waits for it, and a look-back gives the scores that would have come in time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gridwatch.errors import JobsRequestError
from gridwatch.jobs.analysis.lstm_learning import Teacher, plain_teacher
from gridwatch.jobs.analysis.lstm_lesson import Lesson, lesson_of
from gridwatch.jobs.analysis.lstm_models import LstmModels
from gridwatch.jobs.analysis.lstm_network import Network

if TYPE_CHECKING:
    from gridwatch.jobs.analysis.detector import RunningDetector
    from gridwatch.jobs.config import JobConfig

__all__ = ["Course"]

_AGAIN = 4
"""Where there was too little to learn, the next look is after a quarter as many buckets."""

_JSON, _ONNX = "network.json", "network.onnx"


class Course:
    """What a job's network is, and when it comes.

    Args:
        job: Its `model` is an LSTM.
        teacher: Makes a network of a lesson.

    Attributes:
        network: None until one is trained.
        at_ms: End of the bucket after which it is trained, UTC epoch ms; None before the first bucket.
    """

    def __init__(self, job: JobConfig, teacher: Teacher | None = None) -> None:
        self.network: Network | None = None
        self.at_ms: int | None = None
        self._job = job
        self._teacher = teacher or plain_teacher

    def end(self, start_ms: int, end_ms: int) -> int:
        """Return where a piece of buckets from `start_ms` to `end_ms` has to end: at the training, if that is inside.

        Those of the first call are the job's first buckets.
        """
        if self.at_ms is None:
            self.at_ms = start_ms + self._job.train_buckets * self._job.bucket_span_ms
        return min(end_ms, self.at_ms) if self.network is None and start_ms < self.at_ms else end_ms

    def passed(self, at_ms: int, detectors: Sequence[RunningDetector]) -> None:
        """Train if it is time.

        Args:
            at_ms: End of the bucket that has just been learnt, UTC epoch ms.
            detectors: All of the job.
        """
        if self.network is not None or self.at_ms is None or at_ms < self.at_ms:
            return
        self.train(at_ms, detectors)
        if self.network is None:
            buckets = max(self._job.train_buckets // _AGAIN, 1)
            self.at_ms = at_ms + buckets * self._job.bucket_span_ms

    def train(self, at_ms: int, detectors: Sequence[RunningDetector]) -> bool:
        """Train now, and go on with what comes of it; tell whether that is another network than before."""
        network = self._teacher(self._job, self.lesson(detectors), at_ms, self.network)
        if network is None:
            return False
        for models in _models(detectors):
            models.adopt(network)
        self.network = network
        return True

    def lesson(self, detectors: Sequence[RunningDetector]) -> Lesson:
        """Return what the newest buckets of all series have to teach."""
        return lesson_of([(one.recent, one.slots) for one in _models(detectors)], self._job.model.window)

    def save(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return what is said of it, for JSON, and its files by name."""
        found = self.network
        if found is None:
            return {"at_ms": self.at_ms}, {}
        parts = {_JSON: found.parts["detector.json"], _ONNX: found.onnx}
        return {"at_ms": self.at_ms, "uri": found.uri, "run_id": found.run_id}, parts

    def restore(
        self, said: Mapping[str, Any], parts: Mapping[str, bytes], detectors: Sequence[RunningDetector]
    ) -> None:
        """Take back what `save` gave, before the models are.

        Raises:
            JobsRequestError: A file is missing or damaged.
        """
        self.at_ms = said["at_ms"]
        if "uri" not in said:
            return
        if _JSON not in parts or _ONNX not in parts:
            raise JobsRequestError("the saved analysis lacks its network; reset the job.")
        files = {"detector.json": parts[_JSON], "model.onnx": parts[_ONNX]}
        self.network = Network.of(files, uri=said["uri"], run_id=said["run_id"])
        for models in _models(detectors):
            models.network = self.network


def _models(detectors: Sequence[RunningDetector]) -> list[LstmModels]:
    return [models for one in detectors for models in one.models.values() if isinstance(models, LstmModels)]
