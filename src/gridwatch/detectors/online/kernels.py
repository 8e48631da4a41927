"""The compiled part of the online detectors: rows go in one after another, the state says all about the rows before.

A call may stop and go on at any row: no sum depends on where a call began.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any

import numpy as np

from gridwatch.detectors.online.aligned import aligned, expect, explains
from gridwatch.detectors.online.compiling import compiled, part, sources
from gridwatch.detectors.online.forecast import forecast
from gridwatch.detectors.online.layout import (
    DAY,
    KEPT,
    NEWEST,
    ORIGIN,
    RECENT_DOWN,
    RECENT_ERROR,
    RECENT_UP,
    SEASON_DOWN,
    SEASON_ERROR,
    SEASON_UP,
    SEEN,
    SINCE,
    SMOOTH,
    Constants,
    Output,
    Plan,
    State,
)
from gridwatch.detectors.online.rows import plain, settle, take
from gridwatch.detectors.online.shapes import shapes
from gridwatch.detectors.online.tails import judge, reach

__all__ = ["advance", "surprises"]

_BAND_ROWS = 16  # how often the band is brought up to date: it hardly moves from row to row


@part
def _band(state: State, plan: Plan) -> None:
    """Bring up to date how far below and above the expectation an ordinary value may lie."""
    constants, numbers = plan.constants, state.numbers
    for stream, down, up in ((plan.recent, RECENT_DOWN, RECENT_UP), (plan.residual, SEASON_DOWN, SEASON_UP)):
        if stream < 0:
            continue
        past = state.past[plan.past_at[stream] : plan.past_at[stream + 1]]
        if past[SEEN] >= constants.warm_rows:
            numbers[down] = max(reach(past, False, 0.5 * constants.band_p, constants), 0.0)
            numbers[up] = max(reach(past, True, 0.5 * constants.band_p, constants), 0.0)


@part
def _float_of(bits: Any) -> float:
    return np.int64(bits).view(np.float64)


@part
def _greatest(bits: Any) -> float:
    best = bits[0]
    for place in range(len(bits)):
        best = max(best, bits[place])
    return _float_of(best)


@part
def _alarm(state: State, row: int, combined: float, constants: Constants) -> float:
    """Return the score as an alarm: only above all of the last rows, and not soon after another alarm."""
    rows = min(max(state.counts[DAY] // 3, constants.hold_rows_min), constants.hold_rows)
    held = state.held[:rows]
    # None is below 0, so that their bits are ordered as they are.
    before = _greatest(held.view(np.int64))
    held[row % rows] = combined
    state.counts[SINCE] += 1
    if combined <= before or state.counts[SINCE] <= constants.dead_rows * rows // constants.hold_rows:
        return 0.0
    if combined >= constants.alarm_level:
        state.counts[SINCE] = 0
    return combined


@part
def _surprises(state: State, plan: Plan, odd: Any) -> tuple[float, int, float]:
    """Judge and learn all streams but the last.

    Returns:
        Their surprises taken together; the most surprised; and the mean of their cubes, for whole segments.
    """
    total, greatest, driver, judged, cubes = 0.0, 0.0, -1, 0, 0.0
    for stream in range(plan.combined):
        judged += plan.judged[stream]
        if np.isnan(odd[stream]):
            continue
        past = state.past[plan.past_at[stream] : plan.past_at[stream + 1]]
        surprise = judge(past, stream < plan.two_sided, odd[stream], plan.constants.tail_share, plan.constants)
        if stream == plan.residual and not explains(state, plan):
            continue
        if plan.judged[stream]:
            total += surprise
            capped = min(surprise, plan.constants.segment_cap)
            cubes += capped * capped * capped
            if surprise > greatest:
                greatest, driver = surprise, stream
    return greatest + plan.constants.mean_weight * total / judged, driver, cubes / judged


@part
def _score(
    state: State, plan: Plan, at: int, value: float, row: int, expected: float, seasonal: bool, odd: Any, out: Output
) -> None:
    """Write what the members say of a row into place `at` of the output."""
    constants, numbers = plan.constants, state.numbers
    combined, driver, cubes = _surprises(state, plan, odd)
    out.expected[at], out.lower[at], out.upper[at], out.loss[at] = value, value, value, 0.0
    out.surprise[at], out.p_surprise[at], out.alarm[at], out.segment[at], out.driver[at] = 0.0, 0.0, 0.0, 0.0, -1
    if row < constants.warm_rows:
        return
    error = numbers[SEASON_ERROR] if seasonal else numbers[RECENT_ERROR]
    apart = abs(state.newest[state.counts[NEWEST]] - expected)
    middle = numbers[ORIGIN] + expected
    down, up = (SEASON_DOWN, SEASON_UP) if seasonal else (RECENT_DOWN, RECENT_UP)
    out.expected[at], out.lower[at], out.upper[at] = middle, middle - numbers[down], middle + numbers[up]
    out.loss[at] = apart / (1.2533 * error) if error > 0.0 else 0.0
    out.driver[at], out.surprise[at] = driver, combined
    past = state.past[plan.past_at[plan.combined] :]
    out.p_surprise[at] = judge(past, plan.combined < plan.two_sided, combined, constants.p_share, constants)
    out.alarm[at] = _alarm(state, row, combined, constants)
    weight = 2.0 / (constants.segment_rows + 1.0)
    numbers[SMOOTH] += weight * (cubes - numbers[SMOOTH])
    numbers[KEPT] = max(numbers[SMOOTH], constants.segment_keep * numbers[KEPT])
    out.segment[at] = 0.5 * numbers[KEPT]
    if row % _BAND_ROWS == 0 or row == constants.warm_rows:
        _band(state, plan)


def _advance(version: int) -> Any:
    @compiled
    def advance(
        states: State,
        plan: Plan,
        times_ms: Any,
        values: Any,
        columns: Any,
        driver: Any,
        first: int,
        last: int,
        rooms: Any,
        scratch: Any,
    ) -> None:
        """Score rows of many series, each before learning from it.

        Args:
            states: What the rows so far left, changed in place.
            plan: Streams and constants.
            times_ms: int64 (s, n), or (1, n) where all series have the same times.
            values: float64 (s, n), finite, or NaN where a series has no row.
            columns: float64 (8, s, n) to fill, in the order of `Output`; a place without a row is left alone.
            driver: int64 (s, n), the last of `Output`.
            first: The first series to go on with, and
            last: the one to stop before.
            rooms: float64 to work in: two numbers a window, one a stream, and as many as there are seasons, at least 5.
            scratch: float32 to work in, as many as lags, or twice as many as there are sums of one width.
        """
        _ = version
        windows = len(plan.windows)
        means, variances = rooms[:windows], rooms[windows : 2 * windows]
        odd, few = rooms[2 * windows : 2 * windows + plan.combined], rooms[2 * windows + plan.combined :]
        for series in range(first, last):
            state = State(
                states.counts[series],
                states.numbers[series],
                states.steps[series],
                states.newest[series],
                states.rows[series],
                states.stretches[series],
                states.distances[series],
                states.sums[series],
                states.forecast[series],
                states.past[series],
                states.held[series],
            )
            one = Output(
                columns[0, series],
                columns[1, series],
                columns[2, series],
                columns[3, series],
                columns[4, series],
                columns[5, series],
                columns[6, series],
                columns[7, series],
                driver[series],
            )
            for at in range(values.shape[1]):
                value = values[series, at]
                if np.isnan(value):
                    continue
                for stream in range(len(odd)):
                    odd[stream] = np.nan
                row = take(state, plan, times_ms[series % times_ms.shape[0], at], value)
                fresh = settle(state, plan, row)
                plain(state, plan, row, means, variances, odd)
                shapes(state, plan, row, fresh, means, variances, scratch, odd)
                aligned(state, plan, row, fresh, scratch, odd)
                forecast(state, plan, row, odd)
                expected, seasonal = expect(state, plan, row, few, odd)
                _score(state, plan, at, value, row, expected, seasonal, odd, one)

    return advance


def _surprises_of(version: int) -> Any:
    @compiled
    def surprises(past: Any, two_sided: bool, values: Any, constants: Constants, out: Any) -> None:
        """Judge one stream, float64 (n,), with its past, float64 (k,); NaN is passed over and gets 0."""
        _ = version
        for row in range(len(values)):
            value = values[row]
            out[row] = 0.0 if np.isnan(value) else judge(past, two_sided, value, constants.tail_share, constants)

    return surprises


advance = _advance(sources())
surprises = _surprises_of(sources())
