"""Alarms as events, and realised against nominal rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridwatch.detectors.evaluation import LEVELS, Events, Rates
from gridwatch.errors import DetectorError

ROWS = 100  # 15 of them probation


def events(flagged: list[int], windows: list[tuple[int, int]]) -> Events:
    score = np.full(ROWS, np.nan)
    score[20:] = 0.0
    score[flagged] = 95.0
    return Events.of(score, windows, 95.0)


def test_runs_windows_and_delays_by_hand() -> None:
    found = events([5, 30, 31, 48, 49, 50, 53, 90], [(50, 59), (70, 79)])
    # 5 is probation; 30-31 and 90 are wrong; 48-50 reaches into a window; 53 is a second right alarm there.
    assert found == Events(alarms=4, right=2, windows=2, found=1, outside_rows=65, false_rows=5, delays=(0,))
    assert (found.precision, found.recall, found.delay_rows_median) == (0.5, 0.5, 0.0)
    assert found.false_rows_per_1000 == pytest.approx(5000 / 65)


def test_a_window_that_begins_in_probation_is_timed_from_its_end() -> None:
    assert events([18], [(10, 19)]).delays == (3,)
    assert events([12], [(10, 14)]) == Events(outside_rows=85)


def test_nothing_to_divide_by() -> None:
    none = Events()
    figures = (none.precision, none.recall, none.false_rows_per_1000, none.delay_rows_median)
    assert all(math.isnan(figure) for figure in figures)


def test_files_add_up() -> None:
    one, other = events([30, 52], [(50, 59)]), events([75], [(70, 79)])
    assert one + other == Events(3, 2, 2, 2, 150, 1, (2, 5))
    assert sum([one, other], Events()) == one + other


def test_wrong_windows_are_told() -> None:
    with pytest.raises(DetectorError, match=r"Window \(90, 100\)"):
        events([], [(90, 100)])
    with pytest.raises(DetectorError, match=r"Window \(90, 100\)"):
        Rates.of(np.zeros(ROWS), [(90, 100)])


def test_rates_by_hand() -> None:
    p_value = np.full(ROWS, 0.5)
    p_value[:15] = 1e-9  # probation
    p_value[50:60] = 1e-9  # a window
    p_value[20:25] = np.nan  # not scored
    p_value[30], p_value[31] = 1e-3, 9e-3
    rates = Rates.of(p_value, [(50, 59)])
    assert rates == Rates(70, (2, 1, 0))
    assert rates.realised_over_nominal == pytest.approx((2 / 0.7, 1 / 0.07, 0.0))
    assert rates + rates == Rates(140, (4, 2, 0))
    assert all(math.isnan(rate) for rate in Rates().realised_over_nominal)


def test_uniform_p_values_are_calibrated() -> None:
    rates = Rates.of(np.random.default_rng(1).random(400_000), [])
    assert rates.realised_over_nominal == pytest.approx((1.0, 1.0, 1.0), abs=0.4)
    assert len(rates.below) == len(LEVELS)


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, math.nan]), min_size=1, max_size=60), st.data())
def test_counts_fit_together(scores: list[float], data: st.DataObject) -> None:
    edges = sorted(data.draw(st.sets(st.integers(0, len(scores) - 1), max_size=6)))
    windows = list(zip(edges[0::2], edges[1::2], strict=False))
    low, high = (Events.of(np.array(scores), windows, threshold) for threshold in (1.0, 2.0))
    for one in (low, high):
        assert 0 <= one.right <= one.alarms
        assert one.found == len(one.delays) <= one.windows
        assert one.false_rows <= one.outside_rows
        assert (one.found > 0) == (one.right > 0)
    assert high.found <= low.found
    assert high.false_rows <= low.false_rows
