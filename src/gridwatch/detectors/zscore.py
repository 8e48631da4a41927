"""A baseline to compare detectors with: how many standard deviations a row is from the mean of the rows before it."""

from __future__ import annotations

import math

import numpy as np

from gridwatch.detectors.base import Floats

__all__ = ["deviations", "gaussian_p"]

_BLOCK_ROWS = 4096  # bounds the memory that windows take
_P_MIN = 1e-300


def deviations(values: Floats, rows: int = 1000) -> Floats:
    """Return for each row its distance from the mean of up to `rows` rows before it, in their standard deviations.

    Args:
        values: float64 (n,), finite.
        rows: Rows before a row that it is judged by, at least 2.

    Returns:
        float64 (n,), zero or above; 0 where fewer than two rows come before, or where those have no spread.

    >>> deviations(np.array([1.0, 3.0, 5.0, 3.0])).tolist()
    [0.0, 0.0, 3.0, 0.0]
    """
    mean, std = values.copy(), np.zeros(len(values))
    for row in range(2, min(rows, len(values))):
        mean[row], std[row] = values[:row].mean(), values[:row].std()
    for begin in range(rows, len(values), _BLOCK_ROWS):
        end = min(begin + _BLOCK_ROWS, len(values))
        windows = np.lib.stride_tricks.sliding_window_view(values[begin - rows : end - 1], rows)
        mean[begin:end], std[begin:end] = windows.mean(axis=1), windows.std(axis=1)
    return np.abs(np.divide(values - mean, std, out=np.zeros(len(values)), where=std > 0.0))


def gaussian_p(away: Floats) -> Floats:
    """Return the two-sided p-values of standard deviations from the mean of a normal distribution, float64 (n,).

    >>> gaussian_p(np.array([0.0, 1.96, 99.0])).round(3).tolist()
    [1.0, 0.05, 0.0]
    """
    tails = (math.erfc(one) for one in away / math.sqrt(2.0))
    return np.maximum(np.fromiter(tails, np.float64, len(away)), _P_MIN)
