"""How a histogram cuts time: fixed and calendar intervals, all in UTC."""

from __future__ import annotations

from typing import Any

from gridwatch.jobs import units
from gridwatch.jobs.aggregations.parts import Part, shown
from gridwatch.jobs.aggregations.tree import Interval

__all__ = ["read_date_histogram", "read_histogram"]

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_CALENDAR: dict[str, tuple[int, int]] = {
    "1m": (_MINUTE, 0), "minute": (_MINUTE, 0), "1h": (_HOUR, 0), "hour": (_HOUR, 0), "1d": (_DAY, 0),
    "day": (_DAY, 0), "1w": (7 * _DAY, 4 * _DAY), "week": (7 * _DAY, 4 * _DAY),
}  # fmt: skip
"""Length and first beginning, ms: 1970 began on a Thursday, weeks begin on Monday."""
_TOO_LONG = ("1M", "month", "1q", "quarter", "1y", "year")
_UTC = ("UTC", "Z", "GMT", "Etc/UTC", "+00:00", "+0000", "-00:00")
_YEARS_MS = 100 * 366 * _DAY
_SAME: dict[str, tuple[Any, ...]] = {
    "order": ({"_key": "asc"}, [{"_key": "asc"}]),
    "keyed": (False,),
    "min_doc_count": (0, 1),
}
"""What Elasticsearch writes out by itself, and changes nothing."""


def read_date_histogram(body: Part, name: str) -> Interval:
    """Return the interval of a `date_histogram`.

    Args:
        body: Its JSON.
        name: Of the aggregation or source.

    Raises:
        JobsBodyError: Another shape, or a key that is not supported.
        JobsValueError: An interval or time zone that is not allowed.
    """
    options = body.options(
        ("field", "fixed_interval", "calendar_interval", "time_zone", "offset", "format", *_SAME),
        hints={"interval": 'write "fixed_interval": "15m", or calendar_interval', **_UNFIT},
    )
    field = _told(body, options)
    if "time_zone" in options and options["time_zone"].text() not in _UTC:
        raise options["time_zone"].refused(
            f"a datafeed's histogram has to be in UTC, got [{shown(options['time_zone'].content)}]", allowed=("UTC",)
        )
    fixed, calendar = options.get("fixed_interval"), options.get("calendar_interval")
    if (fixed is None) == (calendar is None):
        raise body.refused("give one of [fixed_interval] and [calendar_interval]")
    if calendar is not None:
        every, first = _calendar(calendar)
        found = Interval(name, calendar.path, field, every, first, calendar.text())
    else:
        assert fixed is not None  # noqa: S101
        found = Interval(name, fixed.path, field, _fixed(fixed), text=fixed.text())
    _check_offset(options.get("offset"), found)
    return found


def read_histogram(body: Part, name: str) -> Interval:
    """Return the interval of a `histogram` of the time field, whose interval is in ms.

    Raises:
        JobsBodyError: Another shape, or a key that is not supported.
        JobsValueError: An interval that is not allowed.
    """
    options = body.options(("field", "interval", "offset", "format", *_SAME), hints=_UNFIT)
    field = _told(body, options)
    if "interval" not in options:
        raise body.misshapen("[interval] is required and is missing: the length in milliseconds")
    part = options["interval"]
    every = part.number()
    if every != int(every) or not 0 < every <= _YEARS_MS:
        raise part.refused(f"has to be whole milliseconds above 0, got [{shown(part.content)}]")
    found = Interval(name, part.path, field, int(every), text=f"{int(every)}ms")
    _check_offset(options.get("offset"), found)
    return found


_UNFIT = {
    "script": "name a runtime field (runtime_mappings) that has the script",
    "missing": "a row without a time cannot be in a bucket of time",
    "extended_bounds": "empty buckets need no rows here: leave it out",
    "hard_bounds": "narrow the rows by the datafeed's query, or by start and end",
}


def _told(body: Part, options: dict[str, Part]) -> str:
    for key, same in _SAME.items():
        if key in options and options[key].content not in same:
            raise options[key].refused(
                f"[{shown(options[key].content)}]: a datafeed reads all buckets, oldest first; leave it out"
            )
    if "field" not in options:
        raise body.misshapen("[field] is required and is missing")
    return options["field"].text()


def _fixed(part: Part) -> int:
    every = units.ms_of(part.text(), part.path)
    if not 0 < every <= _YEARS_MS:
        raise part.refused(f"has to be above 0, got [{shown(part.content)}]")
    return every


def _calendar(part: Part) -> tuple[int, int]:
    text = part.text()
    if text in _TOO_LONG:
        raise part.refused(f"a calendar interval may be a week at most, got [{text}]", allowed=_CALENDAR)
    if text not in _CALENDAR:
        raise part.refused(f"unknown calendar interval [{shown(text)}]; fixed_interval takes any", allowed=_CALENDAR)
    return _CALENDAR[text]


def _check_offset(part: Part | None, interval: Interval) -> None:
    """Refuse an offset that moves the buckets: they would lie across those of the job."""
    if part is None:
        return
    content = part.content
    moved = int(part.number()) if isinstance(content, int | float) else units.ms_of(part.text().lstrip("+-"), part.path)
    if moved % interval.every_ms:
        raise part.refused(f"[{shown(content)}] would let buckets lie across the job's; leave it out", allowed=("0",))
