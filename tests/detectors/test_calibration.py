"""Residuals to p-values and scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gridwatch.detectors.calibration import (
    SCALE_ROWS,
    Calibration,
    local_scale,
    p_of_score,
    score_of,
)

residuals = hnp.arrays(np.float64, st.integers(60, 300), elements=st.floats(-1e6, 1e6))


def test_the_default_threshold_is_one_row_in_a_thousand() -> None:
    assert score_of(np.array([1e-3]))[0] == pytest.approx(95.02, abs=0.01)
    assert p_of_score(95.0) == pytest.approx(1e-3, rel=0.02)


@given(st.floats(0.0, 99.9))
def test_score_and_p_value_are_inverse(score: float) -> None:
    assert score_of(np.array([p_of_score(score)]))[0] == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize("score", [100.0, 101.0])
def test_a_score_of_a_hundred_is_as_far_as_it_goes(score: float) -> None:
    assert 0.0 < p_of_score(score) <= 1e-12


@given(residuals)
@settings(max_examples=50, deadline=None)
def test_p_values_are_shares_and_fall_as_the_residual_grows(values: np.ndarray) -> None:
    calibration = Calibration.fit(values[:-5], values[-5:])
    p_values = calibration.p_values(np.linspace(0.0, 50.0, 500))
    assert np.all((p_values > 0.0) & (p_values <= 1.0))
    assert np.all(np.diff(p_values) <= 0.0)


@given(residuals, st.floats(1e-9, 0.5))
@settings(max_examples=50, deadline=None)
def test_ratio_at_is_the_edge_of_the_p_value(values: np.ndarray, p_value: float) -> None:
    calibration = Calibration.fit(values[:-5], values[-5:])
    ratio = calibration.ratio_at(p_value)
    assert calibration.p_values(np.array([ratio * 1.0001 + 1e-9]))[0] <= p_value * 1.001


def test_false_alarms_come_as_often_as_promised() -> None:
    generator = np.random.default_rng(5)
    calibration = Calibration.fit(generator.standard_t(5, 4_000), generator.standard_t(5, 200))
    fresh = generator.standard_t(5, 200_000)
    p_values = calibration.p_values(np.abs(fresh) / local_scale(fresh, calibration.overall))
    assert np.mean(p_values <= 1e-2) == pytest.approx(1e-2, rel=0.4)
    assert np.mean(p_values <= 1e-3) == pytest.approx(1e-3, rel=0.6)


def test_two_anomalies_among_the_learnt_rows_do_not_hide_the_next() -> None:
    clean = np.random.default_rng(6).standard_normal(1_200)
    dirty = clean.copy()
    dirty[[300, 700]] = [40.0, -60.0]
    ratio = np.array([15.0])
    with_them = Calibration.fit(dirty[:-60], dirty[-60:]).p_values(ratio)[0]
    without = Calibration.fit(clean[:-60], clean[-60:]).p_values(ratio)[0]
    assert without < with_them < 2 * without < 1e-4


def test_residuals_that_grow_beyond_training_widen_what_is_ordinary() -> None:
    generator = np.random.default_rng(7)
    seen, unseen = generator.standard_normal(40), generator.standard_normal(400)
    narrow = Calibration.fit(np.concatenate([unseen, seen]), seen)
    wide = Calibration.fit(np.concatenate([unseen, seen]), 1.8 * seen)
    assert wide.ratio_at(1e-3) > narrow.ratio_at(1e-3)


def test_local_scale_sees_earlier_rows_only() -> None:
    values = np.random.default_rng(8).standard_normal(200)
    changed = values.copy()
    changed[150] = 1e9
    before, after = local_scale(values, 1.0), local_scale(changed, 1.0)
    assert np.array_equal(before[:151], after[:151])
    assert after[160] < 2.0 * before[160]  # one anomaly is trimmed away, so that the next is seen


def test_local_scale_follows_a_wilder_series() -> None:
    values = np.random.default_rng(9).standard_normal(400)
    values[200:] *= 5.0
    scale = local_scale(values, 0.7)
    assert scale[200 + SCALE_ROWS :].mean() > 3.0 * scale[SCALE_ROWS:200].mean()


@pytest.mark.parametrize("first", [(0.0, 0.0, 0.0), (5e-324, 12288.0, 1.0)])
def test_no_spread_at_all_is_finite(first: tuple[float, ...]) -> None:
    calibration = Calibration.fit(np.array([*first, *[0.0] * 52]), np.zeros(5))
    p_values = calibration.p_values(np.array([0.0, 1e-3, 1.0, 1e12]))
    assert p_values[0] == 1.0
    assert np.all(np.isfinite(p_values))
    assert Calibration.from_dict(calibration.to_dict()) == calibration
