"""Methods of String and of other values, and static ones, each as SQL that gives what Java's gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gridwatch.jobs import sql
from gridwatch.jobs.painless import times
from gridwatch.jobs.painless.maths import narrowed
from gridwatch.jobs.painless.tree import Node
from gridwatch.jobs.painless.values import (
    INT_MAX,
    LENGTH_MAX,
    LONG_MAX,
    Kind,
    Value,
    constant,
    failing_unless,
    made,
    refused,
)
from gridwatch.jobs.sql import Sql, compose

__all__ = ["METHODS", "STATIC", "as_text", "call_method"]

Build = Callable[[Node, Sequence[Value]], Value]

_SPACES = "".join(map(chr, range(1, 33)))
_PARTS_OF_DATE = ("getYear()", "getMonthValue()", "getHour()", "toInstant().toEpochMilli()")


def as_text(node: Node, value: Value) -> Value:
    """Return a value as text, as Java writes it.

    Raises:
        JobsScriptError: SQL writes it otherwise.
    """
    if value.kind is Kind.STRING:
        return value
    if value.known is not None and value.kind is not Kind.DOUBLE:
        return constant(node, str(value.known).lower())
    if value.kind is Kind.DOUBLE:
        raise refused(node, "a double as text, which SQL writes otherwise than Java; cast it to (long)")
    if value.kind is Kind.DAY_OF_WEEK:
        return times.day_text(node, value)
    if not (value.kind.whole or value.kind is Kind.BOOLEAN):
        raise refused(node, f"a {value.kind} as text, which SQL writes otherwise than Java", allowed=_PARTS_OF_DATE)
    return made(node, Kind.STRING, compose("CAST({} AS STRING)", value.sql), value)


def _text_call(template: Callable[[Sequence[Value]], Sql], kind: Kind, most: float | None = None) -> Build:
    return lambda node, args: made(node, kind, template([*args]), *args, most=most)


def _sub(node: Node, args: Sequence[Value]) -> Value:
    """`substring(begin)` and `substring(begin, end)`, which fail outside the text."""
    text, begin = args[0].sql, args[1].sql
    if len(args) == 2:
        value = made(node, Kind.STRING, compose("SUBSTR({}, {} + 1)", text, begin), *args)
        return failing_unless(node, compose("{} BETWEEN 0 AND LENGTH({})", begin, text), value)
    end = args[2].sql
    value = made(node, Kind.STRING, compose("SUBSTR({}, {} + 1, {} - {})", text, begin, end, begin), *args)
    condition = compose("({} >= 0 AND {} >= {} AND {} <= LENGTH({}))", begin, end, begin, end, text)
    return failing_unless(node, condition, value)


def _index_of(node: Node, args: Sequence[Value]) -> Value:
    text, key = args[0].sql, args[1].sql
    if len(args) == 2:
        return made(node, Kind.INT, compose("(INSTR({}, {}) - 1)", text, key), *args, most=LENGTH_MAX)
    start = compose("MIN(MAX({}, 0), LENGTH({}))", args[2].sql, text)
    place = compose("INSTR(SUBSTR({}, {} + 1), {})", text, start, key)
    found = compose("(CASE WHEN {} = 0 THEN -1 WHEN {} > 0 THEN {} + {} - 1 END)", place, place, place, start)
    return made(node, Kind.INT, found, *args, most=LENGTH_MAX)


def _last_index_of(node: Node, args: Sequence[Value]) -> Value:
    return made(node, Kind.INT, compose("(INSTR({}, {}, -1) - 1)", args[0].sql, args[1].sql), *args, most=LENGTH_MAX)


def _ends_with(node: Node, args: Sequence[Value]) -> Value:
    text, key = args[0].sql, args[1].sql
    same = compose(
        "(LENGTH({}) >= LENGTH({}) AND SUBSTR({}, LENGTH({}) - LENGTH({}) + 1) = {})", text, key, text, text, key, key
    )
    return made(node, Kind.BOOLEAN, same, *args)


def _replace(node: Node, args: Sequence[Value]) -> Value:
    text, key, new = (one.sql for one in args)
    if args[1].known == "":
        raise refused(node, "replace of an empty text", name="replace")
    value = made(node, Kind.STRING, compose("REPLACE({}, {}, {})", text, key, new), *args)
    return value if args[1].known else failing_unless(node, compose("{} <> ''", key), value)


def _equals(node: Node, args: Sequence[Value]) -> Value:
    return made(node, Kind.BOOLEAN, compose("({} = {})", args[0].sql, args[1].sql), *args)


S, I, B = Kind.STRING, Kind.INT, Kind.BOOLEAN  # noqa: E741  as the tables are read

_STRING: dict[str, tuple[tuple[tuple[Kind, ...], ...], Build]] = {
    "concat": (((S,),), _text_call(lambda a: compose("({} || {})", a[0].sql, a[1].sql), S)),
    "contains": (((S,),), _text_call(lambda a: compose("(INSTR({}, {}) > 0)", a[0].sql, a[1].sql), B)),
    "endsWith": (((S,),), _ends_with),
    "equals": (((S,),), _equals),
    "equalsIgnoreCase": (((S,),), _text_call(lambda a: compose("(UPPER({}) = UPPER({}))", a[0].sql, a[1].sql), B)),
    "indexOf": (((S,), (S, I)), _index_of),
    "isEmpty": (((),), _text_call(lambda a: compose("({} = '')", a[0].sql), B)),
    "lastIndexOf": (((S,),), _last_index_of),
    "length": (((),), _text_call(lambda a: compose("LENGTH({})", a[0].sql), I, LENGTH_MAX)),
    "replace": (((S, S),), _replace),
    "startsWith": (
        ((S,),),
        _text_call(lambda a: compose("(SUBSTR({}, 1, LENGTH({})) = {})", a[0].sql, a[1].sql, a[1].sql), B),
    ),
    "substring": (((I,), (I, I)), _sub),
    "toLowerCase": (((),), _text_call(lambda a: compose("LOWER({})", a[0].sql), S)),
    "toString": (((),), lambda node, a: a[0]),
    "toUpperCase": (((),), _text_call(lambda a: compose("UPPER({})", a[0].sql), S)),
    "trim": (((),), _text_call(lambda a: compose("TRIM({}, {})", a[0].sql, sql.value(_SPACES)), S)),
}

METHODS: dict[Kind, dict[str, tuple[tuple[tuple[Kind, ...], ...], Build]]] = {
    Kind.STRING: _STRING,
    Kind.DATE: times.DATE,
    Kind.INSTANT: times.INSTANT,
    Kind.DAY_OF_WEEK: {
        "getValue": (((),), times.day_number),
        "toString": (((),), lambda node, a: as_text(node, a[0])),
        "name": (((),), lambda node, a: as_text(node, a[0])),
    },
    **{
        kind: {
            "toString": (((),), lambda node, a: as_text(node, a[0])),
            **({"intValue": (((),), lambda node, a: narrowed(node, a[0]))} if kind is Kind.INT else {}),
            **({"longValue": (((),), lambda node, a: replace(a[0], kind=Kind.LONG))} if kind.whole else {}),
        }
        for kind in (Kind.INT, Kind.LONG, Kind.BOOLEAN)
    },
}


def call_method(node: Node, target: Value, name: str, args: Sequence[Value]) -> Value:
    """Return the call of a method of a value.

    Raises:
        JobsScriptError: The type has no such method here, or it takes other arguments.
    """
    table = METHODS.get(target.kind, {})
    if name not in table:
        raise refused(node, f"the method [{name}] of {target.kind}", allowed=tuple(sorted(table)), name=name)
    shapes, build = table[name]
    kinds = tuple(arg.kind for arg in args)
    if kinds not in shapes:
        given = ", ".join(kinds)
        wanted = tuple(f"{name}({', '.join(shape)})" for shape in shapes)
        raise refused(node, f"[{name}] of ({given})", allowed=wanted, name=name)
    return build(node, [target, *args])


def _parsed(digits: int, most: int) -> Build:
    """`Integer.parseInt` and `Long.parseLong`: of what is no number they fail."""

    def build(node: Node, args: Sequence[Value]) -> Value:
        text = args[0]
        if text.kind is not Kind.STRING:
            raise refused(node, f"a number out of a {text.kind}", allowed=("String",))
        bare = compose(
            "(CASE WHEN {} GLOB '[+-]?*' THEN SUBSTR({}, 2) WHEN {} NOT GLOB '[+-]?*' THEN {} END)", *[text.sql] * 4
        )
        good = compose(
            "({} <> '' AND LENGTH({}) <= {} AND NOT ({} GLOB '*[^0-9]*'))", bare, bare, sql.value(digits), bare
        )
        found = made(node, Kind.LONG, compose("CAST({} AS LONG)", text.sql), text, most=10.0**digits)
        value = failing_unless(node, good, found)
        return narrowed(node, value) if most == INT_MAX else value

    return build


STATIC: dict[str, dict[str, Build]] = {
    "String": {"valueOf": lambda node, a: as_text(node, a[0])},
    "Integer": {"parseInt": _parsed(10, INT_MAX), "toString": lambda node, a: as_text(node, a[0])},
    "Long": {"parseLong": _parsed(18, LONG_MAX), "toString": lambda node, a: as_text(node, a[0])},
    "Boolean": {"toString": lambda node, a: as_text(node, a[0])},
}
"""Static methods, each of one argument."""
