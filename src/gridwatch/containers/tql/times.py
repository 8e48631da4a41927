"""TQL's functions of time: TIMESTAMP, FROM_TIMESTAMP, TIMESTAMPADD and TIMESTAMPDIFF."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from gridwatch.containers.dialect.casts import time_text
from gridwatch.containers.dialect.kinds import INTEGRAL, LIMITS, T
from gridwatch.containers.operations import FIXED_MS
from gridwatch.containers.schema import ColumnType
from gridwatch.containers.tql.functions import COUNT, RANGE, TYPE
from gridwatch.containers.tql.lexer import refused
from gridwatch.containers.tql.operators import TIMES
from gridwatch.containers.tql.values import Context, Value, constant, failed, null, raising, sized

__all__ = ["UNITS", "difference", "shifted", "text_of_time", "time_of_text", "timestamp"]

_FINE = {"MICROSECOND": 1000, "NANOSECOND": 1_000_000}
UNITS = frozenset({*FIXED_MS, "YEAR", "MONTH", "MICROSECOND", "NANOSECOND", "MAX", "MIN", "AVG"})
"""Words that are no column's name where there is no such column."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{3}|\d{6}|\d{9}))?(Z|[+-]\d\d:?\d\d)")

# Beyond this GridDB computes on; here a limit keeps products and sums within 64 bits.
_MS_MAX = 10**15


