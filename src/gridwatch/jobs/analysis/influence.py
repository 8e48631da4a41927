"""Who is to blame for a record: the entities without whose rows the value would have been nearer to the usual."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridwatch.jobs.analysis.reduce import reduce
from gridwatch.jobs.analysis.results import Influence, Record

if TYPE_CHECKING:
    from gridwatch.jobs.analysis.detector import Grid, RunningDetector
    from gridwatch.jobs.functions import Metric

__all__ = ["INFLUENCE_MIN", "influences"]

Ints: TypeAlias = npt.NDArray[np.int64]

INFLUENCE_MIN = 0.4
"""Share of the deviation that has to go away with an entity; Elasticsearch's cutoff."""

_ENTITIES_MAX = 20
"""Only those with the most rows are looked at: with more than 1 / INFLUENCE_MIN entities few can have such a share."""


def influences(records: list[Record], grid: Grid, places: Ints, detector: RunningDetector) -> list[Record]:
    """Return the records with the influencers of each.

    The influence of an entity is the share of |actual - typical| that is gone when its rows are left out; 1 where no
    other has rows.

    Args:
        records: Of one detector.
        grid: Rows and buckets that they come from.
        places: int64 (n,), the series of each row.
        detector: Whose they are.
    """
    from dataclasses import replace

    buckets = len(grid.starts)
    groups = np.where(places >= 0, places * buckets + grid.buckets, -1)
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    numbers = {key: number for number, key in enumerate(detector.series.keys)}
    columns = {start: bucket for bucket, start in enumerate(grid.starts.tolist())}
    found = []
    for record in records:
        key = tuple(value for _, value in (*record.partition, *([record.by] if record.by else [])))
        group = numbers[key] * buckets + columns[record.timestamp]
        rows = order[np.searchsorted(ordered, group) : np.searchsorted(ordered, group, "right")]
        blamed = tuple(
            Influence(name, values)
            for name in detector.influencers
            if len(rows) and (values := _to_blame(record, grid, rows, name, detector))
        )
        found.append(replace(record, influencers=blamed))
    return found


def _to_blame(record: Record, grid: Grid, rows: Ints, name: str, detector: RunningDetector) -> tuple[str, ...]:
    column = grid.rows.keywords[name]
    codes = column.codes[rows]
    entities, counts = np.unique(codes, return_counts=True)
    texts = [str(column.categories[code]) for code in entities]
    if len(entities) == 1:
        return (texts[0],) if texts[0] else ()
    deviation = abs(record.actual - record.typical)
    if not deviation > 0:
        return ()
    metric: Metric = next(iter(detector.models)) if len(detector.models) == 1 else record.function  # type: ignore[assignment]
    shares = []
    for place in np.argsort(-counts, kind="stable")[:_ENTITIES_MAX].tolist():
        without = _without(metric, grid, rows[codes != entities[place]], detector)
        gone = 1.0 if np.isnan(without) else 1.0 - abs(without - record.typical) / deviation
        if texts[place] and gone >= INFLUENCE_MIN:
            shares.append((-gone, texts[place]))
    return tuple(text for _, text in sorted(shares))


def _without(metric: Metric, grid: Grid, rows: Ints, detector: RunningDetector) -> float:
    weights = None if grid.rows.weights is None else grid.rows.weights[rows]
    field = detector.config.field_name
    measured: npt.NDArray[np.float64] | pd.Categorical | None = None
    if field is not None:
        measured = grid.rows.keywords[field][rows] if metric == "distinct_count" else grid.rows.numbers[field][rows]
    return float(reduce(metric, np.zeros(len(rows), np.int64), 1, measured, weights)[0])
