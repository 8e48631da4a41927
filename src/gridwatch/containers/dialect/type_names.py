"""The names of types in SQL, by GridDB's rule: known names, else what the name contains."""

from __future__ import annotations

from collections.abc import Sequence

from gridwatch.containers.dialect.parse import refused
from gridwatch.containers.schema import ColumnType

__all__ = ["type_of"]

T = ColumnType
_KNOWN = {kind.value: kind for kind in (T.BOOL, T.BYTE, T.SHORT, T.INTEGER, T.LONG, T.FLOAT, T.DOUBLE, T.STRING)} | {
    "TIMESTAMP": T.TIMESTAMP,
    "BLOB": T.BLOB,
    "NUMERIC": T.DOUBLE,
    "REAL": T.DOUBLE,
    "TINYINT": T.BYTE,
    "SMALLINT": T.SHORT,
    "BIGINT": T.LONG,
}
_PRECISIONS = {3: T.TIMESTAMP, 6: T.TIMESTAMP_6, 9: T.TIMESTAMP_9}
# What a name of four letters inside makes of it, and which of the kinds before it outranks.
_PARTS: tuple[tuple[str, ColumnType, set[ColumnType] | None], ...] = (
    ("CHAR", T.STRING, None),
    ("CLOB", T.STRING, None),
    ("TEXT", T.STRING, None),
    ("BLOB", T.BLOB, {T.FLOAT, T.DOUBLE}),
    ("REAL", T.DOUBLE, {T.FLOAT}),
    ("DOUB", T.DOUBLE, {T.FLOAT}),
    ("FLOA", T.FLOAT, set()),
)


def type_of(name: str, numbers: Sequence[int] = ()) -> ColumnType:
    """Return the type that a name means; the numbers in parentheses behind it count for TIMESTAMP only.

    Raises:
        SqlRefusedError: GridDB knows no such type, or no TIMESTAMP of this precision.
    """
    word = name.upper()
    if word == "TIMESTAMP" and numbers:
        if len(numbers) > 1 or numbers[0] not in _PRECISIONS:
            shown = ", ".join(map(str, numbers))
            raise refused(f"TIMESTAMP({shown})", hint="a TIMESTAMP has 3, 6 or 9 decimals")
        return _PRECISIONS[numbers[0]]
    found = _KNOWN.get(word) or _by_parts(word)
    if found is None:
        raise refused(f"the type {name}", hint=f"use one of {', '.join(_KNOWN)}")
    return found


def _by_parts(word: str) -> ColumnType | None:
    found: ColumnType | None = None
    for end in range(1, len(word) + 1):
        if word[:end].endswith("INT"):
            return T.INTEGER
        for part, kind, outranked in _PARTS:
            if word[:end].endswith(part) and (outranked is None or found is None or found in outranked):
                found = kind
    return found
