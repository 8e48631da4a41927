"""Refusals as GridDB's Web API tells them: a status, GridDB's error number or 0, and a message."""

from __future__ import annotations

import json
import re

from flask import Response

from gridwatch.errors import ContainerNotFoundError, StoreBusyError, StoreError
from gridwatch.server.griddb_webapi.error_names import NAMES

__all__ = ["ApiError", "error_answer", "named", "of_store", "told"]


class ApiError(Exception):
    """A request that is refused; `code` is GridDB's error number, 0 for the Web API's own."""

    def __init__(self, status: int, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


# What GridDB's client library refuses before it asks the server has status 500 in its Web API, save for three numbers.
# Those that this server can give are answered alike; nothing else is a 500, but a store that cannot be used at all.
# The path as `repr` writes it, in either quotes.
_PATH = re.compile(r"""\b[Ss]tore (?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_STATUS_500 = frozenset({145006, 145009, 145023})


def named(code: int, message: str) -> str:
    """Return a message with GridDB's number and name of the error in front.

    >>> named(10005, "invalid user name or password")
    '[10005:TXN_AUTH_FAILED] invalid user name or password'
    """
    return f"[{code}:{NAMES[code]}] {message}" if code in NAMES else f"[{code}] {message}"


def of_store(error: StoreError) -> ApiError:
    """Return the store's refusal as the Web API tells it."""
    if isinstance(error, ContainerNotFoundError):
        return ApiError(404, "Container not existed")
    message = told(error)
    if error.code is not None:
        return ApiError(500 if error.code in _STATUS_500 else 400, message, error.code)
    if error.values.get("unusable"):
        # A disk that is full is no fault of the request: sent again later, it may do.
        return ApiError(500, message)
    return ApiError(503 if isinstance(error, StoreBusyError) else 400, message)


def told(error: StoreError) -> str:
    """Return the message of the store's refusal, with GridDB's name of the number and without the store's path."""
    message = _PATH.sub("the store", str(error).removeprefix(f"[{error.code}] "))
    return named(error.code, message) if error.code is not None else message


def error_answer(error: ApiError) -> Response:
    """Return the answer of a refusal."""
    body = {"version": "v2", "errorCode": error.code, "errorMessage": error.message}
    # A lone surrogate of the request may be quoted in the message and has no UTF-8.
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    answer = Response(text, status=error.status, content_type="application/json")
    if error.status == 503:
        answer.headers["Retry-After"] = "1"
    return answer
