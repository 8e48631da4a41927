"""Typed values of a script: SQL, Painless's type, and what is known of it beforehand.

A value of SQL that is null stands for a script that has failed, as Painless fails on a field that a row has not. A row
whose script fails has no value of the runtime field.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from gridwatch.errors import JobsScriptError
from gridwatch.jobs import sql
from gridwatch.jobs.painless.tree import Node
from gridwatch.jobs.sql import Sql, compose, opposite

__all__ = [
    "DOUBLE_MAX",
    "INT_MAX",
    "LENGTH_MAX",
    "LONG_MAX",
    "LONG_SAFE",
    "Kind",
    "Value",
    "as_double",
    "bounded",
    "chosen",
    "constant",
    "converted",
    "either",
    "failing_unless",
    "fitted",
    "made",
    "refused",
    "whole_of",
]

LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1
INT_MAX = 2**31 - 1
LONG_SAFE = 9.22e18
"""Beyond it a DOUBLE cannot tell whether a LONG has overflown; such a result is no value."""
DOUBLE_MAX = 1.7e308
TEXT_MAX = 20_000
LENGTH_MAX = 2**27


class Kind(StrEnum):
    """Painless's types, as far as they are taken."""

    BOOLEAN = "boolean"
    INT = "int"
    LONG = "long"
    DOUBLE = "double"
    STRING = "String"
    DATE = "ZonedDateTime"
    INSTANT = "Instant"
    DAY_OF_WEEK = "DayOfWeek"

    @property
    def whole(self) -> bool:
        """Whether it is a whole number."""
        return self in {Kind.INT, Kind.LONG}

    @property
    def numeric(self) -> bool:
        """Whether it is a number."""
        return self.whole or self is Kind.DOUBLE


@dataclass(frozen=True, slots=True)
class Value:
    """A typed value.

    Args:
        kind: Its type.
        sql: Its SQL.
        fails: Whether it is null where the script has failed.
        most: Greatest magnitude of a number.
        known: The value of a constant, else None.
        needs: The value is null where one of these is; where it fails, one of these is null.
    """

    kind: Kind
    sql: Sql
    fails: bool = False
    most: float = 0
    known: bool | int | float | str | None = None
    needs: frozenset[Sql] = frozenset()


def refused(node: Node, message: str, allowed: tuple[object, ...] = (), name: str = "") -> JobsScriptError:
    """Return the error at a node."""
    return JobsScriptError(message, line=node.line, column=node.column, allowed=allowed, name=name)


_MOSTS = {Kind.INT: float(2**31), Kind.LONG: float(2**63), Kind.DOUBLE: 1.8e308}


def made(node: Node, kind: Kind, text: Sql, *parts: Value, most: float | None = None) -> Value:
    """Return a value that is null where one of its parts is, and nowhere else.

    Raises:
        JobsScriptError: Its SQL has grown too long.
    """
    if len(text.text) > TEXT_MAX:
        raise refused(node, f"an expression that becomes SQL of more than {TEXT_MAX} characters")
    size = _MOSTS.get(kind, 0.0)
    needs = frozenset().union(*(part.needs for part in parts))
    return Value(kind, text, any(part.fails for part in parts), size if most is None else min(most, size), needs=needs)


def chosen(node: Node, kind: Kind, text: Sql, needs: frozenset[Sql], *, most: float | None = None) -> Value:
    """Return a value that may be null for reasons of its own, and is where one of `needs` is null.

    Raises:
        JobsScriptError: Its SQL has grown too long.
    """
    return replace(made(node, kind, text, most=most), fails=True, needs=needs | {text})


def constant(node: Node, content: bool | int | float | str, kind: Kind | None = None) -> Value:
    """Return a constant of a type, by default the one that JSON's values have.

    Raises:
        JobsScriptError: A number is beyond the range of its type, or a text is none that a STRING holds.
    """
    if isinstance(content, bool):
        return Value(Kind.BOOLEAN, sql.TRUE if content else sql.FALSE, known=content)
    if isinstance(content, str):
        if "\0" in content or any("\ud800" <= one <= "\udfff" for one in content):
            raise refused(node, "a text with a NUL or half a character")
        return Value(Kind.STRING, sql.value(content), known=content)
    if isinstance(content, int):
        found = kind or (Kind.INT if abs(content) <= INT_MAX else Kind.LONG)
        if not LONG_MIN <= content <= LONG_MAX:
            raise refused(node, f"the number {str(content)[:40]} is beyond the range of long")
        return Value(found, sql.value(content), most=abs(content), known=content)
    return Value(Kind.DOUBLE, sql.value(content), most=abs(content), known=content)


