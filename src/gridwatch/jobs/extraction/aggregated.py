"""Rows as the store aggregates them: one for each innermost bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwatch.containers.store import ROWS_MAX
from gridwatch.jobs import sql
from gridwatch.jobs.aggregations.answers import answer_of
from gridwatch.jobs.aggregations.merging import merged
from gridwatch.jobs.aggregations.scans import scans_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import pyarrow as pa

    from gridwatch.containers import Store
    from gridwatch.jobs.aggregations import Plan
    from gridwatch.jobs.extraction.sources import Source
    from gridwatch.jobs.sql import Sql

__all__ = ["AggregatedRows"]


class AggregatedRows:
    """What the plan of a datafeed makes of its containers.

    Args:
        store: Any backend.
        plan: How the rows are aggregated.
        sources: The containers.
        now_ms: What `now` in filters means, UTC epoch ms.

    Attributes:
        plan: How the rows are aggregated.
        asked: How many rows the store gave at the last reading, before they were put together.
        reads_rows: Whether those are rows of the containers, grouped here.

    Raises:
        JobsError: A field has a type that does not fit, or a filter is wrong.
    """

    def __init__(self, store: Store, plan: Plan, sources: Sequence[Source], *, now_ms: int) -> None:
        self.plan = plan
        self.asked = 0
        self._store, self._sources, self._now_ms = store, sources, now_ms
        self.reads_rows = store.groups_by_sorting
        self._scans = scans_of(plan)
        for one in self._scans:
            for source in sources:
                one.of(plan, source, now_ms=now_ms)

    def read(self, start_ms: int, end_ms: int) -> pd.DataFrame:
        """Return the rows of what lies from `start_ms`, inclusive, to `end_ms`, exclusive, in time order."""
        answers = []
        self.asked = 0
        for one in self._scans:
            answer, rows = answer_of(
                one, self.plan, self._sources, (start_ms, end_ms), self._ask, now_ms=self._now_ms, here=self.reads_rows
            )
            answers.append(answer)
            self.asked = max(self.asked, rows)
        return merged(self.plan, answers)

    def _ask(self, statement: Sql, rows_max: int = ROWS_MAX) -> pa.Table:
        return sql.ask(self._store, statement, rows_max=rows_max)
