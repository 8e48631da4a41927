"""The earlier stretch that is most like the newest one, over all lags up to `lag_max`: a left matrix profile.

For each lag the summed squares of the differences between two stretches go on from row to row: that of the newest pair
comes in, that of the oldest goes out. With mean and variance of both stretches they give the correlation,
cov = (var + var' + (mean - mean')^2 - squares / width) / 2. A sum of products would do as well, but would lose the
digits of a small wave on a high level.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any

import numpy as np

from gridwatch.detectors.online.compiling import fast, part
from gridwatch.detectors.online.layout import BASE, FILL, SCALE, SPREAD, STRETCH, Plan, State
from gridwatch.detectors.online.rows import greatest, least

__all__ = ["shapes"]

_MOST = 2.0**40  # as in `rows`
_NOTHING = 1e-12  # variance, in the history's units, below which a stretch has no shape


@fast
def _forget(distances: Any) -> None:
    for lag in range(len(distances)):
        distances[lag] = 0.0


@fast
def _add(distances: Any, earlier: Any, value: Any) -> None:
    for lag in range(len(distances)):
        apart = value - earlier[lag]
        distances[lag] += apart * apart


@fast
def _liken(
    distances: Any,
    now: Any,
    before: Any,
    new: Any,
    old: Any,
    share: Any,
    mean: Any,
    variance: Any,
    means: Any,
    variances: Any,
    inverses: Any,
    out: Any,
) -> None:
    """Take the newest rows into the distances and the oldest out; compare the shapes.

    `out` is twice the correlation, but for the newest stretch's own deviation.
    """
    for lag in range(len(distances)):
        come, gone, apart = new - now[lag], old - before[lag], mean - means[lag]
        distance = distances[lag] + (come * come - gone * gone)
        distances[lag] = distance
        out[lag] = (variance + variances[lag] + apart * apart - share * distance) * inverses[lag]


@part
def _begin(state: State, plan: Plan, number: int, row: int, mean: float, variance: float) -> tuple[Any, Any, Any]:
    """Write down mean, variance and 1 / deviation of the newest stretch, in the history's units."""
    numbers, at, stretch = state.numbers, state.counts[STRETCH], state.stretches[number]
    inverse = 0.0
    if row + 1 < plan.shape[number]:
        mean, variance = 0.0, 0.0
    else:
        square = numbers[SCALE] * numbers[SCALE]
        mean, variance = (mean - numbers[BASE]) * numbers[SCALE], variance * square
        # Against a thousandth of the variance so far, a stretch of next to nothing has no shape.
        whole = variance + 1e-3 * numbers[SPREAD] / (row + 1) * square
        mean, variance = min(max(mean, -_MOST), _MOST), min(variance, _MOST * _MOST)
        inverse = 1.0 / np.sqrt(whole) if whole > _NOTHING else 0.0
    stretch[0, at], stretch[1, at], stretch[2, at] = mean, variance, inverse
    return stretch[0, at], stretch[1, at], stretch[2, at]


@part
def shapes(state: State, plan: Plan, row: int, fresh: bool, means: Any, variances: Any, scratch: Any, odd: Any) -> None:
    """Fill the members that look for the newest stretches in the past, at lags from their width to `lag_max`.

    Args:
        state: With the newest row in it.
        plan: Streams and constants.
        row: Its number from 0.
        fresh: Whether the distances are to be made anew.
        means: Means of the windows that end in it, and
        variances: their variances.
        scratch: float32 (lag_max,) to work in.
        odd: What to fill.
    """
    lag_max, rows, fill = plan.constants.lag_max, state.rows, state.counts[FILL]
    ago, here = fill - lag_max, state.counts[STRETCH] - lag_max
    for number in range(len(plan.shape)):
        width, place = plan.shape[number], plan.shape_in[number]
        mean, variance, inverse = _begin(state, plan, number, row, means[place], variances[place])
        lags = lag_max - width + 1
        distances, out = state.distances[number, :lags], scratch[:lags]
        new, old, before = rows[fill], rows[fill - width], rows[ago - width : ago - width + lags]
        if fresh:
            _forget(distances)
            for back in range(width):
                _add(distances, rows[ago - back : ago - back + lags], rows[fill - back])
            # What comes in and what goes out cancel each other.
            old, before = new, rows[ago : ago + lags]
        stretch = state.stretches[number]
        _liken(
            distances,
            rows[ago : ago + lags],
            before,
            new,
            old,
            np.float32(1.0 / width),
            mean,
            variance,
            stretch[0, here : here + lags],
            stretch[1, here : here + lags],
            stretch[2, here : here + lags],
            out,
        )
        first = max(lag_max - (row - width + 1), 0)
        if row < 3 * width or first >= lags:
            continue
        odd[plan.shape_at + number] = max(1.0 - 0.5 * greatest(out[first:]) * inverse, 0.0)
        if number == plan.nearest:
            odd[plan.nearest_at] = np.sqrt(least(distances[first:]) / width) / state.numbers[SCALE]
