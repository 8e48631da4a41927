"""Names of GridDB's time-series operations, as its Java client writes them, and how they are read from text."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from gridwatch.errors import SchemaError

__all__ = ["FIXED_MS", "Aggregation", "InterpolationMode", "TimeOperator", "TimeUnit", "operation"]


class Aggregation(StrEnum):
    """What `Store.aggregate` computes over a range of a time series."""

    MINIMUM = "MINIMUM"
    MAXIMUM = "MAXIMUM"
    TOTAL = "TOTAL"
    AVERAGE = "AVERAGE"
    VARIANCE = "VARIANCE"
    STANDARD_DEVIATION = "STANDARD_DEVIATION"
    COUNT = "COUNT"
    WEIGHTED_AVERAGE = "WEIGHTED_AVERAGE"


class TimeOperator(StrEnum):
    """Which row `Store.nearest` finds; `_ONLY` leaves out a row at the very time."""

    PREVIOUS = "PREVIOUS"
    PREVIOUS_ONLY = "PREVIOUS_ONLY"
    NEXT = "NEXT"
    NEXT_ONLY = "NEXT_ONLY"


class InterpolationMode(StrEnum):
    """What `Store.sample` puts where no row is."""

    LINEAR_OR_PREVIOUS = "LINEAR_OR_PREVIOUS"
    EMPTY = "EMPTY"


class TimeUnit(StrEnum):
    """Units of time; sampling takes DAY to MILLISECOND."""

    YEAR = "YEAR"
    MONTH = "MONTH"
    DAY = "DAY"
    HOUR = "HOUR"
    MINUTE = "MINUTE"
    SECOND = "SECOND"
    MILLISECOND = "MILLISECOND"


FIXED_MS = {"DAY": 86_400_000, "HOUR": 3_600_000, "MINUTE": 60_000, "SECOND": 1000, "MILLISECOND": 1}
"""Milliseconds of each unit that always lasts the same."""

_E = TypeVar("_E", bound=StrEnum)


def operation(kind: type[_E], name: str) -> _E:
    """Return the member of an operation's names that `name` means, read without case.

    Raises:
        SchemaError: There is none; lists those there are.

    >>> operation(TimeOperator, "next_only").value
    'NEXT_ONLY'
    """
    try:
        return kind(name.upper())
    except ValueError as error:
        known = ", ".join(kind)
        raise SchemaError(f"There is no {kind.__name__} {name!r}; there are {known}.", operation=name) from error
