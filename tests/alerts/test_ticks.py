"""The ticks of the mail's picture: few, round, in the zone's own time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridwatch.alerts.raster import COLOURS_MAX, Raster
from gridwatch.alerts.ticks import time_ticks, value_ticks

DAY_MS = 86_400_000
MS_MAX = 253_402_300_799_999
NEW_YORK = ZoneInfo("America/New_York")


def ms(text: str, zone: ZoneInfo | None = None) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone or UTC).timestamp() * 1000


@given(st.floats(-1e300, 1e300), st.floats(0, 1e300))
def test_values_are_few_and_within_the_axis(low: float, width: float) -> None:
    ticks = value_ticks(low, low + width)
    assert len(ticks) <= 9
    assert all(low <= tick <= low + width for tick in ticks)
    assert ticks == sorted(ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.35, 0.31, [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]),
        (1.1e6, 2.9e6, [1_500_000.0, 2_000_000.0, 2_500_000.0]),
        (5.0, 5.0, []),
        (-1.7e308, 1.7e308, []),
    ],
)
def test_values_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert value_ticks(low, high) == ticks


@given(
    st.integers(-DAY_MS, MS_MAX + DAY_MS),
    st.integers(0, 4 * 10**13),
    st.sampled_from([UTC, NEW_YORK, ZoneInfo("Asia/Kolkata")]),
)
def test_times_are_few_and_within_the_axis(first: int, width: int, zone: ZoneInfo) -> None:
    ticks, words, _ = time_ticks(first, first + width, zone)
    assert len(ticks) == len(words) <= 10
    assert ticks == sorted(set(ticks))
    assert all(first <= tick <= first + width for tick in ticks)
    # Both ends of time are cut off.
    assert len(ticks) >= 2 or width < 20 or first < 0 or first + width > MS_MAX - 3 * DAY_MS


@pytest.mark.parametrize(
    ("first", "last", "words", "rest"),
    [
        ("2024-01-03T10:00:00", "2024-01-03T10:00:00.012", ["00.000", "00.002", "00.004"], "2024-Jan-03 10:00"),
        ("2024-01-03T10:00:03", "2024-01-03T10:01:00", ["10:00:10", "10:00:20", "10:00:30"], "2024-Jan-03"),
        ("2024-01-03T09:00", "2024-01-04T20:00", ["12:00", "18:00", "Jan-04"], "2024-Jan-04"),
        ("2024-01-20", "2024-02-10", ["21", "25", "29"], "2024-Feb"),
        ("2023-11-14", "2024-03-15", ["Dec", "2024", "Feb"], "2024"),
        ("1990-05-05", "2024-03-15", ["1995", "2000", "2005"], ""),
    ],
)
@pytest.mark.parametrize("zone", [None, NEW_YORK])
def test_times_are_told_in_the_zones_own_time(
    first: str, last: str, words: list[str], rest: str, zone: ZoneInfo | None
) -> None:
    found = time_ticks(ms(first, zone), ms(last, zone), zone or UTC)
    assert (found[1][:3], found[2]) == (words, rest)


def test_clocks_that_change_neither_repeat_nor_invent_an_hour() -> None:
    spring = time_ticks(ms("2024-03-10T00:00", NEW_YORK), ms("2024-03-10T05:30", NEW_YORK), NEW_YORK)
    assert spring[1] == ["Mar-10", "01:00", "03:00", "04:00", "05:00"]
    assert set(np.diff(spring[0])) == {3_600_000.0}
    autumn = time_ticks(ms("2024-11-03T00:00", NEW_YORK), ms("2024-11-03T05:00", NEW_YORK), NEW_YORK)
    assert autumn[1] == ["Nov-03", "01:00", "02:00", "03:00", "04:00", "05:00"]


def test_a_picture_has_few_colours() -> None:
    colours = tuple(f"#00000{number}" for number in range(COLOURS_MAX + 1))
    with pytest.raises(ValueError, match="at most 7 colours beside white, got 8"):
        Raster(10, 10, colours, "#000000")
