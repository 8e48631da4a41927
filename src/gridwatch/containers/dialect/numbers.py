"""Functions of numbers, by GridDB's formulas: where SQLite has a function of the same name, it rounds otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwatch.containers.dialect.kinds import (
    FLOATING,
    INTEGRAL,
    NUMERIC,
    Expr,
    T,
    as_long,
    failing,
    make,
    needed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwatch.containers.dialect.expressions import Expressions

__all__ = ["SCALARS"]

OVERFLOW = 75000
OUT_OF_RANGE = 75002
BAD_TEXT = 75003

# Above it a double has no decimals that ROUND could take away.
_ROUND_MAX = 2.0**63 * 1024
_SPACES = "char(9, 10, 11, 12, 13, 32)"


def _absolute(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    arg = args[0]
    needed(name, arg, NUMERIC)
    if arg.kind in FLOATING or arg.kind is None:
        return make(f"abs({arg.sql})", arg.kind and T.DOUBLE, args)
    low, high = arg.bounds
    # abs() itself fails on the least LONG, as GridDB does.
    return make(f"abs({arg.sql})", T.LONG, args, low=0, high=min(max(abs(low), abs(high)), 2**63 - 1))


def _round(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    arg, digits = args[0], as_long(name, args[1]) if len(args) > 1 else None
    needed(name, arg, NUMERIC)
    if arg.kind not in FLOATING:
        # Digits change nothing about a whole number, but where they are null.
        sql = arg.sql if digits is None else f"(CASE WHEN {digits.sql} IS NOT NULL THEN {arg.sql} END)"
        return make(sql, arg.kind and T.LONG, args, low=arg.bounds[0], high=arg.bounds[1])
    if digits is not None and digits.kind is None:
        return make("NULL", T.DOUBLE, args)
    x = arg.sql
    if digits is None:
        power, many = "1.0", ""
    elif isinstance(digits.value, int) and digits.value <= 45:
        power, many = repr(10.0 ** max(digits.value, 0)), ""
    else:
        power = f"pow(10.0, max({digits.sql}, 0))"
        fail = failing(OUT_OF_RANGE, "ROUND to more than 45 digits is not taken here", x)
        many = f"WHEN {digits.sql} > 45 THEN {fail} WHEN {digits.sql} IS NULL THEN NULL "
    sql = (
        f"(CASE {many}WHEN abs({x}) > {_ROUND_MAX!r} THEN {x} WHEN {x} < 0 THEN ceil({x} * {power} - 0.5) / {power} "
        f"ELSE floor({x} * {power} + 0.5) / {power} END)"
    )
    return make(sql, T.DOUBLE, args)


def _truncate(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    arg, digits = args[0], as_long(name, args[1]) if len(args) > 1 else None
    needed(name, arg, NUMERIC)
    if arg.kind is None or (digits is not None and digits.kind is None):
        return make("NULL", arg.kind and (T.DOUBLE if arg.kind in FLOATING else T.LONG), args)
    if arg.kind in INTEGRAL:
        return _truncated_integer(arg, digits, args)
    x, places = arg.sql, "0" if digits is None else digits.sql
    # GridDB's own measure of how large the number is.
    size = (
        f"CAST(CASE WHEN abs({x}) >= 1 THEN log10(trunc(abs({x}))) ELSE log10(abs({x}) * 1e308) - 309 END AS INTEGER)"
    )
    fail = failing(OUT_OF_RANGE, "The value or the digits of TRUNC are out of range", x)
    if digits is None or isinstance(digits.value, int):
        exact = 0 if digits is None else int(digits.value)
        exact = min(max(exact, -400), 400)
        up, down = (repr(10.0**power) if abs(power) <= 308 else "1.0" for power in (exact, -exact))
        wild = "" if -307 <= exact <= 308 else f"WHEN true THEN {fail} "
    else:
        up, down = f"pow(10.0, {places})", f"pow(10.0, -({places}))"
        wild = f"WHEN {places} IS NULL THEN NULL WHEN {places} NOT BETWEEN -307 AND 308 THEN {fail} "
    sql = (
        f"(CASE WHEN {x} = 0 THEN 0.0 {wild}WHEN {size} + {places} NOT BETWEEN -307 AND 307 THEN {fail} "
        f"WHEN {x} > 0 THEN floor({x} * {up}) * {down} ELSE ceil({x} * {up}) * {down} END)"
    )
    return make(sql, T.DOUBLE, args)


def _truncated_integer(arg: Expr, digits: Expr | None, args: list[Expr]) -> Expr:
    low, high = min(arg.bounds[0], 0), max(arg.bounds[1], 0)
    if digits is None or (isinstance(digits.value, int) and digits.value >= 0):
        return make(arg.sql, T.LONG, args, low=low, high=high)
    if isinstance(digits.value, int):
        sql = "0" if digits.value < -18 else f"({arg.sql} - {arg.sql} % {10**-digits.value})"
        return make(f"(CASE WHEN {arg.sql} IS NOT NULL THEN {sql} END)", T.LONG, args, low=low, high=high)
    places = digits.sql
    step = f"CAST(pow(10, -({places})) AS INTEGER)"
    sql = (
        f"(CASE WHEN {arg.sql} IS NULL THEN NULL WHEN {places} >= 0 THEN {arg.sql} WHEN {places} < -18 THEN 0 "
        f"WHEN {places} < 0 THEN {arg.sql} - {arg.sql} % {step} END)"
    )
    return make(sql, T.LONG, args, low=low, high=high)


def _root(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    arg = args[0]
    needed(name, arg, NUMERIC)
    fail = failing(OUT_OF_RANGE, "The value of the SQRT function is out of range", arg.sql)
    return make(f"(CASE WHEN {arg.sql} < 0 THEN {fail} ELSE sqrt({arg.sql}) END)", T.DOUBLE, args)


def _logarithm(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    for arg in args:
        needed(name, arg, NUMERIC)
    base, arg = args
    if None in {base.kind, arg.kind}:
        return make("NULL", T.DOUBLE, args)
    fail = failing(OUT_OF_RANGE, "The base of the LOG function is out of range", base.sql)
    bases = f"WHEN {arg.sql} IS NOT NULL AND ({base.sql} <= 0 OR {base.sql} = 1) THEN {fail} "
    if isinstance(base.value, int | float) and base.value > 0 and base.value != 1:
        bases = ""
    fail = failing(OUT_OF_RANGE, "The antilogarithm of the LOG function is out of range", arg.sql)
    wrong = f"WHEN {base.sql} IS NOT NULL AND {arg.sql} <= 0 THEN {fail} "
    return make(f"(CASE {bases}{wrong}ELSE ln({arg.sql}) / ln({base.sql}) END)", T.DOUBLE, args)


def _from_hex(compiler: Expressions, name: str, args: list[Expr]) -> Expr:
    arg = args[0]
    needed(name, arg, frozenset({T.STRING}))
    if arg.kind is None:
        return make("NULL", T.LONG, args)
    digits = f"trim({arg.sql}, {_SPACES})"
    bad = failing(BAD_TEXT, "The argument of HEX_TO_DEC is no hexadecimal number", arg.sql)
    long = failing(OVERFLOW, "The argument of HEX_TO_DEC is beyond the range of LONG", arg.sql)
    # SQLite reads hexadecimal numbers in JSON5 only.
    sql = (
        f"(CASE WHEN {digits} = '' OR {digits} GLOB '*[^0-9A-Fa-f]*' THEN {bad} "
        f"WHEN length({digits}) > 16 OR (length({digits}) = 16 AND {digits} NOT GLOB '[0-7]*') THEN {long} "
        f"ELSE json_extract('[0x' || {digits} || ']', '$[0]') END)"
    )
    return make(sql, T.LONG, args, low=0)


SCALARS: dict[str, tuple[int, int, Callable[[Expressions, str, list[Expr]], Expr]]] = {
    "ABS": (1, 1, _absolute),
    "HEX_TO_DEC": (1, 1, _from_hex),
    "LOG": (2, 2, _logarithm),
    "ROUND": (1, 2, _round),
    "SQRT": (1, 1, _root),
    "TRUNC": (1, 2, _truncate),
}
