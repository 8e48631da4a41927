"""The LSTM detector: a window of the scaled feature predicts the next row, and the miss is judged.

Learning imports TensorFlow; scoring and loading run on ONNX Runtime alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.base import Floats, Scores, Times, check_series
from gridwatch.detectors.calibration import SCALE_ROWS, Calibration, local_scale, p_of_score, score_of
from gridwatch.detectors.document import JSON, check_enough, document, learnt, read
from gridwatch.detectors.features import FeatureName, clip_of, feature, rows_lost
from gridwatch.detectors.misses import Misses, Scaler
from gridwatch.detectors.onnx import OnnxModel
from gridwatch.detectors.training import LstmConfig, OnEpoch, Trained, train_lstm
from gridwatch.errors import DetectorError

__all__ = ["Limit", "LstmDetector", "check_agreement"]

_FORMAT = 1
_ONNX = "model.onnx"
_AGREEMENT = 1e-5  # most that the ONNX graph may differ from Keras, in standard deviations of the feature
_TRAINING_ROWS_MIN, _VALIDATION_ROWS_MIN = 50, 5


@dataclass(frozen=True, slots=True)
class Limit:
    """What is an anomaly: `score` at or above a value from 0 to 100, or `loss` at or above one."""

    rule: str = "score"
    value: float = 95.0

    def flags(self, scores: Scores) -> npt.NDArray[np.bool_]:
        """Return bool (n,): which rows are anomalies; rows without a score are not."""
        return (scores.loss if self.rule == "loss" else scores.score) >= self.value


@dataclass(frozen=True, slots=True, eq=False)
class _Learnt:
    scaler: Scaler
    calibration: Calibration
    onnx: bytes
    model: OnnxModel
    unseen_from_ms: int


class LstmDetector:
    """Predicts the next row from a window of rows with an LSTM.

    Args:
        feature_name: What of the value is learnt: `log_return` or `level`.
        config: Size and training of the network.
        limit: Where the band (`lower`, `upper`) of the scores lies.
        on_epoch: Told after each epoch of training.
    """

    kind = "lstm"

    def __init__(
        self,
        feature_name: FeatureName = "log_return",
        config: LstmConfig | None = None,
        *,
        limit: Limit | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        self.feature_name: FeatureName = feature_name
        self.config = config or LstmConfig()
        self.limit = limit or Limit()
        self.trained: Trained | None = None
        """The Keras model and the losses of its training, after `learn`; not kept by `save`."""
        self._on_epoch = on_epoch
        self._learnt: _Learnt | None = None

    @property
    def context_rows(self) -> int:
        """Rows before a row that its score depends on."""
        return self.first_row + SCALE_ROWS

    @property
    def rows_min(self) -> int:
        """Fewest rows that `learn` takes."""
        part = self.config.validation_fraction
        targets = max(_TRAINING_ROWS_MIN + _VALIDATION_ROWS_MIN, round(_VALIDATION_ROWS_MIN / part))
        return self.first_row + max(targets, round(_TRAINING_ROWS_MIN / (1.0 - part)))

    @property
    def unseen_from_ms(self) -> int | None:
        """Time of the first learnt row that was kept from training, UTC epoch ms; None before learning."""
        return self._learnt.unseen_from_ms if self._learnt else None

    @property
    def first_row(self) -> int:
        """First row of a series that can be predicted, from 0."""
        return self.config.window + rows_lost(self.feature_name)

    def validation_rows(self, rows: int) -> int:
        """Return how many of the newest of `rows` rows are kept from training."""
        return max(round((rows - self.first_row) * self.config.validation_fraction), _VALIDATION_ROWS_MIN)

    def learn(self, times_ms: Times, values: Floats) -> None:
        """Learn a series; see `Detector.learn`."""
        check_enough(len(values), self.rows_min, who=f"a window of {self.config.window}", smaller="window")
        check_series(times_ms, values)
        features = feature(self.feature_name, times_ms, values)
        held = self.validation_rows(len(values))
        scaler = Scaler.fit(features[: len(features) - held])
        scaled = scaler.scale(features)
        windows, targets = self._windows(scaled)
        shown = np.clip(targets, -self._clip, self._clip).astype(np.float32)
        self.trained = train_lstm(
            self.config, (windows[:-held], shown[:-held]), (windows[-held:], shown[-held:]), self._on_epoch
        )
        model = OnnxModel(self.trained.onnx)
        predicted = model.predict(windows)
        check_agreement(self.trained.model, windows, predicted)
        residuals = targets - predicted
        calibration = Calibration.fit(residuals[:-held], residuals[-held:])
        self._learnt = _Learnt(scaler, calibration, self.trained.onnx, model, int(times_ms[-held]))

    def score(self, times_ms: Times, values: Floats) -> Scores:
        """Score rows; see `Detector.score`."""
        check_series(times_ms, values)
        if self._learnt is None:
            return Scores.neutral(values)
        calibration = self._learnt.calibration
        misses = self.misses(times_ms, values)
        residuals, reach = misses.size[self.first_row :], np.full(len(values), np.nan)
        p_value = reach.copy()
        scale = local_scale(residuals, calibration.overall)
        reach[self.first_row :] = self._reach(scale)
        p_value[self.first_row :] = calibration.p_values(np.abs(residuals) / scale)
        out = {"loss": np.abs(misses.size), "p_value": p_value, "expected": misses.value_at(0.0 * reach)}
        out |= {"lower": misses.value_at(-reach), "upper": misses.value_at(reach)}
        return Scores(actual=values.copy(), score=score_of(out["p_value"]), **out, method=self.kind)

    def misses(self, times_ms: Times, values: Floats) -> Misses:
        """Return by how much the network missed rows of a series.

        Args:
            times_ms: int64 (n,), UTC epoch ms.
            values: float64 (n,), finite.

        Raises:
            DetectorError: Nothing has been learnt yet, or a value has no feature; names the row.
        """
        if self._learnt is None:
            raise DetectorError("A detector that has not learnt anything predicts nothing; call learn first.")
        first, scaler = self.first_row, self._learnt.scaler
        size, predicted, previous = np.full((3, len(values)), np.nan)
        scaled = scaler.scale(feature(self.feature_name, times_ms, values))
        if len(values) > first:
            windows, targets = self._windows(scaled)
            predicted[first:] = self._learnt.model.predict(windows)
            size[first:] = targets - predicted[first:]
            lost = rows_lost(self.feature_name)
            previous[first:] = values[first - lost : len(values) - lost]
        return Misses(size, predicted, previous, scaler, self.feature_name)

    def save(self) -> dict[str, bytes]:
        """Return `detector.json` and `model.onnx`; see `Detector.save`."""
        known = learnt(self._learnt)
        told = document(
            self.kind,
            _FORMAT,
            asdict(self.config),
            feature=self.feature_name,
            limit=asdict(self.limit),
            scaler=asdict(known.scaler),
            calibration=known.calibration.to_dict(),
            unseen_from_ms=known.unseen_from_ms,
        )
        return {JSON: told, _ONNX: known.onnx}

    @classmethod
    def load(cls, parts: Mapping[str, bytes]) -> Self:
        """Return the detector that `save` wrote; see `Detector.load`."""
        with read(parts, cls.kind, _FORMAT, files=(_ONNX,), again="Train") as raw:
            config = LstmConfig(**{**raw["config"], "units": tuple(raw["config"]["units"])})
            detector = cls(raw["feature"], config, limit=Limit(**raw["limit"]))
            scaler = Scaler(**raw["scaler"])
            calibration = Calibration.from_dict(raw["calibration"])
            unseen_from_ms = int(raw["unseen_from_ms"])
        detector._learnt = _Learnt(scaler, calibration, parts[_ONNX], OnnxModel(parts[_ONNX]), unseen_from_ms)
        return detector

    def example(self, times_ms: Times, values: Floats, rows: int = 3) -> npt.NDArray[np.float32]:
        """Return the newest windows of a series as the network takes them, float32 (rows, window, 1).

        Raises:
            DetectorError: Nothing has been learnt yet.
        """
        if self._learnt is None:
            raise DetectorError("A detector that has not learnt anything has no scaled windows; call learn first.")
        scaled = self._learnt.scaler.scale(feature(self.feature_name, times_ms, values))
        return np.ascontiguousarray(self._windows(scaled)[0][-rows:, :, None])

    def with_limit(self, limit: Limit) -> Self:
        """Return this detector with its band at another limit."""
        other = type(self)(self.feature_name, self.config, limit=limit)
        other._learnt = self._learnt
        return other

    @property
    def _clip(self) -> float:
        return clip_of(self.feature_name)

    def _windows(self, scaled: Floats) -> tuple[npt.NDArray[np.float32], Floats]:
        """Return windows float32 (n, window) of float64 (n + window,), and the values right after each, (n,)."""
        shown = np.clip(scaled, -self._clip, self._clip).astype(np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(shown[:-1], self.config.window)
        return windows, scaled[self.config.window :]

    def _reach(self, scale: Floats) -> Floats:
        """Return how far from the prediction the band reaches, float64 (n,), in standard deviations."""
        if self.limit.rule == "loss" or self._learnt is None:
            return np.full(len(scale), self.limit.value)
        return self._learnt.calibration.ratio_at(p_of_score(self.limit.value)) * scale


def check_agreement(model: Any, windows: npt.NDArray[np.float32], predicted: Floats) -> None:
    """Compare the ONNX predictions with Keras's on up to 512 real windows, oldest to newest.

    Raises:
        DetectorError: They differ by more than 1e-5.
    """
    some = np.unique(np.linspace(0, len(windows) - 1, 512).astype(int))
    keras = np.asarray(model(windows[some][:, :, None], training=False))[:, 0]
    worst = float(np.abs(keras - predicted[some]).max())
    if not worst <= _AGREEMENT:
        raise DetectorError(
            f"The ONNX model differs from the Keras model by {worst:.2g} standard deviations; at most "
            f"{_AGREEMENT:g} is allowed. Nothing was saved.",
            difference=worst,
        )
