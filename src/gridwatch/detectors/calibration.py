"""From residuals to p-values and scores: how odd is this row, among ordinary rows?

A residual is judged against the residuals of the rows just before it (`local_scale`), so that a market that has
become wilder does not raise alarms all day. The ratio's p-value is its rank among the ratios of the learnt rows
(a conformal p-value), and beyond the highest few percent a generalised Pareto tail fitted to them. The score is
`100 * (1 - exp(-s))` with `s = -log10(p)`: 63 is one row in ten, 95 one in a thousand, 99.75 one in a million.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from gridwatch.detectors.base import Floats

__all__ = ["SCALE_ROWS", "Calibration", "local_scale", "score_of", "surprise_of"]

SCALE_ROWS = 50
"""Residuals before a row that say how wild the series is just then."""

_TRIM = 0.1  # share of the largest of them that is left out, so that one anomaly does not hide the next
_LOCAL = 0.7  # weight of the local scale against that of the whole learnt series
_TAIL = 0.05  # share of the ratios that the tail is fitted to
_TAIL_ROWS_MIN = 10
_SHAPE = 0.25  # of the tail: a power of 4, near that of returns of all kinds; too few rows to fit it to one series
_ANOMALIES = 0.003  # share of the learnt rows that may be anomalies themselves
_GRID = 400  # points that keep the body of the distribution
_P_MIN = 1e-12


def surprise_of(p_value: Floats) -> Floats:
    """Return -log10 of p-values."""
    return -np.log10(np.clip(p_value, _P_MIN, 1.0))


def score_of(p_value: Floats) -> Floats:
    """Return scores, 0 to 100, of p-values: `100 * (1 - exp(log10(p)))`.

    >>> score_of(np.array([1.0, 0.1, 1e-3, 1e-6])).round(2).tolist()
    [0.0, 63.21, 95.02, 99.75]
    """
    return 100.0 * np.abs(np.expm1(-surprise_of(p_value)))


def p_of_score(score: float) -> float:
    """Return the p-value of a score, the inverse of `score_of`.

    >>> round(p_of_score(95.0), 6)
    0.00101
    """
    return max(float(10.0 ** np.log1p(-min(score, 100.0) / 100.0)), _P_MIN) if score < 100.0 else _P_MIN


def local_scale(residuals: Floats, overall: float) -> Floats:
    """Return the size of an ordinary residual at each row, from the rows before it alone.

    The trimmed mean of the last `SCALE_ROWS` absolute residuals, mixed with that of the whole learnt series, which
    stands in where there are fewer.

    Args:
        residuals: float64 (n,).
        overall: Trimmed mean of the learnt series' absolute residuals, above zero.

    Returns:
        float64 (n,), above zero.
    """
    scale = np.full(len(residuals), overall)
    if len(residuals) > SCALE_ROWS:
        before = np.lib.stride_tricks.sliding_window_view(np.abs(residuals[:-1]), SCALE_ROWS)
        kept = SCALE_ROWS - int(SCALE_ROWS * _TRIM)
        ordinary = np.partition(before, kept - 1, axis=1)[:, :kept].mean(axis=1)
        scale[SCALE_ROWS:] = _LOCAL * ordinary + (1.0 - _LOCAL) * overall
    return scale


def trimmed_mean(absolute: Floats) -> float:
    """Return the mean of all but the largest tenth of float64 (n,), n > 0."""
    kept = max(len(absolute) - int(len(absolute) * _TRIM), 1)
    return float(np.partition(absolute, kept - 1)[:kept].mean())


@dataclass(frozen=True, slots=True)
class Calibration:
    """How ordinary residuals are spread.

    Attributes:
        overall: Trimmed mean of the absolute residuals.
        body: Ratios at evenly spaced ranks from the least to `start`, the body of the distribution.
        tail_p: Share of ordinary rows beyond the body.
        scale: Scale of the generalised Pareto tail.
        shape: Its shape, above zero.
        rows: Ratios it was fitted to.
    """

    overall: float
    body: tuple[float, ...]
    tail_p: float
    scale: float
    shape: float
    rows: int

    @property
    def start(self) -> float:
        """Ratio at which the tail begins."""
        return self.body[-1]

    @classmethod
    def fit(cls, training: Floats, validation: Floats) -> Self:
        """Fit to the residuals of learnt rows.

        Training residuals are a little smaller than those of rows the model has not seen; dividing by the local scale
        takes most of that away, and the rest is corrected by the ratio of the two parts' trimmed means (1 to 2).

        Args:
            training: float64 (n,), n > 0, in time order.
            validation: float64 (m,), the rows right after them, not trained on.
        """
        residuals = np.concatenate([training, validation])
        floor = 1e-9 * (1.0 + float(np.abs(residuals).max()))
        overall = max(trimmed_mean(np.abs(residuals)), floor)
        ratios = np.abs(residuals) / local_scale(residuals, overall)
        seen, unseen = ratios[: len(training)], ratios[len(training) :]
        if len(unseen):
            inflation = trimmed_mean(unseen) / max(trimmed_mean(seen), floor)
            seen = seen * float(np.clip(inflation, 1.0, 2.0))
        return cls._of_ratios(np.sort(np.concatenate([seen, unseen])), overall)

    @classmethod
    def _of_ratios(cls, ratios: Floats, overall: float) -> Self:
        rows = len(ratios)
        beyond = min(max(int(rows * _TAIL), _TAIL_ROWS_MIN), rows // 2)
        start = float(ratios[rows - beyond - 1])
        body = np.quantile(ratios[: rows - beyond], np.linspace(0.0, 1.0, min(_GRID, rows)))
        body[-1] = start
        censored = min(max(int(rows * _ANOMALIES), 2), beyond - 1)
        # A series without any spread still needs a tail that falls.
        scale = max(_tail_scale(ratios[rows - beyond :] - start, censored), 0.05 * max(start, 1.0))
        return cls(overall, tuple(body.tolist()), (beyond + 1) / (rows + 1), scale, _SHAPE, rows)

    def p_values(self, ratios: Floats) -> Floats:
        """Return the p-values, float64 (n,), of ratios of a residual to its local scale, float64 (n,)."""
        body = np.interp(ratios, *self._steps())
        excess = np.maximum(ratios - self.start, 0.0) / self.scale
        tail = self.tail_p * np.exp(-np.log1p(self.shape * excess) / self.shape)
        return np.clip(np.where(ratios > self.start, tail, np.maximum(body, self.tail_p)), _P_MIN, 1.0)

    def ratio_at(self, p_value: float) -> float:
        """Return the ratio whose p-value is `p_value`, the inverse of `p_values`."""
        if p_value >= self.tail_p:
            at, p_values = self._steps()
            return float(np.interp(-p_value, -p_values, at))
        excess = np.expm1(-self.shape * np.log(max(p_value, _P_MIN) / self.tail_p)) / self.shape
        return float(self.start + self.scale * excess)

    def _steps(self) -> tuple[Floats, Floats]:
        """Return the body's ratios, rising and each once, and their p-values."""
        # Equal ratios share the rank of the lowest, which gives the larger, more cautious p-value.
        at, first = np.unique(np.asarray(self.body), return_index=True)
        return at, np.linspace(1.0, self.tail_p, len(self.body))[first]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "overall": self.overall,
            "body": list(self.body),
            "tail_p": self.tail_p,
            "scale": self.scale,
            "shape": self.shape,
            "rows": self.rows,
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Self:
        """Return what `to_dict` wrote; a missing or wrong value raises KeyError, TypeError or ValueError."""
        body = tuple(float(value) for value in raw["body"])
        if len(body) < 1:
            msg = "calibration body is empty"
            raise ValueError(msg)
        numbers = {name: float(raw[name]) for name in ("overall", "tail_p", "scale", "shape")}
        return cls(body=body, rows=int(raw["rows"]), **numbers)


def _tail_scale(excesses: Floats, censored: int) -> float:
    """Return the maximum-likelihood scale of a generalised Pareto tail of shape `_SHAPE`.

    The largest `censored` excesses count as beyond the next one, their size unheard: what was learnt may hold real
    anomalies, and their size must not push the alarm out of reach of the next.

    Args:
        excesses: float64 (k,), sorted, k > censored.
        censored: How many of the largest.
    """
    known = excesses[: len(excesses) - censored]
    # Nothing, as far as ratios go; the logarithms of the least floats would be those of zeros below.
    if known[-1] < 1e-12:
        return 0.0
    low, high = np.log(known[-1]) - 12.0, np.log(known[-1]) + 6.0
    for _ in range(4):  # each pass looks 30 times closer
        logs = np.linspace(low, high, 61)
        scales = np.exp(logs)[:, None]
        likelihood = -len(known) * logs - (1.0 + 1.0 / _SHAPE) * np.log1p(_SHAPE * known / scales).sum(axis=1)
        likelihood -= censored / _SHAPE * np.log1p(_SHAPE * known[-1] / scales[:, 0])
        best, step = logs[int(np.argmax(likelihood))], logs[1] - logs[0]
        low, high = best - step, best + step
    return float(np.exp(best))
