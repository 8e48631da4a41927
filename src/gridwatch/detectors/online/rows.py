"""The history of a series: how a row goes in, how single precision keeps its digits, and what the newest rows say.

The history is in single precision, twice as many numbers in a register and half the memory. What it holds is the
distance from BASE in units of 1 / SCALE, both taken from the newest rows, so that a level of 1e9 or a spread of 1e-9
costs no digits; when the series has moved far from them, they are chosen anew and the history is turned into the new
units. All that follows from it by running sums is made anew then, and every 256 rows, so that no error stays.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any

import numpy as np

from gridwatch.detectors.online.compiling import fast, part
from gridwatch.detectors.online.layout import (
    BASE,
    DAY,
    FILL,
    LARGEST,
    LAST_MS,
    MEAN,
    NEWEST,
    ORIGIN,
    ROWS,
    RUN,
    SCALE,
    SLOW,
    SPREAD,
    STRETCH,
    Plan,
    State,
)

__all__ = ["greatest", "least", "middle", "moments", "plain", "settle", "take"]

_DAY_MS = 86_400_000
_REFRESH_ROWS = 256
_SLOW_ROWS = 2_000  # whose level is the plain expectation
_SETTLE_ROWS = 64  # how often it is looked whether base and scale still fit
_FAR = 2.0**14  # distance from the base, in standard deviations, at which single precision has a thousandth of one
_WIDE = 2.0**16  # how large or small a standard deviation may become in the history's units
_MOST = 2.0**40  # of the history's units, at either end: the square of what is beyond would leave single precision
_SAME = 1e-12  # of the largest distance from the origin of late, within which two values are one: sums of tenths
_FADING = 0.99  # what is left of that distance after a row: one absurd value does not make all others one
_HUGE = 1e100  # of a value's distance from the origin; so that its square is a number


@part
def _to_start(numbers: Any, kept: int) -> None:
    """Move the last numbers to the start."""
    ahead = len(numbers) - kept
    for place in range(kept):
        numbers[place] = numbers[place + ahead]


@part
def _within(number: float, most: float) -> float:
    return min(max(number, -most), most)


@part
def middle(values: Any, size: int) -> float:
    """Return the median of values[:size], which is sorted in place."""
    for place in range(1, size):
        value, at = values[place], place
        while at > 0 and values[at - 1] > value:
            values[at] = values[at - 1]
            at -= 1
        values[at] = value
    return 0.5 * (values[(size - 1) // 2] + values[size // 2])


@part
def _float_of(bits: Any) -> Any:
    return np.int32(bits).view(np.float32)


@part
def greatest(numbers: Any) -> Any:
    """Return the greatest of float32 numbers, or 0: as whole numbers, which a processor compares many at a time.

    The bits of numbers above zero are ordered as the numbers are, and those of numbers below are whole numbers below 0.
    """
    bits = numbers.view(np.int32)
    best = np.int32(0)
    for place in range(len(bits)):
        best = max(best, bits[place])
    return _float_of(best)


@part
def least(numbers: Any) -> Any:
    """Return the least of float32 numbers that are 0 or above but for rounding; see `greatest`."""
    bits = numbers.view(np.int32)
    best = bits[0]
    for place in range(len(bits)):
        best = min(best, bits[place])
    return _float_of(max(best, np.int32(0)))


@fast
def moments(rows: Any) -> tuple[float, float]:
    """Return mean and variance of a stretch of rows."""
    total = 0.0
    for place in range(len(rows)):
        total += rows[place]
    mean = total / len(rows)
    squares = 0.0
    for place in range(len(rows)):
        apart = rows[place] - mean
        squares += apart * apart
    return mean, squares / len(rows)


@fast
def _change(rows: Any) -> float:
    """Return the mean absolute difference of neighbours."""
    total = 0.0
    earlier, later = rows[: len(rows) - 1], rows[1:]
    for place in range(len(earlier)):
        total += abs(later[place] - earlier[place])
    return total / len(earlier)


@part
def take(state: State, plan: Plan, time_ms: int, value: float) -> int:
    """Put a row into the history; return its number from 0."""
    counts, numbers, constants = state.counts, state.numbers, plan.constants
    row = counts[ROWS]
    if row == 0:
        # Sums of squares keep their digits when the series' own level is out of them.
        numbers[ORIGIN] = value
    elif row < constants.warm_rows:
        state.steps[row - 1] = time_ms - counts[LAST_MS]
    counts[LAST_MS] = time_ms
    apart = min(max(value - numbers[ORIGIN], -_HUGE), _HUGE)
    if counts[NEWEST] + 1 == len(state.newest):
        _to_start(state.newest, plan.newest_kept)
        counts[NEWEST] = plan.newest_kept - 1
    counts[NEWEST] += 1
    state.newest[counts[NEWEST]] = apart
    if counts[FILL] + 1 == len(state.rows):
        _to_start(state.rows, plan.rows_kept)
        counts[FILL] = plan.rows_kept - 1
    counts[FILL] += 1
    state.rows[counts[FILL]] = _within((apart - numbers[BASE]) * numbers[SCALE], _MOST)
    if counts[STRETCH] + 1 == state.stretches.shape[2]:
        for number in range(len(plan.shape)):
            for which in range(3):
                _to_start(state.stretches[number, which], constants.lag_max)
        counts[STRETCH] = constants.lag_max - 1
    counts[STRETCH] += 1
    if row == constants.warm_rows:
        step = max(middle(state.steps, len(state.steps)), 1.0)
        day = max(int(_DAY_MS / step + 0.5), 1)
        # A day of so many rows that the history does not hold two: an hour, a minute, a second repeat instead.
        for share in (24, 60, 60, 1000):
            if day > constants.history_rows // 2:
                day //= share
        counts[DAY] = day
    counts[ROWS] = row + 1
    return row


@part
def settle(state: State, plan: Plan, row: int) -> bool:
    """Choose base and scale anew where the series has left them; return whether running sums are to be made anew."""
    numbers = state.numbers
    # Often at first, when nothing is known of the units.
    if (row + 1) % _SETTLE_ROWS != 0 and (row > _SETTLE_ROWS or (row & (row + 1)) != 0):
        return False
    due = (row + 1) % _REFRESH_ROWS == 0
    at, size = state.counts[NEWEST], min(row + 1, plan.newest_kept)
    mean, variance = moments(state.newest[at - size + 1 : at + 1])
    deviation = np.sqrt(variance)
    if deviation <= 1e-15 * numbers[LARGEST]:
        return due
    here = deviation * numbers[SCALE]
    if abs(mean - numbers[BASE]) <= _FAR * deviation and 1.0 / _WIDE <= here <= _WIDE:
        return due
    # A row that there was: where all values are whole numbers, all distances remain so.
    base, scale = state.newest[at], 2.0 ** min(max(-np.floor(np.log2(deviation)), -400.0), 400.0)
    ratio, shift = scale / numbers[SCALE], (numbers[BASE] - base) * scale
    for place in range(len(state.rows)):
        state.rows[place] = _within(state.rows[place] * ratio + shift, _MOST)
    for number in range(len(plan.shape)):
        means, variances, inverses = state.stretches[number]
        for place in range(len(means)):
            means[place] = _within(means[place] * ratio + shift, _MOST)
            variances[place] = _within(variances[place] * ratio * ratio, _MOST * _MOST)
            inverses[place] = _within(inverses[place] / ratio, _MOST)
    # The newest are known in full: their digits may have been out of reach of the units that they went in with.
    for back in range(min(row + 1, at + 1)):
        state.rows[state.counts[FILL] - back] = _within((state.newest[at - back] - base) * scale, _MOST)
    numbers[BASE], numbers[SCALE] = base, scale
    return True


@part
def plain(state: State, plan: Plan, row: int, means: Any, variances: Any, odd: Any) -> None:
    """Fill the members that look at the newest rows alone, and the mean and variance of each window."""
    counts, numbers, at = state.counts, state.numbers, state.counts[NEWEST]
    newest = state.newest
    value = newest[at]
    apart = value - numbers[MEAN]
    numbers[MEAN] += apart / (row + 1)
    numbers[SLOW] += (value - numbers[SLOW]) / min(row + 1, _SLOW_ROWS)
    numbers[SPREAD] += apart * (value - numbers[MEAN])
    numbers[LARGEST] = max(_FADING * numbers[LARGEST], abs(value))
    if plan.value >= 0:
        odd[plan.value] = value
    if row > 0:
        counts[RUN] = counts[RUN] + 1 if abs(value - newest[at - 1]) <= _SAME * numbers[LARGEST] else 0
    if plan.flat >= 0:
        # Two neighbours are often the same by chance.
        odd[plan.flat] = counts[RUN] if counts[RUN] >= plan.constants.flat_rows else 0
    for number in range(len(plan.windows)):
        width = plan.windows[number]
        if row + 1 >= width:
            means[number], variances[number] = moments(newest[at - width + 1 : at + 1])
    for number in range(len(plan.deviation_in)):
        if row + 1 >= plan.windows[plan.deviation_in[number]]:
            odd[plan.deviation_at + number] = np.sqrt(variances[plan.deviation_in[number]])
    for number in range(len(plan.mean_in)):
        if row + 1 >= plan.windows[plan.mean_in[number]]:
            odd[plan.mean_at + number] = means[plan.mean_in[number]]
    for number in range(len(plan.change)):
        width = plan.change[number]
        if row >= width:
            odd[plan.change_at + number] = _change(newest[at - width : at + 1])
