"""CAST, and text of other types as GridDB writes it."""

from __future__ import annotations

import math
import re
import struct
from datetime import datetime

from sqlglot import exp

from gridwatch.containers._keys import ms_of
from gridwatch.containers.dialect.conversions import BAD_TEXT, OUT_OF_RANGE, SPACES, from_text, single, whole
from gridwatch.containers.dialect.kinds import (
    FLOATING,
    INTEGRAL,
    LIMITS,
    Expr,
    T,
    inside,
    make,
    mismatch,
    name_of,
    number_literal,
)
from gridwatch.containers.dialect.parse import TYPE_NAMES, refused
from gridwatch.containers.dialect.scope import Context
from gridwatch.containers.dialect.type_names import type_of
from gridwatch.containers.schema import ColumnType
from gridwatch.errors import SqlFailedError

__all__ = ["BAD_TEXT", "OUT_OF_RANGE", "cast", "float32", "kind_of", "text_of", "time_text", "timestamp_of"]

# What sqlglot calls the types that it knows by other words.
_PARSED = {
    "BOOLEAN": T.BOOL,
    "TEXT": T.STRING,
    "TINYINT": T.BYTE,
    "SMALLINT": T.SHORT,
    "INT": T.INTEGER,
    "BIGINT": T.LONG,
    "FLOAT": T.FLOAT,
    "DOUBLE": T.DOUBLE,
    "TIMESTAMP": T.TIMESTAMP,
    "VARBINARY": T.BLOB,
    "BLOB": T.BLOB,
}

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d{3}))?(Z|[+-]\d\d:?\d\d))?")


def kind_of(word: str) -> ColumnType:
    """Return the type of a type's name in SQL.

    Raises:
        SqlRefusedError: GridDB has no such type, or this store does not keep it.
    """
    # Beyond these names CREATE TABLE goes by what a name contains.
    if word.upper() not in TYPE_NAMES:
        raise refused(f"the type {word}", hint=f"use one of {', '.join(kind.value for kind in T)}")
    return type_of(word)


def timestamp_of(text: str) -> int:
    """Return UTC epoch ms of a time in GridDB's form, a date or a date and time with a zone.

    Raises:
        SqlFailedError: It has another form (305005) or is outside 1970 to 9999 (305004).
    """
    found = _TIME.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)  # noqa: TRY301  one message for both ways of being wrong
        ms = ms_of(datetime.fromisoformat(text))
    except ValueError as error:
        raise SqlFailedError(
            f"{text!r} is no time; use '2024-01-31', or '2024-01-31T12:30:00Z' with 0 or 3 decimals.", code=BAD_TEXT
        ) from error
    low, high = LIMITS[T.TIMESTAMP]
    if not low <= ms <= high:
        raise SqlFailedError(f"{text!r} is outside 1970 to 9999.", code=OUT_OF_RANGE)
    return ms


def float32(value: float) -> float:
    """Return the FLOAT nearest to a number.

    Raises:
        SqlFailedError: It is beyond the range of FLOAT.
    """
    try:
        # The native format would give infinity instead of an error.
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError as error:
        raise SqlFailedError(f"{value!r} is outside the range of FLOAT.", code=OUT_OF_RANGE) from error


def time_text(sql: str, precision: int = 3) -> str:
    """Return the SQL of a time, so many decimals of a second since 1970, as ISO 8601 in UTC."""
    unit = 10**precision
    return f"(strftime('%Y-%m-%dT%H:%M:%S', {sql} / {unit}, 'unixepoch') || printf('.%0{precision}dZ', {sql} % {unit}))"


def text_of(expr: Expr) -> Expr:
    """Return a value as text, the way GridDB's CAST AS STRING and || write it."""
    sql = expr.sql
    if expr.kind is T.BOOL:
        sql = f"(CASE {sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END)"
    elif expr.kind in INTEGRAL:
        sql = f"CAST({sql} AS TEXT)"
    elif expr.kind in FLOATING:
        # printf of NULL is '0.0'.
        written = f"printf('%!.15g', {sql})"
        if expr.infinite:
            written = f"CASE {sql} WHEN 9e999 THEN 'Infinity' WHEN -9e999 THEN '-Infinity' ELSE {written} END"
        sql = f"(CASE WHEN {sql} IS NOT NULL THEN {written} END)"
    elif expr.kind is not None and expr.kind.precision:
        sql = time_text(sql, expr.kind.precision)
    elif expr.kind is T.BLOB:
        sql = f"(CASE WHEN {sql} IS NOT NULL THEN hex({sql}) END)"
    elif expr.kind not in {T.STRING, None}:
        raise refused(f"text of {name_of(expr.kind)}", code=None)
    return make(sql, T.STRING if expr.kind else None, [expr])


