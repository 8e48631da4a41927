"""Values as they are judged: counts so that nothing is as far from usual at noon as at night, and no two are alike.

A count's variance is near its mean, so that its square root varies alike everywhere (Bartlett 1936). What comes from 0
up to 1 by chance is added before, which makes a continuous number of it: the method of Machado and Santos Silva
("Quantiles for counts", J. Amer. Statist. Assoc. 100, 2005). Else hundreds of equal zeros and ones leave no tail to fit
to: of series with one row in ten buckets, a second row was critical in one of 1,000 buckets, and of bursts of nine rows
one in eight; so it is one of 10,000, and two of three.

The chance follows from the time of the bucket alone. The same rows give the same scores, whenever and in whatever
pieces they come, and whichever series are judged beside them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from gridwatch.jobs.analysis.models import Judged
    from gridwatch.jobs.functions import Metric

__all__ = ["COUNTS", "as_given", "evened"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

COUNTS = frozenset({"count", "distinct_count"})

_MEAN = 0.5
"""Of what is added."""


def evened(metric: Metric, times_ms: Ints, values: Floats) -> Floats:
    """Return values as they are judged; the square root of a count, and below 1 for one of 0.

    Args:
        metric: What they are.
        times_ms: int64 (b,), starts of the buckets.
        values: float64 (s, b), NaN for none.

    >>> evened("sum", np.array([0]), np.array([[4.0]])).tolist()
    [[4.0]]
    >>> evened("count", np.array([0, 1]), np.array([[0.0, 4.0]])).round(2).tolist()
    [[0.94, 2.14]]
    """
    return np.sqrt(np.maximum(values, 0.0) + _chance(times_ms)) if metric in COUNTS else values


def as_given(metric: Metric, judged: Judged) -> Judged:
    """Return what was said of `evened` values as it is of the values themselves."""
    if metric not in COUNTS:
        return judged
    columns = (judged.expected, judged.lower, judged.upper)
    expected, lower, upper = (np.maximum(np.maximum(one, 0.0) ** 2 - _MEAN, 0.0) for one in columns)
    return replace(judged, expected=expected, lower=lower, upper=upper)


def _chance(times_ms: Ints) -> Floats:
    """Return a number from 0 up to 1 for each time: the mixing of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    mixed = times_ms.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11), np.float64) / 2.0**53
