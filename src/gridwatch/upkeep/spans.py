"""Rows of a time series that are old enough and that nothing needs: stretches of time, deleted piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pyarrow as pa

from gridwatch.upkeep.reading import count, instant, quoted

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.upkeep.needs import Need

__all__ = ["ROWS_AT_ONCE", "delete_span", "free_spans", "rows_of", "time_key"]

ROWS_AT_ONCE = 10_000
"""Rows of one transaction: some ten milliseconds of the embedded store's lock."""


def free_spans(before_ms: int, needs: Iterable[Need]) -> list[tuple[int, int]]:
    """Return the stretches before an instant that no need covers: first and last ms of each, both included.

    >>> from gridwatch.upkeep.needs import Need
    >>> free_spans(100, [Need(80, None, ""), Need(20, 29, ""), Need(25, 40, "")])
    [(0, 19), (41, 79)]
    """
    spans, begin = [], 0
    for need in sorted(needs, key=lambda one: one.from_ms):
        if need.from_ms >= before_ms:
            break
        if need.from_ms > begin:
            spans.append((begin, need.from_ms - 1))
        if need.to_ms is None:
            return spans
        begin = max(begin, need.to_ms + 1)
    return [*spans, (begin, before_ms - 1)] if begin < before_ms else spans


def time_key(store: Store, container: str) -> str | None:
    """Return the quoted time column of a time series; None where there is no such container, or it is another kind."""
    info = store.container(container)
    return quoted(info.row_key[0]) if info is not None and info.type == "TIME_SERIES" else None


def rows_of(store: Store, container: str, key: str, span: tuple[int, int]) -> int:
    """Return how many rows a stretch has."""
    return count(store, container, f"{key} >= ? AND {key} <= ?", [instant(one) for one in span])


def delete_span(store: Store, container: str, key: str, span: tuple[int, int], *, go_on: Callable[[int], bool]) -> int:
    """Delete the rows of a stretch, oldest first; return how many.

    Args:
        store: Any backend.
        container: A time series.
        key: Its time column, quoted.
        span: First and last ms, both included.
        go_on: Told of each piece, how many rows; returns whether to do another.
    """
    where = f"{key} >= ? AND {key} <= ? ORDER BY {key} LIMIT {ROWS_AT_ONCE}"
    statement = f"SELECT {key} AS t FROM {quoted(container)} WHERE {where}"
    deleted = 0
    while True:
        found = store.sql(statement, [instant(one) for one in span])
        if not found.num_rows:
            return deleted
        deleted += store.delete(container, found.column(0).cast(pa.int64()).to_pylist())
        if not go_on(found.num_rows):
            return deleted
