"""Refusals as GridDB's Web API tells them: a status, GridDB's error number or 0, and a message."""

from __future__ import annotations

import json
import re

from flask import Response

from gridwatch.errors import ContainerNotFoundError, StoreBusyError, StoreError

__all__ = ["ApiError", "error_answer", "named", "of_store", "told"]


class ApiError(Exception):
    """A request that is refused; `code` is GridDB's error number, 0 for the Web API's own."""

    def __init__(self, status: int, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


# GridDB's names of its error numbers: clients look for them in messages.
_NAMES = {
    1007: "CM_NOT_SUPPORTED",
    1008: "CM_LIMITS_EXCEEDED",
    10005: "TXN_AUTH_FAILED",
    10087: "TXN_DATABASE_NOT_EXIST",
    10088: "TXN_USER_OR_DATABASE_NOT_EXIST",
    10099: "TXN_DB_ACCESS_INVALID",
    60015: "DS_DS_SCHEMA_INVALID",
    60016: "DS_DS_CHANGE_SCHEMA_DISABLE",
    60049: "DS_COL_ROWKEY_INVALID",
    60079: "DS_TIM_ROW_DATA_INVALID",
    60081: "DS_TIM_CREATEINDEX_ON_ROWKEY",
    60154: "CON_PUT_ROW_OPTION_INVALID",
    75000: "QF_VALUE_OVERFLOW",
    75001: "QF_DIVIDE_BY_ZERO",
    75002: "QF_VALUE_OUT_OF_RANGE",
    145001: "JC_EMPTY_PARAMETER",
    145006: "JC_ILLEGAL_VALUE_FORMAT",
    145007: "JC_ILLEGAL_SYMBOL_CHARACTER",
    145024: "JC_KEY_NOT_FOUND",
    145009: "JC_UNSUPPORTED_KEY_TYPE",
    145023: "JC_ILLEGAL_SCHEMA",
    150012: "TQ_COLUMN_NOT_FOUND",
    150018: "TQ_OPERATION_NOT_DEFINED",
    150020: "TQ_COLUMN_CANNOT_AGGREGATE",
    151001: "TQ_SYNTAX_ERROR_EXECUTION",
    151002: "TQ_SYNTAX_ERROR_INVALID_TOKEN",
    152010: "TQ_CONSTRAINT_INVALID_ARGUMENT_TYPE",
    152012: "TQ_CONSTRAINT_INVALID_ARGUMENT_RANGE",
    200024: "SQL_STATEMENT_CATEGORY_UNMATCHED",
    240000: "SQL_COMPILE_UNSUPPORTED",
    240001: "SQL_COMPILE_SYNTAX_ERROR",
    240010: "SQL_COMPILE_FUNCTION_NOT_FOUND",
    240011: "SQL_COMPILE_UNION_COLUMN_TYPE_UNMATCHED",
    240014: "SQL_COMPILE_COLUMN_NOT_FOUND",
    270006: "SQL_DML_INSERT_INVALID_NULL_CONSTRAINT",
    280001: "SQL_DDL_INVALID_USER",
    280005: "SQL_DDL_TABLE_NOT_EXISTS",
    305004: "SQL_PROC_VALUE_OVERFLOW",
    305005: "SQL_PROC_VALUE_SYNTAX_ERROR",
    305010: "SQL_PROC_UNSUPPORTED_TYPE_CONVERSION",
}

# What GridDB's client library refuses before it asks the server has status 500 in its Web API, save for three numbers.
# Those that this server can give are answered alike; nothing else is a 500.
_PATH = re.compile(r"\b[Ss]tore '[^']*'")
_STATUS_500 = frozenset({145006, 145009, 145023})


def named(code: int, message: str) -> str:
    """Return a message with GridDB's number and name of the error in front.

    >>> named(10005, "invalid user name or password")
    '[10005:TXN_AUTH_FAILED] invalid user name or password'
    """
    return f"[{code}:{_NAMES[code]}] {message}" if code in _NAMES else f"[{code}] {message}"


def of_store(error: StoreError) -> ApiError:
    """Return the store's refusal as the Web API tells it."""
    if isinstance(error, ContainerNotFoundError):
        return ApiError(404, "Container not existed")
    message = told(error)
    if error.code is not None:
        return ApiError(500 if error.code in _STATUS_500 else 400, message, error.code)
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
