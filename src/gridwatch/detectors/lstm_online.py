"""The LSTM as one stream among others: the network stays as it was trained, its calibration goes on learning.

What a network has learnt grows old: misses become larger, and a calibration that was fitted once cries wolf. Here each
miss is judged among all misses before it, as the online detectors judge their members.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.features import FeatureName
from gridwatch.detectors.joined import JoinedDetector
from gridwatch.detectors.lstm import LstmDetector
from gridwatch.detectors.online import AutoConfig
from gridwatch.detectors.singles import only
from gridwatch.detectors.streams import Arrays, Stream, Taken
from gridwatch.detectors.training import LstmConfig, OnEpoch
from gridwatch.errors import DetectorError

__all__ = ["AutoLstmDetector", "LstmOnlineDetector", "LstmStream"]

_JSON, _ONNX = "detector.json", "model.onnx"


class LstmStream:
    """The sizes of a trained network's misses.

    Args:
        network: It.
    """

    name = "lstm"
    two_sided = False

    def __init__(self, network: LstmDetector) -> None:
        self._network = network
        self._times, self._values = np.empty(0, np.int64), np.empty(0)

    def take(self, times_ms: Times, values: Floats) -> Taken:
        """Return the misses of the next rows; see `Stream.take`."""
        known = len(self._values)
        times, joined = np.concatenate([self._times, times_ms]), np.concatenate([self._values, values])
        misses = self._network.misses(times, joined)
        kept = min(self._network.first_row, len(joined))
        self._times, self._values = times[len(times) - kept :], joined[len(joined) - kept :]
        odd = np.abs(misses.size[known:])
        return Taken(odd, lambda miss: misses.value_at(np.append(np.zeros(known), miss))[known:], odd)

    def copy(self) -> Self:
        """Return a stream that goes on from here by itself."""
        other = type(self)(self._network)
        other._times, other._values = self._times, self._values
        return other

    def arrays(self) -> Arrays:
        """Return what is kept of the rows so far."""
        return {"times": self._times, "values": self._values}

    def restore(self, arrays: Arrays) -> None:
        """Take up what `arrays` was; see `Stream.restore`."""
        times: npt.NDArray[Any] = arrays["times"]
        values: npt.NDArray[Any] = arrays["values"]
        fits = times.ndim == 1 and times.shape == values.shape and times.dtype == np.int64
        if not fits or values.dtype != np.float64 or not np.isfinite(values).all():
            raise DetectorError(f"The saved window is damaged: {times.shape} times and {values.dtype} {values.shape}.")
        self._times, self._values = times.copy(), values.copy()


class LstmOnlineDetector(JoinedDetector):
    """An LSTM's misses, and the range rule: a value that is higher or lower than nearly all before.

    Args:
        feature_name: What of the value is learnt: `log_return` or `level`.
        network: Size and training of the network.
        config: Members and constants; None for the kind's own.
        on_epoch: Told after each epoch of training.
    """

    kind = "lstm"
    FORMAT: ClassVar[int] = 2
    CONFIG = only(value=True)
    STREAMS_EXPECT = True

    def __init__(
        self,
        feature_name: FeatureName = "level",
        network: LstmConfig | None = None,
        config: AutoConfig | None = None,
        *,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        super().__init__(config)
        self.network = LstmDetector(feature_name, network, on_epoch=on_epoch)

    @property
    @override
    def rows_min(self) -> int:
        return max(self.network.rows_min, self.config.warm_rows)

    @classmethod
    def of(cls, network: LstmDetector, config: AutoConfig | None = None) -> Self:
        """Return the detector of a trained network, whose calibration begins with the rows of the first `update`."""
        detector = cls(network.feature_name, network.config, config)
        detector.network = network
        return detector

    @override
    def _train(self, times_ms: Times, values: Floats) -> None:
        self.network.learn(times_ms, values)

    @override
    def _streams(self) -> list[Stream]:
        if self.network.unseen_from_ms is None:
            raise DetectorError(f"{self.kind} has no trained network yet; call learn first.")
        return [LstmStream(self.network)]

    @override
    def _more(self) -> dict[str, Any]:
        return {"network": json.loads(self.network.save()[_JSON])}

    @override
    def _files(self) -> dict[str, bytes]:
        return {_ONNX: self.network.save()[_ONNX]}

    @classmethod
    @override
    def _from(cls, raw: Mapping[str, Any], config: AutoConfig, parts: Mapping[str, bytes]) -> Self:
        network = {_JSON: json.dumps(raw["network"]).encode()}
        network |= {_ONNX: parts[_ONNX]} if _ONNX in parts else {}
        return cls.of(LstmDetector.load(network), config)


class AutoLstmDetector(LstmOnlineDetector):
    """All members of `auto`, and an LSTM's misses as one more."""

    kind = "auto+lstm"
    CONFIG = AutoConfig()
    STREAMS_EXPECT = False
