"""What a request carries: its body, if it is JSON at all, and the parameters of its address."""

from __future__ import annotations

import codecs
import re
from typing import Any

from flask import request

from gridwatch.server.griddb_webapi import bodies
from gridwatch.server.griddb_webapi.errors import ApiError

__all__ = ["body", "choice", "content", "number"]

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}|-?(?:0[xX]|#)[0-9a-fA-F]{1,16}")


def content(*, strict: bool = False, named_charset: bool = False) -> str:
    """Return the text of a JSON body.

    Args:
        strict: Only `application/json` will do, no type that ends in `+json`: both puts'.
        named_charset: Read the character set that the content type names; else UTF-8, as JSON is defined.

    Raises:
        ApiError: Another content type (415, or 400 on DELETE), no body, or no text.
    """
    kind, given = request.mimetype, request.mimetype_params.get("charset", "utf-8")
    if ("Content-Type" in request.headers and kind.count("/") != 1) or not _is_charset(given):
        raise ApiError(415, f"Invalid mime type {request.headers.get('Content-Type', '')!r}")
    if kind != "application/json" and (strict or not re.fullmatch(r"application/[^/]+\+json", kind)):
        if request.method == "DELETE":
            raise ApiError(400, "Required request body is missing: it has to be application/json")
        shown = request.headers.get("Content-Type", "" if strict else "application/octet-stream")
        raise ApiError(415, f"Content type '{shown}' not supported")
    return bodies.read_text(request.get_data(cache=False), given if named_charset else "utf-8")


def _is_charset(name: str) -> bool:
    try:
        return codecs.lookup(name).name not in {"base64", "bz2", "hex", "quopri", "rot13", "uu", "zlib"}
    except (LookupError, ValueError):
        return False


def body(read: bodies.Reader, *, strict: bool = False) -> Any:
    """Return the body as `read` takes it; `strict` as in `content`.

    Raises:
        ApiError: Another content type, no JSON, or other fields or types than `read` takes.
    """
    return bodies.whole(bodies.parsed(content(strict=strict)), read)


def number(name: str) -> int | None:
    """Return a number of the address; None where there is none.

    Raises:
        ApiError: It is none.
    """
    text = "".join((request.args.get(name) or "").split())
    if not text:
        return None
    if not _INTEGER.fullmatch(text):
        raise ApiError(400, f"Parameter {name!r} is no integer: {text[:80]!r}")
    digits = text.replace("#", "0x")
    value = int(digits, 16 if "x" in digits.lower() else 10)
    if not -(2**31) <= value < 2**31:
        raise ApiError(400, f"Parameter {name!r} is no integer of 32 bits: {text[:80]!r}")
    return value


def choice(name: str, *allowed: str) -> str | None:
    """Return a word of the address, one of those allowed; None where there is none.

    Raises:
        ApiError: It is another.
    """
    text = (request.args.get(name) or "").strip()
    if text and text not in allowed:
        raise ApiError(400, f"Parameter {name!r} is {text[:80]!r}; use {' or '.join(allowed)}")
    return text or None
