"""Media types, and JSON in and out: what Elasticsearch's clients send and want back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, g, request
from werkzeug.http import parse_options_header

from gridwatch.server.ml_api.errors import MlApiError

__all__ = ["DATA_BYTES_MAX", "answer", "answer_type", "body_bytes", "parsed", "parsed_values"]

CONFIG_BYTES_MAX = 4 << 20
"""Most bytes of a config."""
DATA_BYTES_MAX = 40 << 20
"""Most bytes of posted rows: what the server takes at most."""

_VERSIONS = ("8", "9")
_JSON = {"application/json", "application/vnd.elasticsearch+json", "application/*", "*/*", "text/*"}
_LINES = {"application/x-ndjson", "application/vnd.elasticsearch+x-ndjson"}
_DEPTH_MAX = 100
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BLANK = re.compile(r"[ \t\r\n]*")


def answer_type() -> str:
    """Return the content type of the answer: JSON, in the form that the caller asked for.

    Raises:
        MlApiError: It takes no JSON (406), or that of another version (400).
    """
    wanted = request.headers.get("Accept", "").strip()
    for one in wanted.split(","):
        kind, options = parse_options_header(one)
        if kind not in _JSON:
            continue
        version = options.get("compatible-with")
        if "vnd.elasticsearch" not in kind or version is None:
            return "application/json"
        _check_version("Accept", one.strip(), version)
        return f"application/vnd.elasticsearch+json;compatible-with={version}"
    if not wanted:
        return "application/json"
    raise _bad_media("Accept", wanted, 406)


def body_bytes(*, lines: bool = False, most: int = CONFIG_BYTES_MAX) -> bytes:
    """Return the body, b"" where there is none; it has to be declared as JSON.

    A page of another origin can send a form or plain text without asking, JSON it cannot.

    Args:
        lines: Whether several JSON values, one a line, are taken too.
        most: Most bytes.

    Raises:
        MlApiError: Another content type (406) or version (400), or too many bytes (413).
    """
    given = request.headers.get("Content-Type")
    if given is not None:
        kind, options = parse_options_header(given)
        if kind not in (_JSON | _LINES if lines else _JSON) or "*" in kind:
            raise _bad_media("Content-Type", given, 406)
        if "vnd.elasticsearch" in kind and "compatible-with" in options:
            _check_version("Content-Type", given, options["compatible-with"])
    if (request.content_length or 0) > most:
        raise MlApiError(413, "content_too_long_exception", f"the body has more than {most} bytes.")
    content = request.get_data(cache=False)
    if content and given is None:
        raise _bad_media("Content-Type", "", 406)
    if len(content) > most:
        raise MlApiError(413, "content_too_long_exception", f"the body has more than {most} bytes.")
    return content


def parsed(content: bytes) -> Any:
    """Return the one JSON value of a body.

    Raises:
        MlApiError: It is none, or there are several.
    """
    values = parsed_values(content)
    if len(values) != 1:
        raise _no_json(f"expected one JSON value, got {len(values)}")
    return values[0]


def parsed_values(content: bytes) -> list[Any]:
    """Return the JSON values that stand one after another, with or without line breaks between them.

    Raises:
        MlApiError: One is no JSON, holds a number that is none or half a character, or is nested too deep.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _no_json(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    values: list[Any] = []
    place = _after_blanks(text, 0)
    while place < len(text):
        try:
            value, place = _DECODER.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise _no_json(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
        except ValueError as error:
            raise _no_json(str(error)) from error
        except RecursionError as error:
            raise _no_json("it is nested too deep") from error
        values.append(value)
        place = _after_blanks(text, place)
    _check_depth(values)
    if _SURROGATE.search(content):
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise _no_json("it holds half of a surrogate pair, which is no character") from error
    return values


def answer(value: Any, status: int = 200) -> Response:
    """Return JSON; indented where the caller asks for `pretty`."""
    pretty = request.args.get("pretty") in {"", "true"}
    text = json.dumps(
        value, ensure_ascii=False, indent=2 if pretty else None, separators=None if pretty else (",", ":")
    )
    # A lone surrogate of the address may be quoted in a message, and has no UTF-8.
    content = (text + ("\n" if pretty else "")).encode("utf-8", "replace")
    return Response(content, status=status, content_type=g.get("ml_type", "application/json"))


def _after_blanks(text: str, place: int) -> int:
    found = _BLANK.match(text, place)
    return found.end() if found else place


def _unlike(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        msg = f"the key {twice!r} is there twice"
        raise ValueError(msg)
    return found


def _finite(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        msg = f"the number {text[:40]} is out of range"
        raise ValueError(msg)
    return number


def _whole(text: str) -> int:
    if len(text) > 40:
        msg = f"the number {text[:40]}... is out of range"
        raise ValueError(msg)
    return int(text)


def _no_constant(name: str) -> Any:
    msg = f"{name} is no JSON"
    raise ValueError(msg)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unlike, parse_float=_finite, parse_int=_whole, parse_constant=_no_constant
)


def _check_depth(values: Sequence[Any]) -> None:
    """Refuse what later steps, which call themselves for each level, could not go through."""
    level: list[Any] = [one for one in values if isinstance(one, dict | list)]
    for _ in range(_DEPTH_MAX):
        if not level:
            return
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, Mapping) else one)
            if isinstance(inner, dict | list)
        ]
    if level:
        raise _no_json(f"it is nested deeper than {_DEPTH_MAX} levels")


def _check_version(header: str, given: str, version: str) -> None:
    if version not in _VERSIONS:
        raise MlApiError(
            400,
            "media_type_header_exception",
            f"{header} version must be either version {' or '.join(reversed(_VERSIONS))}, but found {version!r}. "
            f"{header}={given}",
        )


def _bad_media(header: str, given: str, status: int) -> MlApiError:
    return MlApiError(
        status,
        "media_type_header_exception",
        f"Invalid media-type value on headers [{header}]: [{given}] is not supported; use application/json.",
    )


def _no_json(why: str) -> MlApiError:
    return MlApiError(400, "x_content_parse_exception", f"the request body is no JSON as it is wanted: {why}.")
