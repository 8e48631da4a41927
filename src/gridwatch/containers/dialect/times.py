"""Time functions on epoch ms, in integer arithmetic and SQLite's own calendar."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gridwatch.containers.dialect.casts import OUT_OF_RANGE, timestamp_of
from gridwatch.containers.dialect.fine_times import fine_timestamp
from gridwatch.containers.dialect.kinds import (
    FLOATING,
    LIMITS,
    NUMERIC,
    Expr,
    T,
    as_long,
    failing,
    inside,
    make,
    mismatch,
    name_of,
    needed,
    overflow_checked,
)
from gridwatch.containers.dialect.parse import refused
from gridwatch.containers.operations import FIXED_MS

if TYPE_CHECKING:
    from gridwatch.containers.dialect.expressions import Expressions

__all__ = ["SCALARS", "UNIT_FUNCTIONS", "call_with_unit", "offset_ms_of"]

ARGUMENTS = 240005
BAD_FIELD = 75003
BAD_TIME = 305008

_UNITS = frozenset({*FIXED_MS, "YEAR", "MONTH", "MICROSECOND", "NANOSECOND", "DAY_OF_WEEK", "DAY_OF_YEAR"})

UNIT_FUNCTIONS = frozenset({"TIMESTAMP_TRUNC", "TIMESTAMP_ADD", "TIMESTAMP_DIFF", "EXTRACT"})
"""Functions whose first argument is a bare word such as HOUR."""


def call_with_unit(compiler: Expressions, name: str, nodes: Sequence[exp.Expression]) -> Expr:
    """Return a compiled call of TIMESTAMP_TRUNC, TIMESTAMP_ADD, TIMESTAMP_DIFF or EXTRACT.

    Raises:
        SqlRefusedError: The unit is unknown, or the arguments are wrong.
    """
    needed = 3 if name in {"TIMESTAMP_ADD", "TIMESTAMP_DIFF"} else 2
    if not needed <= len(nodes) <= needed + 1:
        raise refused(f"{name} with {len(nodes)} arguments", code=ARGUMENTS)
    first = nodes[0]
    bare = isinstance(first, exp.Column) and not first.args.get("table") and not first.this.args.get("quoted")
    unit = str(first.this.this).upper() if bare else ""
    if unit not in _UNITS:
        raise refused(f"the unit {first.sql()!r} of {name}", hint="use YEAR, MONTH, DAY, HOUR, MINUTE, SECOND")
    args = [compiler.compile(node) for node in nodes[1:]]
    _need_time(name, args[0])
    offset_ms = _offset_ms(args[needed - 1]) if len(args) == needed else 0
    if name == "EXTRACT":
        return _extract(unit, args[0], offset_ms)
    if args[0].kind is None and name != "TIMESTAMP_DIFF":
        # Their type is that of their time, which here has none.
        return make("NULL", None, args, value=None)
    if unit in {"DAY_OF_WEEK", "DAY_OF_YEAR"}:
        raise refused(f"{unit} in {name}", code=BAD_FIELD)
    if name == "TIMESTAMP_TRUNC":
        return _truncated(unit, args[0], offset_ms)
    if name == "TIMESTAMP_ADD":
        return _added(unit, args[0], args[1], offset_ms)
    _need_time(name, args[1])
    return _difference(unit, args[0], args[1], offset_ms)


def _need_time(name: str, arg: Expr) -> None:
    if arg.kind in {T.TIMESTAMP_6, T.TIMESTAMP_9}:
        raise refused(f"{name} of {name_of(arg.kind)}", code=None, hint="here such times are only read and compared")
    if arg.kind not in {T.TIMESTAMP, None}:
        raise mismatch(f"{name} of {name_of(arg.kind)}")


def _offset_ms(zone: Expr) -> int:
    if not isinstance(zone.value, str):
        raise refused("a zone that is not a constant such as 'Z' or '+09:00'", code=None)
    return offset_ms_of(zone.value)


def offset_ms_of(text: str) -> int:
    """Return the offset of a zone such as 'Z', '+09:00' or '-0330'.

    Raises:
        SqlRefusedError: It is none.
    """
    found = re.fullmatch(r"Z|([+-])([01]\d|2[0-3]):?([0-5]\d)", text)
    if found is None:
        raise refused(f"the zone {text!r}", hint="use 'Z' or an offset such as '+09:00'")
    if found.group(1) is None:
        return 0
    minutes = int(found.group(2)) * 60 + int(found.group(3))
    return minutes * 60_000 * (-1 if found.group(1) == "-" else 1)


def _local(time: Expr, offset_ms: int) -> str:
    return f"({time.sql} + {offset_ms})" if offset_ms else time.sql


def _seconds(local: str) -> str:
    # Rounds down also before 1970, where a zone can lead.
    return f"(({local} - (({local} % 1000) + 1000) % 1000) / 1000)"


def _checked(sql: str, parts: Sequence[Expr]) -> Expr:
    low, high = LIMITS[T.TIMESTAMP]
    wide = make(sql, T.LONG, parts)
    found = inside(wide, low, high, OUT_OF_RANGE, "Timestamp range over")
    return make(found.sql, T.TIMESTAMP, parts)


def _truncated(unit: str, time: Expr, offset_ms: int) -> Expr:
    if unit in {"MICROSECOND", "NANOSECOND", "MILLISECOND"}:
        return make(time.sql, T.TIMESTAMP, [time])
    local = _local(time, offset_ms)
    if unit in FIXED_MS:
        step = FIXED_MS[unit]
        rest = f"{local} % {step}" if not offset_ms else f"(({local} % {step}) + {step}) % {step}"
        sql = f"({time.sql} - {rest})"
    else:
        sql = f"(unixepoch({_seconds(local)}, 'unixepoch', 'start of {unit.lower()}') * 1000 - {offset_ms})"
    return _checked(sql, [time]) if offset_ms else make(sql, T.TIMESTAMP, [time])


def _added(unit: str, time: Expr, amount: Expr, offset_ms: int) -> Expr:
    amount = as_long("TIMESTAMP_ADD", amount)
    parts = [time, amount]
    if amount.kind is None or time.kind is None:
        return make("NULL", T.TIMESTAMP, parts)
    if unit in {"MICROSECOND", "NANOSECOND"}:
        # What is less than a millisecond is dropped before it is added.
        amount = make(f"({amount.sql} / {1000 if unit == 'MICROSECOND' else 1_000_000})", T.LONG, [amount])
        unit = "MILLISECOND"
    if unit in FIXED_MS:
        low, high = amount.bounds
        step = FIXED_MS[unit]
        scaled = overflow_checked(f"({amount.sql} * {step})", [amount], low * step, high * step)
        most = LIMITS[T.TIMESTAMP][1]
        low, high = scaled.bounds
        return _checked(overflow_checked(f"({time.sql} + {scaled.sql})", parts, low, high + most).sql, parts)
    # Modifiers beyond this many months lead out of the calendar anyway, and SQLite answers NULL there.
    bounded = inside(amount, -120_000, 120_000, OUT_OF_RANGE, "Timestamp range over")
    local = _local(time, offset_ms)
    moved = f"unixepoch({_seconds(local)}, 'unixepoch', {bounded.sql} || ' {unit.lower()}s', 'floor')"
    # Outside the calendar SQLite answers NULL, GridDB fails.
    sql = (
        f"(CASE WHEN {time.sql} IS NOT NULL AND {amount.sql} IS NOT NULL THEN "
        f"coalesce({moved}, -1000000000) * 1000 + (({local} % 1000) + 1000) % 1000 - {offset_ms} END)"
    )
    return _checked(sql, parts)


def _difference(unit: str, later: Expr, earlier: Expr, offset_ms: int) -> Expr:
    parts = [later, earlier]
    if None in {later.kind, earlier.kind}:
        return make("NULL", T.LONG, parts)
    most = LIMITS[T.TIMESTAMP][1]
    if unit in FIXED_MS:
        return make(f"(({later.sql} - {earlier.sql}) / {FIXED_MS[unit]})", T.LONG, parts, low=-most, high=most)
    if unit == "MICROSECOND":
        return make(f"(({later.sql} - {earlier.sql}) * 1000)", T.LONG, parts, low=-most * 1000, high=most * 1000)
    if unit == "NANOSECOND":
        found = make(f"({later.sql} - {earlier.sql})", T.LONG, parts, low=-most, high=most)
        limit = LIMITS[T.LONG][1] // 1_000_000
        checked = inside(found, -limit, limit, OUT_OF_RANGE, "Timestamp range overflow")
        return make(f"({checked.sql} * 1000000)", T.LONG, parts)
    # Whole months: the last one counts when its day and time of day are reached.
    local = [_local(time, offset_ms) for time in parts]
    months = [
        f"(CAST(strftime('%Y', {_seconds(time)}, 'unixepoch') AS INTEGER) * 12 + "
        f"CAST(strftime('%m', {_seconds(time)}, 'unixepoch') AS INTEGER))"
        for time in local
    ]
    rests = [f"({time} - unixepoch({_seconds(time)}, 'unixepoch', 'start of month') * 1000)" for time in local]
    count = f"({months[0]} - {months[1]})"
    sql = (
        f"({count} - CASE WHEN {count} > 0 AND {rests[0]} < {rests[1]} THEN 1 "
        f"WHEN {count} < 0 AND {rests[0]} > {rests[1]} THEN -1 ELSE 0 END)"
    )
    return make(f"({sql} / 12)" if unit == "YEAR" else sql, T.LONG, parts, low=-200_000, high=200_000)


_CALENDAR = {
    "YEAR": ("%Y", 0, 9999),
    "MONTH": ("%m", 1, 12),
    "DAY": ("%d", 1, 31),
    "DAY_OF_WEEK": ("%w", 0, 6),
    "DAY_OF_YEAR": ("%j", 1, 366),
}
_CLOCK = {"HOUR": (3_600_000, 24), "MINUTE": (60_000, 60), "SECOND": (1000, 60), "MILLISECOND": (1, 1000)}


def _extract(unit: str, time: Expr, offset_ms: int) -> Expr:
    local = _local(time, offset_ms)
    if unit in _CALENDAR:
        sign, low, high = _CALENDAR[unit]
        sql = f"CAST(strftime('{sign}', {_seconds(local)}, 'unixepoch') AS INTEGER)"
        return make(sql, T.LONG, [time], low=low, high=high)
    # A day more keeps times before 1970, where a zone can lead, positive.
    day = FIXED_MS["DAY"]
    if unit in _CLOCK:
        step, count = _CLOCK[unit]
        return make(f"((({local} + {day}) / {step}) % {count})", T.LONG, [time], low=0, high=count - 1)
    factor = 1000 if unit == "MICROSECOND" else 1_000_000
    return make(f"((({local} + {day}) % 1000) * {factor})", T.LONG, [time], low=0, high=1000 * factor)


def _timestamp(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    arg = args[0]
    if arg.kind is None:
        return make("NULL", T.TIMESTAMP, args)
    if arg.kind is not T.STRING:
        raise mismatch(f"{name} of {name_of(arg.kind)}")
    if not isinstance(arg.value, str):
        raise refused(f"{name} of anything but a constant", code=None)
    ms = timestamp_of(arg.value)
    return Expr(f"({ms})", T.TIMESTAMP, ms, ms, ms, nullable=False)


def _to_epoch(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    _need_time(name, args[0])
    low, high = LIMITS[T.TIMESTAMP]
    return make(args[0].sql, T.LONG, args, low=low, high=high, nullable=args[0].nullable)


def _from_epoch(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    arg = args[0]
    if arg.kind is not None and arg.kind not in NUMERIC:
        raise mismatch(f"{name} of {name_of(arg.kind)}")
    if arg.kind in FLOATING:
        # Beyond 2^63 the CAST stops at the last LONG, which is out of range as well.
        arg = make(f"CAST({arg.sql} AS INTEGER)", T.LONG, args)
    low, high = LIMITS[T.TIMESTAMP]
    found = inside(arg, low, high, OUT_OF_RANGE, "Unacceptable timestamp value")
    return make(found.sql, T.TIMESTAMP, args, low=max(low, found.low), high=min(high, found.high), value=arg.value)


def _made(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    """MAKE_TIMESTAMP(year, month, day [, hour, minute, second] [, zone])."""
    zoned = len(args) in {4, 7}
    if len(args) not in {3, 4, 6, 7}:
        raise refused(f"{name} with {len(args)} arguments", code=ARGUMENTS)
    offset_ms = _offset_ms(args[-1]) if zoned else 0
    fields = args[:-1] if zoned else list(args)
    second = fields.pop() if len(fields) == 6 else None
    whole = [as_long(name, field) for field in fields]
    if second is not None:
        needed(name, second, NUMERIC)
    if any(arg.kind is None for arg in [*whole, *([second] if second else [])]):
        return make("NULL", T.TIMESTAMP, args)
    year, month, day, hour, minute = [field.sql for field in whole] + ["0"] * (5 - len(whole))
    seconds = second.sql if second is not None else "0"
    date = f"printf('%04d-%02d-%02d', {year}, {month}, {day})"
    # SQLite makes a day of March of the 30th of February.
    good = (
        f"{year} BETWEEN 1969 AND 10000 AND {month} BETWEEN 1 AND 12 AND {day} BETWEEN 1 AND 31 "
        f"AND {hour} BETWEEN 0 AND 23 AND {minute} BETWEEN 0 AND 59 AND {seconds} >= 0 AND {seconds} < 60 "
        f"AND date({date}) = {date}"
    )
    clock = f"({hour} * 3600 + {minute} * 60 + CAST({seconds} AS INTEGER)) * 1000"
    parts = f"min(CAST(round(({seconds} - CAST({seconds} AS INTEGER)) * 1000) AS INTEGER), 999)"
    time = f"(unixepoch({date}) * 1000 + {clock} + {parts} - {offset_ms})"
    null = " OR ".join(f"{arg.sql} IS NULL" for arg in [*whole, *([second] if second else [])])
    bad = failing(BAD_TIME, "Invalid timestamp fields", date)
    low, high = LIMITS[T.TIMESTAMP]
    sql = f"(CASE WHEN {null} THEN NULL WHEN {good} AND {time} BETWEEN {low} AND {high} THEN {time} ELSE {bad} END)"
    return make(sql, T.TIMESTAMP, args)


def _now(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    return make("CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER)", T.TIMESTAMP)


_FORMATS = {sign: sign for sign in ("%Y", "%m", "%d", "%H", "%M", "%S", "%j", "%w", "%W", "%%")}


def _strftime(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    pattern, time = args[0], args[1]
    _need_time(name, time)
    if not isinstance(pattern.value, str):
        raise refused("STRFTIME with a format that is not a constant", code=None)
    offset_ms = _offset_ms(args[2]) if len(args) > 2 else 0
    local = _local(time, offset_ms)
    out = ""
    for piece in re.findall(r"%[369]f|%.|[^%]+", pattern.value, re.DOTALL):
        if piece in {"%3f", "%6f", "%9f"}:
            out += "\x01" + "000" * (int(piece[1]) // 3 - 1)
        elif piece == "%z":
            out += _zone_text(offset_ms)
        elif piece in _FORMATS or not piece.startswith("%"):
            out += piece
        else:
            raise refused(f"{piece!r} in the format of STRFTIME", code=75002)
    if time.kind is None:
        return make("NULL", T.STRING, [time])
    text = f"strftime({compiler.context.bind(out)}, {_seconds(local)}, 'unixepoch')"
    if "\x01" in out:
        text = f"replace({text}, char(1), printf('%03d', ({local} + {FIXED_MS['DAY']}) % 1000))"
    return make(text, T.STRING, [time])


def _zone_text(offset_ms: int) -> str:
    minutes = abs(offset_ms) // 60_000
    return f"{'-' if offset_ms < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}" if offset_ms else "Z"


SCALARS: dict[str, tuple[int, int, Callable[[Expressions, str, list[Expr]], Expr]]] = {
    "MAKE_TIMESTAMP": (3, 7, _made),
    "NOW": (0, 0, _now),
    "STRFTIME": (2, 3, _strftime),
    "TIMESTAMP": (1, 1, _timestamp),
    "TIMESTAMP_MS": (1, 1, _timestamp),
    "TIMESTAMP_NS": (1, 1, fine_timestamp),
    "TIMESTAMP_US": (1, 1, fine_timestamp),
    "TO_EPOCH_MS": (1, 1, _to_epoch),
    "TO_TIMESTAMP_MS": (1, 1, _from_epoch),
}
