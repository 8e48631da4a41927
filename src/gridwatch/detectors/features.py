"""What is learnt of a value: its logarithmic return (prices) or its level; and the way back to its own units."""

from __future__ import annotations

from typing import Literal

import numpy as np

from gridwatch.detectors.base import Floats, Times
from gridwatch.errors import DetectorError

__all__ = ["FeatureName", "clip_of", "feature", "rows_lost", "value_of"]

FeatureName = Literal["log_return", "level"]

# A price moves by at most exp(300) in one row: past that a float64 price would overflow.
_RETURN_MAX = 300.0


def rows_lost(name: FeatureName) -> int:
    """Return how many rows at the beginning have no feature: a return needs the row before."""
    return 1 if name == "log_return" else 0


def clip_of(name: FeatureName) -> float:
    """Return the most standard deviations that one row shows to the model.

    Returns have heavy tails, and one split would shape the model and, for a whole window, its expectations. A level
    may leave the learnt range for good, so it is shown as it is.
    """
    return 6.0 if name == "log_return" else float("inf")


def feature(name: FeatureName, times_ms: Times, values: Floats) -> Floats:
    """Return the feature of each row after the first `rows_lost(name)`.

    Args:
        name: `log_return`, the logarithm of a value over the one before; or `level`, the value.
        times_ms: int64 (n,), UTC epoch ms, for messages.
        values: float64 (n,), finite.

    Returns:
        float64 (n - rows_lost,).

    Raises:
        DetectorError: A value is zero or negative and has no logarithm; names the rows.

    >>> feature("log_return", np.arange(3), np.array([1.0, 2.0, 1.0])).round(4).tolist()
    [0.6931, -0.6931]
    """
    if name == "level":
        return values.copy()
    wrong = np.flatnonzero(values <= 0)
    if len(wrong):
        shown = ", ".join(f"{np.datetime64(int(times_ms[row]), 'ms')}Z ({values[row]:g})" for row in wrong[:5])
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise DetectorError(
            f"A log return needs values above zero; {len(wrong)} are not: {shown}{more}. "
            'Correct these rows, or set "feature": "level" in the dataset file.',
            rows=wrong.tolist(),
        )
    return np.diff(np.log(values))


def value_of(name: FeatureName, features: Floats, previous: Floats) -> Floats:
    """Return values in their own units from features and the values of the rows before.

    Args:
        name: Which feature.
        features: float64 (n,).
        previous: float64 (n,), the value of the row before each; not used for `level`.

    >>> value_of("log_return", np.log([2.0]), np.array([5.0])).tolist()
    [10.0]
    """
    if name == "level":
        return features
    return previous * np.exp(np.clip(features, -_RETURN_MAX, _RETURN_MAX))
