"""Elasticsearch's date formats: the built-in names, and Java's patterns, as far as they make an instant.

Where a text lacks a part of a date, it is taken as Elasticsearch's range query takes it: January, the first, and of the
time of day the first instant, or the last one where a value is rounded up.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from gridwatch.errors import JobsValueError

__all__ = ["DEFAULT_FORMAT", "FORMAT_NAMES", "DateFormat", "Instant", "date_format", "epoch_ms", "zone_of"]

DEFAULT_FORMAT = "strict_date_optional_time||epoch_millis"
"""What a date field takes unless a format is given."""

FORMAT_MAX = 200
_TEXT_MAX = 100
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS_FULL = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ZONE = r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)"
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Instant = datetime
"""An aware datetime."""


@dataclass(frozen=True, slots=True)
class DateFormat:
    """One or several formats, tried one after the other.

    Args:
        text: As given, `||` between several.
        readers: One for each: returns the instant of a text, or None where it has another form. It is given the zone
            for a text without one, and whether what is missing of the time of day is rounded up.
        parts: For each, the parts of a date that it can hold; empty for a count since 1970.
    """

    text: str
    readers: tuple[Callable[[str, tzinfo, bool], Instant | None], ...]
    parts: tuple[frozenset[str], ...] = ()

    @property
    def lacks(self) -> str:
        """What one of the formats never says of a moment: `year`, `month`, `day` or `hour`; "" for nothing.

        A time of 12 hours says the hour together with its half of the day.

        >>> date_format("yyyy-MM-dd").lacks, date_format("yyyy-MM-dd hh:mma").lacks, date_format("epoch_millis").lacks
        ('hour', '', '')
        """
        for parts in filter(None, self.parts):
            for name, ways in _MOMENT.items():
                if not any(way <= parts for way in ways):
                    return name
        return ""

    def parse(self, text: str, zone: tzinfo = UTC, *, round_up: bool = False) -> Instant:
        """Return the instant of a text.

        Raises:
            JobsValueError: No format takes it.

        >>> date_format("yyyy-MM").parse("2020-02", round_up=True).isoformat()
        '2020-02-01T23:59:59.999000+00:00'
        """
        if len(text) <= _TEXT_MAX:
            for read in self.readers:
                found = read(text, zone, round_up)
                if found is not None:
                    return found
        raise JobsValueError(
            f"failed to parse date field [{text[:_TEXT_MAX]}] with format [{self.text}]", value=text, format=self.text
        )


def epoch_ms(instant: Instant) -> int:
    """Return UTC epoch milliseconds, rounded down.

    >>> epoch_ms(datetime(2020, 1, 1, tzinfo=UTC))
    1577836800000
    """
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def zone_of(text: str) -> tzinfo:
    """Return the zone of `Z`, `UTC`, an offset such as `+01:00`, or a name such as `Europe/Paris`.

    Raises:
        JobsValueError: There is none of this name.
    """
    if text in {"Z", "UTC", "GMT"}:
        return UTC
    found = _OFFSET.fullmatch(text)
    if found:
        minutes = int(found[2]) * 60 + int(found[3] or 0)
        if minutes <= 18 * 60:
            return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))
    elif re.fullmatch(r"[A-Za-z][A-Za-z0-9_+\-]*(?:/[A-Za-z0-9_+\-]+)*", text) and len(text) <= _TEXT_MAX:
        try:
            return ZoneInfo(text)
        # A folder of the database of zones, such as "Europe", is no zone either.
        except (KeyError, OSError, ValueError):
            pass
    raise JobsValueError(
        f"unknown time zone [{text[:_TEXT_MAX]}]", allowed=("Z", "+01:00", "Europe/Paris"), time_zone=text
    )


@functools.lru_cache(maxsize=64)
def date_format(text: str) -> DateFormat:
    """Return the format, or formats with `||` between them.

    Raises:
        JobsValueError: A name is unknown, or a pattern has a letter that is not supported.
    """
    if len(text) > FORMAT_MAX:
        raise JobsValueError(f"a date format of {len(text)} characters; at most {FORMAT_MAX} are taken")
    found = [_reader(part) for part in text.split("||")]
    return DateFormat(text, tuple(read for read, _ in found), tuple(parts for _, parts in found))


def _reader(part: str) -> tuple[Callable[[str, tzinfo, bool], Instant | None], frozenset[str]]:
    if part in _EPOCHS:
        return functools.partial(_read_epoch, _EPOCHS[part]), frozenset()
    pattern = re.compile(_NAMED.get(part) or _pattern(part), re.IGNORECASE | re.ASCII)
    return functools.partial(_read_fields, pattern), frozenset(pattern.groupindex)


def _read_epoch(per_ms: Decimal, text: str, zone: tzinfo, round_up: bool) -> Instant | None:
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        return None
    try:
        return _EPOCH + timedelta(microseconds=int(Decimal(text) * per_ms * 1000))
    except (OverflowError, InvalidOperation):
        return None


def _read_fields(pattern: re.Pattern[str], text: str, zone: tzinfo, round_up: bool) -> Instant | None:
    found = pattern.fullmatch(text)
    if found is None:
        return None
    try:
        return _instant({name: part for name, part in found.groupdict().items() if part}, zone, round_up)
    # The 30th of February, or a year beyond 9999.
    except (ValueError, OverflowError):
        return None


def _instant(parts: Mapping[str, str], zone: tzinfo, round_up: bool) -> Instant:
    """Return the instant of what a pattern has found; what is missing of it is filled in."""
    last = (23, 59, 59) if round_up else (0, 0, 0)
    hour, minute, second = (int(parts.get(name, rest)) for name, rest in zip(_CLOCK, last, strict=True))
    if "hour12" in parts:
        hour = int(parts["hour12"]) % 12 + (12 if parts.get("half", "am").lower() == "pm" else 0)
    micro = int(parts["fraction"][:6].ljust(6, "0")) if "fraction" in parts else 999_000 if round_up else 0
    year = int(parts.get("year", 1970))
    if "year2" in parts:
        year = 2000 + int(parts["year2"])
    month = int(parts.get("month", 1))
    if "month_name" in parts:
        month = _MONTHS.index(parts["month_name"][:3].lower()) + 1
    if "zone" in parts:
        zone = zone_of(parts["zone"].upper())
    if "day_of_year" in parts:
        first = datetime(year, 1, 1, hour, minute, second, micro, tzinfo=zone)
        day = first + timedelta(days=int(parts["day_of_year"]) - 1)
        if day.year != year:
            raise ValueError(parts["day_of_year"])
        return day.astimezone(UTC)
    return datetime(year, month, int(parts.get("day", 1)), hour, minute, second, micro, tzinfo=zone).astimezone(UTC)


_CLOCK = ("hour", "minute", "second")
_DAYS_OF_YEAR = frozenset({"day_of_year"})
_MOMENT: dict[str, tuple[frozenset[str], ...]] = {
    "year": (frozenset({"year"}), frozenset({"year2"})),
    "month": (frozenset({"month"}), frozenset({"month_name"}), _DAYS_OF_YEAR),
    "day": (frozenset({"day"}), _DAYS_OF_YEAR),
    "hour": (frozenset({"hour"}), frozenset({"hour12", "half"})),
}
"""The ways in which the parts of a pattern can say each part of a moment."""
_EPOCHS = {"epoch_millis": Decimal(1), "epoch_second": Decimal(1000)}

_YEAR, _MONTH, _DAY = r"(?P<year>\d{4})", r"(?P<month>\d\d)", r"(?P<day>\d\d)"
_HOUR, _MINUTE, _SECOND = r"(?P<hour>\d\d)", r"(?P<minute>\d\d)", r"(?P<second>\d\d)"
_FRACTION = r"[.,](?P<fraction>\d{1,9})"
_TIME = f"{_HOUR}(?::{_MINUTE}(?::{_SECOND}(?:{_FRACTION})?)?)?"
_LOOSE = "{year}(?:-{month}(?:-{day}(?:T{time}?)?)?)?".format(
    year=r"(?P<year>\d{1,4})",
    month=r"(?P<month>\d{1,2})",
    day=r"(?P<day>\d{1,2})",
    time=rf"(?:(?P<hour>\d{{1,2}})(?::(?P<minute>\d{{1,2}})(?::(?P<second>\d{{1,2}})(?:{_FRACTION})?)?)?{_ZONE}?)",
)
_STRICT = f"{_YEAR}(?:-{_MONTH}(?:-{_DAY}(?:T(?:{_TIME}{_ZONE}?)?)?)?)?"
_DATE, _DATE_TIME = f"{_YEAR}-{_MONTH}-{_DAY}", f"{_YEAR}-{_MONTH}-{_DAY}T{_HOUR}:{_MINUTE}:{_SECOND}"
_BASIC = f"{_YEAR}{_MONTH}{_DAY}"

_NAMED = {
    "strict_date_optional_time": _STRICT,
    "strict_date_optional_time_nanos": _STRICT,
    "date_optional_time": _LOOSE,
    "iso8601": _STRICT,
    "date": _DATE,
    "strict_date": _DATE,
    "year": _YEAR,
    "strict_year": _YEAR,
    "year_month": f"{_YEAR}-{_MONTH}",
    "strict_year_month": f"{_YEAR}-{_MONTH}",
    "year_month_day": _DATE,
    "strict_year_month_day": _DATE,
    "date_hour": f"{_DATE}T{_HOUR}",
    "date_hour_minute": f"{_DATE}T{_HOUR}:{_MINUTE}",
    "date_hour_minute_second": _DATE_TIME,
    "strict_date_hour_minute_second": _DATE_TIME,
    "date_time": f"{_DATE_TIME}{_FRACTION}{_ZONE}",
    "strict_date_time": f"{_DATE_TIME}{_FRACTION}{_ZONE}",
    "date_time_no_millis": f"{_DATE_TIME}{_ZONE}",
    "strict_date_time_no_millis": f"{_DATE_TIME}{_ZONE}",
    "basic_date": _BASIC,
    "basic_date_time": f"{_BASIC}T{_HOUR}{_MINUTE}{_SECOND}{_FRACTION}{_ZONE}",
    "basic_date_time_no_millis": f"{_BASIC}T{_HOUR}{_MINUTE}{_SECOND}{_ZONE}",
}

FORMAT_NAMES = (*_NAMED, *_EPOCHS)
"""The built-in formats."""

# Java's letters: most often they may stand in a row, and what each number of them is.
_LETTERS: dict[str, Callable[[int], str | None]] = {
    "y": lambda n: {2: r"(?P<year2>\d\d)", 4: _YEAR, 1: r"(?P<year>\d{1,4})"}.get(n),
    "M": lambda n: {
        1: r"(?P<month>\d{1,2})",
        2: _MONTH,
        3: f"(?P<month_name>{'|'.join(_MONTHS)})",
        4: f"(?P<month_name>{'|'.join(_MONTHS_FULL)})",
    }.get(n),
    "d": lambda n: {1: r"(?P<day>\d{1,2})", 2: _DAY}.get(n),
    "D": lambda n: r"(?P<day_of_year>\d{1,3})" if n <= 3 else None,
    "E": lambda n: f"(?:{'|'.join(_DAYS)})" if n <= 3 else None,
    "H": lambda n: {1: r"(?P<hour>\d{1,2})", 2: _HOUR}.get(n),
    "h": lambda n: {1: r"(?P<hour12>\d{1,2})", 2: r"(?P<hour12>\d\d)"}.get(n),
    "a": lambda n: "(?P<half>am|pm)" if n == 1 else None,
    "m": lambda n: {1: r"(?P<minute>\d{1,2})", 2: _MINUTE}.get(n),
    "s": lambda n: {1: r"(?P<second>\d{1,2})", 2: _SECOND}.get(n),
    "S": lambda n: rf"(?P<fraction>\d{{{n}}})" if n <= 9 else None,
    "X": lambda n: _ZONE if n <= 3 else None,
    "x": lambda n: _ZONE if n <= 3 else None,
    "Z": lambda n: _ZONE if n <= 5 else None,
}
_LETTERS["u"] = _LETTERS["y"]


def _pattern(text: str) -> str:
    """Return the regular expression of a Java pattern such as `yyyy-MM-dd'T'HH:mm:ss.SSSX`.

    Raises:
        JobsValueError: It has a letter that is not supported, or one twice, or is empty.
    """
    out: list[str] = []
    for piece in re.finditer(r"'(?:[^']|'')*'|([A-Za-z])\1*|.", text, re.DOTALL):
        run = piece.group()
        if piece.group(1):
            letter = _LETTERS.get(run[0])
            made = letter(len(run)) if letter else None
            if made is None:
                raise _unknown(text, f"[{run}] in it is not supported")
            out.append(made)
        elif len(run) > 1:
            out.append(re.escape(run[1:-1].replace("''", "'") or "'"))
        elif run in "[]":
            out.append("(?:" if run == "[" else ")?")
        elif run in "'{}#":
            raise _unknown(text, f"[{run}] in it is not supported")
        else:
            out.append(re.escape(run))
    source = "".join(out)
    try:
        found = re.compile(source)
    except re.error as error:
        raise _unknown(text, f"it has a part twice or brackets without their pair ({error})") from error
    if not found.groupindex:
        raise _unknown(text, "it holds no part of a date")
    return source


def _unknown(text: str, why: str) -> JobsValueError:
    return JobsValueError(
        f"Invalid date format [{text}]: it is no built-in name and as a Java pattern {why}",
        allowed=("strict_date_optional_time", "epoch_millis", "epoch_second", "yyyy-MM-dd HH:mm:ss", "and others"),
        format=text,
    )
