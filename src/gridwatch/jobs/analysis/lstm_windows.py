"""Windows of many series as a network takes them: each scaled by what its series has been so far, and no later.

A series' own mean and standard deviation make one network fit for all; taken as the values come, with a memory, they
are there for a new series too, and follow one whose level moves. Nothing here looks ahead, so a window is the same
whether its series is learnt from, scored as it comes, or scored again later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["READY_ROWS", "Seen", "Windows", "take"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

READY_ROWS = 20
"""Values of a series before its mean and deviation are worth anything."""

_CLIP = 8.0
"""Most standard deviations that the network is shown: one wild value must not shape a whole window's expectations."""

_MOST = 1e150
"""Of a value's distance from its level: its square is finite."""

_FLAT = 1e-9
"""A deviation below this share of the level is that of rounding: such a series is scaled by 1."""


class Seen(NamedTuple):
    """What is kept of s series.

    Attributes:
        recent: float64 (s, window), the newest values, the last one last.
        rows: int64 (s,), how many values there have been.
        level: float64 (s, 2), their mean and variance, the newest counting most.
    """

    recent: Floats
    rows: Ints
    level: Floats

    def pick(self, series: Sequence[int]) -> Seen:
        """Return copies of some of the series."""
        which = list(series)
        return Seen(self.recent[which], self.rows[which], self.level[which])

    @classmethod
    def none(cls, series: int, window: int) -> Seen:
        """Return what is kept of series without a value."""
        return cls(np.zeros((series, window)), np.zeros(series, np.int64), np.zeros((series, 2)))


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """The windows before n buckets of s series.

    Attributes:
        ready: bool (s, n), where there is a value and a whole window before it.
        mean: float64 (s, n), of the values before.
        deviation: float64 (s, n), of those.
    """

    ready: Bools
    mean: Floats
    deviation: Floats
    _values: Floats
    _places: Ints
    _joined: Floats
    _window: int

    def at(self, series: Ints, buckets: Ints) -> npt.NDArray[np.float32]:
        """Return the scaled windows before some values, float32 (k, window); they have to be ready."""
        starts = self._places[series, buckets]
        raw = self._joined[series[:, None], starts[:, None] + np.arange(self._window)]
        with np.errstate(over="ignore"):
            scaled = (raw - self.mean[series, buckets, None]) / self.deviation[series, buckets, None]
        shown: npt.NDArray[np.float32] = np.clip(scaled, -_CLIP, _CLIP).astype(np.float32)
        return shown

    @property
    def scaled(self) -> Floats:
        """The values themselves, scaled, float64 (s, n); only where they are ready."""
        with np.errstate(over="ignore"):
            return np.clip((self._values - self.mean) / self.deviation, -_MOST, _MOST)


def take(seen: Seen, values: Floats, memory_rows: int) -> tuple[Windows, Seen]:
    """Return the windows before each value, and what is kept after the last.

    Args:
        seen: Of the values before; left alone.
        values: float64 (s, n), NaN where a series has no value: it is as if the bucket were not there.
        memory_rows: About how many values a mean is taken over.
    """
    series, many = values.shape
    window = seen.recent.shape[1]
    there = np.isfinite(values)
    # Values without the gaps between them, which come last.
    order = np.argsort(~there, axis=1, kind="stable")
    packed = np.take_along_axis(np.where(there, values, 0.0), order, axis=1)
    counts = there.sum(axis=1)
    rows, level, mean, deviation = _levels(seen, packed, counts, memory_rows)
    joined = np.concatenate([seen.recent, packed], axis=1)
    # Of each bucket, which of its series' values it is.
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.broadcast_to(np.arange(many), order.shape), axis=1)
    ready = there & (seen.rows[:, None] + places >= max(window, READY_ROWS))
    windows = Windows(
        ready,
        np.take_along_axis(mean, places, axis=1),
        np.take_along_axis(deviation, places, axis=1),
        values,
        places,
        joined,
        window,
    )
    recent = joined[np.arange(series)[:, None], counts[:, None] + np.arange(window)]
    return windows, Seen(recent, rows, level)


def _levels(seen: Seen, packed: Floats, counts: Ints, memory_rows: int) -> tuple[Ints, Floats, Floats, Floats]:
    """Return rows and level after the last value, and mean and deviation before each, (s, n)."""
    rows, (mean, variance) = seen.rows.copy(), seen.level.T.copy()
    means, variances = np.empty_like(packed), np.empty_like(packed)
    for place in range(packed.shape[1]):
        means[:, place], variances[:, place] = mean, variance
        now = place < counts
        rows = rows + now
        # Welford's sums with weights that stop falling: an exponential memory once there are so many values.
        weight = np.where(now, 1.0 / np.clip(rows, 1, memory_rows), 0.0)
        with np.errstate(over="ignore"):
            apart = np.clip(packed[:, place] - mean, -_MOST, _MOST)
        mean = mean + weight * apart
        variance = (1.0 - weight) * (variance + weight * apart * apart)
    deviations = np.sqrt(variances)
    deviations[deviations <= _FLAT * np.maximum(np.abs(means), 1.0)] = 1.0
    return rows, np.stack([mean, variance], axis=1), means, deviations
