"""What every detector promises; a new detector adds one line to DETECTORS, and one to PROMISES if it is online."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from gridwatch.detectors import Detector, LstmDetector, explain_row, fingerprint, lstm
from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.lstm_online import AutoLstmDetector, LstmOnlineDetector
from gridwatch.detectors.online import AutoDetector, OnlineDetector, OnlineScores
from gridwatch.detectors.online.ensemble import FORMAT
from gridwatch.detectors.registry import load_detector
from gridwatch.detectors.singles import RangeDetector, SeasonalDetector, ShapeDetector, SpectralDetector
from gridwatch.detectors.testing import SMALL, random_walk
from gridwatch.detectors.training import Trained, train_lstm
from gridwatch.errors import DetectorError

DETECTORS: dict[str, Callable[[], Detector]] = {
    "lstm-log_return": lambda: LstmDetector("log_return", SMALL),
    "lstm-level": lambda: LstmDetector("level", SMALL),
    "auto": AutoDetector,
    "range": RangeDetector,
    "shape": ShapeDetector,
    "seasonal": SeasonalDetector,
    "spectral": SpectralDetector,
    "lstm": lambda: LstmOnlineDetector("level", SMALL),
    "auto+lstm": lambda: AutoLstmDetector("level", SMALL),
}
TRAINED: dict[str, Trained] = {}
"""Networks that these tests have trained, by what from: all but one test take the same again."""


@pytest.fixture(scope="module", autouse=True)
def each_network_is_trained_once() -> Iterator[None]:
    def train(config: Any, training: Any, validation: Any, on_epoch: Any = None) -> Trained:
        key = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in (*training, *validation)))
        if key.hexdigest() not in TRAINED:
            TRAINED[key.hexdigest()] = train_lstm(config, training, validation, on_epoch)
        return TRAINED[key.hexdigest()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lstm, "train_lstm", train)
        yield


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


def test_a_jump_scores_higher_than_all_ordinary_rows_and_is_explained(detector: Detector) -> None:
    times, values = random_walk(300, seed=2)
    values[250:] *= 1.3
    scores = detector.score(times, values)
    row = int(np.nanargmax(scores.score))
    # Shapes are told by a stretch, of which there has to be more.
    assert 250 <= row < (300 if detector.kind == "shape" else 251)
    assert not scores.lower[250] <= values[250] <= scores.upper[250]
    explained = explain_row(scores, row)
    assert explained.driver
    assert "compared with the rows before" not in explained.sentence()  # the words for a driver that has none
    assert (explained.actual, explained.p_value) == (values[row], scores.p_value[row])


def test_the_same_seed_gives_the_same_bytes_and_scores(make: Callable[[], Detector], detector: Detector) -> None:
    if not isinstance(detector, OnlineDetector):
        TRAINED.clear()
    again = make()
    again.learn(*random_walk(400))
    assert fingerprint(again.save()) == fingerprint(detector.save())
    ours, theirs = (one.score(*random_walk(200, seed=4)).score for one in (detector, again))
    assert np.array_equal(ours, theirs, equal_nan=True)


def test_scores_survive_save_and_load(detector: Detector) -> None:
    parts = detector.save()
    loaded = load_detector(parts)
    assert type(loaded) is type(detector)
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
        pytest.skip("its score depends on all that it has learnt")
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
    assert int(np.nanargmax(scores.score)) in (range(150, 200) if one.kind == "shape" else [150])
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


def daily(rows: int, seed: int = 3, *, day: int = 48) -> tuple[Times, Floats]:
    """A day's wave with noise; the step follows from how many rows make a day."""
    random = np.random.default_rng(seed)
    values = 50.0 + 10.0 * np.sin(np.arange(rows) * 2 * np.pi / day) + random.normal(0.0, 1.0, rows)
    return np.arange(rows, dtype=np.int64) * (86_400_000 // day) + 1_700_000_000_000, values


def spike(values: Floats) -> None:
    values[1_500] += 40.0


def shift(values: Floats) -> None:
    values[1_500:] += 40.0


def stuck(values: Floats) -> None:
    values[1_500:1_580] = values[1_500]


def missing(values: Floats) -> None:
    values[1_500:1_580] = 50.0 + np.random.default_rng(1).normal(0.0, 1.0, 80)


PROMISES: dict[str, list[Callable[[Floats], None]]] = {
    "auto": [spike, shift, stuck, missing],
    "range": [spike, shift, stuck],
    "shape": [stuck, missing],
    "seasonal": [spike, shift, missing],
    "spectral": [spike, shift],
    "lstm": [spike, shift],
    "auto+lstm": [spike, shift, stuck, missing],
}
ONLINE = list(PROMISES)


def online(name: str) -> OnlineDetector:
    """Return a detector that has learnt the first rows of `daily`."""
    one = DETECTORS[name]()
    assert isinstance(one, OnlineDetector)
    times, values = daily(400)
    one.learn(times, values)
    return one


def test_all_online_detectors_promise_something() -> None:
    kinds = {name for name, maker in DETECTORS.items() if isinstance(maker(), OnlineDetector)}
    assert kinds == set(ONLINE)


@pytest.mark.parametrize(("name", "fault"), [(name, fault) for name in ONLINE for fault in PROMISES[name]])
def test_it_finds_what_its_kind_is_for(name: str, fault: Callable[[Floats], None]) -> None:
    times, values = daily(2_000)
    fault(values)
    scores = online(name).update(times[400:], values[400:])
    alarms = np.flatnonzero(scores.anomaly_score >= 96.98) + 400
    assert np.any((alarms >= 1_500) & (alarms < 1_600)), alarms
    row = int(np.argmax(scores.anomaly_score))
    assert 1_500 <= row + 400 < 1_600
    assert scores.driver_names()[row] in scores.members
    assert scores.segment_score[row + 1] > scores.segment_score[900]
    # Nothing was wrong before.
    assert (alarms < 1_500).sum() <= 3


@pytest.mark.parametrize("name", ONLINE)
def test_how_the_rows_are_cut_into_calls_does_not_matter(name: str) -> None:
    times, values = daily(1_100, seed=4)
    whole_one, one = online(name), online(name)
    whole = whole_one.update(times[400:], values[400:])
    edges = [400, 401, 402, 510, 512, 513, 700, 1_024, 1_100]
    parts = []
    for begin, end in pairwise(edges):
        parts.append(one.update(times[begin:end], values[begin:end]))
        if begin == 512:
            reloaded = load_detector(one.save())
            assert isinstance(reloaded, OnlineDetector)
            one = reloaded
    assert_alike(name, whole, parts)
    if "lstm" not in name:
        assert whole_one.save() == one.save()


def assert_alike(name: str, whole: OnlineScores, parts: list[OnlineScores]) -> None:
    for column in (*whole.columns(), "anomaly_score", "segment_score", "surprise"):
        joined, expected = np.concatenate([getattr(part, column) for part in parts]), getattr(whole, column)
        if "lstm" not in name:
            assert np.array_equal(joined, expected), column
            continue
        # A network's sums depend a little on how many windows it gets at once, and ranks on that.
        assert np.mean(~np.isclose(joined, expected, rtol=1e-3, atol=1e-3)) < 0.02, column


@pytest.mark.parametrize("name", ONLINE)
def test_to_update_is_to_score_and_learn(name: str) -> None:
    times, values = daily(600, seed=5)
    one = online(name)
    before = one.save()
    scores = one.score(times[400:], values[400:])
    assert one.save() == before
    assert isinstance(scores, OnlineScores)
    assert_alike(name, one.update(times[400:], values[400:]), [scores])
    assert one.save() != before


@pytest.mark.parametrize("name", ONLINE)
def test_units_do_not_matter(name: str) -> None:
    times, values = daily(1_000)
    values[800] += 30.0
    # What is learnt of an eighth is the same to the bit, which spares a network's training.
    zero = 0.0 if "lstm" in name else -1_000.0
    scores = []
    for own in (values, 0.125 * values + zero):
        one = DETECTORS[name]()
        assert isinstance(one, OnlineDetector)
        one.learn(times[:400], own[:400])
        scores.append(one.update(times[400:], own[400:]))
    alarms = [np.flatnonzero(one.anomaly_score >= 96.98).tolist() for one in scores]
    assert alarms[0] == alarms[1]
    assert np.mean(np.abs(scores[0].score - scores[1].score) > 1.0) < 0.02
    assert np.allclose(0.125 * scores[0].expected + zero, scores[1].expected, atol=0.01)


@pytest.mark.parametrize("name", [name for name in ONLINE if "lstm" not in name])
@pytest.mark.parametrize(
    "scale", [1e306, 1e-310, 10.0 ** np.arange(-300.0, 300.0)], ids=["huge", "tiny", "from tiny to huge"]
)
def test_any_finite_values_have_finite_scores(name: str, scale: float | Floats) -> None:
    times, values = random_walk(600)
    one = DETECTORS[name]()
    assert isinstance(one, OnlineDetector)
    scores = one.update(times, (values - 100.0) * scale)
    for column in (*scores.columns(), "anomaly_score", "segment_score", "surprise"):
        assert np.isfinite(getattr(scores, column)).all(), column
    assert np.all((scores.lower <= scores.expected) & (scores.expected <= scores.upper))


@pytest.mark.parametrize("name", ONLINE)
def test_what_is_refused_leaves_nothing_learnt(name: str) -> None:
    times, values = daily(450)
    one = online(name)
    before = one.save()
    for wrong_times, wrong_values, message in (
        (times[400:], np.append(values[400:449], np.nan), "1 of 50 values are not finite, first nan in row 49"),
        (times[399:], values[399:], r"Row 0 at 2023-.* does not come after the last row learnt .*leave out"),
    ):
        with pytest.raises(DetectorError, match=message):
            one.update(wrong_times, wrong_values)
    assert one.save() == before


@pytest.mark.parametrize("name", ONLINE)
def test_damaged_bytes_are_refused(name: str) -> None:
    parts = online(name).save()
    for part in sorted(parts):
        with pytest.raises(DetectorError, match=rf"lacks {part}; it has"):
            load_detector({other: content for other, content in parts.items() if other != part})
        with pytest.raises(DetectorError, match=r"is damaged|of format"):
            load_detector({**parts, part: parts[part][: len(parts[part]) // 2]})
    # What an earlier version saved is told as that: its state has other arrays.
    raw = json.loads(parts["detector.json"])
    assert str(raw["format"]).endswith(str(FORMAT))
    older = json.dumps({**raw, "format": 1}).encode()
    with pytest.raises(DetectorError, match=r"of format 1; this version reads .* of format .*Learn again"):
        load_detector({**parts, "detector.json": older})
