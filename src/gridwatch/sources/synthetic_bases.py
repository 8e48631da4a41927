"""Ordinary series that are made up: what a machine, a web site or a market does when nothing is wrong.

Each base draws its own size, noise and habits from the random generator it is given, so that no two series are alike,
and has oddities that are ordinary for it: the rush of a tweet, the night of a shop, the restart of a queue. They are
not what detectors were developed on, and no detector's constants went into them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["BASES", "Base", "Values"]

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Base:
    """A kind of ordinary series.

    Attributes:
        make: From rows, rows of a day and a random generator to float64 (rows,).
        cycle: It repeats itself by the day, so that a missing or swapped cycle is a fault in it.
        whole: Its values are counts: whole numbers, 0 or more.
        about: What it stands for.
    """

    make: Callable[[int, int, np.random.Generator], Values]
    cycle: bool
    whole: bool
    about: str


def _walk(rows: int, day: int, random: np.random.Generator) -> Values:
    return random.uniform(-100, 100) + np.cumsum(random.normal(0, random.uniform(0.1, 2), rows))


def _noise(rows: int, day: int, random: np.random.Generator) -> Values:
    steps = random.standard_t(random.uniform(3, 30), rows)
    return random.uniform(20, 200) + _remembered(steps, random.uniform(0, 0.97)) * random.uniform(0.5, 5)


def _daily(rows: int, day: int, random: np.random.Generator) -> Values:
    noise = _remembered(random.normal(size=rows), random.uniform(0, 0.9)) * random.uniform(0.02, 0.3)
    return random.uniform(20, 100) + random.uniform(3, 30) * (_curve(rows, day, random) + noise)


def _weekly(rows: int, day: int, random: np.random.Generator) -> Values:
    weekend = (np.arange(rows) // day + random.integers(7)) % 7 >= 5
    curve = (_curve(rows, day, random) + 2) * np.where(weekend, random.uniform(0.2, 0.8), 1)
    return random.uniform(10, 50) * curve * np.exp(random.normal(0, random.uniform(0.01, 0.1), rows))


def _hours(rows: int, day: int, random: np.random.Generator) -> Values:
    opens, closes = random.uniform(0.2, 0.4), random.uniform(0.6, 0.9)
    of_day = np.arange(rows) % day / day
    level = np.where((of_day > opens) & (of_day < closes), random.uniform(50, 90), random.uniform(0, 30))
    return level + random.normal(0, random.uniform(0.3, 4), rows)


def _batch(rows: int, day: int, random: np.random.Generator) -> Values:
    every = max(int(day / random.choice([24, 12, 8, 6])), 3)
    runs = (np.arange(rows) + random.integers(every)) % every < max(int(every * random.uniform(0.1, 0.4)), 1)
    work = np.where(runs, random.uniform(10, 60) * np.exp(random.normal(0, 0.1, rows)), 0)
    return random.gamma(1.5, random.uniform(0.2, 1), rows) + work


def _counts(rows: int, day: int, random: np.random.Generator) -> Values:
    rate = np.exp(random.uniform(0.5, 4) + random.uniform(0.2, 0.8) * _curve(rows, day, random))
    spread = random.uniform(0.8, 4)
    made = random.negative_binomial(spread, spread / (spread + rate)).astype(np.float64)
    rushes = np.zeros(rows)
    rushes[random.random(rows) < 0.002] = 1
    lasting = _remembered(rushes, random.uniform(0.3, 0.8))
    return np.floor(made * (1 + random.uniform(1, 4) * lasting))


def _levels(rows: int, day: int, random: np.random.Generator) -> Values:
    moves = random.random(rows) < 1 / (random.uniform(0.3, 2) * day)
    known = random.normal(0, random.uniform(5, 30), random.integers(2, 6))
    level = known[random.integers(len(known), size=int(moves.sum()) + 1)][np.cumsum(moves)]
    return random.uniform(50, 150) + level + random.normal(0, random.uniform(0.3, 3), rows)


def _stock(rows: int, day: int, random: np.random.Generator) -> Values:
    unrest = _remembered(random.normal(0, 0.08, rows), 0.99)
    changes = random.standard_t(4, rows) * np.exp(unrest) * random.uniform(0.0005, 0.003)
    return random.uniform(5, 500) * np.exp(np.cumsum(changes))


def _load(rows: int, day: int, random: np.random.Generator) -> Values:
    spikes = np.where(random.random(rows) < random.uniform(0.002, 0.02), random.gamma(2, random.uniform(2, 8), rows), 0)
    made = random.uniform(1, 50) + random.gamma(2, random.uniform(0.1, 1.5), rows) + spikes
    return np.asarray(made, dtype=np.float64)


def _fill(rows: int, day: int, random: np.random.Generator) -> Values:
    flow = random.gamma(1, random.uniform(0.5, 2), rows)
    emptied = np.arange(rows) // max(int(day * random.uniform(0.3, 1.5)), 10)
    total = np.cumsum(flow)
    before = np.r_[0.0, total[np.flatnonzero(np.diff(emptied))]]
    return np.asarray(total - before[emptied] + random.normal(0, random.uniform(0.1, 2), rows), dtype=np.float64)


def _curve(rows: int, day: int, random: np.random.Generator) -> Values:
    """Return a smooth day (rows,), about -1 to 1, with a second and third wave that make it unlike a sine."""
    angle = 2 * np.pi * (np.arange(rows) / day + random.random())
    second, third = random.uniform(0, 0.5), random.uniform(0, 0.25)
    wave = np.sin(angle) + second * np.sin(2 * angle + random.uniform(0, 6))
    return np.asarray(wave + third * np.sin(3 * angle + random.uniform(0, 6)), dtype=np.float64)


def _remembered(steps: Values, kept: float) -> Values:
    """Return y (n,) with y[t] = kept * y[t - 1] + steps[t], for 0 <= kept < 1, by doubling what is summed."""
    made, reach, factor = steps.astype(np.float64), 1, kept
    while reach < len(made) and factor > 1e-12:
        made[reach:] = made[reach:] + factor * made[:-reach]
        reach, factor = 2 * reach, factor * factor
    return made


BASES = {
    "walk": Base(_walk, False, False, "random walk"),
    "noise": Base(_noise, False, False, "noise with some memory around one level"),
    "daily": Base(_daily, True, False, "smooth day, such as a temperature"),
    "weekly": Base(_weekly, True, False, "smooth day with weaker weekends, such as visitors"),
    "hours": Base(_hours, True, False, "high by day, low by night, such as an office"),
    "batch": Base(_batch, True, False, "a job that runs every few hours over an idle floor"),
    "counts": Base(_counts, True, True, "heavy-tailed counts with a daily rate and short rushes, such as tweets"),
    "levels": Base(_levels, False, False, "a few levels that it moves between"),
    "stock": Base(_stock, False, False, "price with calm and wild times"),
    "load": Base(_load, False, False, "processor load: a floor and ordinary spikes"),
    "fill": Base(_fill, False, False, "fills and is emptied, such as a queue or a disk"),
}
"""The kinds by name."""
