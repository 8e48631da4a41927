"""The compiled part of the online detectors: rows go in one after another, the state says all about the rows before.

Everything that is compiled is in this one file, because Numba keeps machine code by the file's time and size and would
not notice a change in another. A call may stop and go on at any row: no sum depends on where a call began.
"""

# mypy: disable-error-code="no-any-return"
# Arrays are Any: NumPy's own types do not say what a compiled function takes.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np

__all__ = ["Constants", "Output", "Plan", "State", "advance", "compiled", "surprises"]

# Minima and sums may be taken in any order, which is what lets a loop use the whole width of a register. Not
# `contract`: a fused multiplication and addition would make the sums differ between machines.
_FAST = {"nnan", "nsz", "reassoc"}
_DAY_MS = 86_400_000
_REFRESH_ROWS = 512  # running sums are made anew this often, so that rounding errors of a huge value do not stay
_OVERFULL = 3.0  # a bin of the body is split when it holds so many times its even share
_LN10 = 2.302585092994046
_LOG_2 = 0.3010299956639812


def compiled(function: Callable[..., Any]) -> Any:
    """Return a function as machine code, kept on disk where there is a place for it.

    Numba keeps it beside the source file, or below `$XDG_CACHE_HOME` (`~/.cache`) where that folder is read-only, or
    in `$NUMBA_CACHE_DIR`. Where none of them can be written, it is compiled in each process.
    """
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:
        return numba.njit(nogil=True, error_model="numpy")(function)


