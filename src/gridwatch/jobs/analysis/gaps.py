"""Buckets without a value, filled so that the time of day stays where it is.

A bank counts rows, not hours: were a bucket left out, all later ones would be compared with another time of the days
before. Of a mean with a daily season and 30 % of its buckets missing, four of five odd values were overlooked so. What
is filled is learnt and never judged, and it is a value that was there: of the same time of one of the last days that
had one, another one each time, so that it is as noisy as others (a hot deck: Andridge and Little, Int. Stat. Rev. 78,
2010); where there is none yet, it lies on the line between the values before and after the gap.

A gap is filled when the next value comes, and of whole days in it nothing: without them the time of day stays where it
is too, and a series without weekends is not made of copies of its Fridays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Gaps", "Owed", "day_buckets"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

_DAY_MS = 86_400_000
_SLOTS_MAX = 288
"""Five minutes: a finer day is longer than what a model of a bucketed series remembers well."""

_SHARE = 4
"""A series that has a value in fewer than one bucket in as many is left with its gaps: it would be made of filling."""

_DAYS = 3
"""Days of which a value may be taken."""


def day_buckets(span_ms: int) -> int:
    """Return how many buckets a day has, 0 where gaps are not filled."""
    slots = _DAY_MS // span_ms
    return slots if slots * span_ms == _DAY_MS and 1 < slots <= _SLOTS_MAX else 0


@dataclass(frozen=True, slots=True, eq=False)
class Owed:
    """What some series have to learn before their next value, of a gap that began earlier.

    Attributes:
        rows: int64 (k,), which series.
        times_ms: int64 (k, n), increasing; those of places without a value mean nothing.
        values: float64 (k, n), NaN behind the last.
    """

    rows: Ints
    times_ms: Ints
    values: Floats


class Gaps:
    """The last days of some series.

    Args:
        series: How many.
        slots: Buckets of a day.

    Attributes:
        days: float64 (s, 3, slots), the last values at each time of the day, the newest first, NaN for none.
        last: float64 (s,), the last value of all.
        seen: int64 (s, 3), buckets since the first value, how many of them had one, how many since the last.
    """

    def __init__(self, series: int, slots: int) -> None:
        self.days = np.full((series, _DAYS, slots), np.nan)
        self.last = np.full(series, np.nan)
        self.seen = np.zeros((series, 3), np.int64)

    @property
    def arrays(self) -> tuple[npt.NDArray[np.float64] | npt.NDArray[np.int64], ...]:
        """All of the state."""
        return self.days, self.last, self.seen

    @property
    def nbytes(self) -> int:
        """Memory, bytes."""
        return sum(array.nbytes for array in self.arrays)

    def owed(self, times_ms: Ints, values: Floats) -> Owed | None:
        """Return what is to be learnt before some buckets, None for nothing.

        Args:
            times_ms: int64 (b,), starts of the buckets, after those of the call of `fill` before.
            values: float64 (s, b), NaN for none.
        """
        there, slots = np.isfinite(values), self.days.shape[2]
        first = np.argmax(there, axis=1)
        # Up to the first value as many are missing as were, and those of these buckets.
        many = np.where(there.any(axis=1) & self._often(first), (self.seen[:, 2] + first) % slots - first, 0)
        rows = np.flatnonzero(many > 0)
        if not len(rows):
            return None
        many, span_ms = many[rows], _DAY_MS // slots
        back = many[:, None] - np.arange(many.max())
        times = np.where(back > 0, times_ms[0] - back * span_ms, times_ms[0] - back)
        filled = np.full(back.shape, np.nan)
        for place in range(back.shape[1]):
            which = np.flatnonzero(back[:, place] > 0)
            some, to_value = rows[which], first[rows[which]]
            share = 1.0 - (back[which, place] + to_value) / (many[which] + to_value + 1.0)
            filled[which, place] = self._usual(some, times[which, place], share, values[some, to_value])
        return Owed(rows, times, filled)

    def fill(self, times_ms: Ints, values: Floats) -> tuple[Floats, Bools]:
        """Return the values with gaps filled that lie within, and where they are filled; go on behind them.

        Args:
            times_ms: int64 (b,), starts of the buckets, after those of the call before.
            values: float64 (s, b), NaN for none.
        """
        there = np.isfinite(values)
        if not self.seen[:, 2].any() and not np.isnan(self.last).any() and there.all():
            # Nothing to fill: the last of each time of the day is all that counts.
            return self._note(times_ms, values)
        filled, slots = values.copy(), self.days.shape[2]
        for place in range(values.shape[1]):
            now = np.flatnonzero(there[:, place])
            gaps = self.seen[now, 2] % slots
            gap = np.minimum(gaps, place)
            gap[~self._often(np.zeros(len(self.last), np.int64))[now]] = 0
            for back in range(1, int(gap.max(initial=0)) + 1):
                rows = now[gap >= back]
                share = 1.0 - back / (gaps[gap >= back] + 1.0)
                when = np.full(len(rows), times_ms[place - back])
                filled[rows, place - back] = self._usual(rows, when, share, values[rows, place])
            begun = there[:, place] | ~np.isnan(self.last)
            self.seen[:, 0] += begun
            self.seen[:, 2] += begun
            self.seen[now, 1] += 1
            self.seen[now, 2] = 0
            slot = int(self._slots(times_ms[place]))
            self.days[now, 1:, slot] = self.days[now, :-1, slot]
            self.days[now, 0, slot] = values[now, place]
            self.last[now] = values[now, place]
        return filled, ~there & np.isfinite(filled)

    def _often(self, more: Ints) -> Bools:
        """Return whether the series have values often enough, were so many more missing."""
        return np.asarray((self.seen[:, 1] + 1) * _SHARE >= self.seen[:, 0] + more + 1)

    def _usual(self, rows: Ints, times_ms: Ints, share: Floats, after: Floats) -> Floats:
        """Return a value for each of some series at a time of its own, of one of the last days by turns.

        Where no day had one it lies between the last and the one after, by its share of the way.
        """
        slots = self._slots(times_ms)
        days = self.days[rows, :, slots]
        many = np.count_nonzero(np.isfinite(days), axis=1)
        turn = times_ms // _DAY_MS % np.maximum(many, 1)
        between = self.last[rows] + share * (after - self.last[rows])
        return np.asarray(np.where(many > 0, days[np.arange(len(rows)), turn], between))

    def _slots(self, times_ms: Ints) -> Ints:
        slots = self.days.shape[2]
        return np.asarray(times_ms // (_DAY_MS // slots) % slots)

    def _note(self, times_ms: Ints, values: Floats) -> tuple[Floats, Bools]:
        for place, slot in enumerate(self._slots(times_ms).tolist()):
            self.days[:, 1:, slot] = self.days[:, :-1, slot]
            self.days[:, 0, slot] = values[:, place]
        self.last = values[:, -1].copy() if values.shape[1] else self.last
        self.seen[:, :2] += values.shape[1]
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
