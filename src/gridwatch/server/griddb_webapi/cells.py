"""One JSON value as a value of a column, by the rules of GridDB's Web API, which differ between its two puts.

A put into one container reads every number as the text that was written (`Raw`): 1 is no BOOL, so it is false, and 1.50
is the STRING `1.50`. A put into several has JSON's own types: 1 is refused as a BOOL.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from gridwatch.containers import TIMESTAMP_MS_MAX, ColumnType
from gridwatch.server.griddb_webapi.bodies import BLANK, Raw
from gridwatch.server.griddb_webapi.errors import ApiError, named
from gridwatch.server.griddb_webapi.times import lenient_ms, precise_ns

__all__ = ["cell_reader", "java_double", "refused"]

T = ColumnType

_INTEGER = re.compile(r"[+-]?[0-9]{1,400}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fFdD]?")
_HEX = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]{1,6}[fFdD]?")
_NAN = re.compile(r"[+-]?NaN")
# What GridDB accepts as a way to write 0; everything else that comes out as 0 was too small.
_ZERO = re.compile(r"[-0.DE]+", re.IGNORECASE)
_BASE64 = re.compile(r"[^A-Za-z0-9+/]+")
_LIMITS = {T.BYTE: 2**7, T.SHORT: 2**15, T.INTEGER: 2**31, T.LONG: 2**63}


def refused(kind: ColumnType) -> ApiError:
    """Return the error of a value that is none of a type."""
    name = "TIMESTAMP" if kind.precision else kind.value
    return ApiError(400, f"The specified data cannot be converted to {name} type.")


def cell_reader(kind: ColumnType) -> Callable[[Any], Any]:
    """Return what turns one JSON value, not null, into a Python value for an Arrow column of `kind`.

    Times become int: ms, or µs or ns by the precision of the type. The reader raises ApiError on what it refuses.
    """
    if kind.element is not None:
        return _array_reader(kind, kind.element)
    if kind in _LIMITS:
        return lambda value: _integer(kind, value)
    if kind.precision:
        return lambda value: _time(kind, value)
    return _READERS[kind]


def _array_reader(kind: ColumnType, element: ColumnType) -> Callable[[Any], Any]:
    read = cell_reader(element)

    def array(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise refused(kind)
        if element is T.TIMESTAMP and not all(isinstance(one, str) for one in value):
            raise refused(kind)
        if None in value:
            raise refused(element)
        return [read(one) for one in value]

    return array


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.lower() == "true"
    raise refused(T.BOOL)


def _string(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise refused(T.STRING)
    if isinstance(value, float):
        if value in (float("inf"), float("-inf")):
            raise refused(T.STRING)
        return java_double(value)
    return str(value)


def java_double(value: float) -> str:
    """Return a finite double as Java writes it.

    >>> java_double(1.0), java_double(1e7), java_double(1.5e-5), java_double(123456.7)
    ('1.0', '1.0E7', '1.5E-5', '123456.7')
    """
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return np.format_float_positional(value, unique=True, trim="0")
    mantissa, exponent = np.format_float_scientific(value, unique=True, trim="0").split("e")
    return f"{mantissa}E{int(exponent)}"


def _integer(kind: ColumnType, value: Any) -> int:
    limit = _LIMITS[kind]
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit:
        return value
    raise refused(kind)


def _parsed(kind: ColumnType, text: str) -> float:
    """Return the double that Java reads from text."""
    text = text.strip(BLANK)
    if _DECIMAL.fullmatch(text):
        return float(text.rstrip("fFdD"))
    if _HEX.fullmatch(text):
        try:
            return float.fromhex(text.rstrip("fFdD") if text[-1] in "fFdD" and "p" in text[:-1].lower() else text)
        except OverflowError:
            return float("inf")
    if _NAN.fullmatch(text):
        raise ApiError(400, f"NaN cannot be stored in a {kind} column here: SQLite keeps no NaN. Store null.")
    raise refused(kind)


def _double(value: Any) -> float:
    if isinstance(value, str):
        number = _parsed(T.DOUBLE, value)
        if np.isinf(number) or (number == 0 and not _ZERO.fullmatch(value)):
            raise refused(T.DOUBLE)
        return number
    return _number(T.DOUBLE, value)


def _float(value: Any) -> float:
    if isinstance(value, str):
        number = _parsed(T.FLOAT, value)
        single = _single(number, value)
        if np.isinf(single) or (single == 0 and number != 0):
            raise refused(T.FLOAT)
        return single
    return _single(_number(T.FLOAT, value), "")


def _number(kind: ColumnType, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused(kind)
    if kind is T.FLOAT and isinstance(value, int) and not -(2**63) <= value < 2**63:
        # GridDB's Web API would keep the lower 64 bits, which is another number.
        raise refused(kind)
    try:
        number = float(value)
    except OverflowError:
        raise refused(kind) from None
    if not np.isfinite(number) or (kind is T.FLOAT and np.isinf(_single(number, ""))):
        raise ApiError(400, f"{value} is infinite as {kind}, which cannot be stored here. Store null.")
    return number


def _single(number: float, text: str) -> float:
    """Return the nearest single-precision number; the text decides where the double lies half-way between two."""
    with np.errstate(over="ignore"):
        single = np.float32(number)
        if not text or not np.isfinite(single) or not _DECIMAL.fullmatch(text) or number == single:
            return float(single)
        away = np.float32(np.inf) if single < number else np.float32(-np.inf)
        other = np.nextafter(single, away)
        if not np.isfinite(other) or (float(single) + float(other)) / 2 != number:
            return float(single)
        exact = Fraction(text.rstrip("fFdD"))
        if exact == Fraction(number):
            return float(single)
        return float(max(single, other) if exact > Fraction(number) else min(single, other))


def _time(kind: ColumnType, value: Any) -> int:
    if not isinstance(value, str) or isinstance(value, Raw):
        raise refused(kind)
    if kind is not T.TIMESTAMP:
        precise = precise_ns(value)
        if precise is None or precise < 0:
            raise refused(kind)
        return precise // 1000 if kind is T.TIMESTAMP_6 else precise
    found = lenient_ms(value)
    if found is None:
        raise refused(kind)
    if not 0 <= found <= TIMESTAMP_MS_MAX:
        raise ApiError(400, named(60079, f"Timestamp out of range (val={found})"), 60079)
    return found


def _geometry(value: Any) -> str:
    if not isinstance(value, str) or isinstance(value, Raw):
        raise refused(T.GEOMETRY)
    return value


def _blob(value: Any) -> bytes:
    """Decode base64 as leniently as GridDB does: foreign characters are skipped, padding may be missing."""
    if not isinstance(value, str):
        raise refused(T.BLOB)
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        pass
    kept = _BASE64.sub("", value.partition("=")[0].replace("-", "+").replace("_", "/"))
    # One character is not yet a byte.
    kept = kept[:-1] if len(kept) % 4 == 1 else kept
    return base64.b64decode(kept + "=" * (-len(kept) % 4))


_READERS: dict[ColumnType, Callable[[Any], Any]] = {
    T.BOOL: _bool,
    T.STRING: _string,
    T.FLOAT: _float,
    T.DOUBLE: _double,
    T.GEOMETRY: _geometry,
    T.BLOB: _blob,
}
