"""The `auto` detector as a stream: how the rows are cut does not matter, nor how many series go at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.online import AutoConfig, AutoDetector, Bank, OnlineDetector, OnlineScores, layout
from gridwatch.detectors.testing import random_walk
from gridwatch.errors import DetectorError

HOUR_MS = 3_600_000


def daily(rows: int, seed: int = 3, *, day: int = 24) -> tuple[Times, Floats]:
    """A day's wave with noise; the step follows from how many rows make a day."""
    random = np.random.default_rng(seed)
    values = 50.0 + 10.0 * np.sin(np.arange(rows) * 2 * np.pi / day) + random.normal(0.0, 1.0, rows)
    return np.arange(rows, dtype=np.int64) * (24 * HOUR_MS // day) + 1_700_000_000_000, values


def in_parts(times: Times, values: Floats, cuts: Sequence[int]) -> list[OnlineScores]:
    detector = AutoDetector()
    edges = [0, *sorted(cuts), len(values)]
    return [detector.update(times[a:b], values[a:b]) for a, b in pairwise(edges)]


def assert_equal_to(whole: OnlineScores, parts: Sequence[OnlineScores]) -> None:
    for name in (*whole.columns(), "anomaly_score", "segment_score", "driver"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(joined, getattr(whole, name)), name


@pytest.fixture(scope="module")
def long() -> tuple[Times, Floats, OnlineScores]:
    """More rows than the history keeps, so that it has been moved and sums made anew."""
    times, values = daily(7_000, day=288)
    return times, values, AutoDetector().update(times, values)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 1_300), max_size=6))
def test_scores_do_not_depend_on_how_the_rows_are_cut_into_calls(cuts: list[int]) -> None:
    times, values = daily(1_300)
    assert_equal_to(AutoDetector().update(times, values), in_parts(times, values, cuts))


def test_nor_when_each_row_is_a_call_or_the_history_has_moved(long: tuple[Times, Floats, OnlineScores]) -> None:
    times, values, whole = long
    assert_equal_to(whole, in_parts(times, values, [99, 100, 101, 511, 512, 4_095, *range(5_100, 5_160), 6_999]))


def test_a_saved_detector_goes_on_where_it_was(long: tuple[Times, Floats, OnlineScores]) -> None:
    times, values, whole = long
    detector = AutoDetector()
    first = detector.update(times[:5_000], values[:5_000])
    again = AutoDetector.load(detector.save())
    assert again.rows == 5_000
    assert_equal_to(whole, [first, again.update(times[5_000:], values[5_000:])])


def test_learning_starts_anew_and_scoring_leaves_the_detector_as_it_was() -> None:
    times, values = daily(400)
    detector = AutoDetector()
    detector.update(*random_walk(150))
    detector.learn(times[:300], values[:300])
    before = detector.save()
    scores = detector.score(times[300:], values[300:])
    assert detector.save() == before
    assert isinstance(scores, OnlineScores)
    assert_equal_to(detector.update(times[300:], values[300:]), [scores])
    assert isinstance(detector, OnlineDetector)


def test_a_light_series_takes_a_third_of_the_memory() -> None:
    whole, light = Bank(AutoConfig()), Bank(AutoConfig.light())
    assert whole.nbytes < 150 * 1024
    assert light.nbytes < 48 * 1024
    assert set(light.members) < set(whole.members)


@pytest.mark.parametrize("threads", [1, 3])
def test_many_series_at_once_score_as_each_alone(threads: int) -> None:
    series = [daily(700, seed) for seed in range(3)]
    times = series[0][0]
    values = np.stack([values for _, values in series])
    values[1, 200:260] = np.nan  # the second series has no rows for a while
    bank = Bank(AutoConfig(), 3)
    parts = [bank.update(times[rows], values[:, rows], threads=threads) for rows in (slice(0, 690), slice(690, 700))]
    assert bank.rows.tolist() == [700, 640, 700]
    for number in range(3):
        kept = ~np.isnan(values[number])
        alone = Bank(AutoConfig()).update(times[kept], values[number, kept][None])
        for name in ("expected", "upper", "surprise", "p_surprise", "alarm", "segment", "driver"):
            joined = np.concatenate([getattr(part, name)[number] for part in parts])
            assert np.array_equal(joined[kept], getattr(alone, name)[0]), name
    assert np.isnan(parts[0].surprise[1, 200:260]).all()


