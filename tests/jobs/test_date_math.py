"""Dates and date maths as Elasticsearch reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridwatch.errors import JobsValueError
from gridwatch.jobs.date_formats import FORMAT_NAMES, date_format, epoch_ms, zone_of
from gridwatch.jobs.date_math import instant_ms

NOW = datetime(2024, 3, 31, 12, 34, 56, 789_000, tzinfo=UTC)
NOW_MS = epoch_ms(NOW)


@pytest.mark.parametrize(
    ("text", "down", "up"),
    [
        ("now", "2024-03-31T12:34:56.789", "2024-03-31T12:34:56.789"),
        ("now-1h", "2024-03-31T11:34:56.789", "2024-03-31T11:34:56.789"),
        ("now/d", "2024-03-31T00:00:00.000", "2024-03-31T23:59:59.999"),
        ("now-1d/d", "2024-03-30T00:00:00.000", "2024-03-30T23:59:59.999"),
        ("now/w", "2024-03-25T00:00:00.000", "2024-03-31T23:59:59.999"),
        ("now/M", "2024-03-01T00:00:00.000", "2024-03-31T23:59:59.999"),
        ("now/y", "2024-01-01T00:00:00.000", "2024-12-31T23:59:59.999"),
        ("now/h", "2024-03-31T12:00:00.000", "2024-03-31T12:59:59.999"),
        ("now-1M", "2024-02-29T12:34:56.789", "2024-02-29T12:34:56.789"),
        ("now+1y-1M/M+d", "2025-02-02T00:00:00.000", "2025-03-01T23:59:59.999"),
        ("2020-01-01||+1M/d", "2020-02-01T00:00:00.000", "2020-02-01T23:59:59.999"),
        ("2020", "2020-01-01T00:00:00.000", "2020-01-01T23:59:59.999"),
        ("2020-02", "2020-02-01T00:00:00.000", "2020-02-01T23:59:59.999"),
        ("2020-02-29T07", "2020-02-29T07:00:00.000", "2020-02-29T07:59:59.999"),
        ("2020-02-29T07:08:09", "2020-02-29T07:08:09.000", "2020-02-29T07:08:09.999"),
        ("2020-02-29T07:08:09.5+01:00", "2020-02-29T06:08:09.500", "2020-02-29T06:08:09.500"),
        ("1583020799999", "2020-02-29T23:59:59.999", "2020-02-29T23:59:59.999"),
        ("-1", "1969-12-31T23:59:59.999", "1969-12-31T23:59:59.999"),
    ],
)
def test_a_date_is_rounded_down_and_up(text: str, down: str, up: str) -> None:
    found = [instant_ms(text, now_ms=NOW_MS, round_up=way) for way in (False, True)]
    assert found == [epoch_ms(datetime.fromisoformat(f"{one}+00:00")) for one in (down, up)]


@pytest.mark.parametrize(
    ("text", "zone", "wanted"),
    [
        # The night of the 31st of March 2024 has no half past two in Paris.
        ("2024-03-31T02:30", "Europe/Paris", "2024-03-31T01:30"),
        ("2024-03-31||+1d", "Europe/Paris", "2024-03-31T22:00"),
        ("2024-03-31||+24h", "Europe/Paris", "2024-03-31T23:00"),
        ("now/d", "Europe/Paris", "2024-03-30T23:00"),
        ("now/d", "+14:00", "2024-03-31T10:00"),
        ("2024-01-01T00:00Z", "-05:00", "2024-01-01T00:00"),
    ],
)
def test_a_zone_moves_days_and_dates_without_one(text: str, zone: str, wanted: str) -> None:
    assert instant_ms(text, now_ms=NOW_MS, zone=zone_of(zone)) == epoch_ms(datetime.fromisoformat(f"{wanted}+00:00"))


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        ("yyyy-MM-dd HH:mm:ss", "2024-05-06 07:08:09", "2024-05-06T07:08:09"),
        ("dd/MMM/yyyy:HH:mm:ss Z", "06/May/2024:07:08:09 +0200", "2024-05-06T05:08:09"),
        ("d.M.yy h:mm a", "6.5.24 7:08 PM", "2024-05-06T19:08"),
        ("yyyy-DDD", "2024-060", "2024-02-29"),
        ("yyyy'T'MM[-dd]", "2024T05", "2024-05-01"),
        ("epoch_second", "1714979289.5", "2024-05-06T07:08:09.500"),
        ("basic_date||yyyy", "20240506", "2024-05-06"),
        ("basic_date||yyyy", "2024", "2024-01-01"),
        ("date_optional_time", "2024-5-6T7:8Z", "2024-05-06T07:08"),
    ],
)
def test_formats_by_name_and_java_patterns(pattern: str, text: str, wanted: str) -> None:
    assert date_format(pattern).parse(text) == datetime.fromisoformat(wanted).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            "yyyy-QQ",
            r"Invalid date format \[yyyy-QQ\]: it is no built-in name and as a Java pattern \[QQ\] in it is not",
        ),
        ("yyyy-yyyy", "it has a part twice"),
        ("[yyyy", "brackets without their pair"),
        ("'now'", "it holds no part of a date"),
        ("", "it holds no part of a date"),
        ("y" * 300, "a date format of 300 characters; at most 200"),
    ],
)
def test_formats_that_cannot_be_read_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(JobsValueError, match=message):
        date_format(pattern)


@pytest.mark.parametrize(
    "text", ["now-", "now+1q", "now//d", "now/2d", "2020-01-01|+1d", "2020-02-30", "soon", "", "now" + "+1d" * 21]
)
def test_dates_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(JobsValueError, match=r"date math \[now|failed to parse date field \["):
        instant_ms(text, now_ms=NOW_MS)


@pytest.mark.parametrize("text", ["now-9999y", "9999-12-31||+1d", "now+99999999999999s", "9999-12-31||/y"])
def test_dates_outside_the_calendar_are_refused(text: str) -> None:
    with pytest.raises(JobsValueError, match=r"\] leads outside the years 1 to 9999"):
        instant_ms(text, now_ms=NOW_MS, round_up=True)


@pytest.mark.parametrize("zone", ["", "Europe", "../etc/passwd", "+25:00", "Mars/Base", "x" * 200, "/etc/localtime"])
def test_zones_that_are_none_are_refused(zone: str) -> None:
    with pytest.raises(JobsValueError, match=r"unknown time zone \[.*allowed: Z, \+01:00, Europe/Paris"):
        zone_of(zone)


@given(
    text=st.text(alphabet="now+-/|0129dMywhsm:TZ.", max_size=16),
    formats=st.sampled_from(FORMAT_NAMES) | st.text(alphabet="yMdHmsSaXE'[]-/ Q", max_size=8),
    zone=st.sampled_from([UTC, zone_of("America/New_York"), zone_of("-11:30")]),
    round_up=st.booleans(),
)
def test_any_text_is_an_instant_or_refused(text: str, formats: str, zone: timedelta, round_up: bool) -> None:
    found = 0
    try:
        found = instant_ms(text, now_ms=NOW_MS, formats=date_format(formats), zone=zone, round_up=round_up)  # type: ignore[arg-type]
    except JobsValueError as error:
        assert error.status == 400  # noqa: PT017  either answer is right
    assert isinstance(found, int)