def failing_unless(node: Node, condition: Sql, value: Value) -> Value:
    """Return the value, failing where the condition is not true.

    Raises:
        JobsScriptError: No column is in it: a store works such an expression out beforehand, and fails as a whole.
    """
    if '"' not in condition.text and '"' not in value.sql.text:
        raise refused(node, "a calculation with constants alone that may fail; write what it gives")
    guarded = compose("(CASE WHEN {} THEN {} END)", condition, value.sql)
    return chosen(node, value.kind, guarded, value.needs, most=value.most)


def as_double(value: Value) -> Value:
    """Return a number as a DOUBLE."""
    if value.kind is Kind.DOUBLE:
        return value
    if isinstance(value.known, int):
        return replace(value, kind=Kind.DOUBLE, sql=sql.value(float(value.known)), known=float(value.known))
    return replace(value, kind=Kind.DOUBLE, sql=compose("CAST({} AS DOUBLE)", value.sql))


def bounded(node: Node, value: Value, most: float) -> Value:
    """Return a DOUBLE, failing beyond a magnitude."""
    if value.most <= most:
        return value
    condition = compose("ABS({}) <= {}", value.sql, sql.value(most))
    return replace(failing_unless(node, condition, value), most=most)


def whole_of(node: Node, value: Value) -> Value:
    """Return a DOUBLE without its decimals as a LONG, failing where it is beyond the range of LONG."""
    if isinstance(value.known, float) and abs(value.known) <= LONG_SAFE:
        return constant(node, int(value.known), Kind.LONG)
    found = made(node, Kind.LONG, compose("CAST({} AS LONG)", value.sql), value, most=value.most)
    if value.most <= LONG_SAFE:
        return found
    return replace(
        failing_unless(node, compose("ABS({}) <= {}", value.sql, sql.value(LONG_SAFE)), found), most=LONG_SAFE
    )


def fitted(node: Node, text: Sql, parts: tuple[Value, Value], most: float, estimate: Sql) -> Value:
    """Return a result of whole numbers, failing where Java's would wrap around.

    Args:
        node: Of the operation.
        text: The operation on LONGs.
        parts: Its operands; two ints make an int.
        most: Greatest magnitude of its result.
        estimate: The operation on DOUBLEs.
    """
    kind = Kind.INT if all(part.kind is Kind.INT for part in parts) else Kind.LONG
    value = made(node, kind, text, *parts, most=most)
    if kind is Kind.INT and most > INT_MAX:
        return replace(failing_unless(node, compose("{} BETWEEN -2147483648 AND 2147483647", text), value), most=2**31)
    if most > LONG_MAX:
        condition = compose("ABS({}) <= {}", estimate, sql.value(LONG_SAFE))
        return replace(failing_unless(node, condition, value), most=LONG_SAFE)
    return value


def either(node: Node, condition: Value, then: Value | None, otherwise: Value | None, kind: Kind) -> Value:
    """Return one of two values, None being none, and null where the condition fails."""
    if isinstance(condition.known, bool):
        found = then if condition.known else otherwise
        return found if found is not None else chosen(node, kind, Sql("NULL"), frozenset())
    c, most = condition.sql, max(one.most for one in (then, otherwise) if one is not None)
    if then is None or otherwise is None:
        if then is not None:
            text = compose("(CASE WHEN {} THEN {} END)", c, then.sql)
        else:
            text = compose("(CASE WHEN {} THEN {} END)", opposite(c), otherwise.sql if otherwise else c)
        return chosen(node, kind, text, condition.needs, most=most)
    if condition.needs <= otherwise.needs:
        # Where the condition is null, so is what comes after ELSE.
        text = compose("(CASE WHEN {} THEN {} ELSE {} END)", c, then.sql, otherwise.sql)
    else:
        text = compose("(CASE WHEN {} THEN {} WHEN {} THEN {} END)", c, then.sql, opposite(c), otherwise.sql)
    if not (condition.fails or then.fails or otherwise.fails):
        return made(node, kind, text, most=most)
    return chosen(node, kind, text, condition.needs | (then.needs & otherwise.needs), most=most)


def converted(node: Node, value: Value, kind: Kind) -> Value:
    """Return a value as it is given to a variable or field of another type, as Java widens numbers.

    Raises:
        JobsScriptError: It would have to be narrowed, or the types have nothing in common.
    """
    if value.kind is kind:
        return value
    if kind is Kind.DOUBLE and value.kind.whole:
        return as_double(value)
    if kind is Kind.LONG and value.kind is Kind.INT:
        return replace(value, kind=Kind.LONG)
    hint = f"; cast it with ({kind})" if value.kind.numeric and kind.numeric else ""
    if kind is Kind.STRING and (value.kind.whole or value.kind is Kind.BOOLEAN):
        hint = "; use String.valueOf(...)"
    raise refused(node, f"[{value.kind}] where [{kind}] is needed{hint}", name=value.kind)
