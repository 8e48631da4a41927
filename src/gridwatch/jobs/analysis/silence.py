"""Long runs of zeros: each is nothing much by itself, and together they are what nobody should overlook.

A bank looks at one bucket, or at the mean of 24; eight hours without a sale, of a series that has hours without one
every night, are neither. How probable is it that a bucket is the last of a run of zeros as long? It is the product of
the probabilities of a zero in each of its buckets, given the one before, so that no further correction for the number
of runs is needed: what has p < 0.0001 comes at one bucket in 10,000.

The probability of a zero is learnt by the hour of the day, with the hours beside it, and after a zero its odds are as
many times as high as they were, hour by hour taken together: who pauses goes on to pause (a Markov chain of first
order, as Gabriel and Neumann had it of dry days, Q. J. R. Meteorol. Soc. 88, 1962; the common odds ratio of Mantel and
Haenszel 1959), until it is known of the hour itself. Where the same hours of the week had more zeros, that counts: a
shop that is closed at weekends is known to be from the second on. Few observations are drawn to what is coarser as by
half of one (Krichevsky and Trofimov 1981), and no zero is rarer than one in all buckets so far. Nothing is said of
hours of the week that have not been seen before, nor for longer than a day: from there on it is how things are.

A run that is told teaches nothing of the day's hours, or the next one would be taken for usual; as that is the second
of two weeks it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    pass

__all__ = ["SHARE", "Silence"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

SHARE = 0.1
"""The share of false alarms that runs of zeros may have, the bank has the rest: Bonferroni with weights (Genovese,
Roeder and Wasserman 2006). A few buckets of a run make up for a decade, and the bank loses a twentieth of one."""

_HOUR_MS = 3_600_000
_HELD_P = 1e-4
"""What is critical is told, and not learnt."""
_LONGEST_MS = 24 * _HOUR_MS
_LONGEST_BUCKETS = 12
_COST_MS = 14 * 24 * _HOUR_MS
"""A run that is told and not learnt in so much time; two at first, and no more saved than three."""
_FIRST, _MOST = 2, 3
_VALUES = 10
"""As many as `AutoConfig.tail_rows_min`."""


class Silence:
    """What is known of the zeros of some series.

    Args:
        series: How many.
        span_ms: The length of a bucket; 0 to know nothing and take no memory.

    Attributes:
        tables: float32 (s, 456), what is known by the hour; `silence_kernel` tells where.
        runs: float64 (s, 5), the run of zeros at hand, and the credit.
        values: int64 (s,), how many have not been 0, up to ten.
    """

    def __init__(self, series: int, span_ms: int) -> None:
        from gridwatch.jobs.analysis import silence_kernel

        self.span_ms = span_ms
        self.tables = np.zeros((series, silence_kernel.TABLE if span_ms else 0), np.float32)
        self.runs = np.zeros((series, silence_kernel.RUN if span_ms else 0))
        self.values = np.zeros(series, np.int64)
        if span_ms:
            self.runs[:, silence_kernel.CREDIT] = _FIRST * self._cost

    @property
    def _cost(self) -> int:
        return max(_COST_MS // self.span_ms, 2)

    @property
    def arrays(self) -> tuple[npt.NDArray[np.float32] | Floats | Ints, ...]:
        """All of the state."""
        return self.tables, self.runs, self.values

    @property
    def nbytes(self) -> int:
        """Memory, bytes."""
        return sum(array.nbytes for array in self.arrays)

    def update(self, times_ms: Ints, values: Floats, *, zero_below: int = 0) -> tuple[Floats, Floats]:
        """Judge buckets, and learn them.

        Args:
            times_ms: int64 (b,), starts of the buckets, after those of the call before.
            values: float64 (s, b), NaN for none.
            zero_below: Values from 0 up to it are zeros, as 0 always is.

        Returns:
            -log10 p, and what is typical at the hour; (s, b) each, NaN but in zeros.
        """
        from gridwatch.jobs.analysis.silence_kernel import advance

        surprise, typical = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
        longest = max(_LONGEST_MS // self.span_ms, _LONGEST_BUCKETS)
        told = np.array([-np.log(_HELD_P * SHARE), longest, self._cost, _MOST * self._cost], np.float64)
        values, times = np.array(values, np.float64), np.array(times_ms, np.int64)
        advance(self.tables, self.runs, times, values, self.span_ms, float(zero_below), told, surprise, typical)
        return surprise, typical

    def begun(self, values: Floats) -> npt.NDArray[np.bool_]:
        """Return where a bucket is to be learnt: all but zeros of series that have not had ten other values yet.

        A tail is fitted to the ten highest. Were all but a few of them 0, the first values would be infinitely odd,
        and whatever comes later nothing beside them.

        Args:
            values: float64 (s, b), NaN for none; after those of the call before.
        """
        many = self.values[:, None] + np.cumsum(np.isfinite(values) & (values != 0.0), axis=1)
        if values.shape[1]:
            self.values = np.minimum(many[:, -1], _VALUES)
        return np.asarray((values != 0.0) | (many >= _VALUES))
