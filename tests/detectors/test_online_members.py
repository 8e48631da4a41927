"""The compiled members and surprises against plain NumPy that makes each number anew from all rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numba.core.caching
import numpy as np
import numpy.typing as npt
import pytest

from gridwatch.detectors.base import Floats
from gridwatch.detectors.online import AutoConfig, Bank, compiling, kernels
from gridwatch.detectors.online.compiling import compiled
from gridwatch.detectors.online.forecast import WEIGHTS
from gridwatch.detectors.online.members import members_of
from gridwatch.detectors.online.surprise import surprises

ROWS, DAY = 1_300, 48
ALONE: dict[str, Any] = {"deviation": (), "mean": (), "change": (), "shape": (), "nearest": 0, "aligned": ()} | {
    "ewma": (),
    "forecast": 0,
    "season_share": 0.0,
    "value": False,
    "seasonal": False,
    "flat": False,
}


def exact(stream: Floats, *, two_sided: bool = False) -> Floats:
    """The surprises from all earlier values, by sorting them at each."""
    if two_sided:
        either: Floats = np.maximum(exact(stream), exact(-stream)) - np.log10(2.0)
        return np.clip(either, 0.0, None)
    out, seen = np.zeros(len(stream)), np.array([])
    for row, value in enumerate(stream):
        if np.isnan(value):
            continue
        if len(seen) >= 100:
            highest = np.sort(seen)[-max(int(0.015 * len(seen)), 10) :]
            if value <= highest[0]:
                out[row] = -np.log10(((seen >= value).sum() + 1) / (len(seen) + 1))
            else:
                excess = max((highest - highest[0]).mean(), 1e-3 * np.ptp(seen))
                excess = excess or 1e-12 + 1e-9 * abs(highest[0])
                out[row] = -np.log10((len(highest) + 1) / (len(seen) + 1))
                out[row] += np.log1p(0.2 * (value - highest[0]) / excess) / 0.2 / np.log(10.0)
        seen = np.append(seen, value)
    return out


def noise(rows: int, seed: int) -> Floats:
    return np.random.default_rng(seed).standard_t(4, rows)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize(
    "stream",
    [
        noise(2_000, 1),
        np.round(noise(2_000, 2)),
        np.where(np.random.default_rng(3).random(2_000) < 0.9, 0.0, noise(2_000, 3) ** 2),
        np.cumsum(noise(2_000, 4)),
        np.append(noise(1_000, 5), 30.0 + noise(1_000, 6)),
    ],
    ids=["heavy tail", "whole numbers", "mostly zero", "random walk", "level shift"],
)
def test_surprises_are_those_of_all_earlier_values(stream: Floats, two_sided: bool) -> None:
    ours, theirs = surprises(stream, two_sided=two_sided), exact(stream, two_sided=two_sided)
    assert np.allclose(ours[:257], theirs[:257])
    tail = theirs > 1.9
    assert tail.sum() > 5
    assert np.allclose(ours[tail], theirs[tail])
    # Ranks below the tail come from bins.
    assert np.abs(10.0**-ours - 10.0**-theirs).max() < 0.08
    assert np.abs(10.0**-ours - 10.0**-theirs).mean() < 0.01


def test_a_stream_that_has_not_begun_is_not_judged() -> None:
    stream = np.append(np.full(50, np.nan), noise(300, 1))
    assert np.array_equal(surprises(stream)[50:], surprises(stream[50:]))
    assert np.all(surprises(stream)[:150] == 0.0)


def test_ten_thousand_rows_keep_the_memory_and_the_tail() -> None:
    stream = noise(40_000, 7)
    ours = surprises(stream)[20_000:]
    for level in (1.0, 2.0, 3.0):
        assert 0.8 < (ours >= level).mean() / 10.0**-level < 1.3


def deviation(values: Floats, row: int) -> float:
    return float(values[row - 23 : row + 1].std()) if row >= 23 else np.nan


def mean(values: Floats, row: int) -> float:
    return float(values[row - 23 : row + 1].mean()) if row >= 23 else np.nan


def change(values: Floats, row: int) -> float:
    return float(np.abs(np.diff(values[row - 24 : row + 1])).mean()) if row >= 24 else np.nan


def stretches(values: Floats, row: int) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """The newest 24 rows, the earlier stretches (n, 24), and the row that each of these ends in."""
    ends = np.arange(max(row - 300, 23), row - 23, dtype=np.int64)
    return values[row - 23 : row + 1], values[ends[:, None] + np.arange(-23, 1)], ends


def shape(values: Floats, row: int) -> float:
    if row < 72:
        return np.nan
    newest, earlier, ends = stretches(values, row)
    rows = np.arange(1, row + 2)
    floor = 1e-3 * (np.cumsum(values[: row + 1] ** 2) / rows - (np.cumsum(values[: row + 1]) / rows) ** 2)
    together = (earlier * newest).mean(axis=1) - earlier.mean(axis=1) * newest.mean()
    alike = together / np.sqrt((newest.var() + floor[row]) * (earlier.var(axis=1) + floor[ends]))
    return max(1.0 - float(alike.max()), 0.0)


def nearest(values: Floats, row: int) -> float:
    if row < 72:
        return np.nan
    newest, earlier, _ = stretches(values, row)
    return float(np.sqrt(((newest - earlier) ** 2).mean(axis=1).min()))


def aligned(values: Floats, row: int) -> float:
    if row < 100 + 23:
        return np.nan
    lags = [day * DAY + aside for day in range(1, 11) for aside in range(-2, 3)]
    rows = np.arange(row - 23, row + 1)
    return float(min(np.sqrt(np.abs(values[rows] - values[rows - lag])).mean() for lag in lags if row - lag >= 23) ** 2)


def seasonal(values: Floats, row: int) -> float:
    days = min(row // DAY, 7)
    return (
        float(values[row] - np.median([values[row - day * DAY] for day in range(1, days + 1)]))
        if row >= 100
        else np.nan
    )


def ewma(values: Floats, row: int) -> float:
    before = values[:row]
    weights = 2 / 31 * (29 / 31) ** np.arange(row - 1, -1, -1.0)
    return float(values[row] - weights @ before - (1 - weights.sum()) * values[0]) if row else np.nan


def assert_nearly(ours: Floats, theirs: Floats) -> None:
    """Single precision changes the rank of two numbers that are the same but for a millionth."""
    apart = np.abs(ours - theirs)
    assert np.mean(apart > 1e-3) < 0.01
    assert apart.max() < 0.1


@pytest.mark.parametrize(
    ("reference", "config", "two_sided"),
    [
        (deviation, {"deviation": (24,)}, True),
        (mean, {"mean": (24,)}, True),
        (change, {"change": (24,)}, True),
        (shape, {"shape": (24,), "lag_max": 300}, False),
        (aligned, {"aligned": (24,)}, False),
        (seasonal, {"seasonal": True}, True),
        (ewma, {"ewma": (30,)}, True),
    ],
)
def test_a_member_is_what_its_definition_says(reference: Any, config: dict[str, Any], two_sided: bool) -> None:
    values = 10.0 * np.sin(np.arange(ROWS) * 2 * np.pi / DAY) + noise(ROWS, 8)
    times = np.arange(ROWS, dtype=np.int64) * (86_400_000 // DAY)
    ours = Bank(AutoConfig(**(ALONE | config))).update(times, values[None]).surprise[0]
    stream = np.array([reference(values, row) for row in range(ROWS)])
    # One member is both the greatest and the mean.
    assert_nearly(ours[101:], 1.4 * surprises(stream, two_sided=two_sided)[101:])


def test_the_nearest_stretch_is_what_its_definition_says() -> None:
    values = np.sin(np.arange(ROWS) / 7) + 0.2 * noise(ROWS, 9)
    times = np.arange(ROWS, dtype=np.int64) * 60_000
    config = AutoConfig(**(ALONE | {"shape": (24,), "nearest": 24, "lag_max": 300}))
    ours = Bank(config).update(times, values[None]).surprise[0]
    two = [
        surprises(np.array([one(values, row) for row in range(ROWS)])) for one in (shape, nearest)
    ]  # fmt: skip
    assert_nearly(ours[101:], (np.maximum(*two) + 0.4 * (two[0] + two[1]) / 2)[101:])
    assert members_of(config) == ("recent", "shape-24", "nearest-24", "combined")


def test_the_forecast_learns_what_follows_from_the_rows_before() -> None:
    random, values = np.random.default_rng(10), np.zeros(3_000)
    for row in range(2, 3_000):
        values[row] = 1.6 * values[row - 1] - 0.8 * values[row - 2] + random.normal()
    bank = Bank(AutoConfig(**(ALONE | {"forecast": 8})))
    values[2_500] += 8.0  # within the range of the values, 8 standard deviations from what was to be expected
    times = np.arange(3_000, dtype=np.int64) * 60_000
    before = bank.update(times[:2_500], values[None, :2_500]).surprise[0]
    weights = bank.state.forecast[0, WEIGHTS : WEIGHTS + 3]
    assert np.allclose(weights, [1.6, -0.8, 0.0], atol=0.15)
    assert np.ptp(values[:2_500]) > 16.0
    assert bank.update(times[2_500:2_501], values[None, 2_500:2_501]).surprise[0, 0] > before.max()


@pytest.mark.parametrize("odd", [1e99, -1e200, 0.0], ids=["huge", "out of any square", "constant"])
def test_the_forecast_outlives_any_values(odd: float) -> None:
    values = noise(4_000, 11)
    values[1_000:2_500] = odd
    bank = Bank(AutoConfig(**(ALONE | {"forecast": 8})))
    surprise = bank.update(np.arange(4_000, dtype=np.int64) * 60_000, values[None]).surprise[0]
    assert np.isfinite(surprise).all()
    assert np.isfinite(bank.state.forecast).all()
    assert surprise[1_000] > 3.0 or odd == 0.0


def test_a_season_counts_only_where_days_repeat() -> None:
    times = np.arange(3_000, dtype=np.int64) * (86_400_000 // DAY)
    sine = 10.0 * np.sin(np.arange(3_000) * 2 * np.pi / DAY) + noise(3_000, 12)
    config = AutoConfig(**(ALONE | {"seasonal": True, "season_share": 0.75}))
    assert Bank(config).update(times, sine[None]).surprise[0, 500:].max() > 3.0
    assert not Bank(config).update(times, noise(3_000, 13)[None]).surprise[0, 500:].any()


def test_short_runs_of_one_value_are_none() -> None:
    values = noise(1_000, 14)
    values[500:520], values[700:760] = values[500], values[700]
    config = AutoConfig(**(ALONE | {"flat": True}))
    surprise = Bank(config).update(np.arange(1_000, dtype=np.int64) * 60_000, values[None]).surprise[0]
    assert np.flatnonzero(surprise > 3.0).tolist() == list(range(724, 760))


def test_without_a_place_for_machine_code_it_is_compiled_in_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    # No place is found when neither the package's folder nor the user's cache can be written.
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    twice = compiled(_twice)
    assert twice(21) == 42


def test_machine_code_kept_on_disk_is_of_the_kernels_as_they_are_now() -> None:
    # Numba itself looks at one file only; a kernel that is not named here would go on as it was before a change.
    folder = Path(compiling.__file__).parent
    with_kernels = {file.stem for file in folder.glob("*.py") if "online.compiling import" in file.read_text()}
    assert with_kernels | {"compiling", "layout"} == set(compiling.SOURCES)
    for function in (kernels.advance, kernels.surprises):
        assert compiling.sources() in [cell.cell_contents for cell in function.py_func.__closure__]


def _twice(number: int) -> int:
    return 2 * number
