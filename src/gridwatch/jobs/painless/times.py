"""Methods of times, in UTC, and the texts of days."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gridwatch.jobs import sql
from gridwatch.jobs.painless.tree import Call, Member, Name, Node
from gridwatch.jobs.painless.values import LONG_SAFE, Kind, Value, made, refused
from gridwatch.jobs.sql import Sql, compose

__all__ = ["DATE", "INSTANT", "day_name", "day_number", "day_text"]

_LOCALES = ("Locale.ROOT", "Locale.ENGLISH", "Locale.US", "Locale.UK")
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

_Build = Callable[[Node, Sequence[Value]], Value]
_Table = dict[str, tuple[tuple[tuple[Kind, ...], ...], _Build]]
_OTHER = ((Kind.DATE,),)


def _part(unit: Sql, most: int, *, scale: int = 1) -> _Build:
    def build(node: Node, args: Sequence[Value]) -> Value:
        found = compose("EXTRACT({}, {})", unit, args[0].sql)
        text = compose("({} * {})", found, sql.value(scale)) if scale != 1 else found
        return made(node, Kind.INT, text, *args, most=most)

    return build


def _epoch(node: Node, args: Sequence[Value]) -> Value:
    return made(node, Kind.LONG, compose("TO_EPOCH_MS({})", args[0].sql), *args, most=LONG_SAFE / 1e4)


def _epoch_second(node: Node, args: Sequence[Value]) -> Value:
    return made(node, Kind.LONG, compose("(TO_EPOCH_MS({}) / 1000)", args[0].sql), *args, most=LONG_SAFE / 1e4)


def _compared(sign: str) -> _Build:
    templates = {"<": "({} < {})", ">": "({} > {})", "=": "({} = {})"}

    def build(node: Node, args: Sequence[Value]) -> Value:
        found = compose(templates[sign], args[0].sql, args[1].sql)
        return made(node, Kind.BOOLEAN, found, *args)

    return build


def _same_as(kind: Kind) -> _Build:
    return lambda node, args: replace(args[0], kind=kind)


DATE: _Table = {
    "getYear": (((),), _part(Sql("YEAR"), 9999)),
    "getMonthValue": (((),), _part(Sql("MONTH"), 12)),
    "getDayOfMonth": (((),), _part(Sql("DAY"), 31)),
    "getDayOfYear": (((),), _part(Sql("DAY_OF_YEAR"), 366)),
    "getHour": (((),), _part(Sql("HOUR"), 23)),
    "getMinute": (((),), _part(Sql("MINUTE"), 59)),
    "getSecond": (((),), _part(Sql("SECOND"), 59)),
    "getNano": (((),), _part(Sql("MILLISECOND"), 999_000_000, scale=1_000_000)),
    "getDayOfWeekEnum": (((),), _same_as(Kind.DAY_OF_WEEK)),
    "getDayOfWeek": (((),), _same_as(Kind.DAY_OF_WEEK)),
    "toInstant": (((),), _same_as(Kind.INSTANT)),
    "toEpochSecond": (((),), _epoch_second),
    "isAfter": (_OTHER, _compared(">")),
    "isBefore": (_OTHER, _compared("<")),
    "isEqual": (_OTHER, _compared("=")),
    "equals": (_OTHER, _compared("=")),
}
INSTANT: _Table = {
    "toEpochMilli": (((),), _epoch),
    "getEpochSecond": (((),), _epoch_second),
}


def day_number(node: Node, args: Sequence[Value]) -> Value:
    """Return the number of a day of the week, Monday's being 1."""
    # GridDB counts from Sunday, Java from Monday, both with Sunday on one end.
    day = compose("EXTRACT(DAY_OF_WEEK, {})", args[0].sql)
    return made(node, Kind.INT, compose("(({} + 6) % 7 + 1)", day), *args, most=7)


def _day_name(node: Node, value: Value, names: Sequence[str]) -> Value:
    day = compose("EXTRACT(DAY_OF_WEEK, {})", value.sql)
    cases = sql.joined(" ", [compose("WHEN {} THEN {}", sql.value(n), sql.value(name)) for n, name in enumerate(names)])
    return made(node, Kind.STRING, compose("(CASE {} {} END)", day, cases), value)


def day_name(node: Call, value: Value) -> Value:
    """Return `getDisplayName(style, Locale)` of a day of the week, in English.

    Raises:
        JobsScriptError: There is no such style, or the language is another one.
    """
    style = _style(node)
    if style not in {"FULL", "SHORT"}:
        raise refused(node, f"TextStyle.{style}", allowed=("TextStyle.FULL", "TextStyle.SHORT"), name=style)
    return _day_name(node, value, _DAYS if style == "FULL" else [name[:3] for name in _DAYS])


def _style(node: Call) -> str:
    words = [
        f"{one.target.name}.{one.name}"
        for one in node.arguments
        if isinstance(one, Member) and isinstance(one.target, Name)
    ]
    if len(words) != 2 or words[1] not in _LOCALES or not words[0].startswith("TextStyle."):
        raise refused(
            node, "getDisplayName of anything but a TextStyle and an English Locale",
            allowed=("TextStyle.FULL, Locale.ROOT", "TextStyle.SHORT, Locale.ENGLISH"), name="getDisplayName",
        )  # fmt: skip
    return words[0].removeprefix("TextStyle.")


def day_text(node: Node, value: Value) -> Value:
    """Return a day of the week as Java's text, such as MONDAY."""
    return _day_name(node, value, [name.upper() for name in _DAYS])
