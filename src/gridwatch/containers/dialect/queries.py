"""A compiled SELECT, and the numbering of its parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gridwatch.containers.dialect.kinds import Expr
from gridwatch.containers.schema import ColumnType

__all__ = ["Query", "infinite", "numbered"]


@dataclass(frozen=True, slots=True)
class Query:
    """A compiled SELECT.

    Args:
        sql: SQLite's SQL; its columns are called c0, c1, ...
        columns: Name (empty for an expression without alias) and type of each; None is a NULL of no type.
        parameters: For the `?1`, `?2`, ... of `sql`.
        single: Whether it always gives exactly one row.
        captured: Columns (their SQL) of outer SELECTs that it uses.
        infinite: Numbers of the columns that may hold an infinity.
    """

    sql: str
    columns: tuple[tuple[str, ColumnType | None], ...]
    parameters: tuple[Any, ...] = ()
    single: bool = False
    captured: frozenset[str] = frozenset()
    infinite: frozenset[int] = frozenset()


def numbered(sql: str) -> tuple[str, tuple[int, ...]]:
    """Return the SQL with its `?N` numbered anew from 1, and the old numbers of those that are left in it."""
    # Text and names of the statement are bound or checked, so no other '?' followed by a digit can occur.
    used = sorted({int(mark) for mark in re.findall(r"\?(\d+)", sql)})
    places = {number: place for place, number in enumerate(used, start=1)}
    return re.sub(r"\?(\d+)", lambda found: f"?{places[int(found.group(1))]}", sql), tuple(used)


def infinite(exprs: Iterable[Expr]) -> frozenset[int]:
    """Return the numbers of those that may be an infinity."""
    return frozenset(number for number, expr in enumerate(exprs) if expr.infinite)
