"""Streams from outside the kernels, what judges them, and the season that is found."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwatch.detectors import LstmDetector
from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.lstm_online import AutoLstmDetector, LstmOnlineDetector, LstmStream
from gridwatch.detectors.online import AutoConfig, Bank
from gridwatch.detectors.online.alarms import Alarms
from gridwatch.detectors.online.past import Past
from gridwatch.detectors.season import SeasonStream, find_period
from gridwatch.detectors.singles import SeasonalDetector
from gridwatch.detectors.spectral import SpectralStream
from gridwatch.detectors.streams import Stream
from gridwatch.detectors.testing import random_walk
from gridwatch.detectors.trend import TrendStream
from gridwatch.errors import DetectorError

STREAMS: dict[str, Callable[[], Stream]] = {"season": SeasonStream, "trend": TrendStream, "spectral": SpectralStream}


def wave(rows: int, period: float, seed: int = 1, *, noise: float = 1.0) -> tuple[Times, Floats]:
    """A wave that no day of the clock explains: the rows are a minute apart."""
    values = 10.0 * np.sin(np.arange(rows) * 2 * np.pi / period) + np.random.default_rng(seed).normal(0.0, noise, rows)
    return np.arange(rows, dtype=np.int64) * 60_000, values


def test_alarms_are_those_of_the_kernels() -> None:
    """The members' surprise, judged again outside of the kernels, gives what they made of it."""
    times, values = random_walk(3_000)
    values[[900, 1_000, 1_020, 2_000]] *= 1.2
    values[2_500:2_560] = values[2_500]
    bank = Bank(AutoConfig()).update(times, values[None])
    config = AutoConfig()
    hold_rows, dead_rows = config.quiet_rows(config.day_rows(float(np.median(np.diff(times)))))
    alarms, told = Alarms(AutoConfig()), []
    for begin, end in pairwise([100, 101, 990, 1_010, 2_999, 3_000]):
        told.append(alarms.judge(bank.surprise[0, begin:end], hold_rows=hold_rows, dead_rows=dead_rows))
    for place, column in enumerate(("p_surprise", "alarm")):
        joined = np.concatenate([one[place] for one in told])
        assert np.allclose(joined, getattr(bank, column)[0, 100:], atol=1e-12), column
    assert (bank.alarm[0] >= AutoConfig().alarm_level).sum() >= 3


def test_a_shorter_hold_may_be_asked_for() -> None:
    stream = np.random.default_rng(2).exponential(1.0, 600)
    ours = Alarms(AutoConfig()).judge(stream, hold_rows=24, dead_rows=6)
    theirs = Alarms(AutoConfig(hold_rows=24, dead_rows=6)).judge(stream)
    assert np.array_equal(ours[1], theirs[1])
    assert (ours[1] > 0.0).sum() > (Alarms(AutoConfig()).judge(stream)[1] > 0.0).sum()


def test_saved_alarms_go_on_and_damaged_ones_are_refused() -> None:
    stream = np.random.default_rng(2).exponential(1.0, 600)
    alarms = Alarms(AutoConfig())
    alarms.judge(stream[:400])
    again = Alarms(AutoConfig())
    again.restore(alarms.arrays())
    for ours, theirs in zip(alarms.copy().judge(stream[400:]), again.judge(stream[400:]), strict=True):
        assert np.array_equal(ours, theirs)
    with pytest.raises(DetectorError, match=r"saved alarms are damaged: float64 \(3,\)"):
        again.restore(alarms.arrays() | {"held": np.zeros(3)})


@pytest.mark.parametrize("two_sided", [True, False])
def test_the_band_holds_all_but_its_share(two_sided: bool) -> None:
    misses = np.random.default_rng(3).standard_t(5, 60_000)
    past = Past(AutoConfig(band_p=0.01), two_sided=two_sided)
    assert past.band() == (0.0, 0.0)
    past.judge(misses[:5_000] if two_sided else np.abs(misses[:5_000]))
    low, high = past.band()
    assert np.mean((misses < low) | (misses > high)) == pytest.approx(0.01, rel=0.4)
    if not two_sided:
        assert low == -high


def test_a_damaged_past_is_refused() -> None:
    past = Past(AutoConfig(), two_sided=True)
    past.judge(np.random.default_rng(4).normal(size=300))
    for wrong in (
        past.numbers[:-1],
        np.where(np.arange(len(past.numbers)) == 0, -1.0, past.numbers),
        past.numbers * np.nan,
    ):
        with pytest.raises(DetectorError, match="saved past of a stream is damaged"):
            Past(AutoConfig(), two_sided=True).restore(wrong)