def cast(expr: Expr, to: exp.DataType, context: Context) -> Expr:
    """Return CAST(expr AS type).

    Raises:
        SqlRefusedError: The types do not convert (305010), or the conversion cannot be checked here.
        SqlFailedError: A constant does not convert.
    """
    named = to.this.value if hasattr(to.this, "value") else str(to.this)
    target = _PARSED.get(named)
    if to.expressions:
        raise refused(f"CAST AS {to.sql()}", code=None)
    if target is None:
        target = kind_of(str(to.args.get("kind") or named))
    if expr.kind is None:
        return make("NULL", target, [expr], value=None)
    if expr.kind is target:
        return expr
    if target is T.STRING:
        return text_of(expr)
    if expr.kind is T.STRING:
        return _from_text(expr, target, context)
    return _between_numbers(expr, target)


def _from_text(expr: Expr, target: ColumnType, context: Context) -> Expr:
    if not isinstance(expr.value, str) or target is T.BLOB:
        return from_text(expr, target)
    text = expr.value
    if target is T.TIMESTAMP:
        ms = timestamp_of(text)
        return Expr(context.bind(ms), T.TIMESTAMP, ms, ms, ms, nullable=False)
    if target is T.BOOL and text.lower() in {"true", "false"}:
        truth = text.lower() == "true"
        return Expr("(1)" if truth else "(0)", T.BOOL, value=truth, nullable=False)
    digits = text.strip(SPACES)
    if target in INTEGRAL and re.fullmatch(r"[+-]?[0-9]+", digits):
        return _in_range(number_literal(int(digits)), target, BAD_TEXT)
    if target in FLOATING and re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", digits):
        value = float(digits)
        if math.isfinite(value):
            number = number_literal(value)
            return _between_numbers(number, target) if target is T.FLOAT else number
    if target in FLOATING and digits.lower() in {"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}:
        return Expr("(-9e999)" if digits[0] == "-" else "(9e999)", target, nullable=False, infinite=True)
    if target in FLOATING and digits.lower() in {"nan", "+nan", "-nan"}:
        raise refused(f"CAST of {text!r} AS {target}", code=None, hint="the store has no NaN")
    raise SqlFailedError(f"{text!r} is no {target}.", code=BAD_TEXT)


def _in_range(expr: Expr, target: ColumnType, too_long: int = OUT_OF_RANGE) -> Expr:
    low, high = LIMITS[target]
    if expr.kind not in INTEGRAL:
        raise SqlFailedError(f"{expr.value} is outside the range of LONG.", code=too_long)
    if expr.constant and not low <= expr.value <= high:
        raise SqlFailedError(f"{expr.value} is outside the range of {target}.", code=OUT_OF_RANGE)
    found = inside(expr, low, high, OUT_OF_RANGE, f"Value overflow in type conversion to {target}")
    return Expr(found.sql, target, found.low, found.high, expr.value, expr.nullable, found.free, found.aggregate)


def _between_numbers(expr: Expr, target: ColumnType) -> Expr:
    what = f"CAST of {name_of(expr.kind)} AS {target}"
    if expr.kind is T.BOOL and target in INTEGRAL:
        return make(expr.sql, target, [expr], low=0, high=1)
    if expr.kind in INTEGRAL and target is T.BOOL:
        return make(f"({expr.sql} <> 0)", T.BOOL, [expr])
    if expr.kind in INTEGRAL and target in INTEGRAL:
        return _in_range(expr, target)
    if expr.kind in INTEGRAL and target is T.DOUBLE:
        return make(f"CAST({expr.sql} AS REAL)", target, [expr])
    if expr.kind is T.FLOAT and target is T.DOUBLE:
        return make(expr.sql, target, [expr])
    if expr.kind in FLOATING | INTEGRAL and target is T.FLOAT:
        if not isinstance(expr.value, int | float):
            return single(expr)
        value = float32(expr.value)
        return Expr(f"({value!r})", T.FLOAT, value=value, nullable=False)
    if expr.kind in FLOATING and target in INTEGRAL:
        if isinstance(expr.value, float):
            return _in_range(number_literal(math.trunc(expr.value)), target)
        return whole(expr, target)
    raise mismatch(what)