def spike(values: Floats) -> None:
    values[1_500] += 40.0


def stuck(values: Floats) -> None:
    values[1_500:1_560] = values[1_500]


def noisy(values: Floats) -> None:
    values[1_500:1_560] += np.random.default_rng(1).normal(0.0, 8.0, 60)


def missing(values: Floats) -> None:
    values[1_500:1_560] = 50.0 + np.random.default_rng(1).normal(0.0, 1.0, 60)


@pytest.mark.parametrize(("fault", "driver"), [(spike, ""), (stuck, "flat"), (noisy, ""), (missing, "")])
def test_a_fault_is_an_alarm_and_its_member_is_named(fault: Callable[[Floats], None], driver: str) -> None:
    times, values = daily(2_000, day=48)
    fault(values)
    scores = AutoDetector().update(times, values)
    row = int(np.argmax(scores.anomaly_score))
    assert 1_500 <= row < 1_600
    assert driver in scores.driver_names()[row]
    assert scores.driver_names()[row] in scores.members
    assert scores.p_value[1_500:1_620].min() < 1e-4
    assert scores.segment_score[row:1_620].max() > 55.0 > scores.segment_score[1_000:1_500].max()
    alarms = np.flatnonzero(scores.anomaly_score >= 97.0)  # at or above the level of an alarm
    assert np.all(np.diff(alarms) > AutoConfig().quiet_rows(48)[1])


def test_a_p_value_comes_out_as_often_as_it_says() -> None:
    noise = np.random.default_rng(5).normal(0.0, 1.0, (8, 10_000))
    times = np.arange(10_000, dtype=np.int64) * 300_000
    surprise = Bank(AutoConfig(), 8).update(times, noise).p_surprise[:, 1_000:]
    for decades in (1.0, 2.0, 3.0):
        assert 0.6 < np.mean(surprise >= decades) / 10.0**-decades < 1.5, decades
    # The careful tail, as of what was saved before, keeps half of its promises back.
    careful = Bank(AutoConfig(p_share=0.015), 8).update(times, noise).p_surprise[:, 1_000:]
    assert np.mean(careful >= 3.0) < 0.5 * np.mean(surprise >= 3.0)


def test_what_was_saved_before_p_values_were_plain_ranks_goes_on_as_it_was() -> None:
    times, values = daily(2_000)
    careful = AutoConfig(p_share=AutoConfig().tail_share)
    one = AutoDetector(careful)
    one.update(times[:1_500], values[:1_500])
    parts = one.save()
    told = json.loads(parts["detector.json"])
    del told["config"]["p_share"]
    again = AutoDetector.load({**parts, "detector.json": json.dumps(told).encode()})
    assert again.config == careful
    rest = [detector.update(times[1_500:], values[1_500:]) for detector in (one, again)]
    assert np.array_equal(rest[0].p_value, rest[1].p_value)


def test_ordinary_rows_are_as_rare_as_their_p_value_says(long: tuple[Times, Floats, OnlineScores]) -> None:
    _, values, scores = long
    p_value, inside = scores.p_value[1_000:], (scores.lower <= values) & (values <= scores.upper)
    assert (p_value <= 1e-2).mean() < 2e-2
    assert (p_value <= 1e-3).mean() < 2e-3
    assert inside[1_000:].mean() > 0.99
    # The day is known: the band is that of the noise, not of the wave.
    assert np.abs(values - scores.expected)[3_000:].mean() < 1.2
    assert (scores.upper - scores.lower)[3_000:].max() < 14.0


def test_units_do_not_matter(long: tuple[Times, Floats, OnlineScores]) -> None:
    times, values, whole = long
    other = AutoDetector().update(times[:3_000], 1e5 + 1e-3 * values[:3_000])
    assert np.allclose(other.score, whole.score[:3_000], atol=0.5)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 1e9), (1e-9, 3.0), (1e20, -1e23), (1.0, -4e10)])
