"""Few rows that draw like many: of each piece of time the least and the greatest value, so that no spike vanishes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["picked"]


def picked(
    times_ms: npt.NDArray[np.int64], values: npt.NDArray[np.float64], from_ms: int, to_ms: int, pieces: int
) -> npt.NDArray[np.int64]:
    """Return which rows to draw: of each piece the first least and the first greatest value, and the outermost rows.

    This is min/max aggregation as in Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation" (VLDB
    2014), which M4 calls MinMax; every row that is drawn is one of the series.

    Args:
        times_ms: int64 (n,), UTC epoch ms, strictly increasing, all from `from_ms` to `to_ms`.
        values: float64 (n,); rows with NaN are left out.
        from_ms: Begin of the range, which is cut into pieces of equal length.
        to_ms: Its end, included.
        pieces: From 1 to 10,000: about the pixels that there are to draw on.

    Returns:
        int64 (m,), places of rows in order, at most `2 * pieces + 2`; all rows with a value where they are no more.

    >>> picked(np.arange(6), np.array([0.0, 9, 1, 2, -7, 3]), 0, 5, 1).tolist()
    [0, 1, 4, 5]
    """
    if pieces < 1:
        raise ValueError(f"pieces must be at least 1, got {pieces}.")
    known = np.isfinite(values)
    places = np.arange(len(values)) if known.all() else np.flatnonzero(known)
    if len(places) <= 2 * pieces + 2:
        return places
    times, finite = times_ms[places], values[places]
    # Where each piece begins among the rows; pieces without rows fall away.
    edges = from_ms - (-np.arange(pieces, dtype=np.int64) * (to_ms - from_ms + 1)) // pieces
    starts = np.unique(np.searchsorted(times, edges))
    starts = starts[starts < len(times)]
    chosen = [_first(finite, starts, np.minimum), _first(finite, starts, np.maximum), np.array([0, len(times) - 1])]
    rows: npt.NDArray[np.int64] = places[np.unique(np.concatenate(chosen))]
    return rows


def _first(values: npt.NDArray[np.float64], starts: npt.NDArray[np.int64], least: np.ufunc) -> npt.NDArray[np.int64]:
    """Return the place of the first least (or greatest) value of each piece."""
    best = least.reduceat(values, starts)
    lengths = np.diff(np.append(starts, len(values)))
    hits: npt.NDArray[np.int64] = np.flatnonzero(values == np.repeat(best, lengths))
    pieces = np.searchsorted(starts, hits, side="right") - 1
    return hits[np.flatnonzero(np.diff(pieces, prepend=-1))]
