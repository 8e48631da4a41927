"""What the newest rows lead to expect of the next: their exponential mean, or a regression that learns as it goes.

The regression is recursive least squares: of the rows before, those of the last thousand count, older ones less and
less. A miss of more than five deviations teaches it no more than one of five, so that a fault is not learnt at once.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any

from gridwatch.detectors.online.compiling import part
from gridwatch.detectors.online.layout import LARGEST, NEWEST, Plan, State
from gridwatch.detectors.online.rows import moments

__all__ = ["BEGUN", "WEIGHTS", "forecast", "room"]

# Places behind the means: whether the regression has begun, its units, and where its weights are; then what it gained
# from the newest row, and its matrix.
BEGUN, MIDDLE, UNIT, WEIGHTS = 0, 1, 2, 3
_BEGIN_ROWS = 50  # enough for units, and past an odd first row
_LOOK_ROWS = 64  # how often it is looked whether the units still fit
_APART = 1e3  # how far the newest rows' deviation may be from them
_WORTH = 10.0  # of the matrix at first: weights of about 1 are no surprise
_LOST = 1e6  # trace of the matrix, from which on nothing is known of some weight any more: begun anew
_FAR = 5.0
_FINITE = 1e290


def room(ewma: int, rows: int) -> int:
    """Return how many numbers so many means and a regression on so many rows (0: none) take.

    >>> room(1, 0), room(1, 8)
    (1, 103)
    """
    weights = rows + 1
    return ewma + (WEIGHTS + 2 * weights + weights * weights if rows else 0)


@part
def _units(state: State, plan: Plan, row: int) -> tuple[float, float]:
    """Return mean and standard deviation of the rows before the newest."""
    at, size = state.counts[NEWEST], min(row, plan.newest_kept - 1)
    mean, variance = moments(state.newest[at - size : at])
    return mean, variance**0.5


@part
def _begin(state: State, plan: Plan, row: int, own: Any) -> bool:
    """Choose the units, and expect each row to be as the one before it; return whether there is enough for that."""
    weights = plan.constants.forecast + 1
    if row < _BEGIN_ROWS:
        return False
    mean, deviation = _units(state, plan, row)
    if deviation <= 1e-12 * state.numbers[LARGEST] or not deviation < _FINITE:
        return False
    own[BEGUN], own[MIDDLE], own[UNIT] = 1.0, mean, deviation
    matrix = WEIGHTS + 2 * weights
    for place in range(WEIGHTS, matrix + weights * weights):
        own[place] = 0.0
    own[WEIGHTS] = 1.0
    for number in range(weights):
        own[matrix + number * (weights + 1)] = _WORTH
    return True


@part
def _input(state: State, own: Any, rows: int, number: int) -> float:
    """Return what weight `number` is for: an earlier row, or 1."""
    return (state.newest[state.counts[NEWEST] - 1 - number] - own[MIDDLE]) / own[UNIT] if number < rows else 1.0


@part
def _regress(state: State, plan: Plan, own: Any) -> float:
    """Return how far the newest row is from what those before it lead to expect, then learn it."""
    rows, forgotten = plan.constants.forecast, 1.0 - 1.0 / plan.constants.forecast_memory_rows
    weights = rows + 1
    gains, matrix = WEIGHTS + weights, WEIGHTS + 2 * weights
    expected, spread = 0.0, forgotten
    for number in range(weights):
        expected += own[WEIGHTS + number] * _input(state, own, rows, number)
        gain = 0.0
        for other in range(weights):
            gain += own[matrix + number * weights + other] * _input(state, own, rows, other)
        own[gains + number] = gain
    for number in range(weights):
        spread += own[gains + number] * _input(state, own, rows, number)
    miss = (state.newest[state.counts[NEWEST]] - own[MIDDLE]) / own[UNIT] - expected
    step, trace = min(max(miss, -_FAR), _FAR) / spread, 0.0
    for number in range(weights):
        own[WEIGHTS + number] += own[gains + number] * step
        for other in range(weights):
            place = matrix + number * weights + other
            own[place] = (own[place] - own[gains + number] * own[gains + other] / spread) / forgotten
        trace += own[matrix + number * (weights + 1)]
    if not 0.0 < trace < _LOST:
        own[BEGUN] = 0.0
    return miss * own[UNIT]


@part
def forecast(state: State, plan: Plan, row: int, odd: Any) -> None:
    """Fill the members that compare the newest row with what those before it lead to expect.

    Args:
        state: With the newest row in it.
        plan: Streams and constants.
        row: Its number from 0.
        odd: What to fill.
    """
    means, value = state.forecast, state.newest[state.counts[NEWEST]]
    for number in range(len(plan.ewma)):
        if row == 0:
            means[number] = value
        else:
            apart = value - means[number]
            odd[plan.ewma_at + number] = apart
            means[number] += 2.0 / (plan.ewma[number] + 1.0) * apart
    if plan.forecast_at < 0:
        return
    own = means[len(plan.ewma) :]
    if row % _LOOK_ROWS == 0 and own[BEGUN] > 0.0:
        _, deviation = _units(state, plan, row)
        if not own[UNIT] / _APART <= deviation <= own[UNIT] * _APART:
            own[BEGUN] = 0.0
    if own[BEGUN] > 0.0 or _begin(state, plan, row, own):
        miss = _regress(state, plan, own)
        if abs(miss) < _FINITE:
            odd[plan.forecast_at] = miss
        else:
            own[BEGUN] = 0.0
