"""Answers of scans put together: one row for each innermost bucket, with what the buckets around it have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from gridwatch.jobs.aggregations.plan import DOC_COUNT, Level, Measure, Plan
from gridwatch.jobs.aggregations.scans import Op, Scan, ValueScan

__all__ = ["Scanned", "merged"]

_METRIC = "metric."
"""Beginning of the columns of metrics, which are called as people like."""


class Scanned:
    """The answers of all containers to one scan, or to one reading of values.

    Args:
        scan: What was asked.
        tables: The answers.

    Attributes:
        frame: `b` int64, the bucket; `k0` and on, the keys; `n` int64, rows. Of a scan `t` int64 ms, the latest time,
            and `p0` and on float64, the partials; of values `v`.
        whole: Whether each bucket of the deepest level is in one row.
    """

    def __init__(self, scan: Scan | ValueScan, tables: Sequence[pa.Table]) -> None:
        self.scan = scan
        if isinstance(scan, Scan):
            names = ["b", *_keys(scan.keys), "n", "t", *(f"p{place}" for place in range(len(scan.partials)))]
        else:
            names = ["b", *_keys(scan.level.keys), "v", "n"]
        frames = [_frame(table, names) for table in tables]
        self.frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        self.whole = len(frames) == 1


def merged(plan: Plan, scanned: Sequence[Scanned]) -> pd.DataFrame:
    """Return the rows that come out: one for each innermost bucket, in time order.

    Args:
        plan: How the rows are aggregated.
        scanned: The answers to all that the plan asks.

    Returns:
        The time field int64 ms, metrics float64 (NaN for none), `doc_count` int64, keys as the store has them.
    """
    found: pd.DataFrame | None = None
    for level in reversed(plan.levels):
        scan = next(one for one in scanned if isinstance(one.scan, Scan) and one.scan.filters == level.filters)
        part = _level(
            level, scan, [one for one in scanned if isinstance(one.scan, ValueScan) and one.scan.level is level]
        )
        if level is not plan.levels[0]:
            # The time of a row is that of the histogram's bucket.
            del part["t"]
        if found is not None:
            found = found.merge(part.drop(columns="n"), on=["b", *_keys(level.keys)], how="left")
        else:
            found = part
    assert found is not None  # noqa: S101
    return _rows(plan, found)


def _level(level: Level, scanned: Scanned, values: Sequence[Scanned]) -> pd.DataFrame:
    """Return the buckets of one level: `b`, keys, `n`, `t`, and the metrics."""
    scan, frame = scanned.scan, scanned.frame
    assert isinstance(scan, Scan)  # noqa: S101
    keys = ["b", *_keys(level.keys)]
    own = {f"p{place}": one for place, one in enumerate(scan.partials) if one.measure in level.measures}
    # Rows without a value of a key are in no bucket of it.
    frame = frame.dropna(subset=keys[1:]) if len(keys) > 1 else frame
    if not scanned.whole or len(scan.keys) != len(level.keys):
        frame = _added(frame, keys, {"n": "sum", "t": "max", **{name: one.op for name, one in own.items()}})
    out = frame[[*keys, "n", "t"]].copy()
    for measure in level.measures:
        parts = [frame[name] for name, one in own.items() if one.measure is measure]
        if parts:
            out[_METRIC + measure.metric.name] = (
                parts[0] / parts[1].where(parts[1] > 0) if len(parts) == 2 else parts[0]
            )
    for one in values:
        assert isinstance(one.scan, ValueScan)  # noqa: S101
        out = _with_values(out, keys, one.scan.measure, one.frame)
    return out


def _added(frame: pd.DataFrame, keys: list[str], how: dict[str, Op]) -> pd.DataFrame:
    """Return buckets made of smaller ones, or of those of several containers."""
    groups = frame.groupby(keys, sort=False, observed=True)
    parts = []
    for kind in ("max", "min", "sum", "count"):
        names = [name for name, op in how.items() if op == kind]
        if names and kind in {"max", "min"}:
            parts.append(groups[names].agg(kind))
        elif names:
            # A sum of nothing is nothing, not 0.
            parts.append(groups[names].sum(min_count=0 if kind == "count" else 1))
    return pd.concat(parts, axis=1).reset_index()


def _with_values(out: pd.DataFrame, keys: list[str], measure: Measure, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the buckets with the cardinality or percentile of their values."""
    name = _METRIC + measure.metric.name
    there = frame.dropna(subset=keys[1:]) if len(keys) > 1 else frame
    same = there.groupby([*keys, "v"], sort=True, observed=True)["n"].sum().reset_index()
    groups = same.groupby(keys, sort=False, observed=True)["n"]
    if measure.metric.kind == "cardinality":
        found = groups.size().astype(np.float64)
    else:
        found = _percentile(same, groups.sum(), measure.metric.percent / 100.0)
    joined = out.merge(found.rename(name).reset_index(), on=keys, how="left")
    if measure.metric.kind == "cardinality":
        joined[name] = joined[name].fillna(0.0)
    return joined


def _percentile(same: pd.DataFrame, groups: pd.Series[int], rate: float) -> pd.Series[float]:
    """Return a percentile of each group of values `v`, sorted, each there `n` times: straight between two values."""
    total = groups.to_numpy(np.int64)
    before = np.cumsum(total) - total
    rank = (total - 1) * rate
    low = np.floor(rank).astype(np.int64)
    ends = np.cumsum(same["n"].to_numpy(np.int64))
    value = same["v"].to_numpy(np.float64)
    lower = value[np.searchsorted(ends, before + low, side="right")]
    upper = value[np.searchsorted(ends, before + np.minimum(low + 1, total - 1), side="right")]
    return pd.Series(lower + (upper - lower) * (rank - low), index=groups.index)


def _rows(plan: Plan, found: pd.DataFrame) -> pd.DataFrame:
    keys = {key.name: f"k{place}" for place, key in enumerate(plan.levels[-1].keys)}
    columns: dict[str, Any] = {plan.time.name: found["t"].to_numpy(np.int64)}
    for name in plan.columns:
        if name == DOC_COUNT:
            columns[name] = found["n"].to_numpy(np.int64)
        else:
            columns[name] = found[keys.get(name, _METRIC + name)].to_numpy()
    return pd.DataFrame(columns).sort_values(plan.time.name, kind="stable", ignore_index=True)


def _keys(keys: Sequence[object]) -> list[str]:
    return [f"k{place}" for place in range(len(keys))]


def _frame(table: pa.Table, names: Sequence[str]) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for place, name in enumerate(names):
        column = table.column(place)
        if pa.types.is_timestamp(column.type):
            columns[name] = column.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64()).to_numpy()
        elif name.startswith("p"):
            columns[name] = column.cast(pa.float64(), safe=False).to_numpy()
        elif name.startswith(("k", "v")):
            columns[name] = column.to_pandas().astype(object)
        else:
            columns[name] = column.cast(pa.int64()).to_numpy()
    return pd.DataFrame(columns)
