"""One look of a datafeed at its containers, with aggregations or without."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, LiteralString

import pandas as pd
import pyarrow as pa

from gridwatch.errors import RangeTooLargeError
from gridwatch.jobs import sql
from gridwatch.jobs.aggregations import check_aggregations
from gridwatch.jobs.extraction.aggregated import AggregatedRows
from gridwatch.jobs.extraction.plain import PlainRows
from gridwatch.jobs.extraction.sources import FOREVER_MS, Source, open_sources
from gridwatch.jobs.pieces import ROWS, Pieces

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.jobs.config import DatafeedConfig, JobConfig
    from gridwatch.jobs.sql import Sql

__all__ = ["Extraction"]

_PIECE_MIN_MS = 60_000
_FIRST_INTERVALS = 64
_ROWS_GROUPED, _ROWS_UNINDEXED = 3 * ROWS, 5 * ROWS
_PREVIEW_INTERVALS = 1000


class Extraction:
    """One look of a datafeed at its containers.

    Args:
        store: Any backend.
        job: What the rows are for.
        feed: Which rows.
        now_ms: The present, UTC epoch ms.

    Attributes:
        containers: Where the rows are, sorted.
        plan: How they are aggregated, None where they come as they are.

    Raises:
        JobsError: A container or field is missing, or the query, a script or an aggregation is wrong.
    """

    def __init__(self, store: Store, job: JobConfig, feed: DatafeedConfig, *, now_ms: int) -> None:
        self.job, self.feed = job, feed
        self._store = store
        self.plan = check_aggregations(job, feed)
        summary = job.summary_count_field
        fields = (*job.fields, *([summary] if summary and summary not in job.fields else []))
        needed = fields if self.plan is None else self.plan.fields
        self._sources = open_sources(store, feed, job.time_field, needed, now_ms=now_ms)
        self.containers = [source.container for source in self._sources]
        self._rows: PlainRows | AggregatedRows
        if self.plan is None:
            self._rows = PlainRows(store, self._sources, job.time_field, fields)
        else:
            self._rows = AggregatedRows(store, self.plan, self._sources, now_ms=now_ms)

    def whole(self, time_ms: int) -> int:
        """Return the last instant up to which rows can be read before `time_ms`: the end of a whole interval."""
        return time_ms if self.plan is None else self.plan.interval.floor(time_ms)

    def bounds(self, start_ms: int | None, end_ms: int) -> tuple[int, int] | None:
        """Return the time of the first and of the last row wanted, None where there is none."""
        found = [one for source in self._sources if (one := self._bounds(source, start_ms, end_ms)) is not None]
        return (min(one[0] for one in found), max(one[1] for one in found)) if found else None

    def count(self, start_ms: int, end_ms: int) -> int:
        """Return how many rows the job is told of from `start_ms`, inclusive, to `end_ms`, exclusive.

        With aggregations, that is the sum of the summary counts.
        """
        if self.plan is None:
            return sum(self._count(source, start_ms, end_ms) for source in self._sources)
        return int(sum(frame[self.plan.summary].sum() for frame in self.frames(start_ms, end_ms)))

    def slow(self) -> dict[str, str]:
        """Return what makes each piece of time cost a scan of a whole large container, by the container."""
        found = {}
        for source in self._sources:
            if source.indexed:
                continue
            rows = int(self._ask("SELECT COUNT(*) FROM {}", sql.name(source.container)).column(0)[0].as_py())
            if rows > ROWS:
                found[source.container] = _advice(source, rows)
        return found

    def frames(self, start_ms: int, end_ms: int) -> Generator[pd.DataFrame]:
        """Yield the rows from `start_ms`, inclusive, to `end_ms`, exclusive, in time order.

        Yields:
            The time field int64 ms and the job's fields. Rows of one millisecond, and of one interval of a
            histogram, come together.

        Raises:
            RangeTooLargeError: One millisecond, or one interval, has more rows than the store gives at once.
        """
        bounds = self.bounds(start_ms, end_ms)
        if bounds is None:
            return
        at, last = bounds
        pieces = self._pieces(at, last)
        while at <= last:
            until = min(self.whole(at) + pieces.length_ms, last + 1)
            try:
                frame = self._rows.read(at, until)
            except RangeTooLargeError:
                # A server has a limit of its own, and rows come in bursts.
                if not pieces.halve():
                    raise
                continue
            pieces.learn(self._rows.asked, until - self.whole(at))
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
        """Return the first rows as the job would get them; a missing field is left out.

        There are `scroll_size` rows at most, or a page of a composite.
        """
        bounds = self.bounds(start_ms, FOREVER_MS if end_ms is None else end_ms)
        if bounds is None:
            return []
        first, last = bounds
        size = self.feed.scroll_size
        if isinstance(self._rows, PlainRows):
            rows = self._rows.read(first, last + 1, limit=size)
        else:
            plan = self._rows.plan
            size = plan.page or size
            rows = self._rows.read(
                first, min(plan.interval.floor(first) + plan.interval.every_ms * _PREVIEW_INTERVALS, last + 1)
            )
        return [
            {str(name): _plain(value) for name, value in row.items() if not pd.isna(value)}
            for row in rows.head(size).to_dict(orient="records")
        ]

    def _pieces(self, first_ms: int, last_ms: int) -> Pieces:
        every = 1 if self.plan is None else self.plan.interval.every_ms
        paged = self.plan is not None and self.plan.page is not None
        told = self.feed.chunk_ms(None if self.plan is None else every, composite=paged)
        whole = last_ms - first_ms + 1 + every
        most = -(-(told or whole) // every) * every
        if self._rows.reads_rows and whole > self.job.bucket_span_ms:
            # So that the first piece is no longer than the others.
            rows = max(sum(self._count(source, first_ms, last_ms + 1) for source in self._sources), 1)
            # Each piece of a container without an index costs a scan of it.
            fitting = ROWS if self.plan is None else _ROWS_GROUPED
            fitting = fitting if all(source.indexed for source in self._sources) else _ROWS_UNINDEXED
            first = max(whole * fitting // rows, _PIECE_MIN_MS, every) // every * every
            return Pieces(min(first, most), most, every, fitting)
        first = most if self._rows.reads_rows else _FIRST_INTERVALS * every
        return Pieces(min(first, most), most, every)

    def _bounds(self, source: Source, start_ms: int | None, end_ms: int) -> tuple[int, int] | None:
        time, where = source.time.sql, source.between(start_ms or 0, end_ms)
        edges = [sql.compose("MIN({})", time), sql.compose("MAX({})", time)]
        # SQLite finds one edge by the index; asked for both at once it reads all between them.
        apart = self._store.groups_by_sorting and source.indexed
        found: list[int] = []
        for asked in [edges[:1], edges[1:]] if apart else [edges]:
            row = self._ask("SELECT {} FROM {} WHERE {}", sql.joined(", ", asked), sql.name(source.container), where)
            if not row.num_rows or row.column(0)[0].as_py() is None:
                return None
            found += [_ms(column)[0] for column in row.columns]
        return found[0], found[1]

    def _ask(self, template: LiteralString, *parts: Sql) -> pa.Table:
        statement = sql.compose(template, *parts)
        return self._store.sql(statement.text, statement.parameters)

    def _count(self, source: Source, start_ms: int, end_ms: int) -> int:
        where = source.between(start_ms, end_ms)
        found = sql.compose("SELECT COUNT(*) FROM {} WHERE {}", sql.name(source.container), where)
        return int(sql.ask(self._store, found).column(0)[0].as_py())


def _advice(source: Source, rows: int) -> str:
    """Return what to do about a container whose rows are not found by their time."""
    column = source.time.column
    # A datafeed whose time is a runtime field is refused.
    assert column is not None  # noqa: S101
    table, index = sql.name(source.container).text, sql.name(f"by_{column.name}").text
    return (
        f"container [{source.container}] has {rows:,} rows, and none is found by its time without reading all; make an "
        f"index: CREATE INDEX {index} ON {table} ({sql.name(column.name).text})"
    )


def _ms(column: Any) -> list[int]:
    return column.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
