"""Clocks that are put forward and back, ends of years, and patterns that would read something else."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridwatch.errors import ConfigError
from gridwatch.streaming import TimeFormat

NEW_YORK = "America/New_York"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = (
    *(NEW_YORK, "Europe/Berlin", "Europe/Dublin", "Europe/Moscow", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Apia"),
    *("Australia/Lord_Howe", "Africa/Casablanca", "America/Caracas", "Asia/Pyongyang", "Antarctica/Troll", "UTC"),
)


def ms(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("zone", "text", "utc"),
    [
        # The night in spring has no hour from 2 to 3, the one in autumn has that from 1 to 2 twice.
        (NEW_YORK, "2025-03-09 01:59:59.999", "2025-03-09T06:59:59.999Z"),
        (NEW_YORK, "2025-03-09 02:00:00", "never came"),
        (NEW_YORK, "2025-03-09 02:59:59.999", "never came"),
        (NEW_YORK, "2025-03-09 03:00:00", "2025-03-09T07:00:00Z"),
        (NEW_YORK, "2025-11-02 00:59:59.999", "2025-11-02T04:59:59.999Z"),
        (NEW_YORK, "2025-11-02 01:00:00", "came twice"),
        (NEW_YORK, "2025-11-02 01:59:59.999", "came twice"),
        (NEW_YORK, "2025-11-02 02:00:00", "2025-11-02T07:00:00Z"),
        # Their own offset settles it, also where it is not that of the zone.
        (NEW_YORK, "2025-11-02 01:30:00-04:00", "2025-11-02T05:30:00Z"),
        (NEW_YORK, "2025-11-02 01:30:00-05:00", "2025-11-02T06:30:00Z"),
        (NEW_YORK, "2025-03-09 02:30:00-05:00", "2025-03-09T07:30:00Z"),
        (NEW_YORK, "2025-07-01T12:30:00+05:30", "2025-07-01T07:00:00Z"),
        (NEW_YORK, "2025-07-01T12:30:00Z", "2025-07-01T12:30:00Z"),
        # Noon and midnight stay.
        (NEW_YORK, "2025-07-01 12:30", "2025-07-01T16:30:00Z"),
        (NEW_YORK, "2025-07-01 00:30", "2025-07-01T04:30:00Z"),
        # Half an hour; a whole day left out; a clock put back for good; an offset of three quarters.
        ("Australia/Lord_Howe", "2025-10-05 02:15", "never came"),
        ("Australia/Lord_Howe", "2025-04-06 01:45", "came twice"),
        ("Pacific/Apia", "2011-12-30 12:00", "never came"),
        ("Pacific/Apia", "2011-12-31 00:00", "2011-12-30T10:00:00Z"),
        ("Europe/Moscow", "2014-10-26 01:30", "came twice"),
        ("Asia/Kathmandu", "2025-01-01 05:45", "2025-01-01T00:00:00Z"),
        # Leap days, leap years, ends of years.
        ("UTC", "2024-02-29", "2024-02-29T00:00:00Z"),
        ("UTC", "2000-02-29", "2000-02-29T00:00:00Z"),
        ("UTC", "2100-02-29", "does not fit ISO 8601"),
        ("UTC", "2023-02-29", "does not fit ISO 8601"),
        ("UTC", "2024-12-30", "2024-12-30T00:00:00Z"),
        ("UTC", "2025-W01-1", "2024-12-30T00:00:00Z"),
        ("UTC", "2016-12-31T23:59:60Z", "does not fit ISO 8601"),
        ("UTC", "2024-01-01T00:00:00.1234Z", "finer than a millisecond"),
        ("UTC", "2024-01-01T00:00:00.1230000001Z", "finer than a millisecond"),
        ("UTC", "2024-01-01T00:00:00.1230000000Z", "2024-01-01T00:00:00.123Z"),
    ],
)
def test_a_time_is_what_it_was_or_is_told(zone: str, text: str, utc: str) -> None:
    times = TimeFormat(zone=zone)
    if utc.endswith("Z"):
        assert times.parse(text) == ms(utc)
    else:
        with pytest.raises(ValueError, match=utc):
            times.parse(text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy-MM-dd HH:mm:ss", "2024-12-30 12:30:00"),
        ("%Y-%m-%d %H:%M:%S", "2024-12-30 12:30:00"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2024-12-30T12:30:00.000+00:00"),
        ("yyyy-MM-dd'T'HH:mm:ssX", "2024-12-30T12:30:00Z"),
        ("yyyy-MM-dd hh:mm a", "2024-12-30 12:30 PM"),
        ("%m/%d/%Y %I:%M %p", "12/30/2024 12:30 PM"),
        ("EEE, dd MMM yyyy HH:mm:ss Z", "Mon, 30 Dec 2024 12:30:00 +0000"),
        ("yyyyMMddHHmm", "202412301230"),
        ("dd.MM.yyyy 'o''clock' HH:mm", "30.12.2024 o'clock 12:30"),
        ("%Y-%jT%H:%M", "2024-365T12:30"),
        ("%G-W%V-%u %H:%M", "2025-W01-1 12:30"),
    ],
)
def test_half_past_noon_at_the_end_of_a_year_stays_so(pattern: str, text: str) -> None:
    assert TimeFormat(pattern).parse(text) == ms("2024-12-30T12:30:00Z")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("yyyy-MM-dd hh:mm:ss", "the clock of 12 hours, on which 00:30 and 12:30 are the same; use HH or %H"),
        ("%Y-%m-%d %I:%M", "the clock of 12 hours"),
        ("YYYY-MM-dd HH:mm", "YYYY: it is the year of the week, which differs at the end of a year; write yyyy"),
        ("%G-%m-%d", "ISO year directive"),
        ("yyyy-mm-dd", "redefinition of group name|it reads 2024-12-30 as"),
        ("yyyy-MM-DD", "DD: it is the day of the year; write dd"),
        ("yyyy-MM-dd kk:mm", "kk: it is an hour from 1 to 24"),
        ("yyyy-MM-dd HH:mm z", "z: names of zones mean several; write XXX"),
        ("%Y-%m-%d %H:%M %Z", "%Z reads names of zones, which mean several, and forgets them"),
        ("yy-MM-dd", "yy: two digits do not tell the century"),
        ("%y-%m-%d", "%y has two digits, which do not tell the century"),
        ("yyyy-MM-dd'T'HH:mm:ss'Z'", "its last letter Z means UTC, and the zone is America/New_York"),
        ("HH:mm", "it has to tell year, month and day"),
        ("yyyy-MM-dd'T", "a single quote has no partner"),
        ("yyyy-MM-ddTHH:mm", "T: no such letters; text goes into single quotes"),
        ("%Y-%m-%d %Q", "'Q' is a bad directive"),
        ("", "it has to tell year, month and day"),
    ],
)
def test_a_pattern_that_would_lose_what_it_reads_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"for times cannot be used: .*({why})"):
        TimeFormat(pattern, NEW_YORK)


@given(st.datetimes(datetime(1970, 1, 3), datetime(2037, 12, 30)), st.sampled_from(ZONES), st.booleans())
def test_local_times_are_read_as_the_one_instant_that_they_tell(local: datetime, name: str, java: bool) -> None:
    local = local.replace(microsecond=local.microsecond // 1000 * 1000)
    zone = ZoneInfo(name)
    # All instants whose clock shows this time, found by trying every offset that the zone has around then.
    around = [
        (local + timedelta(days=days)).replace(tzinfo=zone).utcoffset() or timedelta() for days in (-2, -1, 0, 1, 2)
    ]
    tried = {(local - offset).replace(tzinfo=UTC) for offset in around}
    tried |= {(local.replace(tzinfo=zone, fold=fold)).astimezone(UTC) for fold in (0, 1)}
    instants = {one for one in tried if one.astimezone(zone).replace(tzinfo=None) == local}
    times = TimeFormat("yyyy-MM-dd HH:mm:ss.SSS" if java else None, name)
    text = local.isoformat(sep=" ", timespec="milliseconds")
    if len(instants) == 1:
        assert times.parse(text) == (instants.pop() - EPOCH) // timedelta(milliseconds=1)
    else:
        with pytest.raises(ValueError, match="came twice" if instants else "never came"):
            times.parse(text)


@given(st.text(max_size=30), st.sampled_from([None, "yyyy-MM-dd HH:mm", "%d.%m.%Y %H:%M%z", "yyyyMMdd"]))
def test_any_text_is_a_time_or_has_a_reason(text: str, pattern: str | None) -> None:
    with suppress(ValueError):
        assert 0 <= abs(TimeFormat(pattern, NEW_YORK).parse(text)) < 10**15


@given(st.text("yYuMdDHhKkmsSaEXZzV'%-:. T", max_size=20) | st.text("%YmdHMSfzZIpyjGVuUwWaAbBcxXs-: ", max_size=20))
def test_any_pattern_is_taken_or_refused(pattern: str) -> None:
    try:
        times = TimeFormat(pattern)
    except ConfigError:
        return
    # What is taken reads its own times.
    assert times.parse(datetime(2024, 12, 30, 15, 47, 59, 123000, UTC).strftime(times._strptime or "")) >= 0
