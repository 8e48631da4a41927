"""One JSON value to one column's value, or the reason why not."""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Any

from gridwatch.containers import TIMESTAMP_MS_MAX, Column, ColumnType
from gridwatch.errors import StreamError
from gridwatch.streaming.times import TimeFormat

__all__ = ["FLOAT_MAX", "MISSING", "RecordError", "json_kind", "value_of"]

_T = ColumnType
_SHOWN_MAX = 60
_ENCODER = json.JSONEncoder()
_BITS = {_T.BYTE: 8, _T.SHORT: 16, _T.INTEGER: 32, _T.LONG: 64}

FLOAT_MAX = 3.4028234663852886e38
"""Largest number of a FLOAT column."""

MISSING: Any = object()
"""Stands for a field that is not in the record."""


class RecordError(StreamError):
    """A record cannot become a row; the message is the reason that goes to the dead letters."""


def value_of(column: Column, value: Any, times: TimeFormat) -> Any:
    """Return one value as the column's Arrow type takes it.

    Raises:
        RecordError: It is missing, of another type or out of range; names column and value.
    """
    if value is None or value is MISSING:
        if column.nullable:
            return None
        raise RecordError(f"{column.name!r} is {'missing' if value is MISSING else 'null'}")
    kind = column.type
    if kind is _T.TIMESTAMP:
        return _time(column, value, times)
    if kind in _BITS:
        return _integer(column, value)
    if kind in (_T.FLOAT, _T.DOUBLE):
        return _float(column, value)
    if kind is _T.BOOL and isinstance(value, bool):
        return value
    if kind is _T.STRING and isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise RecordError(f"{column.name!r} holds half of a surrogate pair, which is no text") from None
        return value
    if kind is _T.BLOB and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise RecordError(f"{column.name!r} is {_shown(value)}, not base64") from None
    raise _wrong_type(column, value)


def _time(column: Column, value: Any, times: TimeFormat) -> int:
    if isinstance(value, str):
        try:
            value = times.parse(value)
        except ValueError as error:
            raise RecordError(f"{column.name!r}: {error}") from None
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(column, value)
    if not 0 <= value <= TIMESTAMP_MS_MAX:
        raise RecordError(f"{column.name!r} is {_shown(value)}, outside 0..{TIMESTAMP_MS_MAX} ms (1970 to 9999)")
    return value


def _integer(column: Column, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(column, value)
    limit = 1 << (_BITS[column.type] - 1)
    if not -limit <= value < limit:
        raise RecordError(f"{column.name!r} is {_shown(value)}, out of range for {column.type}")
    return value


def _float(column: Column, value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _wrong_type(column, value)
    limit = FLOAT_MAX if column.type is _T.FLOAT else math.inf
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if abs(number) > limit or math.isinf(number):
        raise RecordError(f"{column.name!r} is {_shown(value)}, out of range for {column.type}")
    return number


def _wrong_type(column: Column, value: Any) -> RecordError:
    return RecordError(f"{column.name!r} is {json_kind(value)} ({_shown(value)}), not {column.type}")


def json_kind(value: Any) -> str:
    """Return what a JSON value is, with its article."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def _shown(value: Any) -> str:
    """Return the beginning of a value as JSON; a value may be huge, or nested deeper than Python can write it out."""
    if isinstance(value, str):
        return _cut(json.dumps(value[:_SHOWN_MAX]))
    if isinstance(value, int) and value.bit_length() >= 10_000:
        return "a huge number"
    text = ""
    for part in _ENCODER.iterencode(value):
        text += part if len(part) <= 2 * _SHOWN_MAX else part[: 2 * _SHOWN_MAX]
        if len(text) > _SHOWN_MAX:
            break
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."
