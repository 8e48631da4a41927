"""JSON bodies, read as GridDB's Web API (which uses Jackson) reads them.

A body is read up to the end of its first value; numbers may be kept as they were written, for GridDB's single put
stores `1.50` in a STRING column as `1.50`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from gridwatch.server.griddb_webapi.errors import ApiError

__all__ = [
    "BLANK",
    "Raw",
    "Reader",
    "any_array",
    "any_value",
    "choice",
    "each",
    "fields",
    "flag",
    "integer",
    "parsed",
    "read_text",
    "text",
    "whole",
]

Reader = Callable[[Any, "tuple[str | int, ...]"], Any]

BLANK = "".join(map(chr, range(33)))
"""What Java's `String.trim` takes off both ends."""

_MISSING = "Required request body is missing"


class Raw(str):
    """A number as it was written."""

    __slots__ = ()


def _no_constant(name: str) -> Any:
    msg = f"Non-standard token {name!r}"
    raise ValueError(msg)


_PLAIN = json.JSONDecoder(parse_constant=_no_constant)
_WRITTEN = json.JSONDecoder(parse_constant=_no_constant, parse_float=Raw, parse_int=Raw)
_SPACE = " \t\r\n"


def read_text(body: bytes, charset: str = "utf-8") -> str:
    """Return the text of a body.

    Raises:
        ApiError: It is empty, or not of this character set (400).
    """
    try:
        content = body.decode(charset).removeprefix("\ufeff").lstrip(_SPACE)
    except (UnicodeError, LookupError) as error:
        raise ApiError(400, f"The request body is not {charset}: {error}") from error
    if not content:
        raise ApiError(400, _MISSING)
    return content


def parsed(content: str, *, written: bool = False) -> Any:
    """Return the first JSON value of a text; `written` keeps numbers as `Raw` text.

    Raises:
        ApiError: It is no JSON (400).
    """
    try:
        value, _ = (_WRITTEN if written else _PLAIN).raw_decode(content)
    except RecursionError as error:
        raise ApiError(400, "The request body is nested too deep") from error
    except ValueError as error:
        raise ApiError(400, f"The request body is no JSON: {error}") from error
    return value


def whole(value: Any, read: Reader) -> Any:
    """Return the body as `read` takes it; null is as good as no body.

    Raises:
        ApiError: A field is unknown or of another type (400); the message names it.
    """
    if value is None:
        raise ApiError(400, _MISSING)
    return read(value, ())


def _wrong(path: tuple[str | int, ...], wanted: str) -> ApiError:
    if not path:
        return ApiError(400, f"Cannot read the request body: {wanted} is wanted")
    steps = "".join(f" object {step + 1}" if isinstance(step, int) else f" field '{step}'" for step in path)
    return ApiError(400, f"Mapping JSON data error at {steps}")


def each(read: Reader) -> Reader:
    """Return a reader of an array whose elements `read` takes; null elements stay null."""

    def array(value: Any, path: tuple[str | int, ...]) -> Any:
        if not isinstance(value, list):
            raise _wrong(path, "an array")
        return [None if one is None else read(one, (*path, place)) for place, one in enumerate(value)]

    return array


def fields(readers: Mapping[str, Reader], defaults: Mapping[str, Any]) -> Reader:
    """Return a reader of an object with these fields; the result has every one of them."""

    def bound(value: Any, path: tuple[str | int, ...]) -> Any:
        if not isinstance(value, dict):
            raise _wrong(path, "an object")
        found = dict.fromkeys(readers) | dict(defaults)
        for name, one in value.items():
            if name not in readers:
                raise _wrong((*path, name), "another field")
            if one is not None or name not in defaults:
                found[name] = None if one is None else readers[name](one, (*path, name))
            else:
                # Null in a number or a flag is zero or false, not the default.
                found[name] = type(defaults[name])()
        return found

    return bound


def any_value(value: Any, _path: tuple[str | int, ...]) -> Any:
    """Take anything."""
    return value


def any_array(value: Any, path: tuple[str | int, ...]) -> Any:
    """Take any array."""
    if not isinstance(value, list):
        raise _wrong(path, "an array")
    return value


def text(value: Any, path: tuple[str | int, ...]) -> str:
    """Take text; numbers and booleans become text. Half of a surrogate pair is no character."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise _wrong(path, "text")
    found = str(value)
    try:
        found.encode()
    except UnicodeEncodeError:
        raise _wrong(path, "Unicode text") from None
    return found


def integer(value: Any, path: tuple[str | int, ...]) -> int:
    """Take a 32-bit integer, a number whose fraction is cut off, or text of an integer."""
    if isinstance(value, str):
        try:
            number = int(value.strip() or "0")
        except ValueError:
            raise _wrong(path, "an integer") from None
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(path, "an integer")
    else:
        if value != value or abs(value) > 2**40:
            raise _wrong(path, "an integer")
        number = int(value)
    if not -(2**31) <= number < 2**31:
        raise _wrong(path, "an integer")
    return number


def flag(value: Any, path: tuple[str | int, ...]) -> bool:
    """Take true or false, their text, or an integer (0 is false)."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    if isinstance(value, str) and value.strip() in {"true", "True", "TRUE", "false", "False", "FALSE", ""}:
        return value.strip().lower() == "true"
    raise _wrong(path, "true or false")


def choice(*names: str) -> Reader:
    """Return a reader of one of these names, or of its place among them."""

    def chosen(value: Any, path: tuple[str | int, ...]) -> Any:
        if isinstance(value, str) and value.strip() in names:
            return value.strip()
        if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 4:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
            return names[value]
        raise _wrong(path, f"one of {', '.join(names)}")

    return chosen
