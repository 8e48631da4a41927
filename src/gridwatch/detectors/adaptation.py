"""What people say of alarms, and how the surprise of later rows changes with it; nothing that is said counts earlier.

Before anybody says anything, an alarm at the threshold is held to be right two times in five, and the odds rise
tenfold with each decade of surprise, as a Bayes factor does with its p-value (T. Sellke, M. Bayarri, J. Berger,
"Calibration of p Values for Testing Precise Null Hypotheses", The American Statistician, 2001). This belief weighs as
much as one label; what people said of alarms like it is counted on top, as a Beta prior takes up counts (A. Gelman and
others, "Bayesian Data Analysis", chapter 2). Like it are those of its kind: false ones that were at least as
surprising, true ones that were no more so, so that the odds rise with surprise whatever was said. The row's surprise
moves by the decades that its odds moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.labels import Kinds, Labels, Lesson, kinds_of, level_of
from gridwatch.detectors.online.config import AutoConfig

if TYPE_CHECKING:
    from gridwatch.detectors.online import OnlineScores

__all__ = ["Adapted", "adapt", "adapt_rows"]

_ODDS = 2.0 / 3.0
"""That an alarm at the threshold is right: `auto` came near on labelled files (35 % of its alarms). Between a half and
one, two false labels outweigh any surprise, and a single one that of an alarm near the threshold alone."""

_ALIKE = 0.5  # decades by which the surprise of the same thing differs: the error of a tail fitted to ten rows
_LOWER_MAX = 1.0  # decades that the bar may sink for what was missed: ten times as many alarms of that kind at most


@dataclass(frozen=True, slots=True, eq=False)
class Adapted:
    """What becomes of n rows' alarms; float64 (n,) where nothing else is said.

    Attributes:
        anomaly_score: The alarm stream, 0 to 100; the detector's own where nothing was said.
        flags: bool (n,), which rows raise an alarm.
        handicap: Decades taken from the row's surprise; below zero: added.
        right: int64 (n,), how many alarms like it were called true, those no more surprising.
        wrong: int64 (n,), how many were called false, those at least as surprising.
        expected: bool (n,), rows in a range that was called expected; they raise none.
    """

    anomaly_score: Floats
    flags: npt.NDArray[np.bool_]
    handicap: Floats
    right: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.int64]
    expected: npt.NDArray[np.bool_]


def adapt(
    scores: OnlineScores,
    times_ms: Times,
    labels: Labels,
    *,
    threshold: float,
    scored_ms: int | Times | None = None,
    config: AutoConfig | None = None,
) -> Adapted:
    """Return what becomes of alarms after what people said; without labels, the detector's own.

    A row that is called expected, or whose kind was wrong too often, does not hold back those after it.

    Args:
        scores: Of rows in order. None of the first ones that are held can become an alarm that the detector had held
            back.
        times_ms: int64 (n,), UTC epoch ms.
        labels: With what they teach.
        threshold: At or above which `anomaly_score` raises an alarm, 0 to 100.
        scored_ms: When the rows are scored, UTC epoch ms, for all or one each, int64 (n,); only what was said
            before counts. None: each at its own time.
        config: The detector's; by default that of `auto`.
    """
    return adapt_rows(
        labels,
        times_ms,
        scores.surprise,
        scores.anomaly_score,
        kinds_of(scores.driver_names(), scores.actual, scores.expected)
        if labels.lessons
        else np.full(len(times_ms), "", dtype=object),
        threshold=threshold,
        scored_ms=scored_ms,
        config=config,
    )


def adapt_rows(
    labels: Labels,
    times_ms: Times,
    surprise: Floats,
    own: Floats,
    kinds: Kinds,
    *,
    threshold: float,
    scored_ms: int | Times | None = None,
    config: AutoConfig | None = None,
) -> Adapted:
    """Return the same as `adapt`, from columns.

    Args:
        labels: With what they teach.
        times_ms: int64 (n,), UTC epoch ms.
        surprise: Of each row in decades, float64 (n,), before anything is held back; NaN for none.
        own: The detector's alarm stream, float64 (n,), 0 to 100.
        kinds: Of each row, object (n,); see `kinds_of`.
        threshold: As `adapt` takes it, and what follows.
        scored_ms: When the rows are scored.
        config: How many rows are held before an alarm and after it, and from which surprise on.
    """
    at_ms = times_ms if scored_ms is None else scored_ms
    expected = labels.said("expected", times_ms, at_ms)
    levels, bar = np.nan_to_num(surprise), float(level_of(threshold))
    right, wrong = _counted(labels.lessons, kinds, levels, at_ms, bar - _LOWER_MAX)
    moved = right + wrong > 0
    changed = np.where(moved, _moved(levels, right, wrong, bar), levels)
    changed[expected] = 0.0
    alarm = np.nan_to_num(own)
    if moved.any() or expected.any():
        config = config or AutoConfig()
        step_ms = float(np.median(np.diff(times_ms))) if len(times_ms) > 1 else 0.0
        trigger = np.where(moved, changed >= bar, changed >= config.alarm_level)
        alarm = -100.0 * np.expm1(-_held(changed, trigger, own, *config.quiet_rows(config.day_rows(step_ms))))
    return Adapted(alarm, alarm >= threshold, levels - changed, right, wrong, expected)


def _counted(
    lessons: Sequence[Lesson], kinds: Kinds, levels: Floats, at_ms: int | Times, least: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return how many alarms like each row were right, and how many wrong, as was known when it was scored."""
    right, wrong = np.zeros(len(levels), np.int64), np.zeros(len(levels), np.int64)
    if not lessons:
        return right, wrong
    # Between two moments at which something was said or replaced, the same lessons hold.
    moments = np.unique([(lesson.from_ms, lesson.until_ms) for lesson in lessons])
    passed = np.searchsorted(moments, np.broadcast_to(np.asarray(at_ms, np.int64), levels.shape))
    codes, known = pd.factorize(kinds)
    for code, kind in enumerate(known):
        own = [lesson for lesson in lessons if lesson.kind == kind]
        rows = np.flatnonzero(codes == code) if own else np.empty(0, np.int64)
        rows = rows[np.argsort(passed[rows], kind="stable")]
        counts, starts = np.unique(passed[rows], return_index=True)
        for count, some in zip(counts.tolist(), np.split(rows, starts[1:]), strict=False):
            newest_ms = moments[count - 1] if count else -1
            held = [lesson for lesson in own if lesson.from_ms <= newest_ms < lesson.until_ms]
            rights = np.sort([max(lesson.level, least) for lesson in held if lesson.right])
            wrongs = np.sort([lesson.level + _ALIKE for lesson in held if not lesson.right])
            right[some] = np.searchsorted(rights, levels[some], side="right")
            wrong[some] = len(wrongs) - np.searchsorted(wrongs, levels[some], side="left")
    return right, wrong


