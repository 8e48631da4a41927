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
    pass

__all__ = ["Gaps", "Owed", "day_buckets"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

_DAY_MS = 86_400_000
_SLOTS_MAX = 288
"""Five minutes: a finer day is longer than what a model of a bucketed series remembers well."""

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

    def fill(self, times_ms: Ints, values: Floats) -> tuple[Floats, Bools, Owed | None]:
        """Fill the gaps that end in some buckets, and go on behind them.

        Args:
            times_ms: int64 (b,), starts of the buckets, one after another and after those of the call before.
            values: float64 (s, b), NaN for none.

        Returns:
            The values, those within filled; where they are; and what is to be learnt before, None for nothing.
        """
        from gridwatch.jobs.analysis.gaps_kernel import fill

        series, slots = len(values), self.days.shape[2]
        given, filled = np.array(values, np.float64), np.array(values, np.float64)
        owed, many = np.empty((series, slots)), np.zeros(series, np.int64)
        fill(self.days, self.last, self.seen, np.array(times_ms, np.int64), given, filled, owed, many)
        return filled, np.isnan(given) & np.isfinite(filled), self._owed(times_ms, owed, many)

    def _owed(self, times_ms: Ints, values: Floats, many: Ints) -> Owed | None:
        rows = np.flatnonzero(many)
        if not len(rows):
            return None
        most, span_ms = int(many.max()), _DAY_MS // self.days.shape[2]
        back = many[rows, None] - np.arange(most)
        times = np.where(back > 0, times_ms[0] - back * span_ms, times_ms[0] - back)
        return Owed(rows, times, np.where(back > 0, values[rows, :most], np.nan))
