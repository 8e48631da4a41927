"""Methods of String, of times and of Math, each as SQL that gives what Java's gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from gridwatch.jobs import sql
from gridwatch.jobs.painless.arithmetic import arithmetic
from gridwatch.jobs.painless.tree import Node
from gridwatch.jobs.painless.values import (
    INT_MAX,
    LENGTH_MAX,
    LONG_MAX,
    LONG_SAFE,
    Kind,
    Value,
    as_double,
    constant,
    failing_unless,
    made,
    refused,
    whole_of,
)
from gridwatch.jobs.sql import Sql, compose

__all__ = ["MATH", "METHODS", "STATIC", "as_text", "call_method"]

Build = Callable[[Node, Sequence[Value]], Value]

_SPACES = "".join(map(chr, range(1, 33)))
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
E = 2.718281828459045


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
        return _day_name(node, value, [name.upper() for name in _DAYS])
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


S, I, B, D = Kind.STRING, Kind.INT, Kind.BOOLEAN, Kind.DATE  # noqa: E741  as the tables are read

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


def _part(unit: Sql, most: int, *, scale: int = 1) -> Build:
    def build(node: Node, args: Sequence[Value]) -> Value:
        found = compose("EXTRACT({}, {})", unit, args[0].sql)
        text = compose("({} * {})", found, sql.value(scale)) if scale != 1 else found
        return made(node, Kind.INT, text, *args, most=most)

    return build


def _epoch(node: Node, args: Sequence[Value]) -> Value:
    return made(node, Kind.LONG, compose("TO_EPOCH_MS({})", args[0].sql), *args, most=LONG_SAFE / 1e4)


def _epoch_second(node: Node, args: Sequence[Value]) -> Value:
    return made(node, Kind.LONG, compose("(TO_EPOCH_MS({}) / 1000)", args[0].sql), *args, most=LONG_SAFE / 1e4)


def _compared(sign: str) -> Build:
    templates = {"<": "({} < {})", ">": "({} > {})", "=": "({} = {})"}

    def build(node: Node, args: Sequence[Value]) -> Value:
        found = compose(templates[sign], args[0].sql, args[1].sql)
        return made(node, Kind.BOOLEAN, found, *args)

    return build


def _same_as(kind: Kind) -> Build:
    return lambda node, args: replace(args[0], kind=kind)


_DATE: dict[str, tuple[tuple[tuple[Kind, ...], ...], Build]] = {
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
    "isAfter": (((D,),), _compared(">")),
    "isBefore": (((D,),), _compared("<")),
    "isEqual": (((D,),), _compared("=")),
    "equals": (((D,),), _compared("=")),
}
_INSTANT: dict[str, tuple[tuple[tuple[Kind, ...], ...], Build]] = {
    "toEpochMilli": (((),), _epoch),
    "getEpochSecond": (((),), _epoch_second),
}


def _day_number(node: Node, args: Sequence[Value]) -> Value:
    # GridDB counts from Sunday, Java from Monday, both with Sunday on one end.
    day = compose("EXTRACT(DAY_OF_WEEK, {})", args[0].sql)
    return made(node, Kind.INT, compose("(({} + 6) % 7 + 1)", day), *args, most=7)


def _day_name(node: Node, value: Value, names: Sequence[str]) -> Value:
    day = compose("EXTRACT(DAY_OF_WEEK, {})", value.sql)
    cases = sql.joined(" ", [compose("WHEN {} THEN {}", sql.value(n), sql.value(name)) for n, name in enumerate(names)])
    return made(node, Kind.STRING, compose("(CASE {} {} END)", day, cases), value)


def day_name(node: Node, value: Value, style: str) -> Value:
    """Return `getDisplayName(style, Locale)` of a day of the week, in English.

    Raises:
        JobsScriptError: There is no such style.
    """
    if style not in {"FULL", "SHORT"}:
        raise refused(node, f"TextStyle.{style}", allowed=("TextStyle.FULL", "TextStyle.SHORT"), name=style)
    return _day_name(node, value, _DAYS if style == "FULL" else [name[:3] for name in _DAYS])


METHODS: dict[Kind, dict[str, tuple[tuple[tuple[Kind, ...], ...], Build]]] = {
    Kind.STRING: _STRING,
    Kind.DATE: _DATE,
    Kind.INSTANT: _INSTANT,
    Kind.DAY_OF_WEEK: {
        "getValue": (((),), _day_number),
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
_PARTS_OF_DATE = ("getYear()", "getMonthValue()", "getHour()", "toInstant().toEpochMilli()")


def narrowed(node: Node, value: Value) -> Value:
    """Return a number as an int, failing beyond its range."""
    if value.kind is Kind.DOUBLE:
        value = whole_of(node, value)
    if value.most <= INT_MAX:
        return replace(value, kind=Kind.INT)
    found = failing_unless(node, compose("{} BETWEEN -2147483648 AND 2147483647", value.sql), value)
    return replace(found, kind=Kind.INT, most=2.0**31)


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


def _absolute(node: Node, args: Sequence[Value]) -> Value:
    value = args[0]
    if value.known is not None and not isinstance(value.known, str):
        return constant(node, abs(value.known), value.kind)
    found = made(node, value.kind, compose("ABS({})", value.sql), value, most=value.most)
    if value.kind.whole and value.most > LONG_MAX:
        return failing_unless(node, compose("{} >= {}", value.sql, sql.value(-LONG_MAX)), found)
    return found


def _extreme(sign: str) -> Build:
    def build(node: Node, args: Sequence[Value]) -> Value:
        left, right = args
        if Kind.LONG in {left.kind, right.kind} and Kind.INT in {left.kind, right.kind}:
            left, right = (replace(one, kind=Kind.LONG) for one in args)
        if Kind.DOUBLE in {left.kind, right.kind}:
            left, right = as_double(left), as_double(right)
        kind = left.kind
        least = compose("MIN({}, {})", left.sql, right.sql)
        found = compose("MAX({}, {})", left.sql, right.sql) if sign == ">" else least
        return made(node, kind, found, left, right, most=max(left.most, right.most))

    return build


def _rounding(*, up: bool) -> Build:
    """`floor` and `ceil`: the rest by 1 is exact, and 0 for what is too large to have decimals."""

    def build(node: Node, args: Sequence[Value]) -> Value:
        value = as_double(args[0])
        if isinstance(value.known, float) and abs(value.known) < LONG_SAFE:
            return constant(node, float(math.ceil(value.known) if up else math.floor(value.known)))
        x = value.sql
        if up:
            step = compose("(CASE WHEN {} % 1.0 > 0.0 THEN 1.0 ELSE 0.0 END)", x)
        else:
            step = compose("(CASE WHEN {} % 1.0 < 0.0 THEN -1.0 ELSE 0.0 END)", x)
        return made(node, Kind.DOUBLE, compose("(({} - {} % 1.0) + {})", x, x, step), value, most=value.most + 1)

    return build


def _round(node: Node, args: Sequence[Value]) -> Value:
    """`round`: the nearest long, halves upwards."""
    value = as_double(args[0])
    if isinstance(value.known, float) and abs(value.known) < LONG_SAFE:
        return constant(node, math.floor(Fraction(value.known) + Fraction(1, 2)), Kind.LONG)
    x = value.sql
    # x + 0.5 would itself be rounded: 0.49999999999999994 is 0.
    step = compose("(CASE WHEN {} % 1.0 >= 0.5 THEN 1.0 WHEN {} % 1.0 < -0.5 THEN -1.0 ELSE 0.0 END)", x, x)
    whole = made(node, Kind.DOUBLE, compose("(({} - {} % 1.0) + {})", x, x, step), value, most=value.most + 1)
    cast = made(node, Kind.LONG, compose("CAST({} AS LONG)", whole.sql), whole, most=whole.most)
    if whole.most <= LONG_SAFE:
        return cast
    return replace(failing_unless(node, compose("ABS({}) < {}", x, sql.value(LONG_SAFE)), cast), most=LONG_SAFE)


def _sqrt(node: Node, args: Sequence[Value]) -> Value:
    value = as_double(args[0])
    found = made(node, Kind.DOUBLE, compose("SQRT({})", value.sql), value, most=1.4e154)
    if isinstance(value.known, float) and value.known >= 0:
        return found
    return failing_unless(node, compose("{} >= 0.0", value.sql), found)


def _log(base: float) -> Build:
    def build(node: Node, args: Sequence[Value]) -> Value:
        value = as_double(args[0])
        found = made(node, Kind.DOUBLE, compose("LOG({}, {})", sql.value(base), value.sql), value, most=1000)
        if isinstance(value.known, float) and value.known > 0:
            return found
        return failing_unless(node, compose("{} > 0.0", value.sql), found)

    return build


def _power(node: Node, args: Sequence[Value]) -> Value:
    base, exponent = as_double(args[0]), args[1].known
    if not isinstance(exponent, int | float) or exponent != int(exponent) or not 0 <= exponent <= 4:
        raise refused(node, "Math.pow with another exponent than a constant from 0 to 4", name="pow")
    found = constant(node, 1.0)
    for _ in range(int(exponent)):
        found = arithmetic(node, "*", found, base) if found.known != 1.0 else base
    return found


def _signum(node: Node, args: Sequence[Value]) -> Value:
    x = as_double(args[0])
    if isinstance(x.known, float):
        return constant(node, float((x.known > 0) - (x.known < 0)))
    found = compose(
        "(CASE WHEN {} > 0.0 THEN 1.0 WHEN {} < 0.0 THEN -1.0 WHEN {} = 0.0 THEN 0.0 END)", x.sql, x.sql, x.sql
    )
    return made(node, Kind.DOUBLE, found, x, most=1)


MATH: dict[str, tuple[int, Build]] = {
    "abs": (1, _absolute),
    "ceil": (1, _rounding(up=True)),
    "floor": (1, _rounding(up=False)),
    "log": (1, _log(E)),
    "log10": (1, _log(10.0)),
    "max": (2, _extreme(">")),
    "min": (2, _extreme("<")),
    "pow": (2, _power),
    "round": (1, _round),
    "signum": (1, _signum),
    "sqrt": (1, _sqrt),
}
"""Number of arguments, all of them numbers, and what builds the call."""


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
