"""Times as text: what GridDB's Web API takes for one.

A millisecond column takes one pattern, leniently: month 13 is January of the next year, `.6Z` is 6 ms, and what follows
the Z is ignored. Columns of microseconds and nanoseconds take ISO 8601 with a fraction of 0, 3, 6 or 9 digits, and Z or
an offset.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

__all__ = ["lenient_ms", "precise_ns"]

_PART = r"[ \t]*(-?[0-9]{1,10})"
_LENIENT = re.compile(rf"[ \t]*([0-9]{{1,10}})-{_PART}-{_PART}T{_PART}:{_PART}:{_PART}\.{_PART}Z")
_PRECISE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{3}(?:[0-9]{3}){0,2}))?(Z|[+-][0-9]{2}:?[0-9]{2})"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
# The calendar repeats after this many years, and this many days.
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097


def lenient_ms(text: str) -> int | None:
    """Return UTC epoch ms of `yyyy-MM-ddTHH:mm:ss.SSSZ`, fields out of range carried over; None if it is no time.

    >>> lenient_ms("1970-01-01T00:00:00.6Z"), lenient_ms("1969-13-02T00:00:00.000Z now"), lenient_ms("1970-01-01")
    (6, 86400000, None)
    """
    match = _LENIENT.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, ms = (int(part) for part in match.groups())
    years, months = divmod(month - 1, 12)
    cycles, within = divmod(year + years - 1, _CYCLE_YEARS)
    days = date(within + 1, months + 1, 1).toordinal() + cycles * _CYCLE_DAYS - _EPOCH_DAY + day - 1
    return ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + ms


def precise_ns(text: str) -> int | None:
    """Return UTC epoch ns of an ISO 8601 time; None if it is none.

    >>> precise_ns("1970-01-01T09:00:00.000001+09:00"), precise_ns("1970-01-01 00:00:00Z")
    (1000, None)
    """
    match = _PRECISE.fullmatch(text)
    if match is None:
        return None
    *parts, fraction, zone = match.groups()
    try:
        moment = datetime(*(int(part) for part in parts), tzinfo=UTC)  # type: ignore[arg-type, misc]
    except ValueError:
        return None
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    if zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        seconds -= sign * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)
    return seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))
