"""TQL's functions of time: TIMESTAMP, FROM_TIMESTAMP, TIMESTAMPADD and TIMESTAMPDIFF."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from gridwatch.containers.dialect.kinds import INTEGRAL, LIMITS, T
from gridwatch.containers.tql.functions import COUNT, RANGE, TYPE
from gridwatch.containers.tql.lexer import refused
from gridwatch.containers.tql.values import Context, Value, constant, failed, nulled, raising, sized

__all__ = ["FIXED_MS", "UNITS", "difference", "shifted", "text_of_time", "time_of_text", "timestamp"]

FIXED_MS = {"DAY": 86_400_000, "HOUR": 3_600_000, "MINUTE": 60_000, "SECOND": 1000, "MILLISECOND": 1}
"""Milliseconds of each unit that always lasts the same."""
UNITS = frozenset({*FIXED_MS, "YEAR", "MONTH", "MICROSECOND", "NANOSECOND", "MAX", "MIN", "AVG"})
"""Words that are no column's name where there is no such column."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{3}))?(Z|[+-]\d\d:?\d\d)")


def time_of_text(text: str) -> int | None:
    """Return UTC epoch ms of a time such as `2024-01-31T12:30:00.000Z` or `2024-01-31T12:30:00+0900`, or None."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    try:
        at = datetime(*(int(part) for part in found.groups()[:6]), tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError:
        return None
    zone = found[8]
    offset = 0 if zone == "Z" else (int(zone[1:3]) * 60 + int(zone[-2:])) * (-1 if zone[0] == "-" else 1)
    ms = (at - _EPOCH) // timedelta(milliseconds=1) + int(found[7] or 0) - offset * 60_000
    low, high = LIMITS[T.TIMESTAMP]
    return ms if low <= ms <= high else None


def timestamp(context: Context, arguments: Sequence[Value]) -> Value:
    """Return `TIMESTAMP('...')`.

    Raises:
        SqlRefusedError: The text depends on the row.
    """
    if len(arguments) != 1:
        return raising(context, T.TIMESTAMP, COUNT, "Invalid argument count")
    arg = arguments[0]
    if arg.kind is None:
        return nulled(arg)
    if arg.kind is not T.STRING:
        return raising(context, T.TIMESTAMP, TYPE, "Argument 1 is not a string value", arg)
    if not arg.constant:
        raise refused("TIMESTAMP of a text that is not a constant", code=None)
    ms = time_of_text(arg.value)
    if ms is None:
        return raising(context, T.TIMESTAMP, TYPE, "Cannot parse argument as Timestamp")
    return constant(context, ms, T.TIMESTAMP)


def text_of_time(context: Context, arguments: Sequence[Value]) -> Value:
    """Return `FROM_TIMESTAMP(time)`: ISO 8601 in UTC with milliseconds."""
    if len(arguments) != 1:
        return raising(context, T.STRING, COUNT, "Invalid argument count")
    arg = arguments[0]
    if arg.kind is None:
        return nulled(arg)
    if arg.kind is not T.TIMESTAMP:
        return raising(context, T.STRING, TYPE, "Argument 1 is not a timestamp value", arg)
    if arg.constant:
        at = _EPOCH + timedelta(milliseconds=arg.value)
        return constant(context, f"{at:%Y-%m-%dT%H:%M:%S}.{arg.value % 1000:03d}Z".rjust(24, "0"), T.STRING)
    seconds = f"strftime('%Y-%m-%dT%H:%M:%S', {arg.sql} / 1000, 'unixepoch')"
    sql = f"({seconds} || printf('.%03dZ', {arg.sql} % 1000))"
    return Value(sql, T.STRING, nullable=arg.nullable, fallible=arg.fallible)


def shifted(context: Context, unit: str, time: Value, amount: Value) -> Value:
    """Return `TIMESTAMPADD(unit, time, amount)`.

    Raises:
        SqlRefusedError: Units below a millisecond.
    """
    if time.kind is None or amount.kind is None:
        return nulled(time, amount)
    parts = (time, amount)
    if time.kind is not T.TIMESTAMP:
        return raising(context, T.TIMESTAMP, TYPE, "Argument 2 is not a timestamp value", *parts)
    if amount.kind not in INTEGRAL:
        return raising(context, T.TIMESTAMP, TYPE, "Argument 3 is not a integer value", *parts)
    if unit in {"MICROSECOND", "NANOSECOND"}:
        raise refused(f"TIMESTAMPADD of {unit}", code=None, hint="times are kept in milliseconds")
    if unit not in FIXED_MS and unit not in {"YEAR", "MONTH"}:
        return raising(context, T.TIMESTAMP, RANGE, "This time field is invalid or not supported.", *parts)
    if time.constant and amount.constant:
        ms = _moved(unit, time.value, amount.value)
        low, high = LIMITS[T.TIMESTAMP]
        if ms is None or not low <= ms <= high:
            return raising(context, T.TIMESTAMP, RANGE, "The time is out of range")
        return constant(context, ms, T.TIMESTAMP)
    return sized(_moved_sql(context, unit, time, amount))


def _moved(unit: str, time_ms: int, amount: int) -> int | None:
    if unit in FIXED_MS:
        return time_ms + amount * FIXED_MS[unit]
    at = _EPOCH + timedelta(milliseconds=time_ms)
    months = at.year * 12 + at.month - 1 + amount * (12 if unit == "YEAR" else 1)
    year, month = divmod(months, 12)
    if not 1970 <= year <= 9999:
        return None
    # A day that the month does not have becomes its last one.
    day = min(at.day, calendar.monthrange(year, month + 1)[1])
    return (at.replace(year=year, month=month + 1, day=day) - _EPOCH) // timedelta(milliseconds=1)


def _moved_sql(context: Context, unit: str, time: Value, amount: Value) -> Value:
    low, high = LIMITS[T.TIMESTAMP]
    # Beyond this many the result is out of range anyway, and the product could leave 64 bits.
    step = FIXED_MS.get(unit, 0)
    most = high // step + 1 if step else 120_000
    fail = context.failing(RANGE, "The time is out of range")
    if step:
        moved = f"t + n * {step}"
    else:
        calendar_sql = f"unixepoch(t / 1000, 'unixepoch', n || ' {unit.lower()}s', 'floor')"
        moved = f"coalesce({calendar_sql}, -1) * 1000 + t % 1000"
    sql = (
        f"(SELECT CASE WHEN t IS NULL OR n IS NULL THEN NULL WHEN n NOT BETWEEN -{most} AND {most} "
        f"OR {moved} NOT BETWEEN {low} AND {high} THEN {fail} ELSE {moved} END "
        f"FROM (SELECT {time.sql} AS t, {amount.sql} AS n))"
    )
    nullable = time.nullable or amount.nullable
    return Value(sql, T.TIMESTAMP, nullable=nullable, fallible=True, low=low, high=high)


def difference(context: Context, unit: str, later: Value, earlier: Value) -> Value:
    """Return `TIMESTAMPDIFF(unit, later, earlier)`: whole units between two times.

    Raises:
        SqlRefusedError: YEAR and MONTH of times that depend on the row.
    """
    if later.kind is None or earlier.kind is None:
        return nulled(later, earlier)
    parts = (later, earlier)
    for position, part in enumerate(parts, 2):
        if part.kind is not T.TIMESTAMP:
            return raising(context, T.LONG, TYPE, f"Argument {position} is not a timestamp value", *parts)
    fine = {"MICROSECOND": 1000, "NANOSECOND": 1_000_000}
    if unit not in {*FIXED_MS, *fine, "YEAR", "MONTH"}:
        return raising(context, T.LONG, RANGE, "This time field is invalid or not supported.", *parts)
    if unit in {"YEAR", "MONTH"}:
        raise refused(f"TIMESTAMPDIFF of {unit}", code=None)
    step = FIXED_MS.get(unit, 1)
    factor = fine.get(unit, 1)
    most = LIMITS[T.TIMESTAMP][1] * factor
    if later.constant and earlier.constant:
        between = later.value - earlier.value
        whole = abs(between) // step * (1 if between >= 0 else -1) * factor
        return constant(context, whole, T.LONG)
    sql = f"(({later.sql} - {earlier.sql}) / {step} * {factor})"
    nullable = later.nullable or earlier.nullable
    return sized(Value(sql, T.LONG, nullable=nullable, fallible=failed(*parts), low=-most, high=most))
