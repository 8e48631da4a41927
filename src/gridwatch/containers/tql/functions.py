"""TQL's functions of a row, each as Python for constants and as SQL for the rest.

An argument of a wrong type is no error of the statement: GridDB finds it out when a row reaches the function.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from gridwatch.containers.dialect.kinds import INTEGRAL, LIMITS, NUMERIC, T
from gridwatch.containers.schema import ColumnType
from gridwatch.containers.tql.lexer import refused
from gridwatch.containers.tql.operators import TIMES, as_real
from gridwatch.containers.tql.values import Context, Value, constant, failed, null, raising, sized

__all__ = ["SCALARS", "call", "like"]

ARGUMENT = 152002
TYPE = 152010
COUNT = 152011
RANGE = 152012

_Function = Callable[[Context, Sequence[Value]], Value]


def call(context: Context, name: str, arguments: Sequence[Value]) -> Value:
    """Return a compiled call of a function that has no syntax of its own.

    Raises:
        SqlRefusedError: There is no such function (150014), or it needs arrays or shapes.
    """
    least, most, code, function = SCALARS[name]
    if not least <= len(arguments) <= most:
        return raising(context, T.BOOL, code, "Invalid argument count")
    return sized(function(context, arguments))


def _made(
    sql: str,
    kind: ColumnType,
    arguments: Sequence[Value],
    *,
    fallible: bool = False,
    low: int = -(2**63),
    high: int = 2**63 - 1,
) -> Value:
    nullable = any(part.nullable for part in arguments)
    return Value(sql, kind, nullable=nullable, fallible=fallible or failed(*arguments), low=low, high=high)


def _wrong(context: Context, kind: ColumnType, position: int, what: str, *parts: Value) -> Value:
    return raising(context, kind, TYPE, f"Argument {position} is not a {what}", *parts)


# ---------------------------------------------------------------------------------------------------- numbers


def _rounded(sql: Callable[[str], str], python: Callable[[float], float]) -> _Function:
    def function(context: Context, arguments: Sequence[Value]) -> Value:
        arg = arguments[0]
        if arg.kind is None:
            return null()
        if arg.kind not in NUMERIC:
            return raising(context, T.DOUBLE, ARGUMENT, "Argument 1 is invalid", arg)
        if arg.constant:
            number = float(arg.value)
            return constant(context, float(python(number)) if math.isfinite(number) else number, T.DOUBLE)
        # Beyond 2^52 every number is whole; the whole part of all others fits an integer.
        steps = (
            f"(SELECT CASE WHEN abs(x) >= 4503599627370496.0 THEN x ELSE CAST({sql('x')} AS REAL) END "
            f"FROM (SELECT {as_real(arg)} AS x))"
        )
        return _made(steps, T.DOUBLE, arguments)

    return function


def _half_away(number: float) -> float:
    whole = math.trunc(number)
    return float(whole + (number - whole >= 0.5) - (number - whole <= -0.5))


def _round_sql(x: str) -> str:
    whole = f"CAST({x} AS INTEGER)"
    return f"{whole} + ({x} - {whole} >= 0.5) - ({x} - {whole} <= -0.5)"


# ---------------------------------------------------------------------------------------------------- text


def _char_length(context: Context, arguments: Sequence[Value]) -> Value:
    arg = arguments[0]
    if arg.kind is None:
        return null()
    if arg.kind is not T.STRING:
        return _wrong(context, T.INTEGER, 1, "string", arg)
    if arg.constant:
        return constant(context, len(arg.value), T.INTEGER)
    return _made(f"length({arg.sql})", T.INTEGER, arguments, low=0, high=2**31 - 1)


def _concat(context: Context, arguments: Sequence[Value]) -> Value:
    for position, arg in enumerate(arguments, 1):
        if arg.kind not in {T.STRING, None}:
            failure = _wrong(context, T.STRING, position, "string", arg)
            # A null of a wrong type is left out like any other.
            rest = [part for number, part in enumerate(arguments, 1) if number != position]
            joined = _concat(context, rest)
            return replace(joined, sql=f"(coalesce({failure.sql}, '') || {joined.sql})", fallible=True)
    known = [arg for arg in arguments if arg.kind is not None]
    if all(arg.constant for arg in known):
        return constant(context, "".join(arg.value for arg in known), T.STRING)
    sql = " || ".join(f"coalesce({arg.sql}, '')" for arg in known)
    return Value(f"({sql})", T.STRING, nullable=False, fallible=failed(*known))


def _substring(context: Context, arguments: Sequence[Value]) -> Value:
    if any(arg.kind is None for arg in arguments):
        return null()
    text, start = arguments[0], arguments[1]
    if text.kind is not T.STRING:
        return _wrong(context, T.STRING, 1, "string", *arguments)
    for position, arg in enumerate(arguments[1:], 2):
        if arg.kind not in INTEGRAL:
            return raising(context, T.STRING, TYPE, f"Argument {position} is not an numeric value", *arguments)
    numbers = [_place(context, start, 1, "Argument 2 is invalid range", arguments)]
    if len(arguments) == 3:
        numbers.append(_place(context, arguments[2], 0, "Argument 3 is invalid as length", arguments))
    if all(arg.constant for arg in arguments) and not failed(*numbers):
        first = start.value - 1
        last = first + arguments[2].value if len(arguments) == 3 else None
        return constant(context, text.value[first:last], T.STRING)
    sql = f"substr({', '.join([text.sql, *(number.sql for number in numbers)])})"
    return _made(sql, T.STRING, [*arguments, *numbers])


def _place(context: Context, number: Value, least: int, message: str, arguments: Sequence[Value]) -> Value:
    """Return a position or length that fails below `least`."""
    most = LIMITS[T.INTEGER][1]
    if number.low >= least and number.high <= most:
        return number
    if number.constant:
        # The number is cut to 32 bits first.
        cut = (number.value + 2**31) % 2**32 - 2**31
        if cut >= least:
            return constant(context, cut, T.INTEGER)
        return raising(context, T.INTEGER, RANGE, message, *arguments)
    fail = context.failing(RANGE, message)
    sql = f"(CASE WHEN {number.sql} NOT BETWEEN {least} AND {most} THEN {fail} ELSE {number.sql} END)"
    return _made(sql, T.INTEGER, [number], fallible=True)


def _cased(name: str, python: Callable[[str], str]) -> _Function:
    def function(context: Context, arguments: Sequence[Value]) -> Value:
        arg = arguments[0]
        if arg.kind is None:
            return null()
        if arg.kind is not T.STRING:
            return _wrong(context, T.STRING, 1, "string", arg)
        if arg.constant:
            return constant(context, python(arg.value), T.STRING)
        return _made(f"{name}({arg.sql})", T.STRING, arguments)

    return function


_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")

_PATTERN_MAX = 10_000


def like(context: Context, text: Value, pattern: Value, escape: Value | None, *, negated: bool) -> Value:
    """Return `text [NOT] LIKE pattern [ESCAPE escape]`, which minds the case of letters.

    Raises:
        SqlRefusedError: A pattern that depends on the row beside an ESCAPE, or a very long one.
    """
    parts = [text, pattern, *([escape] if escape is not None else [])]
    if any(part.kind is None for part in parts):
        return null()
    for position, part in enumerate(parts, 1):
        if part.kind is not T.STRING:
            return _wrong(context, T.BOOL, position, "string", *parts)
    if escape is not None and not escape.constant:
        raise refused("an ESCAPE that is not a constant", code=None)
    if escape is not None and len(escape.value.encode()) != 1:
        return raising(context, T.BOOL, RANGE, "ESCAPE CHAR must be only 1 character", *parts)
    if text.constant and pattern.constant:
        found = _matches(text.value, pattern.value, escape.value if escape is not None else "")
        return constant(context, found is not negated, T.BOOL)
    if pattern.constant:
        if len(pattern.value) > _PATTERN_MAX:
            raise refused(f"a LIKE pattern of {len(pattern.value)} characters", code=None)
        glob = _glob(pattern.value, escape.value if escape is not None else "")
        matched = f"({text.sql} GLOB {context.bind(glob)})"
    elif escape is not None:
        raise refused("ESCAPE beside a pattern that is not a constant", code=None)
    else:
        glob = pattern.sql
        for sign, meaning in (("[", "[[]"), ("*", "[*]"), ("?", "[?]"), ("%", "*"), ("_", "?")):
            glob = f"replace({glob}, '{sign}', '{meaning}')"
        matched = f"({text.sql} GLOB {glob})"
    return _made(f"(NOT {matched})" if negated else matched, T.BOOL, parts)


def _signs(pattern: str, escape: str) -> list[tuple[str, bool]] | None:
    """Return the signs of a LIKE pattern and whether each stands for more than itself; None if nothing matches it."""
    found: list[tuple[str, bool]] = []
    signs = iter(pattern)
    for sign in signs:
        # A wildcard stays one, even as the escape.
        if sign == escape and sign not in "%_":
            literal = next(signs, "")
            if literal:
                found.append((literal, False))
            elif found and found[-1] == ("%", True):
                # GridDB looks for a sign after the % and finds none.
                return None
        else:
            found.append((sign, sign in "%_"))
    return found


def _glob(pattern: str, escape: str) -> str:
    """Write a LIKE pattern as a GLOB pattern."""
    signs = _signs(pattern, escape)
    if signs is None:
        return "[^\x01-\U0010ffff]"
    wild = {"%": "*", "_": "?"}
    return "".join(wild[sign] if special else f"[{sign}]" if sign in "[*?" else sign for sign, special in signs)


def _matches(text: str, pattern: str, escape: str) -> bool:
    signs = _signs(pattern, escape)
    if signs is None:
        return False
    wild = {"%": ".*", "_": "."}
    regex = "".join(wild[sign] if special else re.escape(sign) for sign, special in signs)
    return re.fullmatch(re.sub(r"(\.\*)+", ".*", regex), text, re.DOTALL) is not None


def _from_epoch(context: Context, arguments: Sequence[Value]) -> Value:
    arg = arguments[0]
    if arg.kind is None:
        return null()
    if arg.kind not in INTEGRAL:
        return raising(context, T.TIMESTAMP, TYPE, "Argument 1 is not an integer value", arg)
    message = "Argument 1 is out of timestamp range"
    if arg.constant:
        if arg.value >= 0:
            return constant(context, arg.value, T.TIMESTAMP)
        return raising(context, T.TIMESTAMP, RANGE, message)
    # A time after 9999 cannot be stored, but GridDB computes with it.
    fail = context.failing(RANGE, message)
    sql = f"(CASE WHEN {arg.sql} < 0 THEN {fail} ELSE {arg.sql} END)"
    return _made(sql, T.TIMESTAMP, arguments, fallible=True, low=0)


def _to_epoch(context: Context, arguments: Sequence[Value]) -> Value:
    arg = arguments[0]
    if arg.kind is None:
        return null()
    if arg.kind not in TIMES:
        return _wrong(context, T.LONG, 1, "timestamp value", arg)
    factor = 10 ** (TIMES[arg.kind] - 3)
    if arg.constant:
        return constant(context, arg.value // factor, T.LONG)
    sql = f"({arg.sql} / {factor})" if factor > 1 else arg.sql
    return _made(sql, T.LONG, arguments, low=arg.low // factor, high=arg.high // factor)


def _now(context: Context, arguments: Sequence[Value]) -> Value:
    return constant(context, context.now_ms, T.TIMESTAMP)


SCALARS: dict[str, tuple[int, int, int, _Function]] = {
    "ROUND": (1, 1, ARGUMENT, _rounded(_round_sql, _half_away)),
    "CEILING": (1, 1, ARGUMENT, _rounded(lambda x: f"CAST({x} AS INTEGER) + ({x} > CAST({x} AS INTEGER))", math.ceil)),
    "FLOOR": (1, 1, ARGUMENT, _rounded(lambda x: f"CAST({x} AS INTEGER) - ({x} < CAST({x} AS INTEGER))", math.floor)),
    "CHAR_LENGTH": (1, 1, COUNT, _char_length),
    "CONCAT": (2, 1000, COUNT, _concat),
    "SUBSTRING": (2, 3, COUNT, _substring),
    "UPPER": (1, 1, COUNT, _cased("upper", lambda text: text.translate(_UPPER))),
    "LOWER": (1, 1, COUNT, _cased("lower", lambda text: text.translate(_LOWER))),
    "TO_TIMESTAMP_MS": (1, 1, COUNT, _from_epoch),
    "TO_EPOCH_MS": (1, 1, COUNT, _to_epoch),
    "NOW": (0, 0, COUNT, _now),
}
"""By name: least and most arguments, the error for another number of them, and how it is compiled."""
