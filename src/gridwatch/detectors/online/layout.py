"""What the kernels work on: constants, the plan of the streams, the state of a series and the columns to fill."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Constants", "Output", "Plan", "State"]


class Constants(NamedTuple):
    """Numbers that the kernels work with; `AutoConfig` gives the reason of each."""

    tail_share: float
    p_share: float
    tail_rows_min: int
    tail_shape: float
    warm_rows: int
    mean_weight: float
    dead_rows: int
    hold_rows: int
    hold_rows_min: int
    alarm_level: float
    segment_rows: int
    segment_cap: float
    segment_keep: float
    band_p: float
    days: int
    shift: int
    seasons: int
    season_share: float
    flat_rows: int
    forecast: int
    forecast_memory_rows: int
    lag_max: int
    history_rows: int
    room: int
    bins: int


class Plan(NamedTuple):
    """Which streams there are and where; int64 arrays of widths and of the stream that each member writes.

    Attributes:
        newest_kept: How many of the newest rows are kept as they are.
        rows_kept: How many are kept in the history.
        past_at: Where in `State.past` each stream's past begins, and where the last ends.
        windows: Widths whose mean and variance are taken; `deviation_in`, `mean_in` and `shape_in` are places in it.
    """

    constants: Constants
    value: int
    residual: int
    recent: int
    flat: int
    forecast_at: int
    ewma_at: int
    two_sided: int
    combined: int
    nearest: int
    deviation_at: int
    mean_at: int
    change_at: int
    shape_at: int
    nearest_at: int
    aligned_at: int
    newest_kept: int
    rows_kept: int
    past_at: Any
    judged: Any
    windows: Any
    deviation_in: Any
    mean_in: Any
    shape_in: Any
    change: Any
    ewma: Any
    shape: Any
    aligned: Any


class State(NamedTuple):
    """All that is known of the rows so far, for s series (first axis) or, inside the kernels, for one without it.

    Attributes:
        counts: int64, by the places below.
        numbers: float64, by the places below.
        steps: int64, the first steps of time, in milliseconds.
        newest: float64, the newest rows less ORIGIN; the last is at NEWEST.
        rows: float32, the history, (value - ORIGIN - BASE) * SCALE; the last is at FILL.
        stretches: float32 (widths, 3, n), mean, variance and 1 / standard deviation of the stretches that end in each
            row, as `rows` are; the last is at STRETCH.
        distances: float32 (widths, lags), summed squares between the newest stretch and that so many rows earlier.
        sums: float32 (widths, lags), summed roots between the newest stretch and that of an earlier day.
        forecast: float64, means and the regression of `forecast`, which has the places.
        past: float64, what each stream has been, one after another; `tails` has the places.
        held: float64, the newest scores.
    """

    counts: Any
    numbers: Any
    steps: Any
    newest: Any
    rows: Any
    stretches: Any
    distances: Any
    sums: Any
    forecast: Any
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
ROWS, NEWEST, FILL, STRETCH, RUN, SINCE, DAY, LAST_MS = 0, 1, 2, 3, 4, 5, 6, 7
COUNTS = 8
# Places in `State.numbers`.
ORIGIN, BASE, SCALE, MEAN, SPREAD, LARGEST, SEASON_ERROR, RECENT_ERROR, SMOOTH = 0, 1, 2, 3, 4, 5, 6, 7, 8
SEASON_DOWN, SEASON_UP, RECENT_DOWN, RECENT_UP = 9, 10, 11, 12
SEASON_ROWS, SEASON_SIZE, PLAIN_SIZE, SLOW, KEPT = 13, 14, 15, 16, 17
NUMBERS = 18
# Places in the past of a stream: how many numbers it has had, how many knots its body has, the least of them; then the
# highest, the knots, the counts at them, the counts up to them and, for streams with two sides, the lowest (negated).
SEEN, USED, LEAST, TOP = 0, 1, 2, 3
