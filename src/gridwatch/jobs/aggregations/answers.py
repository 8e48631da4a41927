"""What containers answer to scans, as frames of one shape, whoever has grouped the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from gridwatch.jobs.aggregations.scans import Asked, Op, ValueScan

if TYPE_CHECKING:
    from gridwatch.jobs.aggregations.plan import Plan
    from gridwatch.jobs.aggregations.scans import Scan
    from gridwatch.jobs.extraction.sources import Source
    from gridwatch.jobs.sql import Sql

__all__ = ["Answer", "added", "answer_of", "keys_of"]

Ask: TypeAlias = "Callable[[Sql], pa.Table]"


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
    scan: Scan | ValueScan, plan: Plan, sources: Sequence[Source], span: tuple[int, int], ask: Ask, *, now_ms: int
) -> tuple[Answer, int]:
    """Return the answer to a scan of what lies between two instants, and how many rows the store gave for it.

    Args:
        scan: What is asked.
        plan: What it belongs to.
        sources: The containers.
        span: First instant, and the first one after, UTC epoch ms.
        ask: Asks the store.
        now_ms: What `now` in filters means.
    """
    frames, rows = [], 0
    for source in sources:
        asked = scan.of(plan, source, now_ms=now_ms).within(*span)
        if not source.groups_time:
            table = ask(asked.rows())
            frames.append(_grouped(table, asked, isinstance(scan, ValueScan)))
        elif isinstance(scan, ValueScan) and scan.measure.metric.kind == "cardinality" and len(sources) == 1:
            asked = Asked(asked.source, asked.interval, asked.keys[:-1], asked.columns, asked.where)
            table = ask(asked.distinct())
            frames.append(_frame(table, ["b", *keys_of(asked.keys), "d"]))
        else:
            table = ask(asked.grouped())
            frames.append(_frame(table, _names(asked, isinstance(scan, ValueScan))))
        rows += table.num_rows
    return Answer(scan, frames), rows


def keys_of(keys: Sequence[object]) -> list[str]:
    """Return the columns of keys."""
    return [f"k{place}" for place in range(len(keys))]


def added(frame: pd.DataFrame, keys: list[str], how: dict[str, Op]) -> pd.DataFrame:
    """Return buckets made of smaller ones, or of those of several containers.

    Args:
        frame: What there is.
        keys: What makes a bucket; rows without one of them stay together.
        how: What becomes of the other columns; a count adds counts.
    """
    groups = frame.groupby(keys, sort=False, dropna=False)
    parts = []
    for kinds, kind in ((("max",), "max"), (("min",), "min"), (("sum", "count"), "sum")):
        names = [name for name, op in how.items() if op in kinds]
        if names:
            parts.append(groups[names].agg(kind))
    return pd.concat(parts, axis=1).reset_index()


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


def _grouped(table: pa.Table, asked: Asked, values: bool) -> pd.DataFrame:
    """Return the buckets of rows that the store has not grouped."""
    interval = asked.interval
    times = _column(table.column(0), "t")
    frame = pd.DataFrame({"b": (times + interval.every_ms - interval.offset_ms) // interval.every_ms})
    names = [*keys_of(asked.keys[:-1]), "v"] if values else keys_of(asked.keys)
    for place, name in enumerate(names):
        frame[name] = _column(table.column(1 + place), name)
    frame["n"] = np.ones(len(frame), np.int64)
    how: dict[str, Op] = {"n": "count"}
    if not values:
        frame["t"] = times
        how["t"] = "max"
        for place, (op, _) in enumerate(asked.columns):
            column = table.column(1 + len(names) + place)
            how[f"p{place}"] = op
            frame[f"p{place}"] = column.is_valid().to_numpy().astype(float) if op == "count" else _column(column, "p")
    return added(frame, ["b", *names], how)
