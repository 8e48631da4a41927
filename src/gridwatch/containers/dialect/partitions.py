"""PARTITION BY and the options in WITH of a CREATE TABLE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gridwatch.containers.dialect.parse import refused
from gridwatch.containers.dialect.words import Words
from gridwatch.containers.operations import FIXED_MS
from gridwatch.containers.schema import Column, ContainerType, Partitioning

__all__ = ["expiring", "options", "partitioning"]

INVALID = 280012
_OPTIONS = frozenset({"expiration_type", "expiration_time", "expiration_time_unit", "expiration_division_count"})


def partitioning(words: Words) -> Partitioning | None:
    """Take PARTITION BY, if it comes next; whether it suits the columns is checked with the container.

    Raises:
        SqlRefusedError: A form that GridDB does not take.
    """
    if not words.take("PARTITION", "BY"):
        return None
    if words.take("HASH"):
        column = _single(words)
        words.need("PARTITIONS")
        return Partitioning(column, hash_count=_positive(words, "PARTITIONS"))
    if not words.take("RANGE"):
        words.need("INTERVAL")
    column = _single(words)
    words.need("EVERY", "(")
    interval = _positive(words, "EVERY")
    unit = ""
    if words.take(","):
        unit = words.name()[0].upper()
        if unit not in {"DAY", "HOUR"}:
            raise refused(f"EVERY (..., {unit})", hint="the unit is DAY or HOUR")
    words.need(")")
    if not words.take("SUBPARTITION", "BY", "HASH"):
        return Partitioning(column, interval=interval, interval_unit=unit)
    sub_column = _single(words)
    words.need("SUBPARTITIONS")
    count = _positive(words, "SUBPARTITIONS")
    return Partitioning(column, count, interval, unit, sub_column)


def _single(words: Words) -> str:
    if not words.take("("):
        return words.name()[0]
    column, _ = words.name()
    words.need(")")
    return column


def _positive(words: Words, what: str) -> int:
    number = words.integer()
    if not 1 <= number < 2**63:
        raise refused(f"{what} {number}", hint="a positive whole number is expected")
    return number


def options(words: Words) -> dict[str, int | str]:
    """Take WITH (name=value, ...), if it comes next; names are in small letters.

    Raises:
        SqlRefusedError: An option that GridDB or this store has not, or one twice.
    """
    given: dict[str, int | str] = {}
    if not words.take("WITH", "("):
        return given
    while True:
        name = words.name()[0].lower()
        if name not in _OPTIONS:
            raise refused(f"the option {name}", code=None, hint=f"this store knows {', '.join(sorted(_OPTIONS))}")
        if name in given:
            raise refused(f"the option {name} twice")
        words.need("=")
        given[name] = words.constant()
        if not words.take(","):
            words.need(")")
            return given


def expiring(
    spread: Partitioning | None, given: Mapping[str, int | str], kind: ContainerType, columns: Sequence[Column]
) -> Partitioning | None:
    """Return the partitioning with its expiration, after GridDB's checks.

    Raises:
        SqlRefusedError: Options that do not suit each other or the table.
    """
    if not given:
        return spread
    time = given.get("expiration_time")
    for name in ("expiration_time", "expiration_division_count"):
        value = given.get(name, 1)
        if not isinstance(value, int) or not 0 < value < 2**31:
            raise refused(f"{name}={value!r}", hint="a positive whole number is expected")
    unit = str(given.get("expiration_time_unit", "DAY")).upper()
    what = str(given.get("expiration_type", "PARTITION")).upper()
    if unit not in FIXED_MS or not isinstance(given.get("expiration_time_unit", ""), str):
        raise refused(f"expiration_time_unit={unit!r}", hint=f"use one of {', '.join(sorted(FIXED_MS))}")
    if what not in {"ROW", "PARTITION"} or not isinstance(given.get("expiration_type", ""), str):
        raise refused(f"expiration_type={what!r}", hint="use 'PARTITION'")
    if what == "PARTITION" and "expiration_division_count" in given:
        raise refused("expiration_division_count beside expiration_type='PARTITION'")
    if what == "ROW" and kind is not ContainerType.TIME_SERIES:
        raise refused("expiration_type='ROW' of a table that is no time series", code=INVALID)
    if time is None:
        code = 240001 if kind is ContainerType.TIME_SERIES else None
        raise refused("options of expiration without expiration_time", code=code)
    if what == "ROW":
        # GridDB 5 takes it and does nothing with it.
        return spread
    if spread is None or not spread.interval:
        raise refused(
            "an expiration of a table that is not partitioned by RANGE",
            code=INVALID,
            hint="add PARTITION BY RANGE (ts) EVERY (30, DAY)",
        )
    column = next((column for column in columns if column.name.lower() == spread.column.lower()), None)
    if column is not None and not column.type.precision:
        raise refused(f"an expiration by column {spread.column!r}, which is no TIMESTAMP", code=INVALID)
    return replace(spread, expiration=int(time), expiration_unit=unit)