def time_of_text(text: str, decimals: int = 3) -> int | None:
    """Return a time such as `2024-01-31T12:30:00.000Z` or `2024-01-31T12:30:00+0900` as whole units since 1970 in UTC.

    Args:
        text: A date, a time of day with 0, 3, 6 or 9 decimals, and a zone.
        decimals: 3 for milliseconds, 6 or 9; further digits are cut off.

    Returns:
        The time, or None when the text is no such time or one before 1970.

    Raises:
        SqlRefusedError: A year of more than four digits.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        if re.match(r"\d{5,}-", text):
            raise refused(f"the time {text!r}", code=None, hint="years have four digits here")
        return None
    zone = found[8]
    hours, minutes = (0, 0) if zone == "Z" else (int(zone[1:3]), int(zone[-2:]))
    try:
        at = datetime(*(int(part) for part in found.groups()[:6]), tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError:
        return None
    if hours > 23 or minutes > 59:
        return None
    offset_ms = (hours * 60 + minutes) * 60_000 * (-1 if zone[0] == "-" else 1)
    whole_s = (at - _EPOCH) // timedelta(seconds=1) - offset_ms // 1000
    found_time = whole_s * 10**decimals + int((found[7] or "").ljust(9, "0")[:decimals])
    return found_time if found_time >= 0 else None


def timestamp(context: Context, arguments: Sequence[Value], kind: ColumnType = T.TIMESTAMP) -> Value:
    """Return `TIMESTAMP('...')`, or a finer time of this type.

    Raises:
        SqlRefusedError: The text depends on the row, or the time does not fit into 64 bits.
    """
    if len(arguments) != 1:
        return raising(context, kind, COUNT, "Invalid argument count")
    arg = arguments[0]
    if arg.kind is None:
        return null()
    if arg.kind is not T.STRING:
        return raising(context, kind, TYPE, "Argument 1 is not a string value", arg)
    if not arg.constant:
        raise refused("TIMESTAMP of a text that is not a constant", code=None)
    found = time_of_text(arg.value, TIMES[kind])
    if found is None:
        return raising(context, kind, TYPE, "Cannot parse argument as Timestamp")
    if found > LIMITS[T.LONG][1]:
        raise refused(f"the time {arg.value!r}", code=None, hint="nanoseconds reach to the year 2262 here")
    return constant(context, found, kind)


def text_of_time(context: Context, arguments: Sequence[Value]) -> Value:
    """Return `FROM_TIMESTAMP(time)`: ISO 8601 in UTC with milliseconds."""
    if len(arguments) != 1:
        return raising(context, T.STRING, COUNT, "Invalid argument count")
    arg = arguments[0]
    if arg.kind is None:
        return null()
    if arg.kind is not T.TIMESTAMP:
        return raising(context, T.STRING, TYPE, "Argument 1 is not a timestamp value", arg)
    high = LIMITS[T.TIMESTAMP][1]
    if arg.constant and arg.value > high:
        raise refused("FROM_TIMESTAMP of a time after 9999", code=None)
    if arg.constant:
        at = _EPOCH + timedelta(milliseconds=arg.value)
        return constant(context, f"{at:%Y-%m-%dT%H:%M:%S}.{arg.value % 1000:03d}Z".rjust(24, "0"), T.STRING)
    sql = time_text(arg.sql)
    if arg.high > high and arg.column is None:
        fail = context.refusing("FROM_TIMESTAMP of a time after 9999")
        sql = f"(CASE WHEN {arg.sql} <= {high} THEN {sql} WHEN {arg.sql} IS NOT NULL THEN {fail} END)"
        return sized(Value(sql, T.STRING, nullable=arg.nullable, fallible=True))
    return sized(Value(sql, T.STRING, nullable=arg.nullable, fallible=arg.fallible))


def shifted(context: Context, unit: str, time: Value, amount: Value) -> Value:
    """Return `TIMESTAMPADD(unit, time, amount)`.

    Raises:
        SqlRefusedError: A time after 9999 by YEAR or MONTH, or one far beyond by any unit.
    """
    if time.kind is None or amount.kind is None:
        return null()
    parts = (time, amount)
    if time.kind in TIMES and time.kind is not T.TIMESTAMP:
        raise refused("TIMESTAMPADD of times finer than a millisecond", code=None)
    if time.kind is not T.TIMESTAMP:
        return raising(context, T.TIMESTAMP, TYPE, "Argument 2 is not a timestamp value", *parts)
    if amount.kind not in INTEGRAL:
        return raising(context, T.TIMESTAMP, TYPE, "Argument 3 is not a integer value", *parts)
    if unit not in FIXED_MS and unit not in {"YEAR", "MONTH", *_FINE}:
        return raising(context, T.TIMESTAMP, RANGE, "This time field is invalid or not supported.", *parts)
    if time.constant and amount.constant:
        ms = _moved(unit, time.value, amount.value)
        if ms is None or ms > _MS_MAX:
            raise refused(f"TIMESTAMPADD that leads to a time after 9999 by {unit}", code=None)
        if ms < 0:
            return raising(context, T.TIMESTAMP, RANGE, "Adding time value overflow")
        return constant(context, ms, T.TIMESTAMP)
    return sized(_moved_sql(context, unit, time, amount))


def _moved(unit: str, time_ms: int, amount: int) -> int | None:
    """Return a time some units away, or None where the calendar ends."""
    if unit in FIXED_MS:
        return time_ms + amount * FIXED_MS[unit]
    if unit in _FINE:
        return time_ms + amount // _FINE[unit]
    if time_ms > LIMITS[T.TIMESTAMP][1]:
        return None
    at = _EPOCH + timedelta(milliseconds=time_ms)
    months = at.year * 12 + at.month - 1 + amount * (12 if unit == "YEAR" else 1)
    year, month = divmod(months, 12)
    if year < 1970:
        return -1
    if year > 9999:
        return None
    # A day that the month does not have becomes its last one.
    day = min(at.day, calendar.monthrange(year, month + 1)[1])
    return (at.replace(year=year, month=month + 1, day=day) - _EPOCH) // timedelta(milliseconds=1)


def _moved_sql(context: Context, unit: str, time: Value, amount: Value) -> Value:
    fail = context.failing(RANGE, "Adding time value overflow")
    far = context.refusing("TIMESTAMPADD that leads to a time long after 9999")
    if unit in FIXED_MS:
        most, highest = _MS_MAX // FIXED_MS[unit], _MS_MAX
        moved = f"t + n * {FIXED_MS[unit]}"
    elif unit in _FINE:
        most, highest = _MS_MAX, _MS_MAX
        per = _FINE[unit]
        moved = f"t + (n - (n % {per} + {per}) % {per}) / {per}"
    else:
        most, highest = 120_000, LIMITS[T.TIMESTAMP][1]
        months = f"unixepoch(t / 1000, 'unixepoch', n || ' {unit.lower()}s', 'floor')"
        moved = f"coalesce({months}, CASE WHEN n < 0 THEN -1 ELSE {_MS_MAX} END) * 1000 + t % 1000"
    # Further than `most` to the past is before 1970 in any case, and the product cannot leave 64 bits.
    sql = (
        f"(SELECT CASE WHEN t IS NULL OR n IS NULL THEN NULL WHEN n < -{most} THEN {fail} "
        f"WHEN n > {most} OR t > {highest} OR {moved} > {highest} THEN {far} WHEN {moved} < 0 THEN {fail} "
        f"ELSE {moved} END FROM (SELECT {time.sql} AS t, {amount.sql} AS n))"
    )
    nullable = time.nullable or amount.nullable
    return Value(sql, T.TIMESTAMP, nullable=nullable, fallible=True, low=0, high=highest)


def difference(context: Context, unit: str, later: Value, earlier: Value) -> Value:
    """Return `TIMESTAMPDIFF(unit, later, earlier)`: whole units between two times.

    Raises:
        SqlRefusedError: YEAR and MONTH of times that depend on the row.
    """
    if later.kind is None or earlier.kind is None:
        return null()
    parts = (later, earlier)
    if {T.TIMESTAMP_6, T.TIMESTAMP_9} & {later.kind, earlier.kind}:
        raise refused("TIMESTAMPDIFF of times finer than a millisecond", code=None)
    for position, part in enumerate(parts, 2):
        if part.kind is not T.TIMESTAMP:
            return raising(context, T.LONG, TYPE, f"Argument {position} is not a timestamp value", *parts)
    if unit not in {*FIXED_MS, *_FINE, "YEAR", "MONTH"}:
        return raising(context, T.LONG, RANGE, "This time field is invalid or not supported.", *parts)
    if unit in {"YEAR", "MONTH"}:
        raise refused(f"TIMESTAMPDIFF of {unit}", code=None)
    step = FIXED_MS.get(unit, 1)
    factor = _FINE.get(unit, 1)
    if later.constant and earlier.constant:
        between = later.value - earlier.value
        whole = abs(between) // step * (1 if between >= 0 else -1) * factor
        if abs(whole) >= 2**63:
            raise refused(f"TIMESTAMPDIFF of {unit} of times so far apart", code=None)
        return constant(context, whole, T.LONG)
    gap = Value(f"({later.sql} - {earlier.sql})", T.LONG, fallible=failed(*parts))
    nullable = later.nullable or earlier.nullable
    bounded = later.high <= _MS_MAX and earlier.high <= _MS_MAX
    if factor > 1 and not bounded:
        raise refused(f"TIMESTAMPDIFF of {unit} of times that may be so far apart", code=None)
    most = _MS_MAX * factor if bounded else 2**63 - 1
    sql = f"({gap.sql} / {step} * {factor})"
    return sized(Value(sql, T.LONG, nullable=nullable, fallible=gap.fallible, low=-most, high=most))
