"""Patterns of times: `strptime`'s, or the letters of Java's DateTimeFormatter as the connector's option takes them.

A pattern that would lose what it reads is refused when it is given, not record by record.
"""

from __future__ import annotations

import re
from datetime import datetime

from gridwatch.errors import ConfigError

__all__ = ["HINT", "strptime_pattern"]

HINT = "such as '%d.%m.%Y %H:%M' or 'dd.MM.yyyy HH:mm'"

# Late in the year, in the afternoon: what a pattern confuses shows here.
_SAMPLE = datetime(2024, 12, 30, 15, 47, 59, 123000)
_DIRECTIVE = re.compile(r"%[-#^_0]?.")
_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+", re.DOTALL)
_LETTERS = {
    **dict.fromkeys(("yyyy", "uuuu", "y", "u"), "%Y"),
    **dict.fromkeys(("MM", "M"), "%m"),
    **dict.fromkeys(("dd", "d"), "%d"),
    **dict.fromkeys(("HH", "H"), "%H"),
    **dict.fromkeys(("hh", "h"), "%I"),
    **dict.fromkeys(("mm", "m"), "%M"),
    **dict.fromkeys(("ss", "s"), "%S"),
    **dict.fromkeys(("S", "SS", "SSS", "SSSSSS"), "%f"),
    **dict.fromkeys(("X", "XX", "XXX", "x", "xx", "xxx", "Z", "ZZZZZ"), "%z"),
    "MMM": "%b",
    "MMMM": "%B",
    "EEE": "%a",
    "EEEE": "%A",
    "DDD": "%j",
    "a": "%p",
}
_WRONG = {
    "Y": "it is the year of the week, which differs at the end of a year; write yyyy",
    "D": "it is the day of the year; write dd for that of the month",
    "K": "it is an hour of 12, on which 00:30 and 12:30 are the same; write HH",
    "k": "it is an hour from 1 to 24; write HH",
    "z": "names of zones mean several; write XXX for an offset, and name the zone beside the pattern",
    "V": "names of zones mean several; write XXX for an offset, and name the zone beside the pattern",
    "y": "two digits do not tell the century; write yyyy",
    "u": "two digits do not tell the century; write uuuu",
}


def strptime_pattern(pattern: str, zone: str) -> str:
    """Return a pattern as `strptime` takes it.

    Args:
        pattern: With percent signs `strptime`'s, without them Java's.
        zone: Of texts that name none.

    Raises:
        ConfigError: It is no pattern, does not tell the day, or would read some times as others; says why.

    >>> strptime_pattern("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "UTC")
    '%Y-%m-%dT%H:%M:%S.%f%z'
    """
    found = pattern if "%" in pattern else _from_letters(pattern)
    directives = {directive[-1] for directive in _DIRECTIVE.findall(found)}
    if "I" in directives and "p" not in directives:
        raise _refused(
            pattern, "hh and %I are the clock of 12 hours, on which 00:30 and 12:30 are the same; use HH or %H"
        )
    if "y" in directives:
        raise _refused(pattern, "%y has two digits, which do not tell the century; use %Y")
    if "Z" in directives:
        raise _refused(pattern, "%Z reads names of zones, which mean several, and forgets them; use %z")
    if "z" not in directives and re.search(r"%[SfM]Z\Z", found) and zone not in ("UTC", "Etc/UTC", "Z"):
        raise _refused(pattern, f"its last letter Z means UTC, and the zone is {zone}; use %z (XXX) in place of it")
    _try(pattern, found, directives)
    return found


def _try(pattern: str, found: str, directives: set[str]) -> None:
    text = _SAMPLE.strftime(found.replace("%z", "+0000"))
    try:
        read = datetime.strptime(text, found)
    except (ValueError, re.error, KeyError, IndexError) as error:
        raise _refused(pattern, str(error)) from None
    if read.date() != _SAMPLE.date():
        raise _refused(
            pattern,
            f"it reads {_SAMPLE.date()} as {read.date()}; it has to tell year, month and day (%Y-%m-%d, yyyy-MM-dd)",
        )
    if directives & set("HI") and read.hour != _SAMPLE.hour:
        raise _refused(pattern, f"it reads 15:47 as {read:%H:%M}")


def _from_letters(pattern: str) -> str:
    parts: list[str] = []
    at = 0
    for token in _TOKEN.finditer(pattern):
        if token.start() != at:
            break
        at = token.end()
        text, letter = token[0], token[2]
        if letter is None:
            # Two single quotes are one, inside of quotes and by themselves.
            parts.append(text if token[1] is None else (token[1].replace("''", "'") or "'"))
        elif text in _LETTERS:
            parts.append(_LETTERS[text])
        else:
            raise _refused(pattern, f"{text}: {_WRONG.get(letter, 'no such letters; text goes into single quotes')}")
    if at != len(pattern):
        raise _refused(pattern, "a single quote has no partner")
    return "".join(parts)


def _refused(pattern: str, why: str) -> ConfigError:
    return ConfigError(f"The pattern {pattern!r} for times cannot be used: {why}. One is {HINT}.")
