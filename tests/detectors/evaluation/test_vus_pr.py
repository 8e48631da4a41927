"""VUS-PR: cases by hand, a count row by row, and its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwatch.detectors.base import Floats
from gridwatch.detectors.evaluation import vus_pr
from gridwatch.errors import DetectorError


def counted(score: Floats, windows: list[tuple[int, int]], buffer_rows: int) -> float:
    """The same, one buffer, threshold and row after the other."""
    rows, areas = len(score), []
    thresholds = [sorted(score, reverse=True)[int(rank)] for rank in np.linspace(0, rows - 1, 250)]
    for width in range(buffer_rows + 1):
        reach, segments = width // 2, list[tuple[int, int]]()
        for first, last in windows:
            if segments and segments[-1][1] + reach >= first - reach:
                segments[-1] = (segments[-1][0], last)
            else:
                segments.append((first, last))
        label = [0.0] * rows
        for row in range(rows):
            away = [max(first - row, row - last, 0) for first, last in windows]
            label[row] = min(sum(math.sqrt(1 - rows / width) if rows else 1.0 for rows in away if rows <= reach), 1.0)
        area, before = 0.0, 0.0
        for threshold in thresholds:
            flagged = [row for row in range(rows) if score[row] >= threshold]
            mass = sum(label[row] for row in flagged)
            hard = sum(last - first + 1 for first, last in windows)
            soft = sum(label[row] for row in flagged if not any(a <= row <= b for a, b in windows))
            touched = sum(any(a - reach <= row <= b + reach for row in flagged) for a, b in segments) / len(segments)
            recall = min(mass / (hard + soft / 2), 1.0) * touched
            area += (recall - before) * mass / len(flagged)
            before = recall
        areas.append(area)
    return sum(areas) / len(areas)


def test_perfect_and_flat_scores() -> None:
    score = np.zeros(400)
    score[100:140] = 1.0
    assert vus_pr(score, [(100, 139)], buffer_rows=0) == pytest.approx(1.0)
    # Everything is flagged at once: the share of the window's rows.
    assert vus_pr(np.zeros(400), [(100, 139)], buffer_rows=0) == pytest.approx(0.1)
    # What is flagged last counts only when everything is.
    assert vus_pr(-score - np.arange(400) / 1000, [(100, 139)], buffer_rows=0) < 0.09


def test_an_alarm_just_before_a_window_earns_with_a_buffer_only() -> None:
    early, far = np.zeros(400), np.zeros(400)
    early[95:100], far[20:25] = 1.0, 1.0
    window = [(100, 139)]
    assert vus_pr(early, window, buffer_rows=0) == vus_pr(far, window, buffer_rows=0)
    assert vus_pr(early, window, buffer_rows=20) > 1.2 * vus_pr(far, window, buffer_rows=20)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12), st.booleans())
def test_it_agrees_with_counting(seed: int, buffer_rows: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    edges = np.sort(random.choice(60, 2 * int(random.integers(1, 4)), replace=False)).tolist()
    windows = list(zip(edges[0::2], edges[1::2], strict=True))
    score = random.normal(size=60)
    score = np.round(score) if ties else score
    assert vus_pr(score, windows, buffer_rows=buffer_rows) == pytest.approx(counted(score, windows, buffer_rows))


def test_only_the_order_of_scores_counts() -> None:
    score = np.random.default_rng(3).normal(size=500)
    assert vus_pr(score, [(50, 80)]) == pytest.approx(vus_pr(np.exp(score), [(50, 80)]))
    unscored = score.copy()
    unscored[:30] = np.nan
    lowest = np.where(np.isnan(unscored), -1e9, unscored)
    assert vus_pr(unscored, [(50, 80)]) == vus_pr(lowest, [(50, 80)])


def test_limits() -> None:
    assert math.isnan(vus_pr(np.zeros(10), []))
    with pytest.raises(DetectorError, match=r"Window \(5, 10\) is no pair"):
        vus_pr(np.zeros(10), [(5, 10)])
    with pytest.raises(DetectorError, match="A buffer of -1 rows"):
        vus_pr(np.zeros(10), [(5, 6)], buffer_rows=-1)
