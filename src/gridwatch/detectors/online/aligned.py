"""How far the newest stretches are from those at the same time of earlier days, and what those days lead to expect."""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any

import numpy as np

from gridwatch.detectors.online.compiling import fast, part
from gridwatch.detectors.online.layout import (
    BASE,
    DAY,
    FILL,
    NEWEST,
    PLAIN_SIZE,
    RECENT_ERROR,
    SCALE,
    SEASON_ERROR,
    SEASON_ROWS,
    SEASON_SIZE,
    SLOW,
    Plan,
    State,
)
from gridwatch.detectors.online.rows import least, middle

__all__ = ["aligned", "expect", "explains"]

_MEMORY_ROWS = 2_000  # over which it is judged whether days repeat: a week of five minutes


@part
def _gather(rows: Any, at: int, day: int, days: int, shift: int, out: Any) -> None:
    """Copy the rows that are some days earlier, give or take `shift` rows; never a row that is later than `at`."""
    place = 0
    for number in range(1, days + 1):
        for aside in range(-shift, shift + 1):
            out[place] = rows[at - max(number * day + aside, 0)]
            place += 1


@fast
def _roots(earlier: Any, value: Any, out: Any) -> None:
    for place in range(len(out)):
        out[place] = np.sqrt(abs(value - earlier[place]))


@fast
def _slide(sums: Any, new: Any, earlier: Any, value: Any) -> None:
    for place in range(len(sums)):
        sums[place] += new[place] - np.sqrt(abs(value - earlier[place]))


@fast
def _forget(sums: Any) -> None:
    for place in range(len(sums)):
        sums[place] = 0.0


@fast
def _add(sums: Any, earlier: Any, value: Any) -> None:
    for place in range(len(sums)):
        sums[place] += np.sqrt(abs(value - earlier[place]))


@part
def aligned(state: State, plan: Plan, row: int, fresh: bool, scratch: Any, odd: Any) -> None:
    """Fill the members that compare the newest stretches with those of one of the last days.

    Args:
        state: With the newest row in it.
        plan: Streams and constants.
        row: Its number from 0.
        fresh: Whether the sums are to be made anew.
        scratch: float32 (n,) to work in.
        odd: What to fill.
    """
    constants, rows, fill, day = plan.constants, state.rows, state.counts[FILL], state.counts[DAY]
    if len(plan.aligned) == 0 or row < constants.warm_rows or day == 0:
        return
    shift, near = constants.shift, 2 * constants.shift + 1
    days = min(constants.days, (constants.history_rows - shift) // day)
    lags = days * near
    new, earlier = scratch[:lags], scratch[lags : 2 * lags]
    reach = days * day + shift
    _gather(rows, fill, day, days, shift, earlier)
    _roots(earlier, rows[fill], new)
    for number in range(len(plan.aligned)):
        width, sums = plan.aligned[number], state.sums[number, :lags]
        if fresh or row == constants.warm_rows:
            _forget(sums)
            for back in range(width):
                _gather(rows, fill - back, day, days, shift, earlier)
                _add(sums, earlier, rows[fill - back])
        else:
            _gather(rows, fill - width, day, days, shift, earlier)
            _slide(sums, new, earlier, rows[fill - width])
        if row - constants.warm_rows < width - 1 or row < day + width + 2:
            continue
        best = np.float32(np.inf)
        if row - reach >= width - 1 and day > shift:
            best = least(sums)
        else:
            for place in range(lags):
                lag = (place // near + 1) * day + place % near - shift
                if lag >= 1 and row - lag >= width - 1:
                    best = min(best, max(sums[place], np.float32(0.0)))
        if best < np.inf:
            odd[plan.aligned_at + number] = (best / width) ** 2 / state.numbers[SCALE]


@part
def explains(state: State, plan: Plan) -> bool:
    """Return whether days have repeated: whether the misses by day were smaller than those of the level alone."""
    share = plan.constants.season_share
    if share <= 0.0:
        return True
    numbers = state.numbers
    return numbers[SEASON_ROWS] >= state.counts[DAY] and numbers[SEASON_SIZE] < share * numbers[PLAIN_SIZE]


@part
def _compare(state: State, apart: float) -> None:
    """Learn how large the misses are, by day and from the level alone."""
    numbers, value = state.numbers, state.newest[state.counts[NEWEST]]
    numbers[SEASON_ROWS] += 1.0
    share = 1.0 / min(numbers[SEASON_ROWS], _MEMORY_ROWS)
    numbers[SEASON_SIZE] += share * (abs(apart) - numbers[SEASON_SIZE])
    numbers[PLAIN_SIZE] += share * (abs(value - numbers[SLOW]) - numbers[PLAIN_SIZE])


@part
def expect(state: State, plan: Plan, row: int, few: Any, odd: Any) -> tuple[float, bool]:
    """Return what was expected of the newest row, and whether it was the same time of earlier days that said so.

    The better of two: the median of the same time of earlier days, and that of the five rows before. Both less ORIGIN.
    """
    numbers, newest, at, day = state.numbers, state.newest, state.counts[NEWEST], state.counts[DAY]
    if row < 5:
        return newest[at], False
    for back in range(5):
        few[back] = newest[at - 1 - back]
    recent = middle(few, 5)
    odd[plan.recent] = newest[at] - recent
    expected, seasonal = recent, False
    if day > 0 and row >= day:
        rows, fill, size = state.rows, state.counts[FILL], 0
        while size < plan.constants.seasons and (size + 1) * day <= min(row, plan.constants.history_rows):
            size += 1
            few[size - 1] = rows[fill - size * day]
        season = middle(few, size)
        # In the history's units, so that equal rows have no difference from rounding.
        apart = (rows[fill] - season) / numbers[SCALE]
        if plan.residual >= 0:
            odd[plan.residual] = apart
            _compare(state, apart)
        # Judged on the rows before this one.
        if plan.residual >= 0 and numbers[SEASON_ERROR] < numbers[RECENT_ERROR]:
            expected, seasonal = numbers[BASE] + season / numbers[SCALE], True
        first = row - 1 < day or row <= plan.constants.warm_rows
        error = abs(apart)
        numbers[SEASON_ERROR] = error if first else numbers[SEASON_ERROR] + (error - numbers[SEASON_ERROR]) / 100.0
        if first:
            numbers[SEASON_ERROR] += numbers[RECENT_ERROR]
    error = abs(newest[at] - recent)
    numbers[RECENT_ERROR] += (error - numbers[RECENT_ERROR]) / min(row - 4.0, 100.0)
    return expected, seasonal
