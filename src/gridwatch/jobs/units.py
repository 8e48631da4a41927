"""Elasticsearch's units of time and size, read and written."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from gridwatch.errors import JobsValueError

__all__ = ["bytes_of", "duration_of", "iso_text", "megabytes_text", "ms_of"]

# No more digits than a LONG has.
_TIME = re.compile(r"(-?\d{1,19})\s*(nanos|micros|ms|s|m|h|d)")
_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE = re.compile(r"(\d{1,19})\s*(b|kb|mb|gb|tb|pb)", re.IGNORECASE)
_BYTES = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40, "pb": 1 << 50}


def ms_of(text: str, path: str) -> int:
    """Return a time value such as `15m`, `900000ms` or `1h` in milliseconds.

    Units below a millisecond are cut to whole milliseconds.

    Raises:
        JobsValueError: No number, no unit, or another unit; names `path`.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise JobsValueError(
            f"failed to parse {text!r} as a time value: a whole number and a unit such as 15m.",
            path=path,
            allowed=("nanos", "micros", *_MS),
            value=text,
        )
    number, unit = int(match[1]), match[2]
    if unit in _MS:
        return number * _MS[unit]
    return int(number / (1_000_000 if unit == "nanos" else 1000))


def duration_of(ms: int) -> str:
    """Return milliseconds as the shortest time value, in the greatest unit that divides it.

    >>> duration_of(900_000), duration_of(3_600_000), duration_of(1500)
    ('15m', '1h', '1500ms')
    """
    for unit in ("d", "h", "m", "s"):
        if ms and ms % _MS[unit] == 0:
            return f"{ms // _MS[unit]}{unit}"
    return f"{ms}ms"


def iso_text(ms: int) -> str:
    """Return an instant, UTC epoch ms, as it is told in messages.

    >>> iso_text(1_708_128_000_000)
    '2024-02-17T00:00:00Z'
    """
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")


def bytes_of(value: str | int, path: str) -> int:
    """Return a size such as `11MB` in bytes; a bare number means MiB, units are powers of 1024.

    Raises:
        JobsValueError: No number or another unit; names `path`.
    """
    if isinstance(value, int):
        return value << 20
    text = value.strip()
    if re.fullmatch(r"\d{1,19}", text):
        return int(text) << 20
    match = _SIZE.fullmatch(text)
    if match is None:
        raise JobsValueError(
            f"failed to parse {value!r} as a size: a whole number and a unit such as 11mb.",
            path=path,
            allowed=tuple(_BYTES),
            value=value,
        )
    return int(match[1]) * _BYTES[match[2].lower()]


def megabytes_text(size: int) -> str:
    """Return a size in bytes as whole MiB, rounded down, the way limits are shown.

    >>> megabytes_text(11 << 20)
    '11mb'
    """
    return f"{size >> 20}mb"
