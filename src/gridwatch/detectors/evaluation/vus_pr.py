"""VUS-PR: the area under the precision-recall curve, averaged over how much of a window's surroundings also counts.

After Paparrizos et al., "Volume Under the Surface: A New Accuracy Evaluation Measure for Time-Series Anomaly
Detection" (VLDB 2022), in the form that the TSB-AD benchmark (NeurIPS 2024) ranks detectors by.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gridwatch.detectors.base import Floats
from gridwatch.detectors.evaluation.nab import Window, check_windows
from gridwatch.errors import DetectorError

__all__ = ["BUFFER_ROWS", "vus_pr"]

BUFFER_ROWS = 100
"""Widest buffer around a window, in rows, both sides together."""

_THRESHOLDS = 250


def vus_pr(score: Floats, windows: Sequence[Window], *, buffer_rows: int = BUFFER_ROWS) -> float:
    """Return VUS-PR of a file, 0 to 1; the whole file counts, its probation too.

    For every buffer of 0 to `buffer_rows` rows the windows get soft shoulders of half of it on both sides, whose
    labels fall from 1 to about 0.7. At each of 250 thresholds, the scores at evenly spaced ranks, precision is the
    labelled share of what is flagged, and recall the flagged share of the labels times the share of windows touched.

    Args:
        score: float64 (n,), high is anomalous; NaN (not scored) counts as the lowest.
        windows: First and last row of each, both included, in order.
        buffer_rows: Widest buffer.

    Returns:
        The mean area; NaN for a file without windows.

    Raises:
        DetectorError: The windows are out of the file, out of order or overlap, or the buffer is negative.
    """
    check_windows(windows, len(score))
    if buffer_rows < 0:
        raise DetectorError(f"A buffer of {buffer_rows} rows is none; give 0 or more.")
    if not windows:
        return float("nan")
    score = np.where(np.isnan(score), -np.inf, score)
    falling = -np.sort(-score)
    thresholds = falling[np.linspace(0, len(score) - 1, _THRESHOLDS).astype(np.int64)]
    flagged = np.searchsorted(-falling, -thresholds, side="right").astype(np.float64)
    # The number of the first threshold that flags a row tells all about it.
    reached = np.searchsorted(-thresholds, -score, side="left")
    hard = np.zeros(len(score), dtype=bool)
    for first, last in windows:
        hard[first : last + 1] = True
    hits = np.cumsum(np.bincount(reached[hard], minlength=_THRESHOLDS)[:_THRESHOLDS])
    areas = []
    for width in range(buffer_rows + 1):
        label = np.where(hard, 0.0, _shoulders(len(score), windows, width))
        near = np.flatnonzero(label)
        soft = np.cumsum(np.bincount(reached[near], weights=label[near], minlength=_THRESHOLDS)[:_THRESHOLDS])
        # The labels' mass is taken half way between the windows alone and the windows with what was found near them.
        recall = np.minimum((hits + soft) / (hard.sum() + soft / 2.0), 1.0) * _touched(windows, reached, width // 2)
        areas.append(float(np.diff(recall, prepend=0.0) @ ((hits + soft) / flagged)))
    return float(np.mean(areas))


def _shoulders(rows: int, windows: Sequence[Window], width: int) -> Floats:
    """Return the soft labels beside windows, float64 (rows,); where shoulders overlap they add up, to 1 at most."""
    label = np.zeros(rows)
    falling = np.sqrt(1.0 - np.arange(1, width // 2 + 1) / max(width, 1))
    for first, last in windows:
        after = label[last + 1 : last + 1 + len(falling)]
        after += falling[: len(after)]
        before = label[max(first - len(falling), 0) : first][::-1]
        before += falling[: len(before)]
    return np.minimum(label, 1.0)


def _touched(windows: Sequence[Window], reached: np.ndarray[tuple[int], np.dtype[np.int64]], reach: int) -> Floats:
    """Return the share of the windows, those whose shoulders meet taken as one, that each threshold touches."""
    joined: list[list[int]] = []
    for first, last in windows:
        if joined and first - reach <= joined[-1][1]:
            joined[-1][1] = last + reach
        else:
            joined.append([max(first - reach, 0), last + reach])
    begun = np.array([reached[first : last + 1].min() for first, last in joined])
    return np.cumsum(np.bincount(begun, minlength=_THRESHOLDS)[:_THRESHOLDS]) / len(joined)
