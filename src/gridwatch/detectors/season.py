"""A season of any length, found in the rows themselves, and the difference from its earlier rounds."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.streams import Arrays, Taken
from gridwatch.errors import DetectorError

__all__ = ["SeasonStream", "find_period"]

_PERIOD_MIN = 4
_CLEAR = 0.3  # correlation that a season has at least, and rises by from its own half
_NEARLY = 0.9  # of the highest: the shortest such lag is the season, not twice as much
_LOOK_ROWS = 256  # the first look, and the next when there are twice as many rows
_HISTORY_ROWS = 4096  # as the members keep


def find_period(values: Floats) -> int:
    """Return after how many rows a series repeats, by its autocorrelation without a linear trend; 0 for never.

    A season's correlation is 0.3 or more, rises by as much from a shorter lag, and is at least half as high at twice
    the lag: a random walk turns back by chance, but seldom twice in the same time. The lag is at most a third of the
    rows, so that three rounds have been seen.

    Args:
        values: float64 (n,), finite.

    >>> find_period(np.sin(np.arange(300) * 2 * np.pi / 37) + 0.01 * np.arange(300)), find_period(np.ones(300))
    (37, 0)
    """
    rows = len(values)
    if rows < 3 * (_PERIOD_MIN + 1):
        return 0
    largest = float(np.abs(values).max())
    if largest == 0.0:
        return 0
    at = np.arange(rows) - (rows - 1) / 2.0
    apart = values / largest
    apart = apart - apart.mean()
    apart = apart - at * float((apart * at).sum() / (at * at).sum())
    if apart.std() <= 1e-9:
        return 0
    apart /= apart.std()
    transformed = np.fft.rfft(apart, 1 << int(2 * rows - 1).bit_length())
    together = np.fft.irfft(transformed.real**2 + transformed.imag**2)[: 2 * rows // 3 + 2]
    alike = together / (rows - np.arange(len(together)))
    lags = np.arange(_PERIOD_MIN, rows // 3 + 1)
    peak = (alike[lags] > alike[lags - 1]) & (alike[lags] >= alike[lags + 1])
    valley = np.minimum.accumulate(alike)[lags]
    peak &= (alike[lags] >= _CLEAR) & (alike[lags] - valley >= _CLEAR)
    peak &= [float(alike[2 * lag - lag // 16 : 2 * lag + lag // 16 + 1].max()) >= 0.5 * alike[lag] for lag in lags]
    if not peak.any():
        return 0
    found = lags[peak]
    first = found[alike[found] >= _NEARLY * alike[found].max()][0]
    # Noise lets a peak have several tops: the highest of those near the first.
    near = found[(found >= first) & (found <= 1.25 * first)]
    return int(near[np.argmax(alike[near])])


class SeasonStream:
    """The value less the median of the same place in up to 7 earlier rounds of the season that has been found.

    The season is looked for in what came before, when there are 256 rows, and again whenever these have doubled, up to
    4096 and every so many from there on.

    >>> stream = SeasonStream()
    >>> values = np.sin(np.arange(400) * 2 * np.pi / 37)
    >>> odd = stream.take(np.arange(400), values).odd
    >>> bool(np.isnan(odd[:256]).all()), float(np.abs(odd[256:]).max().round(6))
    (True, 0.0)
    """

    name = "season"
    two_sided = True

    def __init__(self, seasons: int = 7) -> None:
        self.seasons = seasons
        self.period = 0
        self._rows = 0
        self._history = np.empty(0)

    def take(self, times_ms: Times, values: Floats) -> Taken:
        """Return the differences of the next rows; see `Stream.take`."""
        joined = np.concatenate([self._history, values])
        start = len(self._history) - self._rows  # of the place of a row in `joined`
        end = self._rows + len(values)
        centre = np.full(len(values), np.nan)
        row = self._rows
        while row < end:
            if row == _look_at(row):
                self.period = find_period(joined[max(start + row - _HISTORY_ROWS, 0) : start + row])
            last = min(_look_at(row + 1), end)
            if self.period:
                centre[row - self._rows : last - self._rows] = self._medians(joined, start, row, last)
            row = last
        self._rows, self._history = end, joined[-_HISTORY_ROWS:]
        return Taken(values - centre, lambda miss: centre + miss)

    def copy(self) -> Self:
        """Return a stream that goes on from here by itself."""
        other = type(self)(self.seasons)
        other.period, other._rows, other._history = self.period, self._rows, self._history
        return other

    def arrays(self) -> Arrays:
        """Return what is kept of the rows so far."""
        return {"history": self._history, "counts": np.array([self._rows, self.period], np.int64)}

    def restore(self, arrays: Arrays) -> None:
        """Take up what `arrays` was; see `Stream.restore`."""
        history: npt.NDArray[Any] = arrays["history"]
        counts: npt.NDArray[Any] = arrays["counts"]
        fits = history.ndim == 1 and history.dtype == np.float64 and counts.shape == (2,) and counts.dtype == np.int64
        if not fits or len(history) != min(counts[0], _HISTORY_ROWS) or not 0 <= counts[1] <= _HISTORY_ROWS:
            raise DetectorError(f"The saved season is damaged: {len(history)} rows kept, counts {counts.tolist()}.")
        if not np.isfinite(history).all():
            raise DetectorError("The saved season is damaged: a number is not finite.")
        self._history, self._rows, self.period = history.copy(), int(counts[0]), int(counts[1])

    def _medians(self, joined: Floats, start: int, first: int, last: int) -> Floats:
        """Return the median of earlier rounds for rows from `first` to one before `last`."""
        rows = np.arange(first, last)
        rounds = np.minimum(rows // self.period, min(self.seasons, _HISTORY_ROWS // self.period))
        out = np.full(len(rows), np.nan)
        for count in np.unique(rounds[rounds > 0]).tolist():
            of = rows[rounds == count]
            earlier = of[:, None] - self.period * np.arange(1, count + 1)
            out[rounds == count] = np.median(joined[start + earlier], axis=1)
        return out


def _look_at(row: int) -> int:
    """Return the next row, this one included, before which a season is looked for."""
    if row > _HISTORY_ROWS:
        return -(-row // _HISTORY_ROWS) * _HISTORY_ROWS
    look = _LOOK_ROWS
    while look < row:
        look *= 2
    return look
