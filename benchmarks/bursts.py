"""What jobs find in made-up series, and what they say of ordinary buckets beside it.

Of each kind 20 series in buckets of 15 minutes and 20 of an hour, once as they are and once with odd buckets. Both are
told: how many of the odd ones are critical, and how often ordinary buckets are records (p < 0.01: ten of 1,000 should
be), minor (one) and critical (0.1). A gain in the one that costs the other is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.figure import Figure
from gridwatch.jobs.analysis.evened import as_given, evened
from gridwatch.jobs.analysis.gaps import day_buckets
from gridwatch.jobs.analysis.models import BUCKETS, Models
from gridwatch.jobs.analysis.scoring import RECORD_P, score_of
from gridwatch.jobs.functions import Metric

LENGTH = 2_000
"""Buckets of each series."""
SERIES = 20
SEED = 11
SPANS_MS = (900_000, 3_600_000)
LEARNT = 0.2
"""Share of the buckets in which nothing is counted."""

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Random: TypeAlias = np.random.Generator

_START_MS = 1_707_091_200_000
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Kind:
    """One kind of series.

    Args:
        name: What it is.
        metric: The function of the job, `mean` for one whose empty buckets are none.
        make: From chance and the time of the day, (b,) from 0 to 1, its values (s, b).
        odd: From chance, values (s, b), times in ms (b,) and where it is to begin (s, k): values with something odd in
            them, and where it is to be found, bool (s, b).
        per_series: How many odd places each series has.
    """

    name: str
    metric: Metric
    make: Callable[[Random, Floats], Floats]
    odd: Callable[[Random, Floats, Ints, Ints], tuple[Floats, Bools]]
    per_series: int = 5


def run() -> Iterator[Figure]:
    """Yield a figure a kind; the note has what was found."""
    for kind in KINDS:
        yield _figure(kind)


def _figure(kind: Kind) -> Figure:
    usual, odd, seconds, amount = [], [], 0.0, 0
    for number, span_ms in enumerate(SPANS_MS):
        rng = np.random.default_rng([SEED, number])
        times = _START_MS + np.arange(LENGTH) * span_ms
        values = np.asarray(kind.make(rng, times % _DAY_MS / _DAY_MS), np.float64)
        first = int(LEARNT * LENGTH)
        # Apart, so that none is hidden by the one before, and at another time of day each.
        near = np.linspace(1.5 * first, LENGTH - 40, kind.per_series)
        places = np.round(near + rng.uniform(-20, 20, (SERIES, kind.per_series))).astype(np.int64)
        faulty, where = kind.odd(rng, values, times, places)
        began = time.perf_counter()
        ordinary, found = _judged(kind, span_ms, times, values), _judged(kind, span_ms, times, faulty)
        seconds += time.perf_counter() - began
        amount += 2 * values.size
        usual.append(ordinary[:, first:][np.isfinite(values[:, first:])])
        odd += [_episodes(found, where)]
    note = f"critical {100 * np.mean(np.concatenate(odd) >= 75.0):.0f} % of odd; {_told(np.concatenate(usual))}"
    return Figure(kind.name, amount, "buckets", seconds, note=note)


def _told(scores: Floats) -> str:
    """Return how many of 1,000 ordinary buckets are told; a score of -1 is none."""
    records, minor, critical = (1000 * np.mean(scores >= least) for least in (0.0, 25.0, 75.0))
    return f"of 1,000 ordinary {records:.1f} records, {minor:.2f} minor, {critical:.2f} critical"


def _judged(kind: Kind, span_ms: int, times: Ints, values: Floats) -> Floats:
    """Return the score of each bucket, (s, b), -1 where it is no record."""
    counts, zeros = kind.metric == "count", kind.metric != "mean"
    models = Models(BUCKETS, 1, None, 0 if zeros else day_buckets(span_ms), span_ms if zeros else 0, int(counts))
    judged = as_given(kind.metric, models.update(times, evened(kind.metric, times, values)))
    probability = 10.0 ** -np.nan_to_num(judged.surprise)
    return np.where(probability <= RECORD_P, score_of(probability), -1.0)


def _episodes(scores: Floats, where: Bools) -> Floats:
    """Return the greatest score of each odd stretch."""
    edges = np.diff(np.pad(where, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, firsts = np.nonzero(edges == 1)
    _, lasts = np.nonzero(edges == -1)
    return np.array([scores[row, a:b].max() for row, a, b in zip(rows, firsts, lasts, strict=True)])


def _marked(values: Floats, places: Ints, length: int = 1) -> Bools:
    where = np.zeros(values.shape, np.bool_)
    for shift in range(length):
        where[np.arange(len(values))[:, None], np.minimum(places + shift, values.shape[1] - 1)] = True
    return where


def _bursts(_: Random, values: Floats, __: Ints, places: Ints) -> tuple[Floats, Bools]:
    """Nine times what there is, or the mean of all that is not 0 where that is more."""
    where = _marked(values, places)
    usual = values.sum(axis=1) / np.count_nonzero(values, axis=1)
    return np.where(where, np.round(9.0 * np.maximum(values, usual[:, None])), values), where


def _silence(_: Random, values: Floats, times: Ints, places: Ints) -> tuple[Floats, Bools]:
    """Nothing for eight hours around noon, each time on another day of the week and the first in the second week."""
    span_ms = int(times[1] - times[0])
    days = times[places] // _DAY_MS * _DAY_MS + (2 - np.arange(places.shape[1])) * _DAY_MS
    begin = np.clip((days + _DAY_MS // 3 - times[0]) // span_ms, 0, None)
    where = _marked(values, begin, 28_800_000 // span_ms)
    return np.where(where, 0.0, values), where


def _other_hour(_: Random, values: Floats, times: Ints, places: Ints) -> tuple[Floats, Bools]:
    """In the evening what is usual at noon, where there is a value."""
    span_ms = int(times[1] - times[0])
    at = (times[places] // _DAY_MS * _DAY_MS + 19 * 3_600_000 - times[0]) // span_ms
    where = _marked(values, np.clip(at, 0, values.shape[1] - 1)) & np.isfinite(values)
    return np.where(where, 120.0, values), where


def _again(size: float) -> Callable[[Random, Floats, Ints, Ints], tuple[Floats, Bools]]:
    def odd(_: Random, values: Floats, __: Ints, places: Ints) -> tuple[Floats, Bools]:
        """A few standard deviations more."""
        where = _marked(values, places)
        return np.where(where, values + 5.0 * size, values), where

    return odd


def _season(day: Floats) -> Floats:
    return 1.0 + 0.8 * np.sin(2.0 * np.pi * (day - 0.25))


def _counts(mean: float, *, daily: bool) -> Callable[[Random, Floats], Floats]:
    def make(rng: Random, day: Floats) -> Floats:
        usual = mean * _season(day) if daily else np.full(len(day), mean)
        return rng.poisson(usual, (SERIES, len(day))).astype(np.float64)

    return make


def _sums(rng: Random, day: Floats) -> Floats:
    counts = rng.poisson(30.0 * _season(day), (SERIES, len(day)))
    return np.where(counts > 0, rng.gamma(4.0 * counts + 1e-9, 10.0), 0.0)


def _rare_sums(rng: Random, day: Floats) -> Floats:
    counts = rng.poisson(0.1, (SERIES, len(day)))
    return np.where(counts > 0, rng.gamma(4.0 * counts + 1e-9, 10.0), 0.0)


def _gaps(missing: Callable[[Random, Floats, Ints], Bools]) -> Callable[[Random, Floats], Floats]:
    def make(rng: Random, day: Floats) -> Floats:
        values = 100.0 + 60.0 * np.sin(2.0 * np.pi * day) + rng.normal(0.0, 5.0, (SERIES, len(day)))
        number = np.cumsum(np.diff(day, prepend=day[0]) < 0.0).astype(np.int64)
        values[np.broadcast_to(missing(rng, day, number), values.shape)] = np.nan
        return values

    return make


def _noise(rng: Random, day: Floats) -> Floats:
    return 100.0 + 60.0 * np.sin(2.0 * np.pi * day) + rng.normal(0.0, 5.0, (SERIES, len(day)))


def _missing(share: float) -> Callable[[Random, Floats], Floats]:
    return _gaps(lambda rng, day, _: rng.random((SERIES, len(day))) < share)


KINDS = (
    Kind("bursts: counts, 30 a bucket", "count", _counts(30.0, daily=False), _bursts),
    Kind("bursts: counts with a daily season", "count", _counts(30.0, daily=True), _bursts),
    Kind("bursts: sums with a daily season", "sum", _sums, _bursts),
    Kind("bursts: counts, 3 a bucket", "count", _counts(3.0, daily=False), _bursts),
    Kind("bursts: counts, one in ten buckets", "count", _counts(0.1, daily=False), _bursts),
    Kind("bursts: sums, one in ten buckets", "sum", _rare_sums, _bursts),
    Kind("bursts: log-normal", "sum", lambda rng, day: rng.lognormal(3.0, 0.8, (SERIES, len(day))), _bursts),
    Kind("eight hours of nothing: counts, 5 at noon", "count", _counts(3.0, daily=True), _silence, 3),
    Kind("eight hours of nothing: sums", "sum", _sums, _silence, 3),
    Kind("another hour's value: nothing missing", "mean", _missing(0.0), _other_hour),
    Kind("another hour's value: 30 % missing", "mean", _missing(0.3), _other_hour),
    Kind("another hour's value: 70 % missing", "mean", _missing(0.7), _other_hour),
    Kind("another hour's value: nights missing", "mean", _gaps(lambda _, day, __: day < 9 / 24), _other_hour),
    Kind("another hour's value: weekends missing", "mean", _gaps(lambda _, __, number: number % 7 >= 5), _other_hour),
    Kind("ten faults of 4 deviations", "mean", _noise, _again(4.0), 10),
    Kind("ten faults of 6 deviations", "mean", _noise, _again(6.0), 10),
)  # fmt: skip
