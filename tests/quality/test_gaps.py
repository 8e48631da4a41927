"""What counts as a gap: sessions, early closes, lunch breaks, holidays, and none of them round the clock."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwatch.errors import QualityError
from gridwatch.quality.gaps import Gap, find_gaps

MINUTE = 60_000
DAY = 86_400_000
NEW_YORK = "America/New_York"


def _ms(*texts: str, zone: str = NEW_YORK) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([round(pd.Timestamp(text, tz=zone).timestamp() * 1000) for text in texts], dtype=np.int64)


def _minutes(start: str, end: str, zone: str = NEW_YORK) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    first, last = _ms(start, end, zone=zone)
    return np.arange(first, last, MINUTE)


def test_full_sessions_have_no_gap_over_night_weekend_and_extended_hours() -> None:
    sessions = [_minutes(f"2013-10-{day:02} 09:30", f"2013-10-{day:02} 16:00") for day in (10, 11, 14)]
    extended = _ms("2013-10-10 08:00", "2013-10-10 18:13", "2013-10-14 19:59")
    found = find_gaps(np.concatenate([*sessions, extended]), MINUTE, calendar="XNYS", timezone=NEW_YORK)
    assert (found.expected, found.missing, found.gaps, found.empty_sessions) == (3 * 390, 0, [], [])


def test_missing_minutes_are_counted_and_the_longest_gap_comes_first() -> None:
    times = _minutes("2013-10-10 09:30", "2013-10-10 16:00")
    times = np.delete(times, [5, 10, 11, 12])
    found = find_gaps(times, MINUTE, calendar="XNYS", timezone=NEW_YORK)
    at = _ms("2013-10-10 09:40", "2013-10-10 09:42", "2013-10-10 09:35").tolist()
    assert found.gaps == [Gap(at[0], at[1], 3), Gap(at[2], at[2], 1)]
    assert (found.expected, found.missing) == (390, 4)


def test_an_early_close_ends_the_session() -> None:
    times = np.concatenate(
        [_minutes("2013-11-29 09:30", "2013-11-29 13:00"), _minutes("2013-12-02 09:30", "2013-12-02 16:00")]
    )
    assert find_gaps(times, MINUTE, calendar="XNYS", timezone=NEW_YORK).missing == 0


def test_a_lunch_break_is_no_gap() -> None:
    zone = "Asia/Tokyo"
    times = np.concatenate(
        [_minutes("2013-10-10 09:00", "2013-10-10 11:30", zone), _minutes("2013-10-10 12:30", "2013-10-10 15:00", zone)]
    )
    found = find_gaps(times, MINUTE, calendar="XTKS", timezone=zone)
    assert (found.expected, found.missing) == (300, 0)


def test_a_session_without_rows_is_named_and_the_edges_are_not_guessed_at() -> None:
    times = np.concatenate(
        [_minutes("2013-10-10 14:00", "2013-10-10 16:00"), _minutes("2013-10-14 09:30", "2013-10-14 10:00")]
    )
    found = find_gaps(times, MINUTE, calendar="XNYS", timezone=NEW_YORK)
    assert (found.expected, found.missing, found.empty_sessions) == (120 + 390 + 30, 390, ["2013-10-11"])


def test_bars_of_five_minutes_need_not_be_punctual() -> None:
    first, last = _ms("2013-10-10 09:31", "2013-10-10 16:00")
    found = find_gaps(np.arange(first, last, 5 * MINUTE), 5 * MINUTE, calendar="XNYS", timezone=NEW_YORK)
    assert (found.expected, found.missing) == (78, 0)


def test_daily_bars_need_every_session() -> None:
    days = ["2013-11-27", "2013-11-29", "2013-12-03"]  # 28 is Thanksgiving, 30 and 1 a weekend
    found = find_gaps(_ms(*days), DAY, calendar="XNYS", timezone=NEW_YORK)
    monday = int(_ms("2013-12-02")[0])
    assert (found.expected, found.gaps, found.empty_sessions) == (4, [Gap(monday, monday, 1)], ["2013-12-02"])


def test_rows_only_outside_of_sessions_expect_nothing() -> None:
    found = find_gaps(_ms("2013-10-12 12:00", "2013-10-12 12:05"), MINUTE, calendar="XNYS", timezone=NEW_YORK)
    assert (found.expected, found.missing) == (0, 0)
    assert find_gaps(_ms("2013-10-12"), DAY, calendar="XNYS", timezone=NEW_YORK).expected == 0


def test_no_rows_have_no_gaps() -> None:
    assert find_gaps(np.zeros(0, np.int64), MINUTE, calendar="XNYS", timezone=NEW_YORK).expected == 0


@pytest.mark.parametrize(
    ("times", "calendar", "message"),
    [
        (_ms("2013-10-10"), "XNYZ", r"No sessions of calendar 'XNYZ' from 2013-10-10 to 2013-10-10"),
        (_ms("9000-01-01"), "XNYS", r"No sessions of calendar 'XNYS' from 9000-01-01"),
    ],
)
def test_a_calendar_that_does_not_know_is_told(
    times: np.ndarray[tuple[int], np.dtype[np.int64]], calendar: str, message: str
) -> None:
    with pytest.raises(QualityError, match=message):
        find_gaps(times, MINUTE, calendar=calendar, timezone=NEW_YORK)


@settings(max_examples=100, deadline=None)
@given(
    kept=st.sets(st.integers(0, 400), min_size=1),
    jitter=st.lists(st.integers(-20, 20), min_size=401, max_size=401),
    step=st.sampled_from([100, 1000, MINUTE]),
)
def test_round_the_clock_what_is_missing_is_what_was_taken(kept: set[int], jitter: list[int], step: int) -> None:
    places = sorted(kept)
    times = np.array([place * step + jitter[place] * step // 100 for place in places], dtype=np.int64)
    found = find_gaps(times, step, calendar=None, timezone="UTC")
    inside = places[-1] - places[0] + 1
    assert (found.expected, found.missing) == (inside, inside - len(places))
    assert sum(gap.missing for gap in found.gaps) == found.missing
