"""Elasticsearch's date maths: `now-1d/d`, `2020-01-01||+1M/d`; the present instant is passed in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from gridwatch.errors import JobsValueError
from gridwatch.jobs.date_formats import DEFAULT_FORMAT, DateFormat, date_format, epoch_ms

__all__ = ["instant_ms"]

_STEP = re.compile(r"([+\-/])(\d*)([yMwdhHms])")
_AMOUNT_MAX = 10**12
_FIXED = {"h": timedelta(hours=1), "H": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}
_DAYS = {"d": 1, "w": 7}
_MONTHS = {"y": 12, "M": 1}
_STEPS_MAX = 20


def instant_ms(
    text: str, *, now_ms: int, formats: DateFormat | None = None, zone: tzinfo = UTC, round_up: bool = False
) -> int:
    """Return the instant of a date, or of date maths, in UTC epoch ms.

    Args:
        text: `now` or a date and `||`, then any of `+1d`, `-2M`, `/d`; or a date alone.
        now_ms: What `now` is.
        formats: Of the date; Elasticsearch's default where None.
        zone: Of a date without one, and of the days that are rounded to.
        round_up: Whether `/d`, and a date without its time, stand for their last millisecond.

    Raises:
        JobsValueError: It is neither; or the instant is outside the years 1 to 9999.

    >>> now = 1_577_880_000_000  # 2020-01-01T12:00Z
    >>> instant_ms("now-1d/d", now_ms=now), instant_ms("2020-01-31||+1M/d", now_ms=now, round_up=True)
    (1577750400000, 1583020799999)
    """
    reader = formats or date_format(DEFAULT_FORMAT)
    if text.startswith("now"):
        start, steps = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now_ms), text[3:]
    else:
        date, sign, steps = text.partition("||")
        start = reader.parse(date, zone, round_up=round_up and not sign)
    try:
        return epoch_ms(_moved(start, steps, zone, text, round_up))
    except (OverflowError, ValueError) as error:
        raise JobsValueError(f"the date [{text}] leads outside the years 1 to 9999", value=text) from error


def _moved(start: datetime, steps: str, zone: tzinfo, text: str, round_up: bool) -> datetime:
    place, count, local = 0, 0, start.astimezone(zone)
    while place < len(steps):
        found = _STEP.match(steps, place)
        count += 1
        if found is None or count > _STEPS_MAX or (found[1] == "/" and found[2] not in {"", "1"}):
            raise JobsValueError(
                f"date math [{text[:100]}] cannot be read at [{steps[place : place + 20]}]",
                allowed=("+1d", "-2M", "/d", "units y M w d h H m s"),
                value=text,
            )
        if found[1] == "/":
            local = _rounded(local, found[3], round_up)
        else:
            amount = int(found[2][:15] or 1)
            if amount > _AMOUNT_MAX:
                raise OverflowError(amount)
            local = _added(local, -amount if found[1] == "-" else amount, found[3])
        place = found.end()
    return local


def _added(local: datetime, amount: int, unit: str) -> datetime:
    if unit in _FIXED:
        # Hours are passed on the clock of UTC: one that a change of the clock leaves out is none.
        return (local.astimezone(UTC) + amount * _FIXED[unit]).astimezone(local.tzinfo)
    if unit in _DAYS:
        return _settled(local + timedelta(days=amount * _DAYS[unit]))
    months = local.year * 12 + local.month - 1 + amount * _MONTHS[unit]
    year, month = divmod(months, 12)
    return _settled(local.replace(year=year, month=month + 1, day=min(local.day, _length(year, month + 1))))


def _length(year: int, month: int) -> int:
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC) if year < 9999 or month < 12 else None
    return (following - timedelta(days=1)).day if following else 31


def _settled(local: datetime) -> datetime:
    """Return the time that a clock shows: one that it skips becomes a later one, as in Java."""
    return local.astimezone(UTC).astimezone(local.tzinfo)


def _rounded(local: datetime, unit: str, round_up: bool) -> datetime:
    start = local.replace(microsecond=0, fold=local.fold)
    if unit != "s":
        start = start.replace(second=0)
    if unit not in {"s", "m"}:
        start = start.replace(minute=0)
    if unit not in {"s", "m", "h", "H"}:
        start = start.replace(hour=0)
    if unit == "w":
        start -= timedelta(days=start.weekday())
    elif unit in {"M", "y"}:
        start = start.replace(day=1, month=1 if unit == "y" else start.month)
    start = _settled(start)
    if not round_up:
        return start
    return (_added(start, 1, unit).astimezone(UTC) - timedelta(milliseconds=1)).astimezone(local.tzinfo)
