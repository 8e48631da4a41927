"""Rows as they are: the time and the fields that the job needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from gridwatch.jobs import sql

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.jobs.extraction.sources import Source

__all__ = ["PlainRows"]


class PlainRows:
    """The rows that a datafeed wants, as they are.

    Args:
        store: Any backend.
        sources: The containers.
        time_field: The job's.
        fields: What is read besides.

    Attributes:
        asked: How many rows the store gave at the last reading.
        reads_rows: Whether those are rows of the containers.
    """

    reads_rows = True

    def __init__(self, store: Store, sources: Sequence[Source], time_field: str, fields: Sequence[str]) -> None:
        self._store, self._sources = store, sources
        self._time_field, self._fields = time_field, fields
        self.asked = 0

    def read(self, start_ms: int, end_ms: int, limit: int | None = None) -> pd.DataFrame:
        """Return the rows from `start_ms`, inclusive, to `end_ms`, exclusive, in time order.

        Args:
            start_ms: UTC epoch ms.
            end_ms: UTC epoch ms.
            limit: Most rows of each container.
        """
        parts = [self._read(source, start_ms, end_ms, limit) for source in self._sources]
        self.asked = sum(map(len, parts))
        if len(parts) == 1:
            return parts[0]
        joined = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
        return joined.sort_values(self._time_field, kind="stable", ignore_index=True)

    def _read(self, source: Source, start_ms: int, end_ms: int, limit: int | None) -> pd.DataFrame:
        known = [name for name in self._fields if name in source.fields]
        columns = [source.time.sql, *(source.fields[name].sql for name in known)]
        named = [sql.compose("{} AS {}", column, sql.name(f"c{place}")) for place, column in enumerate(columns)]
        found = sql.compose(
            "SELECT {} FROM {} WHERE {} ORDER BY {}",
            sql.joined(", ", named),
            sql.name(source.container),
            source.between(start_ms, end_ms),
            source.time.sql,
        )
        # GridDB takes no parameter here; whole numbers are what int() leaves.
        text = found.text if limit is None else f"{found.text} LIMIT {int(limit)}"
        table = sql.ask(self._store, sql.Sql(text, found.parameters))
        return _frame_of(table, [self._time_field, *known], [name for name in self._fields if name not in known])


def _frame_of(table: pa.Table, names: list[str], missing: list[str]) -> pd.DataFrame:
    """Return the frame of an answer: time in ms, texts as categories, numbers as float64 where some are missing."""
    columns: dict[str, Any] = {}
    for place, name in enumerate(names):
        column = table.column(place)
        if place == 0:
            columns[name] = column.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64()).to_numpy()
        elif pa.types.is_timestamp(column.type):
            columns[name] = column.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64()).to_pandas()
        elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            columns[name] = _categories(column)
        else:
            columns[name] = column.to_pandas()
    frame = pd.DataFrame(columns)
    for name in missing:
        frame[name] = None
    return frame


def _categories(column: pa.ChunkedArray) -> pd.Categorical:
    """Return texts by code, in the order in which they came: each is made a Python object once, not once a row."""
    coded = column.combine_chunks().dictionary_encode()
    dtype = pd.CategoricalDtype(pd.Index(coded.dictionary.to_pylist(), dtype=object))
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return pd.Categorical.from_codes(codes, dtype=dtype)