@pytest.mark.parametrize("lead", [False, True], ids=["", "after a zero"])
def test_single_precision_keeps_the_digits_of_small_noise_on_a_high_level(
    scale: float, offset: float, lead: bool
) -> None:
    """The history's units follow the series, even where the first row is a zero far from all others."""
    times, values = daily(1_500, day=48)
    values[1_200:1_230] = 50.0 + np.random.default_rng(5).normal(0.0, 1.0, 30)  # a wave is missing
    values = np.round(values * 1024.0) / 1024.0  # so that double precision alone takes nothing away
    config = AutoConfig(deviation=(), mean=(), change=(), ewma=(), value=False)
    if lead:  # the zero is far enough to count in the spread that shapes are measured by
        config = replace(config, shape=(), nearest=0)
    plain = Bank(config).update(times, values[None]).surprise[0]
    moved = scale * values + offset
    moved[0] = 0.0 if lead else moved[0]
    other = Bank(config).update(times, moved[None]).surprise[0]
    assert plain[1_200:1_260].max() > 2.0
    # From where the zero is no stretch's row any more and the sums have been made anew. Ranks among nearly the same
    # numbers: some differ by one or two. Without the digits most would be others.
    assert np.quantile(np.abs(other - plain)[900:], 0.95) < 0.1
    assert abs(other[1_200:1_260].max() - plain[1_200:1_260].max()) < 0.3


def test_running_sums_do_not_creep_over_a_million_rows() -> None:
    """A bank that has had a million rows says of the next what one says that has had the last few thousand alone."""
    rows, kept = 1_000_000, 6_000
    config = AutoConfig(
        deviation=(),
        mean=(),
        change=(),
        shape=(24,),
        lag_max=300,
        aligned=(24,),
        value=False,
        seasonal=False,
        flat=False,
        nearest=24,
    )
    random = np.random.default_rng(2)
    values = 1e6 + 10.0 * np.sin(np.arange(rows) * 2 * np.pi / 288) + random.normal(0.0, 1.0, rows)
    times = np.arange(rows, dtype=np.int64) * 300_000
    bank, young = Bank(config), Bank(config)
    bank.update(times, values[None])
    young.update(times[-kept:], values[None, -kept:])
    distances, fresh = bank.state.distances[0, 0], exact_distances(values[-400:], 24, config.lag_max)
    assert np.allclose(distances[: len(fresh)] / bank.state.numbers[0, layout.SCALE] ** 2, fresh, rtol=1e-4)
    assert np.allclose(distances, young.state.distances[0, 0], rtol=1e-4)
    assert np.allclose(bank.state.sums, young.state.sums, rtol=1e-4)


def exact_distances(values: Floats, width: int, lag_max: int) -> Floats:
    """Summed squares between the newest stretch and those of lags from `lag_max` down to `width`."""
    end = len(values)
    earlier = [values[end - width - lag : end - lag] for lag in range(lag_max, width - 1, -1)]
    result: Floats = ((np.stack(earlier) - values[end - width :]) ** 2).sum(axis=1)
    return result


def test_one_absurd_value_is_forgotten() -> None:
    times, values = daily(3_000)
    with_it = values.copy()
    with_it[500] = 1e12
    with_it[2_600] += 60.0
    scores = AutoDetector().update(times, with_it)
    assert np.all(np.isfinite(scores.segment_score))
    assert np.argmax(scores.anomaly_score) == 500
    assert "flat" not in scores.driver_names()[501:]  # beside it all others are nearly one value
    # Sums that held it were made anew: stretches and days are compared as before.
    assert 2_600 <= int(np.argmax(scores.anomaly_score[1_000:])) + 1_000 < 2_640


@pytest.mark.parametrize(
    ("step_ms", "day"), [(86_400_000, 1), (HOUR_MS, 24), (300_000, 288), (60_000, 1_440), (1_000, 60), (10, 100)]
)
def test_what_repeats_is_a_day_or_what_the_history_holds_twice(step_ms: int, day: int) -> None:
    bank = Bank(AutoConfig())
    values = np.random.default_rng(1).normal(size=300)
    scores = bank.update(np.arange(300, dtype=np.int64) * step_ms, values[None])
    assert bank.state.counts[0, layout.DAY] == day
    assert np.all(np.isfinite(scores.surprise))


