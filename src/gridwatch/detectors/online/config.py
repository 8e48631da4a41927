"""The constants of the `auto` detector, each with its reason; none is tuned to a file or a kind of series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from gridwatch.errors import DetectorError

__all__ = ["AutoConfig"]


@dataclass(frozen=True, slots=True)
class AutoConfig:
    """What the detector looks at, and how it judges; widths are in rows.

    Attributes:
        deviation: Widths whose standard deviation is judged: noise that comes or goes. None, one or several.
        mean: Widths whose mean is judged: drift and shifts that no single row shows.
        change: Widths whose mean absolute step is judged: another frequency at the same deviation.
        shape: Widths of stretches whose shape is looked for in the past, whatever its level and size. Three, each
            twice the one before, so that no length of fault has to be guessed.
        nearest: The one of them whose level and size count too; 0 for none.
        aligned: Widths of stretches looked for at the same time of earlier days.
        value: Whether the value itself is judged: spikes, dips, never seen levels.
        seasonal: Whether the difference from the same time of earlier days is judged.
        flat: Whether a run of one value is judged: a sensor that is stuck.
        lag_max: How far back shapes are looked for; further costs time in proportion.
        days: How many earlier days are looked at; more helped nothing, and take memory.
        shift: Rows by which the time of day may be off: people and clocks are not exact to the row.
        seasons: Days whose median is the seasonal expectation: a week, so that one odd day does not count.
        history_rows: Rows kept: ten days of five minutes, with room.
        tail_share: Share of the highest values that a tail is fitted to; 5 % takes in ordinary values.
        tail_rows_min: Fewest of them; a mean of fewer says little.
        tail_rows_max: Most of them, and so how many values are kept exactly; the rest are counted in bins.
        bins: Bins of the rest: ranks within about 1/64, enough where nothing is decided.
        tail_shape: Shape of the tail, above zero: a power law of exponent 5; an exponential one cries wolf.
        warm_rows: Values of a stream before it is judged, and rows that tell the step of time: p = 0.01 is in reach.
        mean_weight: How much the mean of all surprises adds to the greatest: agreement counts, but less.
        hold_rows: An alarm must exceed every score of as many rows before it: a fault is told once.
        dead_rows: Rows after an alarm without another.
        alarm_level: Score, -log10 p, at which an alarm is one: one in 3,000 rows for a single member.
        segment_rows: Span of the exponential mean that marks a whole fault rather than its start.
        segment_cap: A single row counts no more than this in that mean.
        band_p: Share of ordinary rows outside the band of expected values: one in a thousand, a score of 95.
    """

    deviation: tuple[int, ...] = (24, 48)
    mean: tuple[int, ...] = (48,)
    change: tuple[int, ...] = (12, 48)
    shape: tuple[int, ...] = (24, 48, 96)
    nearest: int = 48
    aligned: tuple[int, ...] = (24, 48, 96)
    value: bool = True
    seasonal: bool = True
    flat: bool = True
    lag_max: int = 1000
    days: int = 10
    shift: int = 2
    seasons: int = 7
    history_rows: int = 4096
    tail_share: float = 0.015
    tail_rows_min: int = 10
    tail_rows_max: int = 256
    bins: int = 64
    tail_shape: float = 0.2
    warm_rows: int = 100
    mean_weight: float = 0.3
    hold_rows: int = 100
    dead_rows: int = 25
    alarm_level: float = 3.5
    segment_rows: int = 50
    segment_cap: float = 6.0
    band_p: float = 1e-3

    @classmethod
    def light(cls) -> Self:
        """Return members and constants for thousands of series: a third of the memory and half the time.

        No shapes over a thousand lags, one width of a kind, half as many numbers kept of each stream: its tail is exact
        for 8,500 rows rather than 17,000, its ranks are within 1/32.

        >>> AutoConfig.light().shape, AutoConfig.light().aligned
        ((), (24, 48, 96))
        """
        return cls(
            deviation=(48,),
            mean=(48,),
            change=(48,),
            shape=(),
            nearest=0,
            aligned=(24, 48, 96),
            tail_rows_max=128,
            bins=32,
        )

    def __post_init__(self) -> None:
        """Check what the kernels rely on.

        Raises:
            DetectorError: A width is below 2 or too long for the history, or a number is out of its range.
        """
        widths = (*self.deviation, *self.mean, *self.change, *self.shape, *self.aligned)
        if any(width < 2 for width in widths):
            raise DetectorError(f"Widths are at least 2 rows, got {sorted(widths)}.")
        if self.nearest and self.nearest not in self.shape:
            raise DetectorError(f"nearest must be one of the widths in shape {self.shape}, got {self.nearest}.")
        if max((*widths, 1)) + self.lag_max > self.history_rows:
            raise DetectorError(
                f"history_rows must hold lag_max and the longest width, {max((*widths, 1)) + self.lag_max}; "
                f"got {self.history_rows}."
            )
        if max((*self.shape, 1)) >= self.lag_max:
            raise DetectorError(f"lag_max must be above the widths in shape {self.shape}, got {self.lag_max}.")
        if not self.tail_rows_min <= self.warm_rows <= self.tail_rows_max or self.tail_rows_min < 2:
            raise DetectorError(
                "tail_rows_min (at least 2), warm_rows and tail_rows_max must not fall, got "
                f"{self.tail_rows_min}, {self.warm_rows}, {self.tail_rows_max}."
            )
        if not (0.0 < self.tail_shape < 1.0 and 0.0 < self.tail_share < 0.5 and 0.0 < self.band_p < 1.0):
            raise DetectorError(
                "tail_shape lies between 0 and 1, tail_share between 0 and 0.5, band_p between 0 and 1; got "
                f"{self.tail_shape}, {self.tail_share}, {self.band_p}."
            )
        whole = (self.days, self.seasons, self.hold_rows, self.segment_rows)
        if min(whole) < 1 or self.shift < 0 or self.dead_rows < 0 or self.bins < 4:
            raise DetectorError(
                "days, seasons, hold_rows and segment_rows are at least 1, bins at least 4, shift and dead_rows at "
                f"least 0; got {self}."
            )
        if not any((widths, self.value, self.seasonal, self.flat)):
            raise DetectorError("A detector without a member judges nothing; switch one on.")