def _part(function: Callable[..., Any]) -> Any:
    """Return a part of a compiled function, which Python itself cannot call: half the code, and half the time."""
    return numba.njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def _fast(function: Callable[..., Any]) -> Any:
    return numba.njit(error_model="numpy", fastmath=_FAST, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


class Constants(NamedTuple):
    """Numbers that the kernels work with; `AutoConfig` gives the reason of each."""

    tail_share: float
    tail_rows_min: int
    tail_shape: float
    warm_rows: int
    mean_weight: float
    hold_rows: int
    dead_rows: int
    alarm_level: float
    segment_rows: int
    segment_cap: float
    band_p: float
    days: int
    shift: int
    seasons: int
    lag_max: int
    history_rows: int


class Plan(NamedTuple):
    """Which streams there are and where; int64 arrays of widths and of the stream that each member writes."""

    constants: Constants
    value: int
    residual: int
    recent: int
    flat: int
    two_sided: int
    combined: int
    room: int
    bins: int
    deviation: Any
    mean: Any
    change: Any
    shape: Any
    aligned: Any
    nearest: int
    deviation_at: int
    mean_at: int
    change_at: int
    shape_at: int
    aligned_at: int
    nearest_at: int
    judged: Any


class State(NamedTuple):
    """All that is known of the rows so far, for s series (first axis) or, inside the kernels, for one without it."""

    counts: Any
    numbers: Any
    steps: Any
    rows: Any
    stretch_mean: Any
    stretch_square: Any
    stretch_inverse: Any
    products: Any
    terms: Any
    sums: Any
    past: Any
    held: Any


class Output(NamedTuple):
    """What `advance` fills, float64 (s, n) each; `driver` int64."""

    expected: Any
    lower: Any
    upper: Any
    loss: Any
    surprise: Any
    p_surprise: Any
    alarm: Any
    segment: Any
    driver: Any


# Places in `State.counts`.
ROWS, FILL, STRETCH, RUN, SINCE, DAY, LAST_MS = 0, 1, 2, 3, 4, 5, 6
# Places in `State.numbers`.
ORIGIN, MEAN, SPREAD, LARGEST, SEASON_ERROR, RECENT_ERROR, SMOOTH = 0, 1, 2, 3, 4, 5, 6
SEASON_DOWN, SEASON_UP, RECENT_DOWN, RECENT_UP = 7, 8, 9, 10
# Places in the past of a stream (`State.past`): how many numbers it has had, how many knots its body has, the least of
# them; then the highest, the lowest (negated), the knots, the counts at them and the counts between them. One array, as
# each that is passed to a compiled function costs several times as much as a number.
SEEN, USED, LEAST, TOP = 0, 1, 2, 3


@_part
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


@_part
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


@_part
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


@_part
def _begin_body(top: Any, knots: Any, knot_count: Any, gap_count: Any) -> int:
    """Lay knots at even ranks of the first values, which are all in `top`; return how many there are."""
    rows, room = len(top), len(knots)
    used, before = 0, 0
    for number in range(room):
        value = top[(2 * number + 1) * rows // (2 * room)]
        if used > 0 and knots[used - 1] == value:
            continue
        first = _below(top, rows, value)
        after = _up_to(top, rows, value)
        knots[used] = value
        knot_count[used] = after - first
        gap_count[used] = first - before
        before = after
        used += 1
    gap_count[used] = rows - before
    return used


@_fast
def _rank(knots: Any, knot_count: Any, gap_count: Any, value: float) -> tuple[int, float]:
    """Return how many knots are at or below a value, and how many numbers are at or before the last of these.

    Knots that are not in use are infinite. All are looked at, which takes fewer steps than to stop in time.
    """
    place, before = 0, 0.0
    for number in range(len(knots)):
        if knots[number] <= value:
            place += 1
            before += gap_count[number] + knot_count[number]
    return place, before


@_fast
def _sum(numbers: Any) -> float:
    total = 0.0
    for place in range(len(numbers)):
        total += numbers[place]
    return total


@_part
def _lightest(knot_count: Any, gap_count: Any, used: int) -> int:
    best, lightest = np.inf, 0
    for number in range(used):
        weight = gap_count[number] + knot_count[number] + gap_count[number + 1]
        if weight < best:
            best, lightest = weight, number
    return lightest


@_part
def _count_body(
    knots: Any,
    knot_count: Any,
    gap_count: Any,
    used: int,
    place: int,
    total: float,
    value: float,
    low: float,
    high: float,
) -> int:
    """Count a value in the body; a gap that holds too many is split at it. Returns how many knots there are then."""
    if place > 0 and knots[place - 1] == value:
        knot_count[place - 1] += 1.0
        return used
    gap_count[place] += 1.0
    if gap_count[place] <= _OVERFULL * total / len(knots):
        return used
    if used == len(knots):
        out = _lightest(knot_count, gap_count, used)
        gap_count[out] += knot_count[out] + gap_count[out + 1]
        for number in range(out, used - 1):
            knots[number] = knots[number + 1]
            knot_count[number] = knot_count[number + 1]
            gap_count[number + 1] = gap_count[number + 2]
        used -= 1
        knots[used] = np.inf
        knot_count[used] = 0.0
        gap_count[used + 1] = 0.0
        place -= 1 if out < place else 0
    left = knots[place - 1] if place > 0 else low
    right = knots[place] if place < used else high
    share = min(max((value - left) / (right - left), 0.0), 1.0) if right > left else 0.5
    inside = gap_count[place] - 1.0
    for number in range(used, place, -1):
        knots[number] = knots[number - 1]
        knot_count[number] = knot_count[number - 1]
        gap_count[number + 1] = gap_count[number]
    knots[place] = value
    knot_count[place] = 1.0
    gap_count[place] = share * inside
    gap_count[place + 1] = (1.0 - share) * inside
    return used + 1


@_part
def _tail(top: Any, size: int, rows: int, beyond: float, value: float, spread: float, constants: Constants) -> float:
    """Return -log10 of the share of `rows` values at or above `value`: a rank, or a fitted tail above the highest few.

    `beyond` is how many are at or above it; `spread` the range of them all.
    """
    extremes = min(max(int(constants.tail_share * rows), constants.tail_rows_min), size)
    start = top[size - extremes]
    if value <= start:
        return -np.log10((beyond + 1.0) / (rows + 1.0))
    excess = max(_sum(top[size - extremes : size]) / extremes - start, 1e-3 * spread)
    if excess <= 0.0:
        excess = 1e-12 + 1e-9 * abs(start)
    far = np.log1p(constants.tail_shape * (value - start) / excess) / constants.tail_shape
    return -np.log10((extremes + 1.0) / (rows + 1.0)) + far / _LN10


@_part
def _reach(top: Any, size: int, rows: int, spread: float, p_value: float, constants: Constants) -> float:
    """Return the value that is exceeded with probability `p_value`, the inverse of `_tail` above the highest few."""
    extremes = min(max(int(constants.tail_share * rows), constants.tail_rows_min), size)
    start = top[size - extremes]
    ratio = (extremes + 1.0) / (rows + 1.0) / p_value
    if ratio <= 1.0:
        return start
    excess = max(_sum(top[size - extremes : size]) / extremes - start, 1e-3 * spread)
    return start + excess * (ratio**constants.tail_shape - 1.0) / constants.tail_shape


@_part
def _judge(past: Any, room: int, bins: int, two_sided: bool, value: float, constants: Constants) -> float:
    """Return the surprise at a stream's value among all its earlier ones, then count it among them."""
    rows, used, least = int(past[SEEN]), int(past[USED]), past[LEAST]
    top, bottom = past[TOP : TOP + room], past[TOP + room : TOP + 2 * room]
    body = TOP + 2 * room
    knots, knot_count, gap_count = (
        past[body : body + bins],
        past[body + bins : body + 2 * bins],
        past[body + 2 * bins :],
    )
    size = min(rows, room)
    surprise = 0.0
    place, before = 0, 0.0
    if rows > room:
        place, before = _rank(knots, knot_count, gap_count, value)
    if rows >= constants.warm_rows:
        high = top[size - 1]
        if rows <= room or value > top[0]:
            beyond = float(size - _below(top, size, value))
            within = float(rows - size + _up_to(top, size, value))
        elif place > 0 and knots[place - 1] == value:
            within = before
            beyond = rows - within + knot_count[place - 1]
        else:
            left = knots[place - 1] if place > 0 else least
            right = knots[place] if place < used else high
            share = min(max((value - left) / (right - left), 0.0), 1.0) if right > left else 0.5
            within = before + share * gap_count[place]
            beyond = rows - within
        if two_sided and rows > room and -value > bottom[0]:
            within = float(size - _below(bottom, size, -value))
        # Of the two sides the rarer decides, and counts twice.
        if two_sided and within < beyond:
            surprise = _tail(bottom, size, rows, within, -value, high - least, constants)
        else:
            surprise = _tail(top, size, rows, beyond, value, high - least, constants)
        surprise = max(surprise - (_LOG_2 if two_sided else 0.0), 0.0)
    least = min(least, value) if rows > 0 else value
    if rows == room:
        used = _begin_body(top, knots, knot_count, gap_count)
        place, before = _rank(knots, knot_count, gap_count, value)
    if rows >= room:
        high = max(top[size - 1], value)
        past[USED] = _count_body(knots, knot_count, gap_count, used, place, rows + 1.0, value, least, high)
    _keep(top, size, value)
    if two_sided:
        _keep(bottom, size, -value)
    past[LEAST] = least
    past[SEEN] = rows + 1
    return surprise


@_fast
def _moments(rows: Any) -> tuple[float, float]:
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


@_fast
def _change(rows: Any) -> float:
    """Return the mean absolute difference of neighbours."""
    total = 0.0
    earlier, later = rows[: len(rows) - 1], rows[1:]
    for place in range(len(earlier)):
        total += abs(later[place] - earlier[place])
    return total / len(earlier)


@_fast
def _greatest(numbers: Any) -> float:
    """Return the greatest of numbers, which are overwritten: by halves, so that whole registers are compared."""
    size = len(numbers)
    while size > 8:
        half = size // 2
        lower, upper = numbers[:half], numbers[size - half : size]
        for place in range(half):
            lower[place] = max(lower[place], upper[place])
        size -= half
    best = numbers[0]
    for place in range(size):
        best = max(best, numbers[place])
    return best


@_fast
def _add(products: Any, earlier: Any, value: float) -> None:
    for place in range(len(products)):
        products[place] += value * earlier[place]


@_fast
def _correlate(
    products: Any,
    now: Any,
    before: Any,
    new: float,
    old: float,
    share: float,
    mean: float,
    means: Any,
    inverses: Any,
    out: Any,
) -> None:
    """Bring the products of the newest stretch with each earlier one up to date, and compare their shapes."""
    for lag in range(len(products)):
        product = products[lag] + (new * now[lag] - old * before[lag])
        products[lag] = product
        out[lag] = (product * share - mean * means[lag]) * inverses[lag]


@_fast
def _nearness(products: Any, squares: Any, share: float, out: Any) -> None:
    for lag in range(len(products)):
        out[lag] = 2.0 * share * products[lag] - squares[lag]


@_fast
def _slide(sums: Any, new: Any, old: Any) -> None:
    for lag in range(len(sums)):
        sums[lag] += new[lag] - old[lag]


@_fast
def _negate(numbers: Any, out: Any) -> None:
    for place in range(len(numbers)):
        out[place] = -numbers[place]


@_part
def _middle(values: Any, size: int) -> float:
    """Return the median of values[:size], which is sorted in place."""
    for place in range(1, size):
        value, at = values[place], place
        while at > 0 and values[at - 1] > value:
            values[at] = values[at - 1]
            at -= 1
        values[at] = value
    return 0.5 * (values[(size - 1) // 2] + values[size // 2])


@_part
def _stretches(state: State, plan: Plan, number: int, row: int, scratch: Any, odd: Any) -> None:
    """Find the earlier stretch most like the newest one, over all lags from its width to `lag_max`."""
    width, lag_max = plan.shape[number], plan.constants.lag_max
    fill, rows = state.counts[FILL], state.rows
    at, buffer = state.counts[STRETCH], state.stretch_mean[number]
    inverses, squares = state.stretch_inverse[number], state.stretch_square[number]
    if row + 1 < width:
        buffer[at], inverses[at], squares[at] = 0.0, 0.0, 0.0
        mean, inverse, square = 0.0, 0.0, 0.0
    else:
        mean, variance = _moments(rows[fill - width + 1 : fill + 1])
        # Against a thousandth of the variance so far, a stretch of next to nothing has no shape.
        floor = 1e-3 * state.numbers[SPREAD] / (row + 1) + 1e-24 * (1.0 + mean * mean)
        inverse, square = 1.0 / np.sqrt(variance + floor), variance + mean * mean
        buffer[at], inverses[at], squares[at] = mean, inverse, square
    products = state.products[number]
    lags = lag_max - width + 1
    new, old, share = rows[fill], 0.0, 1.0 / width
    if (row + 1) % _REFRESH_ROWS == 0:
        for lag in range(lags):
            products[lag] = 0.0
        for back in range(min(width, row + 1)):
            start = min(max(lag_max - (row - back), 0), lags)
            _add(products[start:lags], rows[fill - back - lag_max + start : fill - back - width + 1], rows[fill - back])
        new = 0.0
    elif row >= width:
        old = rows[fill - width]
    begun, full = min(max(lag_max - row, 0), lags), min(max(lag_max - row + width, 0), lags)
    ago, here = fill - lag_max, at - lag_max
    if begun < full:
        young = rows[ago + begun : ago + full]
        _correlate(
            products[begun:full],
            young,
            young,
            new,
            0.0,
            share,
            mean,
            buffer[here + begun : here + full],
            inverses[here + begun : here + full],
            scratch[begun:full],
        )
    if full < lags:
        _correlate(
            products[full:lags],
            rows[ago + full : ago + lags],
            rows[ago - width + full : ago - width + lags],
            new,
            old,
            share,
            mean,
            buffer[here + full : here + lags],
            inverses[here + full : here + lags],
            scratch[full:lags],
        )
    whole = max(lag_max - (row - width + 1), 0)
    if row < 3 * width or whole >= lags:
        return
    odd[plan.shape_at + number] = max(1.0 - _greatest(scratch[whole:lags]) * inverse, 0.0)
    if number == plan.nearest:
        _nearness(products[whole:lags], squares[here + whole : here + lags], share, scratch[whole:lags])
        odd[plan.nearest_at] = np.sqrt(max(square - _greatest(scratch[whole:lags]), 0.0))


@_part
def _aligned(state: State, plan: Plan, row: int, scratch: Any, odd: Any) -> None:
    """Find the nearest stretch at the same time of one of the last days, give or take `shift` rows."""
    constants = plan.constants
    age, day = row - constants.warm_rows, state.counts[DAY]
    if age < 0 or day == 0 or len(plan.aligned) == 0:
        return
    rows, fill, room = state.rows, state.counts[FILL], len(state.terms)
    near = 2 * constants.shift + 1
    days = min(constants.days, (constants.history_rows - constants.shift) // day)
    lags = days * near
    new = scratch[:lags]
    for number in range(days):
        for aside in range(near):
            lag = (number + 1) * day + aside - constants.shift
            inside = 1 <= lag <= row
            new[number * near + aside] = np.sqrt(abs(rows[fill] - rows[fill - lag])) if inside else 0.0
    reach = days * day + constants.shift
    for number in range(len(plan.aligned)):
        width, sums = plan.aligned[number], state.sums[number][:lags]
        # The slot that leaves is read before the newest takes its place.
        _slide(sums, new, state.terms[(age - width) % room][:lags])
    slot = state.terms[age % room]
    for place in range(lags):
        slot[place] = new[place]
    for number in range(len(plan.aligned)):
        width, sums = plan.aligned[number], state.sums[number][:lags]
        if (row + 1) % _REFRESH_ROWS == 0:
            for place in range(lags):
                sums[place] = 0.0
            for back in range(min(width, age + 1)):
                _add(sums, state.terms[(age - back) % room][:lags], 1.0)
        if age < width - 1 or row < day + width + 2:
            continue
        best = np.inf
        if row - reach >= width - 1 and day > constants.shift:
            _negate(sums, new)
            best = -_greatest(new)
        else:
            for place in range(lags):
                lag = (place // near + 1) * day + place % near - constants.shift
                if lag >= 1 and row - lag >= width - 1:
                    best = min(best, sums[place])
        if best < np.inf:
            odd[plan.aligned_at + number] = (max(best, 0.0) / width) ** 2


@_part
def _to_start(numbers: Any, kept: int) -> None:
    """Move the last numbers to the start."""
    ahead = len(numbers) - kept
    for place in range(kept):
        numbers[place] = numbers[place + ahead]


@_part
def _take(state: State, plan: Plan, time_ms: int, value: float) -> int:
    """Put a row into the history; return its number from 0."""
    counts, numbers, constants = state.counts, state.numbers, plan.constants
    row = counts[ROWS]
    if row == 0:
        # Sums of squares keep their digits when the series' own level is out of them.
        numbers[ORIGIN] = value
    elif row < constants.warm_rows:
        state.steps[row - 1] = time_ms - counts[LAST_MS]
    counts[LAST_MS] = time_ms
    if counts[FILL] == len(state.rows):
        _to_start(state.rows, constants.history_rows)
        counts[FILL] = constants.history_rows
    if row > 0:
        counts[STRETCH] += 1
    if counts[STRETCH] == state.stretch_mean.shape[1]:
        for number in range(len(plan.shape)):
            _to_start(state.stretch_mean[number], constants.lag_max)
            _to_start(state.stretch_square[number], constants.lag_max)
            _to_start(state.stretch_inverse[number], constants.lag_max)
        counts[STRETCH] = constants.lag_max
    state.rows[counts[FILL]] = value - numbers[ORIGIN]
    if row == constants.warm_rows:
        step = max(_middle(state.steps, len(state.steps)), 1.0)
        day = max(int(_DAY_MS / step + 0.5), 1)
        # A day of so many rows that the history does not hold two: an hour, a minute, a second repeat instead.
        for part in (24, 60, 60, 1000):
            if day > constants.history_rows // 2:
                day //= part
        counts[DAY] = day
    counts[ROWS] = row + 1
    return row


@_part
def _plain(state: State, plan: Plan, row: int, odd: Any) -> None:
    """Fill the members that look at the newest rows alone."""
    counts, numbers, fill = state.counts, state.numbers, state.counts[FILL]
    rows = state.rows
    value = rows[fill]
    apart = value - numbers[MEAN]
    numbers[MEAN] += apart / (row + 1)
    numbers[SPREAD] += apart * (value - numbers[MEAN])
    numbers[LARGEST] = max(numbers[LARGEST], abs(value))
    if plan.value >= 0:
        odd[plan.value] = value
    if row > 0:
        counts[RUN] = counts[RUN] + 1 if abs(value - rows[fill - 1]) <= 1e-9 * numbers[LARGEST] else 0
    if plan.flat >= 0:
        odd[plan.flat] = counts[RUN]
    for number in range(len(plan.deviation)):
        width = plan.deviation[number]
        if row + 1 >= width:
            odd[plan.deviation_at + number] = np.sqrt(_moments(rows[fill - width + 1 : fill + 1])[1])
    for number in range(len(plan.mean)):
        width = plan.mean[number]
        if row + 1 >= width:
            odd[plan.mean_at + number] = _moments(rows[fill - width + 1 : fill + 1])[0]
    for number in range(len(plan.change)):
        width = plan.change[number]
        if row >= width:
            odd[plan.change_at + number] = _change(rows[fill - width : fill + 1])


@_part
def _expect(state: State, plan: Plan, row: int, scratch: Any, odd: Any) -> tuple[float, bool]:
    """Return what was expected of the newest row, and whether it was the same time of earlier days that said so.

    The better of two: the median of the same time of earlier days, and that of the five rows before.
    """
    numbers, rows, fill, day = state.numbers, state.rows, state.counts[FILL], state.counts[DAY]
    value = rows[fill]
    for back in range(5):
        scratch[back] = rows[fill - 1 - back]
    recent = _middle(scratch, 5)
    odd[plan.recent] = value - recent
    expected, seasonal = recent, False
    if day > 0 and row >= day:
        size = 0
        while size < plan.constants.seasons and (size + 1) * day <= min(row, plan.constants.history_rows):
            size += 1
            scratch[size - 1] = rows[fill - size * day]
        season = _middle(scratch, size)
        if plan.residual >= 0:
            odd[plan.residual] = value - season
        # Judged on the rows before this one.
        if numbers[SEASON_ERROR] < numbers[RECENT_ERROR]:
            expected, seasonal = season, True
        first = row - 1 < day or row <= plan.constants.warm_rows
        error = abs(value - season)
        numbers[SEASON_ERROR] = error if first else numbers[SEASON_ERROR] + (error - numbers[SEASON_ERROR]) / 100.0
        if first:
            numbers[SEASON_ERROR] += numbers[RECENT_ERROR]
    error = abs(value - recent)
    numbers[RECENT_ERROR] += (error - numbers[RECENT_ERROR]) / min(row - 4.0, 100.0)
    return expected, seasonal


@_part
def _band(state: State, plan: Plan) -> None:
    """Bring up to date how far below and above the expectation an ordinary value may lie."""
    constants, numbers = plan.constants, state.numbers
    for stream, down, up in ((plan.recent, RECENT_DOWN, RECENT_UP), (plan.residual, SEASON_DOWN, SEASON_UP)):
        if stream < 0:
            continue
        past = state.past[stream]
        rows = int(past[SEEN])
        if rows < constants.warm_rows:
            continue
        top, bottom = past[TOP : TOP + plan.room], past[TOP + plan.room : TOP + 2 * plan.room]
        size = min(rows, plan.room)
        spread = top[size - 1] - past[LEAST]
        numbers[down] = max(_reach(bottom, size, rows, spread, 0.5 * constants.band_p, constants), 0.0)
        numbers[up] = max(_reach(top, size, rows, spread, 0.5 * constants.band_p, constants), 0.0)


@_part
def _alarm(state: State, row: int, combined: float, scratch: Any, constants: Constants) -> float:
    """Return the score as an alarm: only above all of the last rows, and not soon after another alarm."""
    held = state.held
    for place in range(len(held)):
        scratch[place] = held[place]
    before = _greatest(scratch[: len(held)])
    held[row % len(held)] = combined
    state.counts[SINCE] += 1
    if combined <= before or state.counts[SINCE] <= constants.dead_rows:
        return 0.0
    if combined >= constants.alarm_level:
        state.counts[SINCE] = 0
    return combined


@_part
def _score_row(state: State, plan: Plan, at: int, value: float, row: int, scratch: Any, odd: Any, out: Output) -> None:
    """Score one row into place `at` of the output, then learn from it."""
    constants, numbers = plan.constants, state.numbers
    for stream in range(len(odd)):
        odd[stream] = np.nan
    _plain(state, plan, row, odd)
    for number in range(len(plan.shape)):
        _stretches(state, plan, number, row, scratch, odd)
    _aligned(state, plan, row, scratch, odd)
    expected, seasonal = state.rows[state.counts[FILL]], False
    if row >= 5:
        expected, seasonal = _expect(state, plan, row, scratch, odd)
    total, greatest, driver, judged = 0.0, 0.0, -1, 0
    for stream in range(plan.combined):
        judged += plan.judged[stream]
        if np.isnan(odd[stream]):
            continue
        surprise = _judge(state.past[stream], plan.room, plan.bins, stream < plan.two_sided, odd[stream], constants)
        if plan.judged[stream]:
            total += surprise
            if surprise > greatest:
                greatest, driver = surprise, stream
    error = numbers[SEASON_ERROR] if seasonal else numbers[RECENT_ERROR]
    apart = abs(state.rows[state.counts[FILL]] - expected)
    state.counts[FILL] += 1
    out.expected[at], out.lower[at], out.upper[at], out.loss[at] = value, value, value, 0.0
    out.surprise[at], out.p_surprise[at], out.alarm[at], out.segment[at], out.driver[at] = 0.0, 0.0, 0.0, 0.0, -1
    if row < constants.warm_rows:
        return
    combined = greatest + constants.mean_weight * total / judged
    origin = numbers[ORIGIN] + expected
    down, up = (SEASON_DOWN, SEASON_UP) if seasonal else (RECENT_DOWN, RECENT_UP)
    out.expected[at], out.lower[at], out.upper[at] = origin, origin - numbers[down], origin + numbers[up]
    out.loss[at] = apart / (1.2533 * error) if error > 0.0 else 0.0
    out.driver[at], out.surprise[at] = driver, combined
    out.p_surprise[at] = _judge(
        state.past[plan.combined], plan.room, plan.bins, plan.combined < plan.two_sided, combined, constants
    )
    out.alarm[at] = _alarm(state, row, combined, scratch, constants)
    part = 2.0 / (constants.segment_rows + 1.0)
    numbers[SMOOTH] += part * (min(combined, constants.segment_cap) - numbers[SMOOTH])
    out.segment[at] = numbers[SMOOTH]
    if row % 16 == 0 or row == constants.warm_rows:
        _band(state, plan)


@_part
def _series(state: State, series: int) -> State:
    """Return one series of many."""
    return State(
        state.counts[series],
        state.numbers[series],
        state.steps[series],
        state.rows[series],
        state.stretch_mean[series],
        state.stretch_square[series],
        state.stretch_inverse[series],
        state.products[series],
        state.terms[series],
        state.sums[series],
        state.past[series],
        state.held[series],
    )


@compiled
def advance(states: State, plan: Plan, times_ms: Any, values: Any, out: Output) -> None:
    """Score rows of many series, each before learning from it.

    Args:
        states: What the rows so far left, changed in place.
        plan: Streams and constants.
        times_ms: int64 (s, n), or (1, n) where all series have the same times.
        values: float64 (s, n), finite, or NaN where a series has no row.
        out: Arrays (s, n) to fill; a place without a row is left alone.
    """
    odd = np.empty(plan.combined)
    scratch = np.empty(max(plan.constants.lag_max, plan.constants.hold_rows, states.terms.shape[2]) + 8)
    for series in range(values.shape[0]):
        state = _series(states, series)
        one = Output(
            out.expected[series],
            out.lower[series],
            out.upper[series],
            out.loss[series],
            out.surprise[series],
            out.p_surprise[series],
            out.alarm[series],
            out.segment[series],
            out.driver[series],
        )
        for at in range(values.shape[1]):
            value = values[series, at]
            if np.isnan(value):
                continue
            row = _take(state, plan, times_ms[series % times_ms.shape[0], at], value)
            _score_row(state, plan, at, value, row, scratch, odd, one)


@compiled
def surprises(past: Any, room: int, bins: int, two_sided: bool, values: Any, constants: Constants, out: Any) -> None:
    """Judge one stream, float64 (n,), with its past, float64 (k,); NaN is passed over and gets 0."""
    for row in range(len(values)):
        out[row] = 0.0 if np.isnan(values[row]) else _judge(past, room, bins, two_sided, values[row], constants)
