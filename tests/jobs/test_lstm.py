"""Jobs whose series share a network: what it is shown, when it comes, what it says, and what is kept of it."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwatch.detectors.online.bank import Bank
from gridwatch.errors import JobsError, JobsRequestError
from gridwatch.jobs.analysis import Analyzer, Results
from gridwatch.jobs.analysis.lstm_bank import LstmBank, MissBank
from gridwatch.jobs.analysis.lstm_lesson import Recent, lesson_of
from gridwatch.jobs.analysis.lstm_models import LstmModels
from gridwatch.jobs.analysis.lstm_network import Network
from gridwatch.jobs.analysis.lstm_windows import READY_ROWS, Seen, take
from gridwatch.jobs.analysis.models import BUCKETS as USUAL
from gridwatch.jobs.analysis.scoring import RECORD_P
from gridwatch.jobs.config import parse_job
from tests.jobs.lstm_parts import BUCKETS, HOUR, START, WINDOW, handy, lstm_job, network, rows


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    missing=st.sampled_from([0.0, 0.3, 0.9]),
    edges=st.lists(st.integers(0, 60), max_size=4),
)
def test_a_window_is_the_values_before_scaled_by_all_before_however_they_come(
    seed: int, missing: float, edges: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(100.0, 5.0, (3, 60))
    values[rng.random(values.shape) < missing] = np.nan
    window, seen = 5, Seen.none(3, 5)
    shown: list[tuple[int, int, Any, float]] = []
    for first, last in pairwise(sorted({0, *edges, 60})):
        found, seen = take(seen, values[:, first:last], memory_rows=1000)
        series, buckets = np.nonzero(found.ready)
        scaled = found.scaled[series, buckets]
        shown += zip(
            series.tolist(), (buckets + first).tolist(), found.at(series, buckets), scaled.tolist(), strict=True
        )
    expected = []
    for one in range(3):
        there = np.flatnonzero(np.isfinite(values[one]))
        for place in range(READY_ROWS, len(there)):
            before = values[one, there[:place]]
            mean, deviation = before.mean(), before.std()
            scaled = (values[one, there[place]] - mean) / deviation
            expected.append((one, int(there[place]), (before[-window:] - mean) / deviation, scaled))
    shown.sort(key=lambda each: each[:2])
    assert [tuple(each[:2]) for each in shown] == [tuple(each[:2]) for each in expected]
    for ours, theirs in zip(shown, expected, strict=True):
        np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-4, atol=1e-4)
        assert ours[3] == pytest.approx(theirs[3])


def test_values_of_any_size_are_taken() -> None:
    values = np.array([[0.0] * 30, [5.0] * 30, [1e308, -1e308] * 15, [1e-300] * 30])
    bank = MissBank(network(), 4)
    found = bank.update(START + np.arange(30) * HOUR, values)
    assert np.isfinite(found.p_surprise).all()
    # A constant is scaled by 1: what leaves it is no infinity.
    after = bank.update(START + np.arange(30, 32) * HOUR, np.array([[1.0, 0.0]] * 4))
    assert np.isfinite(after.expected).all()


def test_the_newest_buckets_are_kept_in_a_ring() -> None:
    values = np.arange(50.0).reshape(2, 25)
    whole, pieces = Recent(10), Recent(10)
    whole.note(np.arange(25), values)
    for first, last in pairwise([0, 1, 4, 20, 25]):
        pieces.note(np.arange(first, last), values[: 1 if first == 0 else 2, first:last])
    for one in (whole, pieces):
        times, kept = one.in_order()
        assert times.tolist() == list(range(15, 25))
        np.testing.assert_array_equal(kept, values[:, 15:])
    pieces.keep(np.array([1]))
    np.testing.assert_array_equal(pieces.in_order()[1], values[1:, 15:])
    # A series that comes later has nothing before; what single precision does not hold is nothing.
    pieces.note(np.array([25]), np.array([[1e300], [7.0]]))
    assert np.isnan(pieces.in_order()[1][:, :-1][1]).all()
    assert np.isnan(pieces.in_order()[1][0, -1])


def test_a_lesson_holds_its_newest_windows_back() -> None:
    rng = np.random.default_rng(1)
    recent = Recent(200)
    recent.note(START + np.arange(200) * HOUR, rng.poisson(20.0, (40, 200)).astype(np.float64))
    lesson = lesson_of([(recent, 0)], WINDOW)
    assert lesson.enough
    assert len(lesson.targets) == 40 * (200 - READY_ROWS)
    assert (lesson.series, lesson.held) == (40, 40 * 18)
    assert (lesson.from_ms, lesson.to_ms) == (START + READY_ROWS * HOUR, START + 199 * HOUR)
    assert lesson.digest == lesson_of([(recent, 0)], WINDOW).digest
    many = Recent(1000)
    many.note(START + np.arange(1000) * HOUR, rng.poisson(20.0, (50, 1000)).astype(np.float64))
    assert 15_000 < len(lesson_of([(many, 0)], WINDOW).targets) <= 20_000
    assert not lesson_of([(Recent(200), 0)], WINDOW).enough


@pytest.mark.parametrize("function", ["count", "mean"])
def test_rows_in_pieces_and_over_restarts_give_what_all_at_once_give(function: str) -> None:
    job, frame = lstm_job(function), rows(200, odd=180)
    if function == "mean":
        # A mean has gaps, and what fills them is learnt when they end.
        hour = ((frame["time"] - START) // HOUR).to_numpy()
        frame = frame[np.random.default_rng(3).random(200)[hour] > 0.3]
    whole = Analyzer(job, USUAL, teacher=handy)
    expected = whole.push(frame)
    assert whole.network is not None
    one, found = Analyzer(job, USUAL, teacher=handy), Results()
    for start in range(0, len(frame), 2003):
        found.extend(one.push(frame.iloc[start : start + 2003]))
        one = Analyzer.load(job, USUAL, one.save(), teacher=handy)
    assert found == expected
    assert one.save() == whole.save()
    assert one.interim() == whole.interim()


def test_the_usual_model_judges_until_the_network_does() -> None:
    frame = rows(200, odd=180)
    deep = Analyzer(lstm_job(), USUAL, teacher=handy)
    usual = Analyzer(parse_job({"analysis_config": lstm_job().analysis_config.model_dump()}, job_id="deep"), USUAL)
    ours, theirs = deep.push(frame), usual.push(frame)
    edge = START + BUCKETS * HOUR
    assert ours.between(None, edge) == theirs.between(None, edge)
    assert ours.between(edge, None) != theirs.between(edge, None)
    found = [one for one in ours.records if one.timestamp == START + 180 * HOUR]
    assert {dict(one.partition)["p"] for one in found} == {"p0", "p1", "p2"}
    assert all(one.score >= 50.0 and one.lower < one.typical < one.upper < one.actual for one in found)
    # Its misses were learnt from the buckets before it came, so that it judges at once and as often as it should.
    after = [one for one in ours.between(edge, None).records if one.timestamp != START + 180 * HOUR]
    assert len(after) < 4 * RECORD_P * 3 * (200 - BUCKETS)


def test_what_is_not_enough_is_tried_again_and_then_learnt() -> None:
    asked: list[tuple[int, bool]] = []

    def teacher(job: Any, lesson: Any, at_ms: int, before: Network | None) -> Network | None:
        asked.append(((at_ms - START) // HOUR, lesson.enough))
        return handy(job, lesson, at_ms, before)

    frame = rows(230, partitions=6)
    # Every other bucket of the first partition, few of the others: a mean has no value in the rest.
    hour = (frame["time"] - START) // HOUR
    keep = ((frame["p"] == "p0") & (hour % 2 == 0)) | (hour >= 130)
    one = Analyzer(lstm_job("mean"), USUAL, teacher=teacher)
    one.push(frame[keep])
    assert [hours for hours, _ in asked[:2]] == [BUCKETS, BUCKETS + BUCKETS // 4]
    assert [enough for _, enough in asked] == [False, False, False, True]
    assert one.network is not None


def test_series_come_and_go_after_the_training() -> None:
    job = lstm_job(analysis={"model_prune_window": "20h"})
    frame = rows(260, partitions=5)
    number = frame["p"].str[1:].astype(int)
    hour = (frame["time"] - START) // HOUR
    keep = ((number < 2) | ((number == 2) & (hour < 150)) | ((number > 2) & (hour >= 150))).to_numpy()
    one = Analyzer(job, USUAL, teacher=handy)
    expected = one.push(frame[keep])
    assert one.counts.pruned_series_count == 1
    assert len(one.detectors[0].series) == 4
    pieces, found = Analyzer(job, USUAL, teacher=handy), Results()
    for start in range(0, int(keep.sum()), 4001):
        found.extend(pieces.push(frame[keep].iloc[start : start + 4001]))
        pieces = Analyzer.load(job, USUAL, pieces.save(), teacher=handy)
    assert found == expected


def test_a_series_is_judged_by_itself() -> None:
    frame = rows(200, partitions=3, odd=170)
    among = Analyzer(lstm_job(), USUAL, teacher=handy).push(frame).records
    alone = Analyzer(
        lstm_job(), USUAL, teacher=lambda job, lesson, at_ms, before: before or network(WINDOW, at_ms, BUCKETS)
    ).push(frame[frame["p"] == "p1"])
    assert alone.records == [one for one in among if dict(one.partition)["p"] == "p1"]


def test_models_take_no_more_than_the_limit() -> None:
    limit = 1 << 20
    one = Analyzer(lstm_job(analysis_limits={"model_memory_limit": "1mb"}), USUAL, teacher=handy)
    for first, last in ((0, 130), (130, 170)):
        frame = rows(last, partitions=120)
        one.push(frame[frame["time"] >= START + first * HOUR])
        assert 0.5 * limit < sum(detector.nbytes for detector in one.detectors) <= limit
    assert one.full
    assert one.network is not None


def test_a_network_is_used_by_a_bank_of_many_as_by_one() -> None:
    rng = np.random.default_rng(2)
    times, values = START + np.arange(90) * HOUR, rng.normal(10.0, 2.0, (7, 90))
    values[2, 10:30] = np.nan
    many = MissBank(network(), 7)
    found = many.update(times, values)
    alone = MissBank(network(), 1).update(times, values[2:3])
    np.testing.assert_array_equal(found.p_surprise[2:3], alone.p_surprise)
    np.testing.assert_allclose(found.expected[2:3], alone.expected, rtol=1e-12)
    picked = many.pick([4, 1])
    later = times[-1] + HOUR + np.arange(5) * HOUR
    more = rng.normal(10.0, 2.0, (7, 5))
    np.testing.assert_allclose(
        picked.update(later, more[[4, 1]]).p_surprise, many.update(later, more).p_surprise[[4, 1]], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ({"network.onnx": b"no model"}, "saved network is damaged"),
        ({"network.json": b"{}"}, "saved network is damaged"),
        ({"network.json": b'{"format": 9, "kind": "job-lstm"}'}, "of format 9, not a 'job-lstm' of format 1"),
        ({"network.json": None}, "lacks its network; reset the job"),
    ],
)
def test_a_damaged_network_is_refused(harm: dict[str, bytes | None], message: str) -> None:
    one = Analyzer(lstm_job(), USUAL, teacher=handy)
    one.push(rows(140))
    parts = {name: content for name, content in (one.save() | harm).items() if content is not None}
    with pytest.raises(JobsRequestError, match=message):
        Analyzer.load(lstm_job(), USUAL, parts)


def test_damaged_newest_buckets_are_refused() -> None:
    models = LstmModels(USUAL, buckets=50)
    with pytest.raises(ValueError, match="newest buckets are float64"):
        models.restore_own({**models.own_arrays(), "values": np.zeros((1, 50))})
    with pytest.raises(ValueError, match="newest buckets are"):
        LstmModels(USUAL, buckets=60).restore_own(models.own_arrays())


def test_a_network_is_known_by_its_bytes() -> None:
    one = network()
    assert Network.of(one.parts).sha256 == one.sha256
    assert Network.of(one.parts, uri="models:/job-deep/1").uri == "models:/job-deep/1"
    other = dataclasses.replace(one, window=WINDOW + 1)
    assert other.sha256 != one.sha256


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"type": "auto", "window": 12}, r"\[model.window\] goes with the model type lstm, got 12 for auto"),
        (
            {"type": "lstm", "window": 60, "train_buckets": 100},
            r"\[model.train_buckets\].*twice the window \(60\), got 100",
        ),
        ({"type": "lstm", "window": 1}, r"\[model.window\] 1 is not taken"),
        (
            {"type": "lstm", "layers": 2},
            r"unknown field \[layers\]; allowed: epochs, train_buckets, type, units, window",
        ),
    ],
)
def test_a_model_that_cannot_be_is_refused(model: dict[str, Any], message: str) -> None:
    with pytest.raises(JobsError, match=message):
        lstm_job(model=model) if model["type"] == "lstm" else parse_job(
            {"analysis_config": {"detectors": [{"function": "count"}]}, "model": model}, job_id="deep"
        )


@pytest.mark.parametrize(("span", "buckets"), [("1m", 4000), ("15m", 2016), ("1h", 504), ("1d", 300)])
def test_three_weeks_are_learnt_unless_that_is_few_or_many(span: str, buckets: int) -> None:
    raw = {"analysis_config": {"bucket_span": span, "detectors": [{"function": "count"}]}, "model": {"type": "lstm"}}
    job = parse_job(raw, job_id="deep")
    assert job.train_buckets == buckets
    assert parse_job(job.to_json(), job_id="deep").model == job.model


def test_a_network_adds_and_hides_nothing() -> None:
    rng = np.random.default_rng(4)
    times, values = START + np.arange(300) * HOUR, rng.normal(10.0, 2.0, (5, 300))
    values[:, 250] = 40.0
    usual, misses = Bank(USUAL, 5), MissBank(network(), 5)
    both = LstmBank(usual.copy(), misses.copy()).update(times, values)
    alone, missed = usual.update(times, values), misses.update(times, values)
    assert (both.p_surprise >= alone.p_surprise).all()
    assert (both.p_surprise <= np.maximum(alone.p_surprise, missed.p_surprise)).all()
    rarer = both.p_surprise > alone.p_surprise
    assert rarer.any()
    # Who found it odd says in whose eyes.
    drivers = np.array(both.members)[both.driver]
    assert {str(one) for one in np.unique(drivers[rarer])} <= {"lstm", "mean-24-lstm"}
    np.testing.assert_array_equal(both.expected[rarer], missed.expected[rarer])
    told = ~rarer & (alone.p_surprise >= 2.0)
    assert told.any()
    np.testing.assert_array_equal(both.upper[told], alone.upper[told])