@pytest.mark.parametrize("period", [7, 24, 37, 100])
def test_a_season_is_found_under_noise_and_trend(period: int) -> None:
    _, values = wave(512, period, noise=2.0)
    assert abs(find_period(values + 0.1 * np.arange(512)) - period) <= max(period // 50, 1)
    # A week of days: the high days are what repeats.
    week = np.tile([5.0, 5.0, 5.0, 5.0, 5.0, 0.0, 0.0], 40) + np.random.default_rng(5).normal(0.0, 1.0, 280)
    assert find_period(week) == 7


@pytest.mark.parametrize(
    "series",
    [
        lambda random: random.normal(size=512),
        lambda random: np.cumsum(random.normal(size=512)),
        lambda random: np.full(512, 3.1),
        lambda random: np.where(random.random(512) < 0.02, 9.0, 0.0),
        lambda random: np.arange(512.0),
        lambda random: random.normal(size=12),
    ],
    ids=["noise", "random walk", "constant", "rare spikes", "line", "few rows"],
)
def test_no_season_is_seldom_taken_for_one(series: Callable[[np.random.Generator], Floats]) -> None:
    found = [find_period(series(np.random.default_rng(seed))) for seed in range(40)]
    assert sum(period > 0 for period in found) <= 4


@pytest.mark.parametrize("make", list(STREAMS.values()), ids=list(STREAMS))
@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 1_100), max_size=5))
def test_a_stream_says_the_same_however_it_is_cut(make: Callable[[], Stream], cuts: list[int]) -> None:
    times, values = wave(1_100, 37)
    whole, stream, parts = make().take(times, values), make(), []
    for begin, end in pairwise([0, *sorted(cuts), 1_100]):
        parts.append(stream.take(times[begin:end], values[begin:end]))
        again = make()
        again.restore(dict(stream.arrays()))
        stream = again.copy()
    assert np.array_equal(np.concatenate([part.odd for part in parts]), whole.odd, equal_nan=True)
    assert np.isfinite(whole.odd[300:]).all()


@pytest.mark.parametrize("make", list(STREAMS.values()), ids=list(STREAMS))
def test_damaged_streams_are_refused(make: Callable[[], Stream]) -> None:
    stream = make()
    stream.take(*wave(600, 37))
    for wrong in (stream.arrays()["history"] * np.inf, np.zeros(9_999), np.zeros((2, 2))):
        with pytest.raises(DetectorError, match="is damaged"):
            make().restore(dict(stream.arrays()) | {"history": wrong})


def test_the_history_of_a_season_is_bounded_and_looked_at_again() -> None:
    times, values = wave(9_000, 37, noise=0.1)
    # Another season from here on; the look at row 8,192 finds it, in the rows since 4,096.
    values[4_096:] = wave(9_000, 53, noise=0.1)[1][4_096:]
    stream = SeasonStream()
    stream.take(times[:4_500], values[:4_500])
    assert stream.period == 37
    odd = stream.take(times[4_500:], values[4_500:]).odd
    assert stream.period == 53
    assert len(stream.arrays()["history"]) == 4_096
    assert np.abs(odd[-400:]).max() < 1.0 < np.abs(odd[:400]).max()


def test_a_missing_round_of_a_season_that_no_clock_has() -> None:
    times, values = wave(2_000, 37)
    values[1_500:1_560] = np.random.default_rng(1).normal(0.0, 1.0, 60)
    scores = SeasonalDetector().update(times, values)
    row = int(np.argmax(scores.anomaly_score))
    assert 1_500 <= row < 1_560
    assert "season" in [scores.driver_names()[place] for place in range(1_500, 1_560)]
    # Where the season drove a score, it says what was expected.
    driven = np.flatnonzero(scores.driver == scores.members.index("season"))
    driven = driven[driven < 1_500]
    assert np.abs(scores.expected - 10.0 * np.sin(np.arange(2_000) * 2 * np.pi / 37))[driven].mean() < 1.0


def test_the_last_row_of_a_window_is_what_stands_out() -> None:
    hits = 0
    for seed in range(20):
        times, values = wave(400, 50, seed)
        values[300] += 12.0
        odd = SpectralStream().take(times, values).odd
        hits += int(np.nanargmax(odd[:310]) == 300)
        assert np.isnan(odd[:128]).all()
    assert hits >= 15
    assert np.all(SpectralStream().take(times, np.full(400, 7.1)).odd[128:] == 0.0)


def test_a_trained_network_goes_on_with_a_calibration_of_its_own(learnt: LstmDetector) -> None:
    """As of a model that an earlier version has saved."""
    times, values = random_walk(6_000, seed=9)
    # Ten times as wild in the second half: what was calibrated once cries wolf.
    values[3_000:] = values[3_000] * (values[3_000:] / values[3_000]) ** 10
    detector = LstmOnlineDetector.of(LstmDetector.load(learnt.save()))
    assert detector.rows == 0
    p_value = detector.update(times, values).p_value
    assert (p_value[4_000:] <= 1e-2).mean() < 2e-2
    assert (p_value[4_000:] <= 1e-3).mean() < 4e-3
    scores = detector.score(times[-100:] + 10**9, values[-100:] * 1.0)
    inside = (scores.lower <= scores.actual) & (scores.actual <= scores.upper)
    assert inside.mean() > 0.95
    misses = learnt.misses(times, values)
    assert np.allclose(misses.value_at(misses.size)[9:], values[9:])


def test_what_a_network_cannot_take_leaves_nothing_learnt(learnt: LstmDetector) -> None:
    times, values = random_walk(300)
    detector = AutoLstmDetector.of(learnt)
    detector.update(times[:200], values[:200])
    before = detector.save()
    values[250] = -1.0
    with pytest.raises(DetectorError, match="A log return needs values above zero; 1 are not"):
        detector.update(times[200:], values[200:])
    assert detector.save() == before


def test_without_a_network_it_cannot_go_on() -> None:
    with pytest.raises(DetectorError, match=r"lstm has no trained network yet; call learn first"):
        LstmOnlineDetector().update(*random_walk(10))
    with pytest.raises(DetectorError, match="predicts nothing; call learn first"):
        LstmDetector().misses(*random_walk(10))


def test_a_damaged_window_is_refused(learnt: LstmDetector) -> None:
    stream = LstmStream(learnt)
    stream.take(*random_walk(50))
    with pytest.raises(DetectorError, match=r"saved window is damaged: \(2,\) times and float64 \(9,\)"):
        stream.restore({"times": np.zeros(2, np.int64), "values": np.zeros(9)})
