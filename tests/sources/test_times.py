"""Local time to UTC across the changes of the clock, checked against zoneinfo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwatch.sources.times import local_to_utc, parse_times

ZONES = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "America/Santiago", "UTC"]


def _utc(texts: list[str], zone: str) -> list[str | None]:
    values, reasons = parse_times(pa.array(texts, pa.large_string()), zone)
    return [
        None if reason else datetime.fromtimestamp(value / 1000, UTC).strftime("%m-%d %H:%M")
        for value, reason in zip(values, reasons, strict=True)
    ]


def test_market_time_changes_with_the_season() -> None:
    texts = ["2013-03-08 09:30:00", "2013-03-11 09:30:00", "2013-11-01 09:30:00", "2013-11-04 09:30:00"]
    assert _utc(texts, "America/New_York") == ["03-08 14:30", "03-11 13:30", "11-01 13:30", "11-04 14:30"]


def test_an_offset_in_the_text_counts_more_than_the_zone() -> None:
    texts = ["2013-07-01T12:00:00Z", "2013-07-01 12:00:00.5+02:00", "2013-07-01 12:00-0500", "2013-07-01 12:00"]
    assert _utc(texts, "America/New_York") == ["07-01 12:00", "07-01 10:00", "07-01 17:00", "07-01 16:00"]


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_order_tells_the_two_passes_of_a_repeated_hour_apart(newest_first: bool) -> None:
    texts = [f"2013-11-03 {clock}" for clock in ("00:30", "01:00", "01:30", "01:00", "01:30", "02:00")]
    told = ["11-03 04:30", "11-03 05:00", "11-03 05:30", "11-03 06:00", "11-03 06:30", "11-03 07:00"]
    assert _utc(texts[::-1] if newest_first else texts, "America/New_York") == (told[::-1] if newest_first else told)


def test_hourly_rows_repeat_one_time() -> None:
    texts = [f"2013-11-03 {clock}" for clock in ("00:00", "01:00", "01:00", "02:00")]
    assert _utc(texts, "America/New_York") == ["11-03 04:00", "11-03 05:00", "11-03 06:00", "11-03 07:00"]


@pytest.mark.parametrize("clocks", [("00:30", "01:30", "02:30"), ("01:30", "01:00", "01:30", "01:00", "01:30")])
def test_what_the_order_does_not_prove_is_refused(clocks: tuple[str, ...]) -> None:
    _, reasons = parse_times(pa.array([f"2013-11-03 {clock}" for clock in clocks]), "America/New_York")
    wrong = [clock for clock, reason in zip(clocks, reasons, strict=True) if reason]
    assert wrong == [clock for clock in clocks if clock.startswith("01")]
    told = [str(reason) for reason in reasons if reason]
    assert told[0].startswith("the clock showed this time twice in America/New_York, and the rows around it")


def test_a_day_that_begins_later_begins_at_its_first_moment() -> None:
    # In Santiago the clock goes from 24:00 to 01:00 on 2019-09-08.
    assert _utc(["2019-09-08", "2019-09-08 00:30:00"], "America/Santiago") == ["09-08 04:00", None]


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    start=st.one_of(
        st.datetimes(datetime(1975, 1, 1), datetime(2030, 1, 1)),
        # Shortly before the clocks of New York, Berlin, Lord Howe and Santiago go back.
        st.sampled_from([datetime(2013, 11, 2), datetime(2013, 10, 26), datetime(2013, 4, 5), datetime(2013, 4, 27)]),
    ),
    minutes=st.sampled_from([1, 5, 15, 60]),
    newest_first=st.booleans(),
)
def test_bars_come_back_as_they_were(zone: str, start: datetime, minutes: int, newest_first: bool) -> None:
    step = timedelta(minutes=minutes)
    begin = start.replace(minute=0, second=0, microsecond=0)
    moments = pd.date_range(begin, periods=2000, freq=step, tz="UTC")
    local = moments.tz_convert(zone).tz_localize(None)
    if newest_first:
        moments, local = moments[::-1], local[::-1]
    values, reasons = local_to_utc(local.as_unit("ms"), zone)
    good = np.array([reason is None for reason in reasons])
    expected = moments.as_unit("ms").asi8
    assert (values[good] == expected[good]).all()
    # Only rows of a repeated time may be refused.
    for moment in moments[~good]:
        wall = moment.tz_convert(zone).to_pydatetime().replace(tzinfo=None)
        offsets = {wall.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1)}
        assert len(offsets) == 2
