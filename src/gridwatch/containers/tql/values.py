"""Typed values of TQL on SQLite, and what compiling them needs.

A constant is worked out here, as GridDB does before it looks at a row; what depends on a row becomes SQL.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gridwatch.containers.dialect.kinds import LIMITS, UNKNOWN, T, failing
from gridwatch.containers.schema import ColumnType
from gridwatch.containers.tql.lexer import refused

__all__ = ["Context", "Value", "constant", "failed", "null", "number_sql", "raising", "sized"]

_SQL_MAX = 50_000


@dataclass(frozen=True, slots=True)
class Value:
    """A compiled value.

    Args:
        sql: SQLite's SQL, whole in itself.
        kind: Its type; None for a NULL without one.
        value: Its constant value (bool, int, float, str), else UNKNOWN.
        column: The column's name if it is one, bare.
        nullable: Whether it can be null.
        fallible: Whether working it out can fail on some row.
        low: Least value of an integer.
        high: Greatest value of an integer.
        error: Code and message of an error that does not depend on the row.
    """

    sql: str
    kind: ColumnType | None
    value: Any = UNKNOWN
    column: str | None = None
    nullable: bool = True
    fallible: bool = False
    low: int = -(2**63)
    high: int = 2**63 - 1
    error: tuple[int, str] | None = None

    @property
    def constant(self) -> bool:
        """Whether the value is known beforehand."""
        return self.value is not UNKNOWN

    @property
    def plain(self) -> bool:
        """Whether GridDB knows the type beforehand: a column or a constant that is not null."""
        return self.column is not None or (self.constant and self.kind is not None)


class Context:
    """What compiling needs besides the tree: bound values, a column for errors to depend on, and the time."""

    def __init__(self, seed: str, now_ms: Callable[[], int]) -> None:
        self.seed = seed
        self._values: list[Any] = []
        self._now_ms = now_ms
        self._now: int | None = None

    def bind(self, value: Any) -> str:
        """Return a mark that stands for a bound value until `finished`."""
        self._values.append(value)
        return f"\0{len(self._values) - 1}\0"

    def finished(self, sql: str) -> tuple[str, tuple[Any, ...]]:
        """Return whole SQL with its marks numbered, and the values it binds: only those that are still in it."""
        used: dict[str, int] = {}
        # A statement holds no NUL, so that nothing but a mark looks like one.
        text = re.sub(r"\0(\d+)\0", lambda mark: f"?{used.setdefault(mark[1], len(used) + 1)}", sql)
        return text, tuple(self._values[int(mark)] for mark in used)

    @property
    def now_ms(self) -> int:
        """The time of the statement, UTC epoch ms; the same wherever it is asked for."""
        if self._now is None:
            self._now = self._now_ms()
        return self._now

    def failing(self, code: int, message: str) -> str:
        """Return SQL that fails when a row reaches it."""
        return failing(code, message, self.seed)

    def refusing(self, what: str) -> str:
        """Return SQL that refuses, when a row reaches it, what GridDB answers and this store cannot."""
        return self.failing(0, f"TQL refused: {what}.")


def constant(context: Context, value: Any, kind: ColumnType) -> Value:
    """Return a constant of a type."""
    if isinstance(value, bool):
        return Value(str(int(value)), kind, value, nullable=False)
    if isinstance(value, int):
        sql = f"({value})" if value > LIMITS[T.LONG][0] else "(-9223372036854775807 - 1)"
        return Value(sql, kind, value, nullable=False, low=value, high=value)
    if isinstance(value, float):
        return Value(number_sql(value), kind, value, nullable=False)
    return Value(context.bind(value), kind, value, nullable=False)


def number_sql(value: float) -> str:
    """Return a float as SQL; NaN as NULL."""
    if math.isnan(value):
        # Never reaches a row: comparisons with it are worked out beforehand, arithmetic refuses it.
        return "NULL"
    return f"({value!r})" if math.isfinite(value) else ("9e999" if value > 0 else "(-9e999)")


def null() -> Value:
    """Return NULL, which has no type.

    It is also what operators and functions make of a NULL that is written out, whatever the other parts are: GridDB
    works that out beforehand, when a part that would fail on a row has not failed yet.
    """
    return Value("NULL", None, None)


def raising(context: Context, kind: ColumnType, code: int, message: str, *parts: Value) -> Value:
    """Return a value of a type that fails on every row on which none of `parts` is null."""
    fail = context.failing(code, message)
    conditions = [f"{part.sql} IS NOT NULL" for part in parts if part.nullable]
    sql = f"(CASE WHEN {' AND '.join(conditions)} THEN {fail} END)" if conditions else f"({fail})"
    earlier = next((part.error for part in parts if part.error), None)
    error = earlier or ((code, message) if not conditions else None)
    return sized(Value(sql, kind, fallible=True, error=error))


def sized(value: Value) -> Value:
    """Return the value, refusing SQL that grew without end.

    Raises:
        SqlRefusedError: It is too long.
    """
    if len(value.sql) > _SQL_MAX:
        raise refused("an expression that is nested too deep", code=None)
    return value


def failed(*parts: Value) -> bool:
    """Tell whether any part can fail."""
    return any(part.fallible for part in parts)
