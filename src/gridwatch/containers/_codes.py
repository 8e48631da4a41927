"""Which of gridwatch's errors a GridDB error number is."""

from __future__ import annotations

import re

from gridwatch.errors import (
    ContainerExistsError,
    ContainerNotFoundError,
    SchemaError,
    SqlFailedError,
    SqlRefusedError,
    StoreError,
    ValueRefusedError,
)

__all__ = ["code_of", "error_class", "told"]

_CLASSES: dict[int, type[StoreError]] = {
    1008: SchemaError,
    10016: ContainerNotFoundError,
    60015: SchemaError,
    60016: ContainerExistsError,
    60026: ContainerExistsError,
    60049: SqlRefusedError,
    60079: ValueRefusedError,
    60149: ContainerExistsError,
    60154: ValueRefusedError,
    60165: ValueRefusedError,
    145001: ValueRefusedError,
    145002: ValueRefusedError,
    145006: ValueRefusedError,
    145007: SchemaError,
    145009: SchemaError,
    145023: ContainerExistsError,
    145024: SchemaError,
    270006: SqlRefusedError,
    280003: ContainerExistsError,
    280005: ContainerNotFoundError,
    280008: ContainerExistsError,
    280012: SchemaError,
    305010: SqlRefusedError,
}
_FAILED = (range(75_000, 76_000), range(305_000, 306_000))
_REFUSED = (range(150_000, 153_000), range(200_000, 210_000), range(240_000, 290_000))

# `[60079:DS_DS_...] text on executing query (sql="...") (db=...) ...`; what follows the text is not for people.
_HEAD = re.compile(r"\[(?:Code:)?(\d+)(?::[A-Z0-9_]+)?\]\s*")
_TAIL = re.compile(r"\s+(?:on (?:preparing|executing) \w+ \(|\((?:address|db|user|sql|source)=).*", re.DOTALL)
_SHOWN_MAX = 500


def error_class(code: int | None) -> type[StoreError]:
    """Return the class of errors that a GridDB error number belongs to; StoreError for numbers not known here."""
    if code is None:
        return StoreError
    if code in _CLASSES:
        return _CLASSES[code]
    if any(code in numbers for numbers in _FAILED):
        return SqlFailedError
    if any(code in numbers for numbers in _REFUSED):
        return SqlRefusedError
    return StoreError


def code_of(message: str) -> int | None:
    """Return the error number that a message of GridDB begins with.

    >>> code_of("[75001:QF_DIVIDE_BY_ZERO] Divide by 0"), code_of("Too many result")
    (75001, None)
    """
    found = _HEAD.match(message)
    return int(found.group(1)) if found else None


def told(message: str) -> str:
    """Return what a message of GridDB tells people, without its number and what follows about the connection.

    >>> told('[75001:QF_DIVIDE_BY_ZERO] Divide by 0 on executing query (sql="select 1/0") (db=...)')
    'Divide by 0'
    """
    text = _TAIL.sub("", _HEAD.sub("", message, count=1))
    return text[:_SHOWN_MAX].strip().rstrip(".")
