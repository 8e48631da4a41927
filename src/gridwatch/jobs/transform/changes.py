"""Which part of a summary some rows change: stretches of time and keys, and conditions for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from gridwatch.jobs import sql
from gridwatch.jobs.sql import Sql

if TYPE_CHECKING:
    from gridwatch.jobs.transform.pivot import Group

__all__ = ["between", "only", "stretches_of"]

_RANGES_MAX = 64
"""Most stretches of time that are told apart; those with the least between them are put together."""
_EPOCH = datetime.fromtimestamp(0, UTC)


def stretches_of(group: Group, begins: pa.ChunkedArray) -> list[tuple[int | None, int | None]]:
    """Return the stretches of time that buckets are in: beginning of the first, end of the last, in order.

    Args:
        group: A date_histogram.
        begins: Beginnings of buckets, `timestamp[ms]`, null or twice as they come.
    """
    assert group.buckets is not None  # noqa: S101
    times = np.unique(begins.drop_null().cast(pa.int64()).to_numpy())
    numbers = group.buckets.numbers(times)
    gaps = np.diff(numbers)
    kept = min(_RANGES_MAX - 1, int((gaps > 1).sum()))
    cuts = np.sort(np.argsort(gaps, kind="stable")[len(gaps) - kept :]) + 1
    ends = group.buckets.begins(numbers + 1)
    return [(int(run[0]), int(end[-1])) for run, end in zip(np.split(times, cuts), np.split(ends, cuts), strict=True)]


def only(rows: pa.Table, keys: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the rows whose columns `names` are as in one of `keys`; null is as null."""
    import pandas as pd

    left = rows.select(list(names)).to_pandas(types_mapper=pd.ArrowDtype)
    right = keys.to_pandas(types_mapper=pd.ArrowDtype).drop_duplicates()
    found = left.merge(right, on=list(names), how="left", indicator=True)["_merge"] == "both"
    return rows.filter(pa.array(found.to_numpy(bool)))


def between(time: Sql, start_ms: int | None, end_ms: int | None) -> Sql:
    """Return the condition for instants from `start_ms`, inclusive, to `end_ms`, exclusive, None for open."""
    parts = []
    if start_ms is not None:
        parts.append(sql.compose("({} >= {})", time, _instant(start_ms)))
    if end_ms is not None:
        parts.append(sql.compose("({} < {})", time, _instant(end_ms)))
    return sql.all_of(parts)


def _instant(ms: int) -> Sql:
    return sql.value(_EPOCH + timedelta(milliseconds=min(ms, 253_402_300_799_999)))
