"""How odd a number is among all before it: its rank, or beyond the highest a tail. `surprise` tells the method.

Memory is bounded. The highest numbers (and the lowest) are kept; of the rest it is known how many are at or below each
of some knots, which follow the data.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any

import numpy as np

from gridwatch.detectors.online.compiling import fast, part
from gridwatch.detectors.online.layout import LEAST, SEEN, TOP, USED, Constants

__all__ = ["judge", "reach"]

_OVERFULL = 3.0  # a gap between knots is split when it holds so many times its even share
_LN10 = 2.302585092994046
_LOG_2 = 0.3010299956639812


@part
def _below(ordered: Any, size: int, value: float) -> int:
    """Return how many of ordered[:size], ascending, are below a value."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@part
def _up_to(ordered: Any, size: int, value: float) -> int:
    """Return how many of ordered[:size], ascending, are not above a value."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] <= value:
            low = middle + 1
        else:
            high = middle
    return low


@part
def _keep(top: Any, size: int, value: float) -> None:
    """Put a value among the greatest, which stay ascending; the least of them falls out when there is no room."""
    room = len(top)
    if size < room:
        place = size
        while place > 0 and top[place - 1] > value:
            top[place] = top[place - 1]
            place -= 1
        top[place] = value
    elif value > top[0]:
        place = 0
        while place + 1 < room and top[place + 1] < value:
            top[place] = top[place + 1]
            place += 1
        top[place] = value


@fast
def _sum(numbers: Any) -> float:
    total = 0.0
    for place in range(len(numbers)):
        total += numbers[place]
    return total


@part
def _begin_body(top: Any, knots: Any, at_knot: Any, up_to: Any) -> int:
    """Lay knots at even ranks of the first values, which are all in `top`; return how many there are."""
    rows, room, used = len(top), len(knots), 0
    for number in range(room):
        value = top[(2 * number + 1) * rows // (2 * room)]
        if used > 0 and knots[used - 1] == value:
            continue
        after = _up_to(top, rows, value)
        knots[used], at_knot[used], up_to[used] = value, after - _below(top, rows, value), after
        used += 1
    return used


@fast
def _count(knots: Any, up_to: Any, value: float) -> int:
    """Count a value in the body; return how many knots are at or below it.

    Knots that are not in use are infinite. All are looked at, which takes fewer steps than to stop in time.
    """
    place = 0
    for number in range(len(knots)):
        if knots[number] <= value:
            place += 1
        if knots[number] >= value:
            up_to[number] += 1.0
    return place


@part
def _lightest(at_knot: Any, up_to: Any, used: int, total: float) -> int:
    """Return the knot around which there are the fewest."""
    best, lightest, before = np.inf, 0, 0.0
    for number in range(used):
        after = up_to[number + 1] - at_knot[number + 1] if number + 1 < used else total
        if after - before < best:
            best, lightest = after - before, number
        before = up_to[number]
    return lightest


@part
def _split(
    knots: Any, at_knot: Any, up_to: Any, used: int, place: int, total: float, value: float, low: float, high: float
) -> int:
    """Make a value a knot if the gap it lies in holds too many; return how many knots there are then.

    A knot's values before it are taken to lie evenly in the gap.
    """
    before = up_to[place - 1] if place > 0 else 0.0
    after = up_to[place] - at_knot[place] if place < used else total
    if after - before <= _OVERFULL * total / len(knots):
        return used
    if used == len(knots):
        out = _lightest(at_knot, up_to, used, total)
        for number in range(out, used - 1):
            knots[number], at_knot[number], up_to[number] = knots[number + 1], at_knot[number + 1], up_to[number + 1]
        used -= 1
        knots[used] = np.inf
        place -= 1 if out < place else 0
        before = up_to[place - 1] if place > 0 else 0.0
        after = up_to[place] - at_knot[place] if place < used else total
    left = knots[place - 1] if place > 0 else low
    right = knots[place] if place < used else high
    share = min(max((value - left) / (right - left), 0.0), 1.0) if right > left else 0.5
    for number in range(used, place, -1):
        knots[number], at_knot[number], up_to[number] = knots[number - 1], at_knot[number - 1], up_to[number - 1]
    knots[place], at_knot[place], up_to[place] = value, 1.0, before + share * (after - before - 1.0) + 1.0
    return used + 1


@part
def _tail(
    top: Any, size: int, rows: int, beyond: float, value: float, spread: float, share: float, constants: Constants
) -> float:
    """Return -log10 of the share of `rows` values at or above `value`: a rank, or a fitted tail above the highest few.

    `beyond` is how many are at or above it; `spread` the range of them all; `share` as in `judge`.
    """
    extremes = min(max(int(share * rows), constants.tail_rows_min), size)
    start = top[size - extremes]
    if value <= start:
        return np.log((rows + 1.0) / (beyond + 1.0)) / _LN10
    excess = max(_sum(top[size - extremes : size]) / extremes - start, 1e-3 * spread)
    if excess <= 0.0:
        excess = 1e-12 + 1e-9 * abs(start)
    far = np.log1p(constants.tail_shape * (value - start) / excess) / constants.tail_shape
    return (np.log((rows + 1.0) / (extremes + 1.0)) + far) / _LN10


@part
def reach(past: Any, upper: bool, p_value: float, constants: Constants) -> float:
    """Return the number of a stream with two sides that is exceeded at one end with probability `p_value`.

    The inverse of `_tail` above the highest few. At the lower end the number is negated.
    """
    room, rows = constants.room, int(past[SEEN])
    size = min(rows, room)
    spread = past[TOP + size - 1] - past[LEAST]
    start_at = TOP if upper else len(past) - room
    top = past[start_at : start_at + size]
    extremes = min(max(int(constants.tail_share * rows), constants.tail_rows_min), size)
    start = top[size - extremes]
    ratio = (extremes + 1.0) / (rows + 1.0) / p_value
    if ratio <= 1.0:
        return start
    excess = max(_sum(top[size - extremes :]) / extremes - start, 1e-3 * spread)
    return start + excess * (ratio**constants.tail_shape - 1.0) / constants.tail_shape


@part
def judge(past: Any, two_sided: bool, value: float, share: float, constants: Constants) -> float:
    """Return the surprise at a stream's value among all its earlier ones, then count it among them.

    `share` is that of the highest, beyond which a fitted tail goes on.
    """
    room, bins = constants.room, constants.bins
    rows, used, low = int(past[SEEN]), int(past[USED]), past[LEAST]
    body = TOP + room
    # Of a stream with one side there is no bottom, and it is never looked at.
    top, bottom = past[TOP:body], past[len(past) - room :]
    knots, at_knot, up_to = past[body : body + bins], past[body + bins : body + 2 * bins], past[body + 2 * bins :]
    up_to = up_to[:bins]
    size = min(rows, room)
    high = top[max(size - 1, 0)]
    if rows == room:
        past[USED] = used = _begin_body(top, knots, at_knot, up_to)
    place = _count(knots, up_to, value) if rows >= room else 0
    tied = rows >= room and place > 0 and knots[place - 1] == value
    if tied:
        at_knot[place - 1] += 1.0
    surprise = 0.0
    if rows >= constants.warm_rows:
        if rows <= room or value > top[0]:
            beyond = float(size - _below(top, size, value))
            within = float(rows - size + _up_to(top, size, value))
        elif tied:
            # Without the value itself, which is counted already.
            within = up_to[place - 1] - 1.0
            beyond = rows - within + at_knot[place - 1] - 1.0
        else:
            before = up_to[place - 1] if place > 0 else 0.0
            after = up_to[place] - at_knot[place] if place < used else rows + 1.0
            left = knots[place - 1] if place > 0 else low
            right = knots[place] if place < used else high
            part_of = min(max((value - left) / (right - left), 0.0), 1.0) if right > left else 0.5
            within = before + part_of * (after - before - 1.0)
            beyond = rows - within
        if two_sided and rows > room and -value > bottom[0]:
            within = float(size - _below(bottom, size, -value))
        # Of the two sides the rarer decides, and counts twice.
        if two_sided and within < beyond:
            surprise = _tail(bottom, size, rows, within, -value, high - low, share, constants)
        else:
            surprise = _tail(top, size, rows, beyond, value, high - low, share, constants)
        surprise = max(surprise - (_LOG_2 if two_sided else 0.0), 0.0)
    low = min(low, value) if rows > 0 else value
    if rows >= room and not tied:
        past[USED] = _split(knots, at_knot, up_to, used, place, rows + 1.0, value, low, max(high, value))
    _keep(top, size, value)
    if two_sided:
        _keep(bottom, size, -value)
    past[LEAST], past[SEEN] = low, rows + 1
    return surprise
