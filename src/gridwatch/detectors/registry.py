"""Detectors by name, each as it is judged: it scores every row of a series before it learns from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from gridwatch.detectors.base import Floats, Scores, Times
from gridwatch.detectors.calibration import score_of, surprise_of
from gridwatch.errors import ConfigError

__all__ = ["DETECTORS", "Entry", "Judged", "entry", "smoothed"]

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


def _auto(times_ms: Times, values: Floats, _probation: int) -> Judged:
    from gridwatch.detectors.online import AutoDetector

    scores = AutoDetector().update(times_ms, values)
    return Judged(scores.anomaly_score, scores.segment_score, scores.p_value)


def _zscore(_times_ms: Times, values: Floats, _probation: int) -> Judged:
    from gridwatch.detectors.zscore import deviations, gaussian_p

    away = deviations(values)
    p_value = gaussian_p(away)
    return Judged(away, _segments(p_value), p_value)


def _learnt_lstm(times_ms: Times, values: Floats, probation: int) -> tuple[Scores | None, int, float]:
    """Learn the rows of probation; return the scores of all rows, the first that may be judged, and the seconds."""
    from gridwatch.detectors.lstm import Limit, LstmDetector

    detector = LstmDetector("level", limit=Limit())
    learnt = max(probation, detector.rows_min)
    if len(values) <= learnt:
        return None, len(values), 0.0
    started_s = time.process_time()
    detector.learn(times_ms[:learnt], values[:learnt])
    learn_s = time.process_time() - started_s
    return detector.score(times_ms, values), learnt, learn_s


def _lstm(times_ms: Times, values: Floats, probation: int) -> Judged:
    scores, first, learn_s = _learnt_lstm(times_ms, values, probation)
    if scores is None:
        return Judged.nothing(len(values))
    p_value = _from(scores.p_value, first)
    return Judged(_from(scores.score, first), _from(_segments(p_value), first), p_value, learn_s)


def _lstm_fixed(times_ms: Times, values: Floats, probation: int) -> Judged:
    scores, first, learn_s = _learnt_lstm(times_ms, values, probation)
    if scores is None:
        return Judged.nothing(len(values))
    loss = _from(scores.loss, first)
    return Judged(loss, _from(smoothed(loss), first), np.full(len(loss), np.nan), learn_s)


def _from(column: Floats, first: int) -> Floats:
    """Return a column whose rows before `first` are not judged."""
    return np.where(np.arange(len(column)) < first, np.nan, column)


_SCORE = 95.0  # one row in a thousand
_ALARM = 96.98  # the level of surprise, 3.5, at which the online detectors count an alarm as one

DETECTORS = {
    one.name: one
    for one in (
        Entry(
            "auto", "Ensemble that learns as it goes: value, season, spread, shape, runs of one value.", _ALARM, _auto
        ),
        Entry("zscore", "Baseline: standard deviations from the mean of the 1000 rows before.", 3.29, _zscore),
        Entry("lstm", "LSTM trained on the rows of probation, its misses calibrated.", _SCORE, _lstm),
        Entry("lstm-fixed", "The same LSTM with the fixed rule: a miss of 0.65 or more.", 0.65, _lstm_fixed),
    )
}
"""All detectors, by name."""
