"""Times as text: no guess where the clock was put back."""

from __future__ import annotations

import pytest

from gridwatch.errors import ConfigError
from gridwatch.streaming import TimeFormat

NEW_YORK = TimeFormat(zone="America/New_York")


@pytest.mark.parametrize(
    ("times", "text", "ms"),
    [
        (TimeFormat(), "2024-07-01T13:30:00Z", 1_719_840_600_000),
        (TimeFormat(), "2024-07-01T13:30:00.250+00:00", 1_719_840_600_250),
        (TimeFormat(), "2024-07-01", 1_719_792_000_000),
        (NEW_YORK, "2024-07-01 09:30:00", 1_719_840_600_000),
        (NEW_YORK, "2024-01-02 09:30:00", 1_704_205_800_000),
        (NEW_YORK, "2024-07-01T13:30:00Z", 1_719_840_600_000),
        # The day of the change itself, before and after the gap.
        (NEW_YORK, "2024-03-10T01:59:59", 1_710_053_999_000),
        (NEW_YORK, "2024-03-10T03:00:00", 1_710_054_000_000),
        (TimeFormat("%d.%m.%Y %H:%M", "Europe/Berlin"), "01.07.2024 15:30", 1_719_840_600_000),
        (TimeFormat("%Y-%m-%d %H:%M%z"), "2024-07-01 09:30-0400", 1_719_840_600_000),
    ],
)
def test_texts_become_utc_ms(times: TimeFormat, text: str, ms: int) -> None:
    assert times.parse(text) == ms


@pytest.mark.parametrize(
    ("times", "text", "message"),
    [
        (
            NEW_YORK,
            "2024-11-03T01:30:00",
            r"came twice in America/New_York \(daylight saving\); send it with its offset",
        ),
        (NEW_YORK, "2024-03-10T02:30:00", r"never came in America/New_York"),
        (TimeFormat(), "yesterday", "time 'yesterday' does not fit ISO 8601"),
        (TimeFormat("%d.%m.%Y"), "2024-07-01", r"does not fit the pattern '%d.%m.%Y'"),
        (TimeFormat(), "2024-07-01T13:30:00.000001Z", "finer than a millisecond"),
    ],
)
def test_what_is_no_time_is_told(times: TimeFormat, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        times.parse(text)


def test_an_offset_settles_the_hour_that_came_twice() -> None:
    assert NEW_YORK.parse("2024-11-03T01:30:00-05:00") - NEW_YORK.parse("2024-11-03T01:30:00-04:00") == 3_600_000


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ConfigError, match="Unknown time zone 'Mars/Base'"):
        TimeFormat(zone="Mars/Base")


@pytest.mark.parametrize("text", ["2024-01-01T12:", "2024-01-01T12.5", "2024-01-01T12:30:59.", "2024-01-01T12:30 +01"])
def test_what_python_takes_for_iso_8601_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not fit ISO 8601"):
        TimeFormat().parse(text)
