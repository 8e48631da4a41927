"""What is learnt in the place of buckets without a value."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from gridwatch.jobs.analysis.gaps import Gaps, day_buckets

HOUR = 3_600_000
DAY = 24 * HOUR
START = 1_707_091_200_000


def filled(gaps: Gaps, first: int, values: list[float]) -> list[float]:
    """Return what one series learns of hourly buckets from the `first` on, what is owed before them included."""
    times = START + (first + np.arange(len(values))) * HOUR
    found, where, owed = gaps.fill(times, np.array([values]))
    assert np.isfinite(found[where]).all()
    before = [] if owed is None else owed.values[0][np.isfinite(owed.values[0])].tolist()
    if owed is not None:
        # Right before the first bucket.
        assert owed.times_ms[0, : len(before)].tolist() == [
            times[0] - back * HOUR for back in range(len(before), 0, -1)
        ]
    return [*before, *found[0][np.isfinite(found[0])].tolist()]


@pytest.mark.parametrize(
    ("span_ms", "slots"), [(HOUR, 24), (5 * 60_000, 288), (60_000, 0), (7 * HOUR, 0), (DAY, 0), (12 * HOUR, 2)]
)
def test_gaps_are_filled_where_a_day_has_few_whole_buckets(span_ms: int, slots: int) -> None:
    assert day_buckets(span_ms) == slots


def test_without_a_day_before_it_lies_between_the_values_around() -> None:
    assert filled(Gaps(1, 24), 0, [1.0, np.nan, np.nan, 4.0]) == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(("gap", "owed"), [(1, 1), (23, 23), (24, 0), (26, 2), (48, 0), (71, 23)])
def test_of_whole_days_nothing_is_filled(gap: int, owed: int) -> None:
    gaps = Gaps(1, 24)
    assert filled(gaps, 0, np.arange(72.0).tolist()) == np.arange(72.0).tolist()
    assert filled(gaps, 72, [np.nan] * gap) == []
    found = filled(gaps, 72 + gap, [500.0])
    assert (len(found), found[-1]) == (owed + 1, 500.0)
    # Each is of its hour of the day.
    assert [value % 24 for value in found[:-1]] == [(72 + gap - back) % 24 for back in range(owed, 0, -1)]


def test_the_last_three_days_take_turns() -> None:
    gaps = Gaps(1, 24)
    filled(gaps, 0, np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], 24).tolist())
    found = set()
    for day in range(5, 8):
        found |= set(filled(gaps, 24 * day, [np.nan, *[9.0] * 23])[:1])
    assert found == {3.0, 4.0, 5.0}


def test_a_series_that_is_nearly_always_empty_is_left_as_it_is() -> None:
    gaps, values = Gaps(1, 24), [1.0, *[np.nan] * 5] * 20
    assert len(filled(gaps, 0, values)) < 30


def test_it_is_the_same_in_any_pieces() -> None:
    rng = np.random.default_rng(3)
    values = np.where(rng.random(2000) < 0.5, np.nan, rng.normal(size=2000))
    values[300:377] = np.nan
    whole, pieces = Gaps(1, 24), Gaps(1, 24)
    expected = filled(whole, 0, values.tolist())
    edges = np.unique([0, *rng.integers(0, 2000, 200), 2000]).tolist()
    found = [value for a, b in pairwise(edges) for value in filled(pieces, a, values[a:b].tolist())]
    assert found == expected
    for one, other in zip(pieces.arrays, whole.arrays, strict=True):
        np.testing.assert_array_equal(one, other)