def test_rows_scored_already_are_refused_and_nothing_is_learnt() -> None:
    times, values = daily(200)
    detector = AutoDetector()
    detector.update(times, values)
    before = detector.save()
    with pytest.raises(DetectorError, match=r"Row 0 at 2023-.* does not come after the last row learnt .*leave out"):
        detector.update(times[-1:], values[-1:])
    with pytest.raises(DetectorError, match=r"1 of 5 values are not finite, first inf in row 2"):
        detector.update(times[:5] + times[-1], np.array([1.0, 1.0, np.inf, 1.0, 1.0]))
    assert detector.save() == before
    bank = Bank(AutoConfig(), 2)
    with pytest.raises(DetectorError, match=r"A bank of 2 series takes values \(s, n\).*got \(1, 200\) and \(200,\)"):
        bank.update(times, values[None])
    with pytest.raises(DetectorError, match=r"Series 1 has an infinite value in row 3"):
        bank.update(times[:5], np.array([[1.0] * 5, [1.0, 1.0, 1.0, -np.inf, 1.0]]))
    bank.update(times, np.stack([values, values]))
    with pytest.raises(DetectorError, match=r"go on after the last row of the call before \(series 0: 2023-"):
        bank.update(times, np.stack([values, values]))


def _changed(parts: dict[str, bytes], **changes: object) -> dict[str, bytes]:
    raw = {**json.loads(parts["detector.json"]), **changes}
    return {**parts, "detector.json": json.dumps(raw).encode()}


def test_a_damaged_save_is_refused() -> None:
    detector = AutoDetector()
    detector.update(*daily(150))
    parts = detector.save()
    with pytest.raises(DetectorError, match=r"lacks state.npz; it has \['detector.json'\]"):
        AutoDetector.load({"detector.json": parts["detector.json"]})
    with pytest.raises(DetectorError, match=r"holds a 'lstm' of format 3; this version reads 'auto' of format 3"):
        AutoDetector.load(_changed(parts, kind="lstm"))
    with pytest.raises(DetectorError, match=r"detector.json is damaged: TypeError\(.*'odd'"):
        AutoDetector.load(_changed(parts, config={"odd": 1}))
    with pytest.raises(DetectorError, match=r"state.npz is damaged: steps is int64 \(99,\), its detector has"):
        AutoDetector.load(_changed(parts, config={"warm_rows": 50}))
    with pytest.raises(DetectorError, match=r"state.npz is damaged: (BadZipFile|ValueError|OSError)"):
        AutoDetector.load({**parts, "state.npz": parts["state.npz"][:1_000]})
    assert detector._bank is not None
    # A count past the end of an array would have the compiled code write outside of it.
    detector._bank.state.counts[0, layout.FILL] = 10**9
    with pytest.raises(DetectorError, match="a count is out of its range"):
        AutoDetector.load(detector.save())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mean": (1,)}, "Widths are at least 2 rows"),
        ({"nearest": 40}, r"nearest must be one of the widths in shape \(48,\), got 40"),
        ({"history_rows": 500}, "history_rows must hold lag_max and the longest width, 548; got 500"),
        ({"lag_max": 48}, "lag_max must be above the widths in shape"),
        ({"forecast": 65}, r"forecast is 0 to 64 rows, .* got 65, 1000, 0\.99"),
        ({"warm_rows": 300}, r"must not fall, got 10, 300, 256"),
        ({"tail_shape": 0.0}, "tail_shape lies between 0 and 1"),
        ({"p_share": -0.1}, r"p_share from 0 to below 0\.5"),
        ({"days": 0}, "days, seasons, hold_rows, hold_rows_min and segment_rows are at least 1"),
        (
            {"deviation": (), "mean": (), "change": (), "shape": (), "nearest": 0, "aligned": ()}
            | {"ewma": (), "forecast": 0, "value": False, "seasonal": False, "flat": False},
            "A detector without a member judges nothing",
        ),
    ],
)
def test_constants_that_cannot_work_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        AutoConfig(**wrong)  # type: ignore[arg-type]
