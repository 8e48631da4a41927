"""The network that the series of a job share, as it scores: without TensorFlow, and without a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy.typing as npt

from gridwatch.detectors import fingerprint
from gridwatch.errors import DetectorError, JobsRequestError

if TYPE_CHECKING:
    import numpy as np

    from gridwatch.detectors.onnx import OnnxModel

__all__ = ["Learnt", "Network"]

_FORMAT = 1
_JSON, _ONNX = "detector.json", "model.onnx"


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a network was trained on and how well it did; errors are squares, in standard deviations of the series.

    Attributes:
        from_ms: Start of the first bucket, UTC epoch ms.
        to_ms: End of the last.
        series: Series that had windows to learn.
        windows: Windows it learnt.
        held: Newest windows that were kept from it.
        val_loss: Its mean error on those.
        naive_loss: That of expecting the value before.
        epoch: Epoch, from 1, whose weights were kept.
        digest: Of the windows and what follows them.
    """

    from_ms: int
    to_ms: int
    series: int
    windows: int
    held: int
    val_loss: float
    naive_loss: float
    epoch: int
    digest: str


@dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes:
        onnx: Its bytes.
        window: Values that it looks at.
        memory_rows: Over how many values a series' mean and deviation are taken.
        learnt: What it was trained on.
        uri: `models:/<name>/<version>`, empty where it is not in MLflow.
        run_id: MLflow run that trained it.
    """

    onnx: bytes
    window: int
    memory_rows: int
    learnt: Learnt
    uri: str = ""
    run_id: str = ""

    @property
    def parts(self) -> dict[str, bytes]:
        """Its files by name: all that it takes to score, and the same bytes for the same network."""
        own = {"window": self.window, "memory_rows": self.memory_rows, "learnt": asdict(self.learnt)}
        text = json.dumps({"format": _FORMAT, "kind": "job-lstm", **own}, indent=1, sort_keys=True, allow_nan=False)
        return {_JSON: text.encode(), _ONNX: self.onnx}

    @property
    def sha256(self) -> str:
        """Hex digest over `parts`."""
        return fingerprint(self.parts)

    @property
    def summary(self) -> dict[str, Any]:
        """What is told of it: where it is, and what it learnt."""
        named = {"model_uri": self.uri, "run_id": self.run_id} if self.uri else {}
        return {**named, "sha256": self.sha256, "window": self.window, **asdict(self.learnt)}

    @classmethod
    def of(cls, parts: Mapping[str, bytes], *, uri: str = "", run_id: str = "") -> Self:
        """Return the network whose files these are.

        Raises:
            JobsRequestError: One is missing or damaged, or of a later version.
        """
        try:
            raw = json.loads(parts[_JSON])
            if (raw["format"], raw["kind"]) != (_FORMAT, "job-lstm"):
                raise JobsRequestError(
                    f"the saved network is a {raw['kind']!r} of format {raw['format']!r}, not a 'job-lstm' "
                    f"of format {_FORMAT}; reset the job."
                )
            network = cls(parts[_ONNX], raw["window"], raw["memory_rows"], Learnt(**raw["learnt"]), uri, run_id)
            # What cannot be read fails here, and not in the middle of a bucket.
            _ = network._model
        except (KeyError, TypeError, ValueError, DetectorError) as error:
            raise JobsRequestError(f"the saved network is damaged ({error!r}); reset the job.") from error
        return network

    def recorded(self, uri: str, run_id: str) -> Self:
        """Return the same network with where MLflow has it."""
        return replace(self, uri=uri, run_id=run_id)

    def predict(self, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return what follows each window, float64 (n,), of float32 (n, window); both scaled."""
        return self._model.predict(windows)

    @cached_property
    def _model(self) -> OnnxModel:
        from gridwatch.detectors.onnx import OnnxModel

        return OnnxModel(self.onnx)
