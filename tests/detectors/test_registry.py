"""Detectors by name: each judges every row once, from the rows before it alone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gridwatch.detectors import LstmDetector, lstm
from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.registry import DETECTORS, entry, load_detector, new_detector, smoothed
from gridwatch.detectors.testing import SMALL, random_walk
from gridwatch.detectors.zscore import deviations, gaussian_p
from gridwatch.errors import ConfigError, DetectorError

PROBATION = 150


@pytest.fixture(autouse=True)
def trained_before(learnt_level: LstmDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the tests the training: an LSTM that learns gets what one of the same size learnt of another walk."""

    def learn(detector: LstmDetector, times_ms: Times, values: Floats) -> None:
        assert len(times_ms) == len(values) == PROBATION
        detector._learnt = learnt_level._learnt

    monkeypatch.setattr(lstm, "LstmConfig", lambda **raw: replace(SMALL, **raw))
    monkeypatch.setattr(LstmDetector, "learn", learn)


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_every_row_is_judged_and_none_by_later_ones(name: str) -> None:
    times, values = random_walk(400)
    values[300] *= 1.3
    judged = entry(name).judge(times, values, PROBATION)
    shorter = entry(name).judge(times[:320], values[:320], PROBATION)
    for column in ("anomaly_score", "segment_score", "p_value"):
        ours, theirs = getattr(judged, column), getattr(shorter, column)
        assert ours.shape == (400,), column
        assert np.array_equal(ours[:320], theirs, equal_nan=True), column
    assert np.isfinite(judged.anomaly_score[PROBATION:]).all()
    # Members that look at a stretch see the jump when there is more of it.
    row = int(np.nanargmax(judged.anomaly_score))
    assert 300 <= row < (350 if name == "shape" else 301)
    assert judged.anomaly_score[row] >= entry(name).threshold
    assert judged.segment_score[row + 1] > judged.segment_score[299]


@pytest.mark.parametrize("name", ["lstm", "lstm-fixed", "auto+lstm"])
def test_what_is_learnt_first_is_not_judged(name: str) -> None:
    times, values = random_walk(200)
    judged = entry(name).judge(times, values, PROBATION)
    assert np.isnan(judged.anomaly_score[:PROBATION]).all()
    assert np.isnan(judged.p_value).all() == (name == "lstm-fixed")
    # Too short to learn from: nothing is said.
    assert np.isnan(entry(name).judge(times[:50], values[:50], 7).anomaly_score).all()


@pytest.mark.parametrize("name", sorted(set(DETECTORS) - {"zscore"}))
def test_a_detector_of_a_name_is_loaded_from_what_it_saved(name: str) -> None:
    times, values = random_walk(400)
    detector = new_detector(name, network=SMALL)
    detector.learn(times[:PROBATION], values[:PROBATION])
    again = load_detector(detector.save())
    assert type(again) is type(detector)
    assert again.kind == name or name == "lstm-fixed"
    ours, theirs = (one.score(times[PROBATION:], values[PROBATION:]) for one in (detector, again))
    assert np.array_equal(ours.score, theirs.score, equal_nan=True)
    assert ours.driver_names() == theirs.driver_names()


def test_what_cannot_be_made_or_loaded_is_told() -> None:
    with pytest.raises(ConfigError, match="zscore is a baseline to compare with"):
        new_detector("zscore")
    with pytest.raises(DetectorError, match=r"lacks detector.json; it has \['odd'\]"):
        load_detector({"odd": b""})
    with pytest.raises(DetectorError, match=r"detector.json is damaged: KeyError"):
        load_detector({"detector.json": b"{}"})
    with pytest.raises(DetectorError, match=r"holds a 'odd'; this version reads auto, auto\+lstm, lstm, range"):
        load_detector({"detector.json": b'{"kind": "odd"}'})


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"No detector is called 'lstn'; there are .*lstm, lstm-fixed, .*zscore"):
        entry("lstn")


def test_deviations_are_those_of_the_rows_before() -> None:
    values = np.random.default_rng(1).normal(size=120)
    by_hand = [
        abs(values[row] - values[row - 50 : row].mean()) / values[row - 50 : row].std() for row in range(50, 120)
    ]
    assert deviations(values, rows=50)[50:] == pytest.approx(by_hand)
    assert deviations(values, rows=50)[10] == pytest.approx(abs(values[10] - values[:10].mean()) / values[:10].std())
    assert np.array_equal(deviations(values[:90], rows=50), deviations(values, rows=50)[:90])
    assert deviations(np.array([1.0, 1.0, 1.0, 9.0])).tolist() == [0.0] * 4
    assert len(deviations(np.empty(0))) == 0


def test_gaussian_tails() -> None:
    assert gaussian_p(np.array([0.0, 3.2905, 50.0])) == pytest.approx([1.0, 1e-3, 1e-300], rel=1e-3)


def test_smoothing_is_bounded_by_its_stream_and_skips_what_is_not_known() -> None:
    stream = np.array([np.nan, 0.0, 4.0, 4.0, 0.0])
    assert smoothed(stream, rows=3).tolist() == [0.0, 0.0, 2.0, 3.0, 1.5]


def test_the_default_of_auto_is_the_level_that_it_alarms_at() -> None:
    from gridwatch.detectors.online import AutoConfig

    assert entry("auto").threshold == pytest.approx(-100.0 * math.expm1(-AutoConfig().alarm_level), abs=0.01)
