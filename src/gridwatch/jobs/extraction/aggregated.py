"""Rows as the store aggregates them: one for each innermost bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwatch.jobs.aggregations import merging
from gridwatch.jobs.aggregations.scans import Scan, ValueScan, scans_of, value_scans_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from gridwatch.containers import Store
    from gridwatch.jobs.aggregations import Plan
    from gridwatch.jobs.extraction.sources import Source

__all__ = ["AggregatedRows"]


class AggregatedRows:
    """What the plan of a datafeed makes of its containers.

    Args:
        store: Any backend.
        plan: How the rows are aggregated.
        sources: The containers.
        now_ms: What `now` in filters means, UTC epoch ms.

    Raises:
        JobsError: A field is missing or has an unfit type, or a filter is wrong.
    """

    def __init__(self, store: Store, plan: Plan, sources: Sequence[Source], *, now_ms: int) -> None:
        self.plan = plan
        self._store, self._sources, self._now_ms = store, sources, now_ms
        self._scans: list[Scan | ValueScan] = [*scans_of(plan), *value_scans_of(plan)]
        for one in self._scans:
            for source in sources:
                one.sql(plan, source, source.where, now_ms=now_ms)

    def read(self, start_ms: int, end_ms: int) -> pd.DataFrame:
        """Return the rows of what lies from `start_ms`, inclusive, to `end_ms`, exclusive, in time order."""
        answers = []
        for one in self._scans:
            asked = [
                one.sql(self.plan, source, source.between(start_ms, end_ms), now_ms=self._now_ms)
                for source in self._sources
            ]
            answers.append(merging.Scanned(one, [self._store.sql(each.text, each.parameters) for each in asked]))
        return merging.merged(self.plan, answers)
