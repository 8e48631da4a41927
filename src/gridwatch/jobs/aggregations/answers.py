"""What containers answer to scans, as frames of one shape, whoever has grouped the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd
import pyarrow as pa

from gridwatch.jobs.aggregations.grouping import added, grouped_rows, keys_of
from gridwatch.jobs.aggregations.scans import Asked, ValueScan

if TYPE_CHECKING:
    from gridwatch.jobs.aggregations.plan import Plan
    from gridwatch.jobs.aggregations.scans import Scan
    from gridwatch.jobs.extraction.sources import Source

__all__ = ["Answer", "added", "answer_of", "keys_of"]

Ask: TypeAlias = "Callable[..., pa.Table]"


class Answer:
    """The answers of all containers to one scan.

    Attributes:
        scan: What was asked.
        frame: `b` int64, the bucket; `k0` and on, the keys, None for no value; `n` int64, rows. Of a `Scan`, `t`
            int64 ms, the latest time, and `p0` and on float64; of a `ValueScan`, `v`, or `d` int64, how many there are.
        whole: Whether each bucket of the deepest level is in one row.
    """

    def __init__(self, scan: Scan | ValueScan, frames: Sequence[pd.DataFrame]) -> None:
        self.scan = scan
        self.whole = len(frames) == 1
        self.frame = frames[0] if self.whole else pd.concat(frames, ignore_index=True)


def answer_of(
    scan: Scan | ValueScan,
    plan: Plan,
    sources: Sequence[Source],
    span: tuple[int, int],
    ask: Ask,
    *,
    now_ms: int,
    here: bool,
) -> tuple[Answer, int]:
    """Return the answer to a scan of what lies between two instants, and how many rows the store gave for it.

    Args:
        scan: What is asked.
        plan: What it belongs to.
        sources: The containers.
        span: First instant, and the first one after, UTC epoch ms.
        ask: Asks the store: SQL, and how many rows it may give at most.
        now_ms: What `now` in filters means.
        here: Whether rows are grouped here though the store could.
    """
    frames, rows = [], 0
    for source in sources:
        asked = scan.of(plan, source, now_ms=now_ms)
        if here or not source.groups_time:
            frame, read = grouped_rows(asked, span, ask, values=isinstance(scan, ValueScan))
            frames.append(frame)
            rows += read
            continue
        asked = asked.within(*span)
        if isinstance(scan, ValueScan) and scan.measure.metric.kind == "cardinality" and len(sources) == 1:
            asked = Asked(asked.source, asked.interval, asked.keys[:-1], asked.columns, asked.where)
            table = ask(asked.distinct())
            frames.append(_frame(table, ["b", *keys_of(asked.keys), "d"]))
        else:
            table = ask(asked.grouped())
            frames.append(_frame(table, _names(asked, isinstance(scan, ValueScan))))
        rows += table.num_rows
    return Answer(scan, frames), rows


def _names(asked: Asked, values: bool) -> list[str]:
    if values:
        return ["b", *keys_of(asked.keys[:-1]), "v", "n"]
    return ["b", *keys_of(asked.keys), "n", "t", *(f"p{place}" for place in range(len(asked.columns)))]


def _frame(table: pa.Table, names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({name: _column(table.column(place), name) for place, name in enumerate(names)})


def _column(column: pa.ChunkedArray, name: str) -> Any:
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64()).to_numpy()
    if name.startswith("p"):
        return column.cast(pa.float64(), safe=False).to_numpy()
    if name.startswith(("k", "v")):
        return column.to_pandas().astype(object)
    return column.cast(pa.int64()).to_numpy()
