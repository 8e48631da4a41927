"""Runs of zeros: how improbable they are, and what is known of the hours that they come through."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from gridwatch.jobs.analysis.models import BUCKETS, Models
from gridwatch.jobs.analysis.silence import Silence

HOUR = 3_600_000
START = 1_707_091_200_000
"""A Monday."""
WEEKS = 12
TIMES = START + np.arange(WEEKS * 168) * HOUR
HOURS = np.arange(WEEKS * 168)

Floats = npt.NDArray[np.float64]


def shop(rng: np.random.Generator, series: int = 200, *, closed: bool = False) -> Floats:
    """Return sales that pause at night, 0.2 to 5 an hour; a shop that closes has none on Saturdays and Sundays."""
    rate = 2.6 + 2.4 * np.sin(2.0 * np.pi * (HOURS % 24 - 8) / 24.0)
    values = rng.poisson(rate, (series, len(HOURS))).astype(np.float64)
    if closed:
        values[:, HOURS // 24 % 7 >= 5] = 0.0
    return values


def test_ordinary_runs_are_as_rare_as_they_say() -> None:
    surprise, _ = Silence(200, HOUR).update(TIMES, shop(np.random.default_rng(1)))
    judged = surprise[:, 336:]
    assert 0.2 < np.isfinite(judged).mean() < 0.25
    for p in (1e-2, 1e-3, 1e-4):
        assert np.mean(judged >= -np.log10(p)) < 1.2 * p


def test_eight_hours_without_a_sale_are_told_each_time() -> None:
    values = shop(np.random.default_rng(2))
    weeks = (5, 7, 10)
    for week, day in zip(weeks, (1, 3, 1), strict=True):
        values[:, week * 168 + day * 24 + 10 : week * 168 + day * 24 + 18] = 0.0
    surprise, typical = Silence(200, HOUR).update(TIMES, values)
    for week, day in zip(weeks, (1, 3, 1), strict=True):
        last = week * 168 + day * 24 + 17
        assert (surprise[:, last] >= 5.0).mean() > 0.98
        np.testing.assert_allclose(typical[:, last].mean(), 5.0, rtol=0.2)


def test_a_shop_that_is_closed_at_weekends_is_known_from_the_second_on() -> None:
    surprise, _ = Silence(200, HOUR).update(TIMES, shop(np.random.default_rng(3), closed=True))
    weekends = np.nan_to_num(surprise).reshape(200, WEEKS, 168)[:, :, 120:].max(axis=2)
    assert (weekends >= 5.0).mean() < 0.01


def test_a_series_that_ends_is_told_for_a_day_and_then_that_is_how_things_are() -> None:
    values = shop(np.random.default_rng(4))
    values[:, 1000:] = 0.0
    surprise, _ = Silence(200, HOUR).update(TIMES, values)
    told = np.nan_to_num(surprise) >= 5.0
    assert (told[:, 1000:].sum(axis=1) == 24).all()
    assert not told[:, 1060:].any()


def test_who_pauses_goes_on_to_pause() -> None:
    rng = np.random.default_rng(5)
    values = np.repeat(rng.poisson(0.9, (200, len(HOURS) // 6)), 6, axis=1).astype(np.float64)
    surprise, _ = Silence(200, HOUR).update(TIMES, values)
    # Were hours independent, 5 %.
    assert np.mean(surprise[:, 336:] >= 5.0) < 5e-4


@pytest.mark.parametrize("span_ms", [HOUR // 4, HOUR, 24 * HOUR])
def test_it_is_the_same_however_the_buckets_come(span_ms: int) -> None:
    values, times = shop(np.random.default_rng(6), 3), START + np.arange(len(HOURS)) * span_ms
    values[:, 900:930] = 0.0
    whole = Silence(3, span_ms)
    expected = whole.update(times, values)
    pieces = Silence(3, span_ms)
    edges = [0, 1, 500, 907, 915, 916, len(HOURS)]
    found = [pieces.update(times[a:b], values[:, a:b]) for a, b in pairwise(edges)]
    for place in range(2):
        np.testing.assert_array_equal(np.hstack([one[place] for one in found]), expected[place])
    for one, other in zip(pieces.arrays, whole.arrays, strict=True):
        np.testing.assert_array_equal(one, other)


def test_models_say_which_of_the_two_it_was_and_keep_it_for_those_that_stay() -> None:
    values = shop(np.random.default_rng(7), 5)
    values[:, 1500:1508] = 0.0
    whole = Models(BUCKETS, zeros_span_ms=HOUR)
    expected = whole.update(TIMES, values)
    at = np.argmax(np.nan_to_num(expected.surprise[:, 1500:1508]), axis=1) + 1500
    assert {expected.members[driver] for driver in expected.driver[np.arange(5), at]} == {"silence"}
    kept = Models(BUCKETS, zeros_span_ms=HOUR)
    kept.update(TIMES[:1503], values[:, :1503])
    kept.keep(np.array([1, 4]))
    found = kept.update(TIMES[1503:], values[[1, 4], 1503:])
    np.testing.assert_array_equal(found.surprise, expected.surprise[[1, 4], 1503:])
