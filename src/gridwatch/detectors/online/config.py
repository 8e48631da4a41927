"""The constants of the `auto` detector, each with its reason; none is tuned to a file or a kind of series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from gridwatch.errors import DetectorError

__all__ = ["AutoConfig"]


@dataclass(frozen=True, slots=True)
class AutoConfig:
    """What the detector looks at, and how it judges; widths are in rows.

    Attributes:
        deviation: Widths whose standard deviation is judged: noise that comes or goes. None, one or several.
        mean: Widths whose mean is judged: drift and shifts that no single row shows.
        change: Widths whose mean absolute step is judged: another frequency at the same deviation.
        ewma: Spans of exponential means; the distance from them is judged: what is far from the level of late.
        forecast: Rows that a regression, which goes on learning, makes the next from, the miss of which is judged; 0
            for none. Eight hold a trend and a short rhythm.
        forecast_memory_rows: About how many rows the regression learns from.
        shape: Widths of stretches whose shape is looked for in the past, whatever its level and size.
        nearest: The one of them whose level and size count too; 0 for none.
        aligned: Widths of stretches looked for at the same time of earlier days.
        value: Whether the value itself is judged: spikes, dips, never seen levels.
        seasonal: Whether the difference from the same time of earlier days is judged.
        season_share: That counts only while its mean size is below this share of that of the value's distance from the
            level of the last weeks: where days do not repeat, it says nothing. 0 to have it count always.
        flat: Whether a run of one value is judged: a sensor that is stuck.
        flat_rows: Shorter runs are none.
        lag_max: How far back shapes are looked for; further costs time in proportion, and 1000 found no more.
        days: How many earlier days are looked at; more helped nothing, and take memory.
        shift: Rows by which the time of day may be off: people and clocks are not exact to the row.
        seasons: Days whose median is the seasonal expectation: a week, so that one odd day does not count.
        history_rows: Rows kept: ten days of five minutes, with room.
        tail_share: Share of the highest values that a tail is fitted to; 5 % takes in ordinary values.
        p_share: The same of the rows' own surprises, whose ranks are the p-values: 0, so that the tail begins at the
            `tail_rows_min` highest and all below are plain ranks, which come out as often as they say. Members keep to
            the larger share: its tail is careful, and what the careful tails of several together are worth is told by
            this last rank.
        tail_rows_min: Fewest of them; a mean of fewer says little.
        tail_rows_max: Most of them, and so how many values are kept exactly; the rest are counted in bins.
        bins: Bins of the rest: ranks within about 1/64, enough where nothing is decided.
        tail_shape: Shape of the tail, above zero: a power law of exponent 5; an exponential one cries wolf.
        warm_rows: Values of a stream before it is judged, and rows that tell the step of time: p = 0.01 is in reach.
        mean_weight: How much the mean of all surprises adds to the greatest: agreement counts, but less.
        hold_rows: An alarm must exceed every score of a third of a day before it, but of no more rows than this, and
        hold_rows_min: of no fewer: a fault is told once. Eight hours, because a row may be a minute or an hour.
        dead_rows: Rows after an alarm without another; fewer where fewer than `hold_rows` are held.
        alarm_level: Score, -log10 p, at which an alarm is one: one in 3,000 rows for a single member.
        segment_rows: Span of the exponential mean of the members' cubed surprises, which marks a whole fault rather
            than its start: half of it is the segment score, about 0.25 for ordinary rows.
        segment_cap: A single surprise counts no more than this in that mean.
        segment_keep: That mean falls by no more than to this share from row to row: what was odd remains suspect.
        band_p: Share of ordinary rows outside the band of expected values: one in a thousand, a score of 95.
    """

    deviation: tuple[int, ...] = (24,)
    mean: tuple[int, ...] = ()
    change: tuple[int, ...] = (48,)
    ewma: tuple[int, ...] = (30,)
    forecast: int = 8
    forecast_memory_rows: int = 1000
    shape: tuple[int, ...] = (48,)
    nearest: int = 48
    aligned: tuple[int, ...] = (24, 48)
    value: bool = True
    seasonal: bool = True
    season_share: float = 0.75
    flat: bool = True
    flat_rows: int = 24
    lag_max: int = 500
    days: int = 10
    shift: int = 2
    seasons: int = 7
    history_rows: int = 4096
    tail_share: float = 0.015
    p_share: float = 0.0
    tail_rows_min: int = 10
    tail_rows_max: int = 256
    bins: int = 64
    tail_shape: float = 0.2
    warm_rows: int = 100
    mean_weight: float = 0.4
    hold_rows: int = 100
    hold_rows_min: int = 24
    dead_rows: int = 25
    alarm_level: float = 3.5
    segment_rows: int = 30
    segment_cap: float = 4.0
    segment_keep: float = 0.99
    band_p: float = 1e-3

    @classmethod
    def light(cls) -> Self:
        """Return members and constants for thousands of series: a third of the memory and half the time.

        No stretches looked for at any lag, which found little that others did not; half as many numbers kept of each
        stream: its tail is exact for 8,500 rows rather than 17,000, its ranks are within 1/32.

        >>> AutoConfig.light().shape, AutoConfig.light().aligned
        ((), (24, 48))
        """
        return cls(shape=(), nearest=0, tail_rows_max=128, bins=32)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """Return what `dataclasses.asdict` and JSON made of one.

        Raises:
            TypeError: There is no such constant.
            DetectorError: A constant is not allowed.
        """
        known: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in raw.items()}
        # What was saved before there was this constant goes on as it began, and is replayed to the same bits.
        if "tail_share" in known:
            known.setdefault("p_share", known["tail_share"])
        return cls(**known)

    def day_rows(self, step_ms: float) -> int:
        """Return the rows of a day; where the history does not hold two, of an hour, a minute, a second instead.

        >>> [AutoConfig().day_rows(step) for step in (3_600_000, 300_000, 60_000, 1_000, 10)]
        [24, 288, 1440, 60, 100]
        """
        day = max(int(86_400_000 / max(step_ms, 1.0) + 0.5), 1)
        for share in (24, 60, 60, 1000):
            if day > self.history_rows // 2:
                day //= share
        return day

    def quiet_rows(self, day_rows: int) -> tuple[int, int]:
        """Return how many rows an alarm must exceed, and how many after it are without another.

        >>> [AutoConfig().quiet_rows(day) for day in (24, 144, 288, 1440)]
        [(24, 6), (48, 12), (96, 24), (100, 25)]
        """
        hold = min(max(day_rows // 3, self.hold_rows_min), self.hold_rows)
        return hold, self.dead_rows * hold // self.hold_rows

    def __post_init__(self) -> None:
        """Check what the kernels rely on.

        Raises:
            DetectorError: A width is below 2 or too long for the history, or a number is out of its range.
        """
        widths = (*self.deviation, *self.mean, *self.change, *self.ewma, *self.shape, *self.aligned)
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
        shares = 0.0 < self.tail_share < 0.5 and 0.0 <= self.p_share < 0.5
        if not (0.0 < self.tail_shape < 1.0 and shares and 0.0 < self.band_p < 1.0):
            raise DetectorError(
                "tail_shape lies between 0 and 1, tail_share between 0 and 0.5, p_share from 0 to below 0.5, band_p "
                f"between 0 and 1; got {self.tail_shape}, {self.tail_share}, {self.p_share}, {self.band_p}."
            )
        whole = (self.days, self.seasons, self.hold_rows, self.hold_rows_min, self.segment_rows)
        if min(whole) < 1 or self.shift < 0 or self.dead_rows < 0 or self.bins < 4:
            raise DetectorError(
                "days, seasons, hold_rows, hold_rows_min and segment_rows are at least 1, bins at least 4, shift and "
                f"dead_rows at least 0; got {self}."
            )
        if not 0 <= self.forecast <= 64 or self.forecast_memory_rows < 10 or not 0.0 <= self.segment_keep < 1.0:
            raise DetectorError(
                "forecast is 0 to 64 rows, forecast_memory_rows at least 10, segment_keep at least 0 and below 1; got "
                f"{self.forecast}, {self.forecast_memory_rows}, {self.segment_keep}."
            )
        if not any((widths, self.forecast, self.value, self.seasonal, self.flat)):
            raise DetectorError("A detector without a member judges nothing; switch one on.")
