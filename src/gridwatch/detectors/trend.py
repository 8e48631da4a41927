"""What goes on from the last rows: a value far from there is a step, such as a shift of the level."""

from __future__ import annotations

import numpy as np

from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.streams import RecentRows, Taken

__all__ = ["TrendStream"]

_ROWS = 5  # as the members' own expectation where days do not repeat: of two odd rows none counts


class TrendStream(RecentRows):
    """The value less the median of the five rows before.

    >>> TrendStream().take(np.arange(8), np.array([1.0, 2.0, 3.0, 4.0, 90.0, 6.0, 6.0, 9.0])).odd.tolist()
    [nan, nan, nan, nan, nan, 3.0, 2.0, 3.0]
    """

    name = "trend"
    two_sided = True
    ROWS_MAX = _ROWS
    KEPT = "trend"

    def take(self, times_ms: Times, values: Floats) -> Taken:
        """Return the differences of the next rows; see `Stream.take`."""
        joined = np.concatenate([self._history, values])
        centre = np.full(len(values), np.nan)
        if len(joined) > _ROWS:
            windows = np.lib.stride_tricks.sliding_window_view(joined[:-1], _ROWS)
            medians = np.median(windows, axis=1)[-len(values) :]
            centre[len(values) - len(medians) :] = medians
        self._history = joined[-_ROWS:]
        return Taken(values - centre, lambda miss: centre + miss)
