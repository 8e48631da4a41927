"""Buckets without a value, filled so that the time of day stays where it is.

A bank counts rows, not hours: were a bucket left out, all later ones would be compared with another time of the days
before. Of a mean with a daily season and 30 % of its buckets missing, four of five odd values were overlooked so. What
is filled is learnt and never judged, and it is a value that was there: of the same time of the last day that had one,
so that it is as noisy as others; or else the last of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Gaps", "day_buckets"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

_DAY_MS = 86_400_000
_SLOTS_MAX = 288
"""Five minutes: a finer day is longer than what a model of a bucketed series remembers well."""

_SHARE = 4
"""A series that has a value in fewer than one bucket in as many is left with its gaps: it would be made of filling."""


def day_buckets(span_ms: int) -> int:
    """Return how many buckets a day has, 0 where gaps are not filled."""
    slots = _DAY_MS // span_ms
    return slots if slots * span_ms == _DAY_MS and 1 < slots <= _SLOTS_MAX else 0


class Gaps:
    """The last day of some series.

    Args:
        series: How many.
        slots: Buckets of a day.

    Attributes:
        day: float64 (s, slots), the last value at each time of the day, NaN where there was none.
        last: float64 (s,), the last value of all.
        seen: int64 (s, 2), buckets since the first value, and how many of them had one.
    """

    def __init__(self, series: int, slots: int) -> None:
        self.day = np.full((series, slots), np.nan)
        self.last = np.full(series, np.nan)
        self.seen = np.zeros((series, 2), np.int64)

    @property
    def arrays(self) -> tuple[npt.NDArray[np.float64] | npt.NDArray[np.int64], ...]:
        """All of the state."""
        return self.day, self.last, self.seen

    @property
    def nbytes(self) -> int:
        """Memory, bytes."""
        return sum(array.nbytes for array in self.arrays)

    def fill(self, times_ms: Ints, values: Floats) -> tuple[Floats, Bools]:
        """Return the values with gaps filled, and where they are filled.

        Args:
            times_ms: int64 (b,), starts of the buckets, after those of the call before.
            values: float64 (s, b), NaN for none.
        """
        there = np.isfinite(values)
        if not np.isnan(self.last).any() and there.all():
            # Nothing to fill: the last of each time of the day is all that counts.
            return self._note(times_ms, values)
        filled, known = values.copy(), there
        slots = self._slots(times_ms)
        for place, slot in enumerate(slots.tolist()):
            now = known[:, place]
            value = np.where(now, values[:, place], np.nan)
            begun = now | ~np.isnan(self.last)
            self.seen[:, 0] += begun
            self.seen[:, 1] += now
            often = self.seen[:, 1] * _SHARE >= self.seen[:, 0]
            usual = np.where(np.isnan(self.day[:, slot]), self.last, self.day[:, slot])
            filled[:, place] = np.where(now, value, np.where(often, usual, np.nan))
            self.day[now, slot] = value[now]
            self.last[now] = value[now]
        return filled, ~there & np.isfinite(filled)

    def _slots(self, times_ms: Ints) -> Ints:
        slots = self.day.shape[1]
        return times_ms // (_DAY_MS // slots) % slots

    def _note(self, times_ms: Ints, values: Floats) -> tuple[Floats, Bools]:
        slots = self._slots(times_ms)
        # Of several buckets at one time of the day the last stays.
        self.day[:, slots] = values
        self.last = values[:, -1].copy() if values.shape[1] else self.last
        self.seen += values.shape[1]
        return values, np.zeros(values.shape, np.bool_)

    def pick(self, others: Sequence[Gaps], which: Ints, starts: Sequence[int]) -> None:
        """Take over the state of series of others.

        Args:
            others: Where from.
            which: int64 (s,), the number of each series of this one.
            starts: The number of the first series of each of the others.
        """
        for start, other in zip(starts, others, strict=True):
            there = (which >= start) & (which < start + len(other.last))
            for ours, theirs in zip(self.arrays, other.arrays, strict=True):
                ours[there] = theirs[which[there] - start]
