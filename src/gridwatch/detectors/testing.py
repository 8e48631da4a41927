"""A made-up series and a small network, for tests, examples and benchmarks of detectors."""

from __future__ import annotations

import numpy as np

from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.training import LstmConfig

__all__ = ["SMALL", "random_walk"]

SMALL = LstmConfig(window=8, units=(6,), epochs=3, patience=2, batch_size=64, seed=3)
"""A network that trains in a second."""


def random_walk(rows: int, seed: int = 1, *, every_ms: int = 60_000) -> tuple[Times, Floats]:
    """Return a random walk of prices above zero: times int64 (rows,) and values float64 (rows,).

    >>> times, values = random_walk(3)
    >>> times.tolist(), bool((values > 99).all())
    ([1700000000000, 1700000060000, 1700000120000], True)
    """
    steps = np.random.default_rng(seed).standard_t(5, rows) * 0.001
    return np.arange(rows, dtype=np.int64) * every_ms + 1_700_000_000_000, 100.0 * np.exp(np.cumsum(steps))
