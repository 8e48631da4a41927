"""Rows to one number a series and bucket, for all series and buckets at once."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridwatch.jobs.functions import Metric

__all__ = ["reduce"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]


def reduce(
    metric: Metric, groups: Ints, size: int, values: Floats | pd.Categorical | None, weights: Floats | None
) -> Floats:
    """Return a metric of each group.

    Args:
        metric: What to compute. Where rows are summaries, a count adds their counts, mean and varp weigh by them
            (varp knows nothing of the spread within a summary), a sum adds sums.
        groups: int64 (n,), the group of each row, from 0.
        size: How many groups there are.
        values: What is measured: float64 (n,), NaN where missing; Categorical (n,) for `distinct_count`, "" where
            missing; None for `count`.
        weights: float64 (n,), how many rows each row stands for, None for one.

    Returns:
        float64 (size,), NaN for a group without a value; counts are 0 there.
    """
    if metric == "count":
        return np.bincount(groups, weights, size).astype(np.float64)
    if isinstance(values, pd.Categorical):
        return _distinct(groups, size, values)
    numbers = np.zeros(0) if values is None else values
    there = np.isfinite(numbers)
    groups, numbers = groups[there], numbers[there]
    many = np.ones(len(numbers)) if weights is None else weights[there]
    if metric == "sum":
        return _or_nan(np.bincount(groups, numbers, size).astype(np.float64), groups, size)
    if metric in {"mean", "varp"}:
        return _moments(metric, groups, size, numbers, many)
    return _ordered(metric, groups, size, numbers)


def _or_nan(result: Floats, groups: Ints, size: int) -> Floats:
    return np.where(np.bincount(groups, minlength=size) > 0, result, np.nan)


def _moments(metric: Metric, groups: Ints, size: int, numbers: Floats, many: Floats) -> Floats:
    weight = np.bincount(groups, many, size)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(groups, numbers * many, size) / weight
        if metric == "mean":
            return mean
        # From the distances, not from the sum of squares: no cancellation where the mean is large.
        return np.bincount(groups, many * np.square(numbers - mean[groups]), size) / weight


def _ordered(metric: Metric, groups: Ints, size: int, numbers: Floats) -> Floats:
    result = np.full(size, np.nan)
    if not len(groups):
        return result
    order = np.lexsort((numbers, groups))
    groups, numbers = groups[order], numbers[order]
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    ends = np.r_[starts[1:], len(groups)] - 1
    if metric == "min":
        found = numbers[starts]
    elif metric == "max":
        found = numbers[ends]
    else:
        middle = starts + ends
        found = (numbers[middle // 2] + numbers[(middle + 1) // 2]) / 2.0
    result[groups[starts]] = found
    return result


def _distinct(groups: Ints, size: int, values: pd.Categorical) -> Floats:
    there = np.asarray(values != "")
    many = max(len(values.categories), 1)
    pairs = np.unique(groups[there] * many + values.codes[there])
    return np.bincount(pairs // many, minlength=size).astype(np.float64)
