"""Probabilities to scores from 0 to 100, and many of them to one."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["LEAST_P", "RECORD_P", "score_of", "together"]

Floats: TypeAlias = npt.NDArray[np.float64]

RECORD_P = 0.01
"""Nothing is said of what comes about in more than one bucket of a hundred; Elasticsearch has 0.035."""

LEAST_P = 1e-300
"""No probability is smaller."""

_KNOTS = np.array([0.01, 1e-3, 3e-4, 1e-4, 1e-6])
_SCORES = np.array([0.0, 25.0, 50.0, 75.0, 100.0])


def score_of(probability: Floats) -> Floats:
    """Return 0 to 100, linear in -log10 p between 0.01 (0), 1e-3 (25), 3e-4 (50), 1e-4 (75) and 1e-6 (100).

    25, 50 and 75 are where Elasticsearch's users read minor, major and critical. The probabilities are calibrated, so
    the knots say how often: 25 comes about once in a thousand buckets of an ordinary series.

    >>> score_of(np.array([0.5, 1e-3, 1e-4])).tolist()
    [0.0, 25.0, 75.0]
    """
    return np.asarray(np.interp(-np.log10(np.maximum(probability, LEAST_P)), -np.log10(_KNOTS), _SCORES))


def together(least: Floats, many: Floats) -> Floats:
    """Return the probability that the least of some independent probabilities is as small: 1 - (1 - p)^n (Šidák 1967).

    Args:
        least: float64 (n,), the least of each set.
        many: float64 (n,), how many there are in each; of none, the probability is 1.

    >>> together(np.array([0.01, 1.0]), np.array([1.0, 0.0])).round(4).tolist()
    [0.01, 1.0]
    """
    found = np.clip(-np.expm1(many * np.log1p(-np.minimum(least, 1.0 - 1e-16))), LEAST_P, 1.0)
    return np.where(many > 0, found, 1.0)
