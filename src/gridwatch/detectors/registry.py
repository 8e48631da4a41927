"""Detectors by name: made, loaded again, and judged, which is to score every row before learning from it.

Importing this loads neither Numba nor TensorFlow.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self, cast

import numpy as np

from gridwatch.detectors.base import Detector, Floats, Times
from gridwatch.detectors.calibration import score_of, surprise_of
from gridwatch.errors import ConfigError, DetectorError

if TYPE_CHECKING:
    from gridwatch.detectors.features import FeatureName
    from gridwatch.detectors.online import OnlineDetector
    from gridwatch.detectors.training import LstmConfig, OnEpoch

__all__ = ["DETECTORS", "Entry", "Judged", "entry", "load_detector", "new_detector", "smoothed"]

_SEGMENT_ROWS = 50
_SEGMENT_CAP = 6.0  # surprise beyond which a row counts no more, so that one spike does not fill its surroundings


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a detector says of n rows; every column is float64 (n,), NaN in rows that it does not judge.

    Attributes:
        anomaly_score: The alarm stream, high is anomalous.
        segment_score: High through the whole of an anomalous stretch.
        p_value: Share of ordinary rows that are at least as odd; all NaN where the detector makes no such promise.
        learn_s: Seconds of processor time that it learnt for before it scored; 0 where it learns as it goes.
    """

    anomaly_score: Floats
    segment_score: Floats
    p_value: Floats
    learn_s: float = 0.0

    @classmethod
    def nothing(cls, rows: int) -> Self:
        """Return what a detector says that judges none of so many rows."""
        unknown = np.full(rows, np.nan)
        return cls(unknown, unknown, unknown)


@dataclass(frozen=True, slots=True)
class Entry:
    """A detector that can be named.

    Attributes:
        name: Such as `zscore`.
        about: What it is, in one line.
        threshold: At or above which `anomaly_score` raises an alarm, unless set otherwise.
        judge: From times int64 (n,), values float64 (n,) and the number of rows of probation to what it says. Only
            rows of probation may be learnt before they are scored, and those are then not judged.
    """

    name: str
    about: str
    threshold: float
    judge: Callable[[Times, Floats, int], Judged]


def entry(name: str) -> Entry:
    """Return the detector of a name.

    Raises:
        ConfigError: There is none; names those that there are.
    """
    if name not in DETECTORS:
        raise ConfigError(f"No detector is called {name!r}; there are {', '.join(sorted(DETECTORS))}.")
    return DETECTORS[name]


def new_detector(
    name: str,
    *,
    feature_name: FeatureName = "level",
    network: LstmConfig | None = None,
    on_epoch: OnEpoch | None = None,
) -> Detector:
    """Return a detector of a name that has learnt nothing yet.

    All but `lstm-fixed` are `OnlineDetector`s, which learn each row right after they have scored it.

    Args:
        name: One of the registry's.
        feature_name: What of the value an LSTM learns.
        network: Its size and training.
        on_epoch: Told after each epoch of that.

    Raises:
        ConfigError: There is none of this name, or it is a baseline that can only be judged.
    """
    found = entry(name)
    if name in {"lstm", "lstm-fixed", "auto+lstm"}:
        from gridwatch.detectors.lstm import Limit, LstmDetector

        if name == "lstm-fixed":
            limit = Limit("loss", found.threshold)
            return LstmDetector(feature_name, network, limit=limit, on_epoch=on_epoch)
        from gridwatch.detectors.lstm_online import AutoLstmDetector, LstmOnlineDetector

        kind = AutoLstmDetector if name == "auto+lstm" else LstmOnlineDetector
        return kind(feature_name, network, on_epoch=on_epoch)
    kinds = _kinds()
    if name not in kinds:
        raise ConfigError(f"{name} is a baseline to compare with, which can be judged but not used.")
    return kinds[name]()


def load_detector(parts: Mapping[str, bytes]) -> Detector:
    """Return the detector that any detector's `save` wrote.

    Raises:
        DetectorError: `detector.json` is missing, or of an unknown kind; or what the kind's own `load` raises.
    """
    if "detector.json" not in parts:
        raise DetectorError(f"The saved detector lacks detector.json; it has {sorted(parts)}.")
    try:
        raw = json.loads(parts["detector.json"])
        kind, of_network = str(raw["kind"]), "scaler" in raw
    except (KeyError, TypeError, ValueError) as error:
        raise DetectorError(f"detector.json is damaged: {error!r}.") from error
    if of_network:
        from gridwatch.detectors.lstm import LstmDetector

        return LstmDetector.load(parts)
    kinds = _kinds()
    if kind not in kinds:
        raise DetectorError(f"detector.json holds a {kind!r}; this version reads {', '.join(sorted(kinds))}.")
    return kinds[kind].load(parts)


