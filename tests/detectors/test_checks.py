"""What every detector promises; a new detector adds one line to DETECTORS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gridwatch.detectors import Detector, LstmDetector, fingerprint
from gridwatch.detectors.online import AutoDetector
from gridwatch.detectors.testing import SMALL, random_walk
from gridwatch.errors import DetectorError

DETECTORS: dict[str, Callable[[], Detector]] = {
    "lstm-log_return": lambda: LstmDetector("log_return", SMALL),
    "lstm-level": lambda: LstmDetector("level", SMALL),
    "auto": AutoDetector,
}


@pytest.fixture(scope="module", params=list(DETECTORS.values()), ids=list(DETECTORS))
def make(request: pytest.FixtureRequest) -> Callable[[], Detector]:
    maker: Callable[[], Detector] = request.param
    return maker


@pytest.fixture(scope="module")
def detector(make: Callable[[], Detector]) -> Detector:
    one = make()
    one.learn(*random_walk(400))
    return one


def test_it_keeps_the_protocol(detector: Detector) -> None:
    assert isinstance(detector, Detector)


def test_every_row_with_history_has_a_finite_score(detector: Detector) -> None:
    times, values = random_walk(300, seed=2)
    scores = detector.score(times, values)
    # Rows before the first are what the detector needs to see again; one that keeps its past needs none.
    first = int(np.argmax(scores.scored))
    assert 0 <= first <= detector.context_rows
    assert len(scores) == 300
    for name, column in scores.columns().items():
        assert column.dtype == np.float64
        assert np.all(np.isfinite(column[first:])), name
    assert np.all((scores.score[first:] >= 0) & (scores.score[first:] <= 100))
    assert np.all((scores.p_value[first:] > 0) & (scores.p_value[first:] <= 1))
    assert np.all((scores.lower <= scores.expected)[first:] & (scores.expected <= scores.upper)[first:])
    assert not scores.scored[:first].any()
    assert np.array_equal(scores.actual, values)


def test_a_jump_scores_higher_than_all_ordinary_rows(detector: Detector) -> None:
    times, values = random_walk(300, seed=2)
    values[250:] *= 1.3
    scores = detector.score(times, values)
    assert int(np.nanargmax(scores.score)) == 250
    assert not scores.lower[250] <= values[250] <= scores.upper[250]


def test_the_same_seed_gives_the_same_bytes_and_scores(make: Callable[[], Detector], detector: Detector) -> None:
    again = make()
    again.learn(*random_walk(400))
    assert fingerprint(again.save()) == fingerprint(detector.save())
    ours, theirs = (one.score(*random_walk(200, seed=4)).score for one in (detector, again))
    assert np.array_equal(ours, theirs, equal_nan=True)


def test_scores_survive_save_and_load(detector: Detector) -> None:
    parts = detector.save()
    loaded = type(detector).load(parts)
    rows = random_walk(200, seed=5)
    for name, column in detector.score(*rows).columns().items():
        assert np.array_equal(column, loaded.score(*rows).columns()[name], equal_nan=True), name
    assert loaded.save() == parts
    assert all(isinstance(content, bytes) for content in parts.values())


@pytest.mark.parametrize("cut", [1, 60, 130, 199])
def test_a_score_depends_on_no_later_row(detector: Detector, cut: int) -> None:
    times, values = random_walk(200, seed=6)
    whole, prefix = detector.score(times, values), detector.score(times[:cut], values[:cut])
    for name, column in prefix.columns().items():
        assert np.allclose(column, whole.columns()[name][:cut], rtol=1e-5, atol=1e-6, equal_nan=True), name


@pytest.mark.parametrize("start", [1, 40, 130])
def test_a_score_depends_on_context_rows_and_no_earlier_one(detector: Detector, start: int) -> None:
    if detector.context_rows == 0:
        pytest.skip("its score depends on all that it has learnt; tests/detectors/test_online.py says how")
    times, values = random_walk(200, seed=6)
    whole, suffix = detector.score(times, values), detector.score(times[start:], values[start:])
    for name, column in suffix.columns().items():
        ours, theirs = column[detector.context_rows :], whole.columns()[name][start + detector.context_rows :]
        assert np.allclose(ours, theirs, rtol=1e-5, atol=1e-6), name


def test_learning_and_scoring_leave_their_input_alone(make: Callable[[], Detector], detector: Detector) -> None:
    times, values = random_walk(400)
    times.flags.writeable = values.flags.writeable = False
    make().learn(times, values)
    detector.score(times, values)


def test_before_learning_every_row_is_as_expected(make: Callable[[], Detector]) -> None:
    times, values = random_walk(50)
    scores = make().score(times, values)
    assert np.all(scores.score == 0.0)
    assert np.all(scores.p_value == 1.0)
    assert np.array_equal(scores.expected, values)


def test_nothing_learnt_cannot_be_saved(make: Callable[[], Detector]) -> None:
    with pytest.raises(DetectorError, match=r"has not learnt anything cannot be saved; call learn first"):
        make().save()


def test_a_constant_series_is_finite_and_a_jump_in_it_is_seen(make: Callable[[], Detector]) -> None:
    times, _ = random_walk(400)
    one = make()
    one.learn(times, np.full(400, 7.0))
    later = np.full(200, 7.0)
    later[150] = 9.0
    scores = one.score(times[:200], later)
    assert np.all(np.isfinite(scores.score[scores.scored]))
    assert int(np.nanargmax(scores.score)) == 150
    assert np.nanmax(scores.score[:150]) < 95.0


def test_too_few_rows_says_how_many_are_needed(make: Callable[[], Detector]) -> None:
    one = make()
    with pytest.raises(DetectorError, match=rf"20 rows are too few.*needs at least {one.rows_min}\. Load more"):
        one.learn(*random_walk(20))


def test_the_fewest_rows_are_enough(make: Callable[[], Detector]) -> None:
    one = make()
    one.learn(*random_walk(one.rows_min))
    assert one.score(*random_walk(200)).scored.any()


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_fewer_rows_than_the_window_have_no_score(detector: Detector, rows: int) -> None:
    scores = detector.score(*random_walk(rows))
    assert len(scores) == rows
    # One that keeps its past has a score for the first row already.
    assert scores.scored.all() if detector.context_rows == 0 else not scores.scored.any()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named(detector: Detector, wrong: float) -> None:
    times, values = random_walk(100)
    values[42] = wrong
    with pytest.raises(
        DetectorError, match=r"1 of 100 values are not finite, first (nan|inf) in row 42 at 2023-11-14T"
    ):
        detector.score(times, values)


def test_rows_out_of_order_are_named(detector: Detector) -> None:
    times, values = random_walk(100)
    times[10] = times[9]
    with pytest.raises(DetectorError, match=r"Row 10 at 2023-.* does not come after the one before it .*sort the rows"):
        detector.score(times, values)


def test_columns_of_two_lengths_are_refused(detector: Detector) -> None:
    times, values = random_walk(100)
    with pytest.raises(DetectorError, match=r"Times \(100,\) and values \(99,\) must be two columns of one length"):
        detector.score(times, values[:-1])
