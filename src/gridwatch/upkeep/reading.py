"""The few questions that upkeep asks of a container, in SQL that every backend answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["KEYS_AT_ONCE", "count", "instant", "ms", "pages", "quoted"]

KEYS_AT_ONCE = 500
"""Keys of one statement: each is a parameter."""


def quoted(name: str) -> str:
    """Return a name as GridDB's SQL takes any."""
    return '"' + name.replace('"', '""') + '"'


def instant(at_ms: int) -> datetime:
    """Return an instant as a parameter for a TIMESTAMP, by whole numbers: a float would be off now and then."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)


def ms(when: datetime) -> int:
    """Return a TIMESTAMP in UTC epoch ms."""
    return (when - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def count(store: Store, name: str, where: str, values: Sequence[Any]) -> int:
    """Return how many rows of a container a condition holds for."""
    found = store.sql(f"SELECT COUNT(*) AS n FROM {quoted(name)} WHERE {where}", values)
    return int(found.column(0)[0].as_py() or 0)


def pages(
    store: Store, name: str, columns: str, where: str, values: Sequence[Any], *, key: str = "id"
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a condition in the order of their key, so many at once; they may be deleted meanwhile.

    Args:
        store: Any backend.
        name: The container, whose row key is one STRING.
        columns: To read, the key among them.
        where: The condition.
        values: Its parameters.
        key: The row key.
    """
    last = ""
    while True:
        rows = store.sql(
            f"SELECT {columns} FROM {quoted(name)} WHERE ({where}) AND {key} > ? ORDER BY {key} LIMIT {KEYS_AT_ONCE}",
            [*values, last],
        ).to_pylist()
        if not rows:
            return
        yield rows
        last = rows[-1][key]
