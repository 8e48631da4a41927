"""Quiet hours: when nobody wants mails, by the clock on the wall of one time zone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

__all__ = ["quiet_until"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_AHEAD = 9
"""Days that are looked at: a week and the night after it. Hours without any end are looked at again then."""


def quiet_until(hours: Sequence[str], zone: str, now_ms: int) -> int | None:
    """Return when the quiet hours that it is now are over, UTC epoch ms; None when it is not quiet.

    Args:
        hours: Such as `22:00-07:00`, `sat-sun 00:00-24:00`; the settings have checked their form. Hours past midnight
            belong to the day on which they begin.
        zone: Time zone of the hours.
        now_ms: UTC epoch ms.

    >>> [quiet_until(["22:00-07:00"], "UTC", hour * 3_600_000) for hour in (23, 0, 12)]
    [111600000, 25200000, None]
    """
    if not hours:
        return None
    where = ZoneInfo(zone)
    today = datetime.fromtimestamp(now_ms / 1000, where).date()
    days = [today + timedelta(days=ahead) for ahead in range(-1, _AHEAD)]
    until = now_ms
    # In order of their begin, each that holds the end so far moves it on: hours that touch are one.
    for begin_ms, end_ms in sorted(span for text in hours for day in days for span in _span(text, day, where)):
        if begin_ms <= until < end_ms:
            until = end_ms
    return until if until > now_ms else None


def _span(text: str, day: date, zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    """Yield begin and end, UTC epoch ms, of these hours where they begin on this day."""
    *of, clock = text.lower().split()
    if of and not _holds(of[0], day.weekday()):
        return
    first, last = clock.split("-")
    ends = day + timedelta(days=1) if last <= first else day
    yield _moment(day, first, zone), _moment(ends, last, zone)


def _holds(days: str, weekday: int) -> bool:
    first, _, last = days.partition("-")
    begin, end = _DAYS.index(first), _DAYS.index(last or first)
    return (weekday - begin) % 7 <= (end - begin) % 7


def _moment(day: date, clock: str, zone: ZoneInfo) -> int:
    if clock == "24:00":
        day, clock = day + timedelta(days=1), "00:00"
    hour, minute = map(int, clock.split(":"))
    # Over UTC: a time that the clock change leaves out is then the moment that it becomes.
    return round(datetime.combine(day, time(hour, minute), zone).astimezone(UTC).timestamp() * 1000)
