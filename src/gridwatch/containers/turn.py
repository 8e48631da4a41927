"""One at a time for a change of a row, on stores whose UPDATE ... WHERE does not see to that.

GridDB's SQL finds the rows of an UPDATE first and changes them later, so that of several at once each may count the
row that only one should get. INSERT of a new key is first come, first served on every store: whoever inserts the row
of a turn has it, and deletes the row afterwards. A turn whose holder died is passed over once it is old.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from gridwatch.containers.catalog import LEASES
from gridwatch.errors import StoreError

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["turn"]

log = structlog.get_logger(__name__)

_LASTS_MS = 60_000
_DEAD_MAX = 20
_EXISTS = 60154
"""GridDB's number for an INSERT of a key that is there."""


@contextmanager
def turn(store: Store, name: str, *, now_ms: int) -> Iterator[bool]:
    """Tell whether it is the caller's turn to change the row that `name` stands for; inside, nobody else's is.

    Args:
        store: Holds the `leases` container.
        name: Of the row.
        now_ms: UTC epoch ms; a turn that began more than a minute ago belonged to one that died.

    Raises:
        StoreError: The store failed.
    """
    if store.atomic_updates:
        yield True
        return
    key = _take(store, name, now_ms)
    if key is None:
        yield False
        return
    try:
        yield True
    finally:
        try:
            store.delete(LEASES.name, [key])
        except StoreError as error:
            # It is passed over when it is old; what was done in the turn is done.
            log.warning("turn_left", key=key, error=str(error))


def _take(store: Store, name: str, now_ms: int) -> str | None:
    """Insert the row of a turn; return its key, or None when somebody else has the turn.

    The row of one that died stays: to delete it could take away the turn of the next one.
    """
    for number in range(_DEAD_MAX):
        key = f"turn {name} {number}"
        found = store.get(LEASES.name, [key]).to_pylist()
        if not found:
            try:
                store.execute(
                    f"INSERT INTO {LEASES.name} (name, until_ms) VALUES (?, ?)",  # noqa: S608 - our own name
                    [key, now_ms + _LASTS_MS],
                )
            except StoreError as error:
                if error.code != _EXISTS:
                    raise
                return None
            return key
        if (found[0]["until_ms"] or 0) >= now_ms:
            return None
    raise StoreError(f"{_DEAD_MAX} turns at {name!r} were left by processes that died; delete their rows of leases.")