def _kinds() -> dict[str, type[OnlineDetector]]:
    """Return the online detectors by their kind."""
    from gridwatch.detectors.lstm_online import AutoLstmDetector, LstmOnlineDetector
    from gridwatch.detectors.online import AutoDetector
    from gridwatch.detectors.singles import RangeDetector, SeasonalDetector, ShapeDetector, SpectralDetector

    single = (RangeDetector, SeasonalDetector, ShapeDetector, SpectralDetector)
    return {one.kind: one for one in (AutoDetector, *single, LstmOnlineDetector, AutoLstmDetector)}


def smoothed(stream: Floats, rows: int = _SEGMENT_ROWS) -> Floats:
    """Return the exponential mean of a stream over the span of so many rows, of earlier rows only; NaN counts as 0.

    >>> smoothed(np.array([3.0, 0.0, 0.0]), rows=2).round(3).tolist()
    [2.0, 0.667, 0.222]
    """
    weight, level, out = 2.0 / (rows + 1.0), 0.0, []
    for value in np.nan_to_num(stream).tolist():
        level += weight * (value - level)
        out.append(level)
    return np.array(out, dtype=np.float64)


def _segments(p_value: Floats) -> Floats:
    surprise = np.minimum(surprise_of(p_value), _SEGMENT_CAP)
    return score_of(10.0 ** -smoothed(surprise))


def _online(name: str, times_ms: Times, values: Floats, probation: int) -> Judged:
    """Judge a detector that learns as it goes; one with a network trains it on the rows of probation first."""
    detector = cast("OnlineDetector", new_detector(name))
    learnt = max(probation, detector.rows_min) if "lstm" in name else 0
    if learnt and len(values) <= learnt:
        return Judged.nothing(len(values))
    started_s = time.process_time()
    if learnt:
        detector.learn(times_ms[:learnt], values[:learnt])
    learn_s = time.process_time() - started_s if learnt else 0.0
    scores = detector.update(times_ms[learnt:], values[learnt:])
    unknown = np.full(learnt, np.nan)
    alarms, segments, p_value = (
        np.concatenate([unknown, column]) for column in (scores.anomaly_score, scores.segment_score, scores.p_value)
    )
    return Judged(alarms, segments, p_value, learn_s)


def _zscore(_times_ms: Times, values: Floats, _probation: int) -> Judged:
    from gridwatch.detectors.zscore import deviations, gaussian_p

    away = deviations(values)
    p_value = gaussian_p(away)
    return Judged(away, _segments(p_value), p_value)


def _lstm_fixed(times_ms: Times, values: Floats, probation: int) -> Judged:
    detector = new_detector("lstm-fixed")
    learnt = max(probation, detector.rows_min)
    if len(values) <= learnt:
        return Judged.nothing(len(values))
    started_s = time.process_time()
    detector.learn(times_ms[:learnt], values[:learnt])
    learn_s = time.process_time() - started_s
    loss = _from(detector.score(times_ms, values).loss, learnt)
    return Judged(loss, _from(smoothed(loss), learnt), np.full(len(loss), np.nan), learn_s)


def _from(column: Floats, first: int) -> Floats:
    """Return a column whose rows before `first` are not judged."""
    return np.where(np.arange(len(column)) < first, np.nan, column)


_ALARM = 96.98  # the level of surprise, 3.5, at which the online detectors count an alarm as one

_ONLINE = {
    "auto": "Ensemble that learns as it goes: value, season, spread, shape, runs of one value.",
    "auto+lstm": "The same with the misses of an LSTM, trained on the rows of probation, as one more member.",
    "seasonal": "Unlike the same time of earlier days, or the same place of a season found; trend; level shifts.",
    "shape": "Stretches that no earlier one is like, in shape or in size.",
    "range": "Spikes, dips and levels never seen, and a value that is stuck.",
    "spectral": "Spectral residual: what the repeating part of the last rows does not account for.",
    "lstm": "Misses of an LSTM trained on the rows of probation, and the range; calibrated as it goes.",
}

DETECTORS = {
    one.name: one
    for one in (
        *(Entry(name, about, _ALARM, partial(_online, name)) for name, about in _ONLINE.items()),
        Entry(
            "lstm-fixed", "The LSTM with the fixed rule: a miss of 0.65 standard deviations or more.", 0.65, _lstm_fixed
        ),
        Entry("zscore", "Baseline: standard deviations from the mean of the 1000 rows before.", 3.29, _zscore),
    )
}
"""All detectors, by name."""
