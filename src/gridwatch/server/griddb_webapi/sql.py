"""SQL statements: queries, changes, definitions, and the rights of users."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from gridwatch.errors import ConfigError, ContainerNotFoundError, RangeTooLargeError, StoreError
from gridwatch.server.griddb_webapi import bodies
from gridwatch.server.griddb_webapi.access import need_write
from gridwatch.server.griddb_webapi.answers import rows_text, shown_by_sql, table_columns
from gridwatch.server.griddb_webapi.errors import ApiError, named, of_store, told
from gridwatch.server.griddb_webapi.limits import QUERIES_MAX, check_response, sql_bytes
from gridwatch.server.griddb_webapi.rights import change_users, is_about_users
from gridwatch.server.metrics import count_rows, count_store_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridwatch.containers import Store
    from gridwatch.server.state import State

__all__ = ["DCL", "DDL", "QUERY", "STATEMENTS", "UPDATE", "change", "check", "check_characters", "query", "refused"]

# GridDB's own clients may send a type, which nothing reads.
STATEMENTS = bodies.each(bodies.fields({"type": bodies.text, "stmt": bodies.text}, {}))

# GridDB looks at the first word, and at nothing behind the end of the line.
_LINE = "[^\n\r\u0085\u2028\u2029]*"
QUERY = re.compile(f"(?:select|explain){_LINE}")
UPDATE = re.compile(f"(?:update|delete|insert|replace){_LINE}")
DDL = re.compile(f"(?:create|alter|drop){_LINE}")
DCL = re.compile(f"(?:grant|revoke|set +password){_LINE}")

NO_TABLE = 280005
_SYNTAX = 240001
_CATEGORY = 200024
_OVERFLOW = 75000
_COMMENTS = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_CHANGES = re.compile(r"(?:insert|update|delete|replace|create|alter|drop|grant|revoke|set)\b", re.IGNORECASE)
_QUERIES = re.compile(r"(?:select|values|explain|with|\()", re.IGNORECASE)


def check(asked: Sequence[dict[str, Any] | None], verbs: re.Pattern[str] | None = None) -> list[str]:
    """Return the statements.

    Args:
        asked: The request's body.
        verbs: What each has to begin with, in lower case; None for anything.

    Raises:
        ApiError: No statement, too many, an empty one, or another verb; none was run.
    """
    if not asked:
        raise ApiError(400, "List of SQL is empty")
    if len(asked) > QUERIES_MAX:
        raise ApiError(400, "Exceed maximum of SQLs that can be executed")
    statements = []
    for one in asked:
        if one is None:
            raise ApiError(400, "SQL input is invalid")
        statement = one["stmt"] or ""
        if not statement.strip(bodies.BLANK):
            raise ApiError(400, "Statement is invalid")
        statements.append(statement)
    if verbs and not all(verbs.fullmatch(statement.lower().strip(bodies.BLANK)) for statement in statements):
        raise ApiError(400, "Statement is invalid")
    return statements


def check_characters(statements: Sequence[str]) -> None:
    """Refuse a NUL character.

    Raises:
        ApiError: There is one.
    """
    if any("\0" in statement for statement in statements):
        raise ApiError(400, "Invalid character(s) found")


def query(store: Store, statement: str) -> dict[str, Any]:
    """Run one SELECT; return its answer, rows as JSON text.

    Raises:
        ApiError: It is no query, or its rows are too many bytes.
        StoreError: It is refused, or failed.
    """
    if _CHANGES.match(statement, _COMMENTS.match(statement).end()):  # type: ignore[union-attr]
        raise ApiError(400, named(_CATEGORY, "A statement without rows cannot be run as a query"), _CATEGORY)
    try:
        table = store.sql(statement)
    except RangeTooLargeError as error:
        raise ApiError(400, "Too many result") from error
    if store.url.startswith("sqlite:") and any(_is_infinite(column) for column in table.columns):
        # The embedded store holds nothing infinite, so that it was worked out; GridDB's arithmetic fails there.
        raise ApiError(400, named(_OVERFLOW, "Value overflow in arithmetic operation"), _OVERFLOW)
    size = check_response(sql_bytes(column) for column in table.columns)
    count_rows("out", table.num_rows)
    return {"columns": table_columns(table.schema), "results": rows_text(shown_by_sql(table)), "responseSizeByte": size}


def _is_infinite(column: pa.ChunkedArray) -> bool:
    return pa.types.is_floating(column.type) and bool(pc.any(pc.is_inf(column)).as_py())


def change(parts: State, database: str, statement: str, *, counted: bool) -> dict[str, Any]:
    """Run one statement that changes something; a failure is told in its answer.

    Args:
        parts: The store, and the users for what is about them.
        database: Name of the database, for GRANT and REVOKE.
        statement: One statement.
        counted: Whether the answer has the number of changed rows.
    """
    rows, message = 0, None
    try:
        rows = _changed(parts, database, statement)
    except ApiError as error:
        message = error.message
    except StoreError as error:
        count_store_error(error.code)
        message = refused(error).message
    except ConfigError as error:
        message = str(error)
    answer = {"status": 0 if message else 1, "message": message, "stmt": statement}
    return {"updatedRows": rows, **answer} if counted else answer


def _changed(parts: State, database: str, statement: str) -> int:
    if is_about_users(statement):
        change_users(parts.users, database, statement)
        return 0
    need_write()
    start = _COMMENTS.match(statement).end()  # type: ignore[union-attr]
    if _QUERIES.match(statement, start):
        raise ApiError(400, named(_CATEGORY, "A query cannot be run as an update"), _CATEGORY)
    if not _CHANGES.match(statement, start):
        raise ApiError(400, named(_SYNTAX, f"Parse SQL failed: {statement.strip()[:80]!r} is no statement"), _SYNTAX)
    return parts.store.execute(statement)


def refused(error: StoreError) -> ApiError:
    """Return the refusal of a query: a missing table is no missing address."""
    if isinstance(error, ContainerNotFoundError):
        return ApiError(
            400, named(NO_TABLE, told(error).removeprefix(f"[{NO_TABLE}:SQL_DDL_TABLE_NOT_EXISTS] ")), NO_TABLE
        )
    return of_store(error)
