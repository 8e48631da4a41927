"""What the made-up samples share: when things happen, and how what is odd is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["DAY_MS", "HOUR_MS", "PutAnomaly", "Rows", "Span", "Weights", "at_daytime", "chosen", "texts"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_CELL_MS = 300_000

Times = npt.NDArray[np.int64]
Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PutAnomaly:
    """Something odd that was put in.

    Attributes:
        container: Where.
        kind: What, in one word.
        start_ms: First instant, UTC epoch ms, at the beginning of an hour or quarter of one.
        end_ms: First instant after it.
        entities: Whose rows, by field; empty for all.
        told: In a sentence.
    """

    container: str
    kind: str
    start_ms: int
    end_ms: int
    entities: Mapping[str, str] = field(default_factory=dict)
    told: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows in the order of time, and what is odd in them."""

    table: pa.Table
    anomalies: tuple[PutAnomaly, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """What a sample is made of: its seed, place among the samples, first day in UTC epoch ms, and number of days."""

    seed: int
    place: int
    start_ms: int
    days: int

    @property
    def end_ms(self) -> int:
        """First instant after it."""
        return self.start_ms + self.days * DAY_MS

    def random(self, part: int) -> np.random.Generator:
        """Return the random numbers of one part, which those of other parts do not move."""
        return np.random.default_rng([self.seed, self.place, part])

    def workday(self, from_end: int, hour: float) -> int:
        """Return an hour of a day from Monday to Friday, `from_end` days or a little more before the end."""
        day = self.end_ms // DAY_MS - from_end
        while (day + 3) % 7 >= 5:
            day -= 1
        return int(day * DAY_MS + hour * HOUR_MS)

    def times(self, random: np.random.Generator, per_hour: float, shape: Callable[[Times], Any]) -> Times:
        """Return when something happens, ms, sorted: at random, as often as the shape of day and week says.

        Args:
            random: Where the chance comes from.
            per_hour: How often on the average.
            shape: From instants, ms, to how usual it is then; 1 is the average.
        """
        cells = np.arange(self.start_ms, self.end_ms, _CELL_MS)
        usual = np.asarray(shape(cells), np.float64)
        counts = random.poisson(per_hour * _CELL_MS / HOUR_MS * usual / usual.mean())
        times = np.repeat(cells, counts) + random.integers(0, _CELL_MS, int(counts.sum()))
        return np.sort(times)


def at_daytime(peak_hour: float, *, night: float = 0.25, weekend: float = 0.6) -> Callable[[Times], Any]:
    """Return a shape of day and week: most at one hour of the day in UTC, `night` as much twelve hours later.

    >>> shape = at_daytime(12.0, night=0.2)
    >>> shape(np.array([0, 12 * HOUR_MS])).round(2)
    array([0.2, 1. ])
    """

    def shape(times: Times) -> Any:
        angle = 2 * np.pi * (times / DAY_MS - peak_hour / 24.0)
        # 1970 began on a Thursday: days 2 and 3 are the first weekend.
        at_weekend = (times // DAY_MS + 3) % 7 >= 5
        return (night + (1.0 - night) * (1.0 + np.cos(angle)) / 2.0) * np.where(at_weekend, weekend, 1.0)

    return shape


def chosen(random: np.random.Generator, weights: Weights, count: int) -> npt.NDArray[Any]:
    """Return one of some texts for each of `count` rows, as often as their weights say."""
    odds = np.array(list(weights.values()), np.float64)
    return np.array(list(weights), object)[random.choice(len(odds), count, p=odds / odds.sum())]


def texts(random: np.random.Generator, values: Sequence[str], count: int) -> npt.NDArray[Any]:
    """Return one of some texts for each of `count` rows, all as often."""
    return np.array(values, object)[random.integers(0, len(values), count)]
