"""Faults of known kinds, put into a stretch of an ordinary series.

A fault is a function of the stretch it replaces and of the rows before; it never touches a row outside. Its size is a
strength times what is ordinary for the series, measured on the rows before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gridwatch.sources.synthetic_bases import Values

__all__ = ["FAULTS", "Fault", "Place"]


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a fault is put.

    Attributes:
        before: float64 (b,), the rows before it, at least twice as many as the stretch.
        stretch: float64 (m,), the rows it replaces.
        day: Rows of a day.
        strength: Its size; 1 is hard to see, 4 is plain.
        random: For what else it draws.
    """

    before: Values
    stretch: Values
    day: int
    strength: float
    random: np.random.Generator

    @property
    def spread(self) -> float:
        """How far values of the last days are apart: half of the range of the middle nine tenths, above 0."""
        last = self.before[-4 * self.day :]
        low, high = np.quantile(last, [0.05, 0.95])
        return float(high - low) / 2 or float(np.ptp(last)) or 1.0

    @property
    def step(self) -> float:
        """How far a row is from the next: the standard deviation of steps of the last days, above 0."""
        return float(np.std(np.diff(self.before[-4 * self.day :]))) or self.spread / 10

    @property
    def sign(self) -> float:
        """Return -1 or 1, by chance."""
        return float(self.random.choice([-1.0, 1.0]))


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Attributes:
        put: From a place to the stretch with the fault in it, float64 (m,).
        rows_max: Most rows of it; None for as long as its window allows, up to one and a half days.
        cycle: It means something only in a series that repeats by the day.
        about: What it is.
    """

    put: Callable[[Place], Values]
    rows_max: int | None
    cycle: bool
    about: str


def _spike(place: Place) -> Values:
    return place.stretch + place.strength * max(place.spread, 3 * place.step)


def _dip(place: Place) -> Values:
    return place.stretch - place.strength * max(place.spread, 3 * place.step)


def _shift(place: Place) -> Values:
    return place.stretch + place.sign * 0.6 * place.strength * place.spread


def _flatline(place: Place) -> Values:
    return np.full(len(place.stretch), place.before[-1])


def _missing(place: Place) -> Values:
    low = float(np.quantile(place.before[-4 * place.day :], place.random.choice([0.1, 0.5])))
    return low + place.random.normal(0, 0.3 * place.step, len(place.stretch))


def _amplitude(place: Place) -> Values:
    middle = float(np.mean(place.stretch))
    factor = 1 + 0.5 * place.strength if place.random.random() < 0.5 else 1 / (1 + place.strength)
    return middle + factor * (place.stretch - middle)


def _frequency(place: Place) -> Values:
    rows = np.arange(len(place.stretch))
    faster = place.random.random() < 0.5
    start = len(place.before) - 2 * len(rows)
    return place.before[start + 2 * rows] if faster else np.interp(rows / 2, rows, place.stretch)


def _drift(place: Place) -> Values:
    ramp = np.linspace(0, 1, len(place.stretch) + 1)[1:]
    return place.stretch + place.sign * place.strength * place.spread * ramp


def _trend(place: Place) -> Values:
    away: Values = 1 - np.abs(np.linspace(-1, 1, len(place.stretch) + 2)[1:-1])
    return place.stretch + place.sign * place.strength * place.spread * away


def _burst(place: Place) -> Values:
    size = 0.6 * place.strength * max(place.step, 0.3 * place.spread)
    return place.stretch + place.random.normal(0, size, len(place.stretch))


def _quiet(place: Place) -> Values:
    reach = min(max(place.day // 24, 3), max(len(place.stretch) // 4, 1))
    known = np.r_[place.before[-reach:], place.stretch]
    total = np.cumsum(np.r_[0.0, known])
    means: Values = (total[reach + 1 :] - total[1:-reach]) / reach
    return means


def _swapped(place: Place) -> Values:
    return np.roll(place.stretch, -(len(place.stretch) // 2))


FAULTS = {
    "spike": Fault(_spike, 4, False, "one to four rows far above"),
    "dip": Fault(_dip, 4, False, "one to four rows far below"),
    "shift": Fault(_shift, None, False, "another level"),
    "flatline": Fault(_flatline, None, False, "the last value, again and again"),
    "missing": Fault(_missing, None, True, "a cycle that does not come"),
    "amplitude": Fault(_amplitude, None, False, "swings larger or smaller"),
    "frequency": Fault(_frequency, None, True, "twice or half as fast"),
    "drift": Fault(_drift, None, False, "slowly away, then back at once"),
    "trend": Fault(_trend, None, False, "a slope away and a slope back"),
    "burst": Fault(_burst, None, False, "noise on top"),
    "quiet": Fault(_quiet, None, False, "the noise is gone"),
    "swapped": Fault(_swapped, None, True, "the halves of the stretch change places"),
}
"""The kinds by name."""