def _moved(levels: Floats, right: npt.NDArray[np.int64], wrong: npt.NDArray[np.int64], bar: float) -> Floats:
    """Return the surprise, in decades, that has the odds which each row has after what was said."""
    # Beyond a hundred decades nothing changes but the size of the numbers.
    odds = _ODDS * 10.0 ** np.clip(levels - bar, -100.0, 100.0)
    share = odds / (1.0 + odds)
    # 1 - share by itself: it is what is left of the doubt about a row of great surprise.
    after = (share + right) / (1.0 / (1.0 + odds) + wrong)
    return np.maximum(bar + np.log10(after / _ODDS), 0.0)


def _held(levels: Floats, trigger: npt.NDArray[np.bool_], own: Floats, hold_rows: int, dead_rows: int) -> Floats:
    """Return the levels of rows that stand out from those before them and come not soon after an alarm, else 0.

    Args:
        levels: float64 (n,).
        trigger: bool (n,), which rows are alarms if they stand out.
        own: The detector's alarm stream, which knows what was before the first row.
        hold_rows: A row must exceed all of so many before it.
        dead_rows: Rows after an alarm without another.
    """
    padded = np.concatenate([np.zeros(hold_rows), levels])[: len(levels) + hold_rows - 1]
    before = np.lib.stride_tricks.sliding_window_view(padded, hold_rows).max(axis=1) if len(levels) else levels
    out = levels > before
    out[:hold_rows] &= own[:hold_rows] > 0.0
    last = -dead_rows - 1
    for row in np.flatnonzero(out).tolist():
        if row - last <= dead_rows:
            out[row] = False
        elif trigger[row]:
            last = row
    return np.where(out, levels, 0.0)
