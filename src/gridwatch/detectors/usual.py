"""Learning around rows that people called out of the ordinary: what would have been usual is learnt in their place."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.base import Floats, Times
from gridwatch.errors import DetectorError

if TYPE_CHECKING:
    from gridwatch.detectors.online import OnlineDetector, OnlineScores

__all__ = ["update_around", "usual"]

_DAY_MS = 86_400_000
_NEAR_ROWS = 5  # as far back as a detector looks for what to expect where days do not repeat


def update_around(
    detector: OnlineDetector, times_ms: Times, values: Floats, away: npt.NDArray[np.bool_]
) -> OnlineScores:
    """Score rows that follow those of the call before, and learn them; of rows that are `away`, what was usual before.

    So a fault that people confirmed does not become a part of what is normal: the next one is as surprising, and the
    rows after it are compared with ordinary ones. A row is scored before anything of it is learnt, as by `update`. Rows
    that are away at the very beginning of a call have nothing before them here, and are learnt as they are.

    Args:
        detector: What scores and learns.
        times_ms: int64 (n,), UTC epoch ms, strictly increasing.
        values: float64 (n,), finite.
        away: bool (n,), rows that were called true or expected.

    Raises:
        DetectorError: The shapes differ, or the detector refuses a row.
    """
    if not times_ms.shape == values.shape == away.shape:
        raise DetectorError(
            f"Times {times_ms.shape}, values {values.shape} and away {away.shape} must be three columns of one length."
        )
    learnt = values.copy()
    parts: list[Any] = []
    edges = [0, *(np.flatnonzero(np.diff(away)) + 1).tolist(), len(away)]
    for first, end in pairwise(edges):
        some = slice(first, end)
        if end > first and away[first] and first > 0:
            parts.append(detector.score(times_ms[some], values[some]))
            learnt[some] = usual(times_ms[:first], learnt[:first], end - first)
            detector.update(times_ms[some], learnt[some])
        elif end > first or not parts:
            parts.append(detector.update(times_ms[some], values[some]))
    return _joined(parts)


def usual(times_ms: Times, values: Floats, rows: int) -> Floats:
    """Return what might have come next if nothing had happened, with the noise that is usual.

    The day before, where days repeat, else the rows just before in the opposite order: a stretch without a jump at its
    beginning, as wild as those before it.

    Args:
        times_ms: int64 (n,), UTC epoch ms, n > 0.
        values: float64 (n,).
        rows: How many.

    Returns:
        float64 (rows,).

    >>> usual(np.arange(4) * 60_000, np.array([1.0, 2.0, 3.0, 4.0]), 6).tolist()
    [4.0, 3.0, 2.0, 1.0, 2.0, 3.0]
    """
    steps = np.diff(times_ms[-1000:])
    day = round(_DAY_MS / float(np.median(steps))) if len(steps) else 0
    if day >= 2 and len(values) >= 2 * day:
        newest = values[-day:]
        seasonal = float(np.median(np.abs(newest - values[-2 * day : -day])))
        recent = float(np.median(np.abs(newest - values[-day - _NEAR_ROWS : len(values) - _NEAR_ROWS])))
        if seasonal < recent:
            return np.resize(newest, rows)
    back = values[::-1][: max(rows, 2)]
    # To and fro, where there are fewer rows than are wanted.
    return np.resize(np.concatenate([back, back[-2:0:-1]]), rows)


def _joined(parts: list[OnlineScores]) -> OnlineScores:
    """Return the scores of consecutive rows as one."""
    arrays = [item.name for item in fields(parts[0]) if isinstance(getattr(parts[0], item.name), np.ndarray)]
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays}
    return replace(parts[0], **columns)
