"""Round numbers and round times for the axes of the picture in a mail, without the cost of matplotlib's locators."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

__all__ = ["time_ticks", "value_ticks"]

_VALUES_MAX = 7
_TIMES_MAX = 8
"""Most steps of an axis; a time axis has half as many at least, and one more tick than steps."""

_SECOND, _HOUR, _DAY = 1_000, 3_600_000, 86_400_000
_EVEN_MS = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(seconds * _SECOND for seconds in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800)),
    *(hours * _HOUR for hours in (1, 2, 3, 4, 6, 12)),
)
_DAYS = (1, 2, 4, 7, 14)
_MONTHS = (1, 2, 3, 4, 6)
_MONTH_DAYS, _YEAR_DAYS = 30.4, 365.2
# Room for a zone's offset within the years that Python knows.
_FIRST_MS, _LAST_MS = -62_135_500_000_000, 253_402_200_000_000


def value_ticks(low: float, high: float) -> list[float]:
    """Return round values from `low` to `high`, at most eight; none where the range is too wide or narrow for floats.

    >>> value_ticks(98.6, 120.7)
    [100.0, 105.0, 110.0, 115.0, 120.0]
    """
    least = (high - low) / _VALUES_MAX
    if not math.isfinite(least) or least < 1e-300:
        return []
    size = 10.0 ** math.floor(math.log10(least))
    # 10.0 alone may be missed by a rounding error.
    step = next((size * part for part in (1.0, 2.0, 2.5, 5.0) if size * part >= least), size * 10.0)
    # Twelve digits: 3 * 0.1 is no tick's name.
    ticks = [float(f"{place * step:.12g}") for place in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [tick for tick in ticks if low <= tick <= high]


def time_ticks(first_ms: float, last_ms: float, zone: tzinfo = UTC) -> tuple[list[float], list[str], str]:
    """Return ticks of a time axis at round local times.

    Args:
        first_ms: Begin of the axis, UTC epoch ms.
        last_ms: Its end.
        zone: Whose clock and calendar count.

    Returns:
        Ticks, UTC epoch ms; their words; and what the last of them leaves unsaid, such as its date.

    >>> time_ticks(1_700_004_240_000, 1_700_011_560_000)[1:]
    (['23:30', '00:00', '00:30', '01:00'], '2023-Nov-15')
    """
    first_ms, last_ms = max(first_ms, _FIRST_MS), min(last_ms, _LAST_MS)
    if last_ms <= first_ms:
        return [], [], ""
    step_ms, level, moments = _moments(first_ms, last_ms, zone)
    found: dict[float, datetime] = {}
    for moment in moments:
        at_ms = round(moment.replace(tzinfo=zone).timestamp() * 1000)
        if first_ms <= at_ms <= last_ms:
            # A local time that a change of the clocks leaves out is told as what it became.
            found[at_ms] = datetime.fromtimestamp(at_ms // 1000, zone).replace(microsecond=at_ms % 1000 * 1000)
    if not found:
        return [], [], ""
    rest = {"years": "", "months": "%Y", "days": "%Y-%b", "even": "%Y-%b-%d"}[level]
    rest += " %H:%M" if 0 < step_ms < _SECOND else ""
    words = [_word(moment, step_ms, level) for moment in found.values()]
    return [float(at_ms) for at_ms in found], words, list(found.values())[-1].strftime(rest)


def _moments(first_ms: float, last_ms: float, zone: tzinfo) -> tuple[int, str, Iterator[datetime]]:
    """Return the step in ms where all are alike, what is counted, and local times at least over the range."""
    first, last = (datetime.fromtimestamp(at_ms / 1000, zone).replace(tzinfo=None) for at_ms in (first_ms, last_ms))
    least_ms = (last_ms - first_ms) / _TIMES_MAX
    if least_ms <= _EVEN_MS[-1]:
        step_ms = _EVEN_MS[bisect_left(_EVEN_MS, least_ms)]
        return step_ms, "even", _even(first, last, step_ms)
    least_days = least_ms / _DAY
    for days in _DAYS:
        if days >= least_days:
            return 0, "days", _days(first, last, days)
    for months in _MONTHS:
        if months * _MONTH_DAYS >= least_days:
            return 0, "months", _months(first, last, months)
    size = 10 ** math.floor(math.log10(max(1.0, least_days / _YEAR_DAYS)))
    years = next((size * part for part in (1, 2, 5) if size * part * _YEAR_DAYS >= least_days), size * 10)
    return 0, "years", _months(first, last, 12 * years)


def _even(first: datetime, last: datetime, step_ms: int) -> Iterator[datetime]:
    moment = first.replace(hour=0, minute=0, second=0, microsecond=0)
    step = timedelta(milliseconds=step_ms)
    moment += (first - moment) // step * step
    # The hour that comes twice when clocks go back makes the axis longer than they say.
    for _ in range(2 * _TIMES_MAX + 4):
        yield moment
        moment += step
        if moment > last + timedelta(hours=2):
            return


def _days(first: datetime, last: datetime, days: int) -> Iterator[datetime]:
    """Every so many days from the first of each month, none close before the next first."""
    for month in _months(first, last, 1):
        following = (month + timedelta(days=32)).replace(day=1)
        for number in range(0, 31, days):
            moment = month + timedelta(days=number)
            if (following - moment).days * 2 > days:
                yield moment


def _months(first: datetime, last: datetime, months: int) -> Iterator[datetime]:
    begin = (first.year * 12 + first.month - 1) // months * months
    for number in range(max(begin, 12), last.year * 12 + last.month, months):
        yield datetime(number // 12, number % 12 + 1, 1)


def _word(moment: datetime, step_ms: int, level: str) -> str:
    if level == "even":
        if step_ms < _SECOND:
            return f"{moment:%S}.{moment.microsecond // 1000:03d}"
        if step_ms < 60 * _SECOND:
            return f"{moment:%H:%M:%S}"
        midnight = (moment.hour, moment.minute) == (0, 0)
        return f"{moment:%b-%d}" if midnight and step_ms >= _HOUR else f"{moment:%H:%M}"
    if level == "days":
        return f"{moment:%b}" if moment.day == 1 else f"{moment:%d}"
    return f"{moment:%Y}" if moment.month == 1 else f"{moment:%b}"
