"""Rows as they are: the time and the fields that the job needs, in pieces that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from gridwatch.jobs import sql
from gridwatch.jobs.extraction.sources import Source, open_sources

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.jobs.config import DatafeedConfig, JobConfig

__all__ = ["Extraction"]

_ROWS = 100_000
"""Rows a piece is cut for: what arrives at once."""
_CHUNK_MIN_MS = 60_000


class Extraction:
    """One look of a datafeed at its containers.

    Args:
        store: Any backend.
        job: What the rows are for.
        feed: Which rows.
        now_ms: The present, UTC epoch ms.

    Raises:
        JobsError: A container or field is missing, or the query or a script is wrong.
    """

    def __init__(self, store: Store, job: JobConfig, feed: DatafeedConfig, *, now_ms: int) -> None:
        self.job, self.feed = job, feed
        self._store = store
        summary = job.summary_count_field
        self.fields = (*job.fields, *([summary] if summary and summary not in job.fields else []))
        self._sources = open_sources(store, feed, job.time_field, self.fields, now_ms=now_ms)
        self.containers = [source.container for source in self._sources]

    def whole(self, time_ms: int) -> int:
        """Return the last instant up to which rows can be read before `time_ms`."""
        return time_ms

    def bounds(self, start_ms: int | None, end_ms: int) -> tuple[int, int] | None:
        """Return the time of the first and of the last row wanted, None where there is none."""
        found = [one for source in self._sources if (one := self._bounds(source, start_ms, end_ms)) is not None]
        return (min(one[0] for one in found), max(one[1] for one in found)) if found else None

    def count(self, start_ms: int, end_ms: int) -> int:
        """Return how many rows are wanted from `start_ms`, inclusive, to `end_ms`, exclusive."""
        return sum(self._count(source, start_ms, end_ms) for source in self._sources)

    def frames(self, start_ms: int, end_ms: int) -> Iterator[pd.DataFrame]:
        """Yield the rows from `start_ms`, inclusive, to `end_ms`, exclusive, in time order.

        Yields:
            The time field int64 ms and the job's fields. Rows of one millisecond come together.
        """
        bounds = self.bounds(start_ms, end_ms)
        if bounds is None:
            return
        at, last = bounds
        chunk = self._chunk_ms(at, last)
        while at <= last:
            until = min(at + chunk, last + 1)
            frame = self._frame(at, until)
            if len(frame):
                yield frame
                at = until
                continue
            # A gap: on to the next row, however far it is.
            further = self.bounds(until, end_ms)
            if further is None:
                return
            at = further[0]

    def preview(self, start_ms: int | None = None, end_ms: int | None = None) -> list[dict[str, Any]]:
        """Return the first rows as the job would get them, `scroll_size` at most; a missing field is left out."""
        bounds = self.bounds(start_ms, _FOREVER_MS if end_ms is None else end_ms)
        if bounds is None:
            return []
        size = self.feed.scroll_size
        rows = self._rows(bounds[0], bounds[1] + 1, limit=size).head(size)
        return [
            {str(name): _plain(value) for name, value in row.items() if not pd.isna(value)}
            for row in rows.to_dict(orient="records")
        ]

    def _chunk_ms(self, first_ms: int, last_ms: int) -> int:
        told = self.feed.chunk_ms(None, composite=False)
        if told == 0:
            return last_ms - first_ms + 1
        if told is not None:
            return told
        rows = max(self.count(first_ms, last_ms + 1), 1)
        return max((last_ms - first_ms + 1) * _ROWS // rows, _CHUNK_MIN_MS)

    def _frame(self, start_ms: int, end_ms: int) -> pd.DataFrame:
        return self._rows(start_ms, end_ms)

    def _rows(self, start_ms: int, end_ms: int, limit: int | None = None) -> pd.DataFrame:
        parts = [self._read(source, start_ms, end_ms, limit) for source in self._sources]
        frame = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
        return frame if len(parts) == 1 else frame.sort_values(self.job.time_field, kind="stable", ignore_index=True)

    def _read(self, source: Source, start_ms: int, end_ms: int, limit: int | None) -> pd.DataFrame:
        known = [name for name in self.fields if name in source.fields]
        columns = [source.time.sql, *(source.fields[name].sql for name in known)]
        named = [sql.compose("{} AS {}", column, sql.name(f"c{place}")) for place, column in enumerate(columns)]
        found = sql.compose(
            "SELECT {} FROM {} WHERE {} ORDER BY {}",
            sql.joined(", ", named),
            sql.name(source.container),
            source.within(_instant(start_ms), _instant(end_ms)),
            source.time.sql,
        )
        # GridDB takes no parameter here; whole numbers are what int() leaves.
        text = found.text if limit is None else f"{found.text} LIMIT {int(limit)}"
        table = self._store.sql(text, found.parameters)
        return _frame_of(table, [self.job.time_field, *known], [name for name in self.fields if name not in known])

    def _bounds(self, source: Source, start_ms: int | None, end_ms: int) -> tuple[int, int] | None:
        found = sql.compose(
            "SELECT MIN({}), MAX({}) FROM {} WHERE {}",
            source.time.sql,
            source.time.sql,
            sql.name(source.container),
            source.within(_instant(start_ms or 0), _instant(end_ms)),
        )
        row = self._store.sql(found.text, found.parameters)
        if not row.num_rows or row.column(0)[0].as_py() is None:
            return None
        first, last = (_ms(row.column(place))[0] for place in (0, 1))
        return int(first), int(last)

    def _count(self, source: Source, start_ms: int, end_ms: int) -> int:
        where = source.within(_instant(start_ms), _instant(end_ms))
        found = sql.compose("SELECT COUNT(*) FROM {} WHERE {}", sql.name(source.container), where)
        return int(self._store.sql(found.text, found.parameters).column(0)[0].as_py())


_EPOCH = datetime.fromtimestamp(0, UTC)
_FOREVER_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, where GridDB's time ends."""


def _instant(ms: int) -> sql.Sql:
    return sql.value(_EPOCH + timedelta(milliseconds=min(max(ms, 0), _FOREVER_MS)))


def _ms(column: Any) -> list[int]:
    return column.cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]


def _frame_of(table: pa.Table, names: list[str], missing: list[str]) -> pd.DataFrame:
    """Return the frame of an answer: time in ms, texts as objects, numbers as float64 where some are missing."""
    columns: dict[str, Any] = {}
    for place, name in enumerate(names):
        column = table.column(place)
        if place == 0:
            columns[name] = column.cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_numpy()
        elif pa.types.is_timestamp(column.type):
            columns[name] = column.cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_pandas()
        elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            columns[name] = column.to_pandas(types_mapper=None).astype(object)
        else:
            columns[name] = column.to_pandas()
    frame = pd.DataFrame(columns)
    for name in missing:
        frame[name] = None
    return frame


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
