"""Times as text, turned into UTC epoch ms without a guess."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gridwatch.errors import ConfigError
from gridwatch.streaming.time_patterns import strptime_pattern

__all__ = ["TimeFormat"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
# `fromisoformat` takes more than ISO 8601, such as a colon without minutes, and "T12.5" for half a second past 12.
# The connector's `IsoTime` has the same form.
_DAY = r"[0-9]{4}(?:-[0-9]{2}-[0-9]{2}|[0-9]{4}|W[0-9]{2}[0-9]?|-W[0-9]{2}(?:-[0-9])?)"
_HOUR = r"[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}%s)?|:[0-9]{2}(?::[0-9]{2}%s)?)?"
_CLOCK, _OFFSET = _HOUR % ((r"(?:[.,][0-9]+)?",) * 2), _HOUR % ("", "")
_ISO = re.compile(rf"{_DAY}(?:[^0-9]{_CLOCK}(?:Z|[+-]{_OFFSET})?)?", re.DOTALL)
# `fromisoformat` silently forgets what is behind the sixth decimal.
_FINER = re.compile(r"[.,][0-9]{3}[0-9]*[1-9]")


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How times that come as text are written.

    Args:
        pattern: A `strptime` pattern such as `%d.%m.%Y %H:%M`, or in the letters of Java's DateTimeFormatter, such as
            `dd.MM.yyyy HH:mm`; None: ISO 8601.
        zone: Time zone of texts that name none.

    >>> TimeFormat(zone="America/New_York").parse("2024-07-01 09:30:00")
    1719840600000
    """

    pattern: str | None = None
    zone: str = "UTC"
    _strptime: str | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.pattern is not None:
            object.__setattr__(self, "_strptime", strptime_pattern(self.pattern, self.zone))
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ConfigError(f"Unknown time zone {self.zone!r}; use one such as America/New_York or UTC.") from error

    def parse(self, text: str) -> int:
        """Return the UTC epoch ms of a text.

        Raises:
            ValueError: It does not fit the pattern, is finer than a millisecond, or, on a local clock, it came twice
                or never because of daylight saving; the message says which.
        """
        try:
            time = datetime.strptime(text, self._strptime) if self._strptime else _from_iso(text)
        except ValueError:
            wanted = f"the pattern {self.pattern!r}" if self.pattern else "ISO 8601"
            raise ValueError(f"time {text[:60]!r} does not fit {wanted}") from None
        if not text.isascii() and any(letter.isdigit() and not letter.isascii() for letter in text):
            raise ValueError(f"time {text[:60]!r} has digits of another script")
        if time.microsecond % 1000 or (self._strptime is None and _FINER.search(text)):
            raise ValueError(f"time {text[:60]!r} is finer than a millisecond")
        if time.tzinfo is None:
            time = self._local(time, text)
        try:
            return (time - _EPOCH) // _MS
        except OverflowError:
            raise ValueError(f"time {text[:60]!r} is out of range") from None

    def _local(self, time: datetime, text: str) -> datetime:
        zone = ZoneInfo(self.zone)
        first, second = time.replace(tzinfo=zone, fold=0), time.replace(tzinfo=zone, fold=1)
        if first.utcoffset() != second.utcoffset():
            try:
                there = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == time
            except OverflowError:
                raise ValueError(f"time {text[:60]!r} is out of range") from None
            what = "came twice" if there else "never came"
            raise ValueError(f"time {text[:60]!r} {what} in {self.zone} (daylight saving); send it with its offset")
        return first


def _from_iso(text: str) -> datetime:
    if not _ISO.fullmatch(text):
        msg = f"{text!r} is not ISO 8601"
        raise ValueError(msg)
    return datetime.fromisoformat(text)
