"""Answers put together: one row for each innermost bucket, with what the buckets around it have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gridwatch.jobs.aggregations.answers import Answer, added, keys_of
from gridwatch.jobs.aggregations.plan import DOC_COUNT, Level, Measure, Plan
from gridwatch.jobs.aggregations.scans import Op, Scan, ValueScan

__all__ = ["merged"]

_METRIC = "metric."
"""Beginning of the columns of metrics, which are called as people like."""


def merged(plan: Plan, answers: Sequence[Answer]) -> pd.DataFrame:
    """Return the rows that come out: one for each innermost bucket, in time order.

    Args:
        plan: How the rows are aggregated.
        answers: To all that the plan asks.

    Returns:
        The time field int64 ms, metrics float64 (NaN for none), `doc_count` int64, keys as the store has them.
    """
    found: pd.DataFrame | None = None
    for level in reversed(plan.levels):
        part = _level(level, answers)
        if level is not plan.levels[0]:
            # The time of a row is that of the histogram's bucket.
            del part["t"]
        found = part if found is None else _beside(found, part.drop(columns="n"), keys_of(level.keys))
    assert found is not None  # noqa: S101
    return _rows(plan, found)


def _beside(found: pd.DataFrame, part: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the buckets of a level with what the level around it has: each of them is in one of its buckets."""
    if not keys and len(part):
        # Most often; in a tenth of the time of a merge.
        order = part["b"].argsort().to_numpy()
        there = part["b"].to_numpy()[order]
        places = np.minimum(np.searchsorted(there, found["b"].to_numpy()), len(there) - 1)
        if np.array_equal(there[places], found["b"].to_numpy()):
            return found.assign(**{str(name): part[name].to_numpy()[order[places]] for name in part if name != "b"})
    return found.merge(part, on=["b", *keys], how="left")


def _level(level: Level, answers: Sequence[Answer]) -> pd.DataFrame:
    """Return the buckets of one level: `b`, keys, `n`, `t`, and the metrics."""
    keys = ["b", *keys_of(level.keys)]
    for answer in answers:
        if isinstance(answer.scan, Scan) and answer.scan.filters == level.filters:
            out = _of_scan(level, answer, answer.scan, keys)
    for answer in answers:
        if isinstance(answer.scan, ValueScan) and answer.scan.level is level:
            out = _with_values(out, keys, answer.scan.measure, _there(answer.frame, keys))
    return out


def _there(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the rows that have a value of each key: the others are in no bucket of it."""
    there = np.ones(len(frame), bool)
    for name in keys[1:]:
        there &= frame[name].notna().to_numpy()
    return frame if there.all() else frame[there]


def _of_scan(level: Level, answer: Answer, scan: Scan, keys: list[str]) -> pd.DataFrame:
    own = {f"p{place}": one for place, one in enumerate(scan.partials) if one.measure in level.measures}
    frame = _there(answer.frame, keys)
    if not answer.whole or len(scan.keys) != len(level.keys):
        frame = added(frame, keys, {"n": "count", "t": "max", **{name: one.op for name, one in own.items()}})
    columns: dict[str, Any] = {name: frame[name] for name in (*keys, "n", "t")}
    for measure in level.measures:
        parts = {one.op: frame[name].to_numpy(np.float64) for name, one in own.items() if one.measure is measure}
        if parts:
            columns[_METRIC + measure.metric.name] = _metric(measure.metric.kind, parts)
    return pd.DataFrame(columns)


def _metric(kind: str, parts: Mapping[Op, Any]) -> Any:
    if "sum" not in parts:
        (found,) = parts.values()
    else:
        # Without a value there is no sum, where Elasticsearch says 0: a job can tell it from a sum that is 0.
        many = np.where(parts["count"] > 0.0, parts["count"], np.nan)
        found = parts["sum"] / many if kind == "avg" else np.where(np.isnan(many), np.nan, parts["sum"])
    return np.where(np.isfinite(found), found, np.nan)


def _with_values(out: pd.DataFrame, keys: list[str], measure: Measure, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the buckets with the cardinality or percentile of their values."""
    name, metric = _METRIC + measure.metric.name, measure.metric
    if "d" in frame:
        found = frame.set_index(keys)["d"]
    else:
        same = added(frame, [*keys, "v"], {"n": "count"})
        found = _cardinality(same, keys) if metric.kind == "cardinality" else _percentile(same, keys, metric.percent)
    joined = out.merge(found.rename(name).reset_index(), on=keys, how="left")
    if metric.kind == "cardinality":
        joined[name] = joined[name].fillna(0).astype(np.float64)
    return joined


def _cardinality(same: pd.DataFrame, keys: list[str]) -> pd.Series[Any]:
    return same.groupby(keys, sort=False)["v"].size()


def _percentile(same: pd.DataFrame, keys: list[str], percent: float) -> pd.Series[Any]:
    """Return a percentile of each bucket, along n - 1 steps from the least to the greatest, straight between values.

    Args:
        same: Values `v`, each of a bucket once, and how many rows `n` have it.
        keys: What makes a bucket.
        percent: 0 to 100.
    """
    same = same.assign(v=same["v"].astype(np.float64)).sort_values("v", kind="stable")
    groups = same.groupby(keys, sort=False)
    order = np.argsort(groups.ngroup().to_numpy(), kind="stable")
    total = groups["n"].sum()
    many = total.to_numpy(np.int64)
    before = np.cumsum(many) - many
    rank = (many - 1) * (percent / 100.0)
    low = np.floor(rank).astype(np.int64)
    value, ends = same["v"].to_numpy()[order], np.cumsum(same["n"].to_numpy(np.int64)[order])
    lower = value[np.searchsorted(ends, before + low, side="right")]
    upper = value[np.searchsorted(ends, before + np.minimum(low + 1, many - 1), side="right")]
    return pd.Series(lower + (upper - lower) * (rank - low), index=total.index)


def _rows(plan: Plan, found: pd.DataFrame) -> pd.DataFrame:
    keys = {key.name: f"k{place}" for place, key in enumerate(plan.levels[-1].keys)}
    columns: dict[str, Any] = {plan.time.name: found["t"].to_numpy(np.int64)}
    for name in plan.columns:
        if name == DOC_COUNT:
            columns[name] = found["n"].to_numpy(np.int64)
        else:
            columns[name] = found[keys.get(name, _METRIC + name)]
    return pd.DataFrame(columns).sort_values(plan.time.name, kind="stable", ignore_index=True)
