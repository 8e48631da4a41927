"""What GridDB's Java clients throw, as gridwatch's errors with GridDB's numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gridwatch.containers._codes import code_of, error_class, told
from gridwatch.errors import SchemaError, StoreBusyError, StoreError, ValueRefusedError

__all__ = ["MEMORY_LIMIT", "is_connection_error", "is_old_rows_error", "translated"]

MEMORY_LIMIT = 1043
"""What a server answers to a request whose answer is more than it may hold in memory."""

_GARBLED = 145031
_ILLEGAL = 145007
_LOGIN = frozenset({10005, 10053, 10100, 10102})
_CLUSTER_NAMES = re.compile(r"\(input=([^,()]+), current=([^,()]+)\)")
_STATEMENT_TIMEOUT = 10014
# The cluster is starting, changing masters or away; the rest are the clients' words for a broken connection.
_CONNECTION = frozenset({10007, 10008, 10009, 10010, 145028, 145029, 145030, _GARBLED, 145032, 145033, 145042})


@contextmanager
def translated(place: str, what: str = "GridDB") -> Iterator[None]:
    """Raise what GridDB's clients throw inside as a StoreError of the right kind.

    Args:
        place: The cluster's address, for errors of the connection.
        what: Begins the message, such as `Container 'x'`.

    Raises:
        StoreError: What was thrown, with GridDB's number; text that is not Unicode, or that GridDB cannot name, too.
    """
    import jpype

    try:
        yield
    except jpype.JException as error:
        raise _error(error, place, what) from error
    except UnicodeEncodeError as error:
        raise ValueRefusedError(
            f"{what}: text has half of a surrogate pair at {error.start}, which is no character.", code=_ILLEGAL
        ) from error
    except UnicodeDecodeError as error:
        # GridDB names a refused character above U+FFFF by one half of it, and such a message JPype cannot hand over.
        raise SchemaError(f"{what}: a name holds a character that GridDB does not take.", code=_ILLEGAL) from error


def is_connection_error(error: StoreError) -> bool:
    """Tell whether an error of `translated` is the connection's or the cluster's, not the statement's."""
    return bool(error.values.get("connection"))


def is_old_rows_error(error: StoreError) -> bool:
    """Tell whether the native client could not read rows from before a container's first STRING or BLOB column.

    The server sends such rows too short, so that the client comes to the answer's end too early, or takes what follows
    for something else on the way. SQL reads them, and to put them again cures them.
    """
    return "BufferUnderflowException" in str(error) or error.code == _GARBLED


def _error(error: Any, place: str, what: str) -> StoreError:
    message = str(error.getMessage() or error.toString())
    code = _number(error) or code_of(message)
    text = told(message)
    kind = str(error.getClass().getSimpleName())
    if code in _LOGIN and (names := _CLUSTER_NAMES.search(text)):
        asked, own = names.groups()
        return StoreError(
            f"Cluster {asked!r} is not what the server at {place} calls itself: that is {own!r}; correct the cluster's "
            "name in the store's URL, or the address.",
            code=code,
        )
    if code in _LOGIN:
        hint = "check cluster and database in the store's URL, GRIDWATCH_GRIDDB__USER and GRIDWATCH_GRIDDB__PASSWORD"
        # A wrong password comes without a word, only with an address in parentheses.
        said = "" if not text or text.startswith("(") else f" ({text})"
        return StoreError(f"GridDB at {place} refuses the login{said}; {hint}.", code=code)
    if code in _CONNECTION or kind == "GSConnectionException":
        return StoreError(f"GridDB at {place} does not answer: {text}.", code=code, connection=True)
    if kind in {"GSTimeoutException", "SQLTimeoutException"} or code == _STATEMENT_TIMEOUT:
        return StoreBusyError(f"GridDB at {place} took too long: {text}.", code=code)
    return error_class(code)(f"{what}: {text or kind}.", code=code)


def _number(error: Any) -> int | None:
    """GridDB's error number; 0 and below mean none."""
    found = int(error.getErrorCode()) if hasattr(error, "getErrorCode") else 0
    return found if found > 0 else None
