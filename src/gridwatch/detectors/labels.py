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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridwatch.detectors.base import Floats, Times

if TYPE_CHECKING:
    from gridwatch.detectors.online import OnlineScores

__all__ = [
    "VERDICTS",
    "Adapted",
    "Kinds",
    "Label",
    "Labels",
    "Lesson",
    "Verdict",
    "adapt",
    "adapt_rows",
    "kind_of",
    "kinds_of",
    "level_of",
]

Kinds = npt.NDArray[np.object_]

Verdict = Literal["true", "false", "expected", "removed"]

VERDICTS: tuple[Verdict, ...] = ("true", "false", "expected")
"""What can be said; `removed` takes it back."""

_ODDS = (
    2.0 / 3.0
)  # that an alarm at the threshold is right: about what `auto` reached on labelled files (35 %); between
# a half and one, two false labels outweigh any surprise, and a single one only that of an alarm near the threshold.
_ALIKE = 0.5  # decades by which the surprise of the same thing differs: the error of a tail fitted to ten rows
_LOWER_MAX = 1.0  # decades that the bar may sink for what was missed: ten times as many alarms of that kind at most
_SIDED = frozenset({"value", "seasonal", "season", "zscore", "lstm"})  # judge the value, above or below what is usual
_FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody said of an anomaly or a range of time; times are UTC epoch ms.

    Attributes:
        id: Key of its row.
        series: The `<S>` of container names.
        partition: Part of the series, "" for all of it.
        anomaly_id: Anomaly that it was said of; None for a range alone.
        from_ms: First instant.
        to_ms: Last instant, included.
        verdict: true, false, expected, or removed.
        note: Free text.
        author: Who said it.
        labelled_ms: When.
    """

    id: str
    series: str
    partition: str
    anomaly_id: str | None
    from_ms: int
    to_ms: int
    verdict: Verdict
    note: str
    author: str
    labelled_ms: int

    @property
    def target(self) -> tuple[str, ...]:
        """What it was said of: a later label of the same target replaces it."""
        return (self.anomaly_id,) if self.anomaly_id else (self.partition, str(self.from_ms), str(self.to_ms))

    def covers(self, time_ms: int) -> bool:
        """Tell whether an instant is in its range."""
        return self.from_ms <= time_ms <= self.to_ms


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a label teaches about alarms.

    Attributes:
        kind: Of the most surprising row in its range; see `kind_of`.
        level: Surprise of this row, in decades.
        right: Whether something was wrong there.
        from_ms: When it was said, UTC epoch ms.
        until_ms: When it was replaced or taken back, UTC epoch ms.
    """

    kind: str
    level: float
    right: bool
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Labels:
    """What was said of one series.

    Attributes:
        labels: In the order in which they were said, those replaced and removed too.
        lessons: What they teach.
    """

    labels: tuple[Label, ...] = ()
    lessons: tuple[Lesson, ...] = ()

    @classmethod
    def of(cls, labels: Sequence[Label]) -> Self:
        """Sort labels; nothing is learnt from them yet."""
        return cls(tuple(sorted(labels, key=lambda one: (one.labelled_ms, one.id))))

    def in_force(self, times_ms: Times, at_ms: int | Times) -> npt.NDArray[np.int64]:
        """Return the label that holds for each row, as its place in `labels`, int64 (n,); -1 for none.

        Where labels overlap, that which was said last holds.

        Args:
            times_ms: int64 (n,), UTC epoch ms.
            at_ms: When one asks: for all rows, or int64 (n,) one each. Later labels are not known.
        """
        found = np.full(len(times_ms), -1, np.int64)
        targets: dict[tuple[str, ...], list[int]] = {}
        for place, label in enumerate(self.labels):
            said = label.labelled_ms <= np.asarray(at_ms)
            before = targets.setdefault(label.target, [])
            if before:
                found[said & np.isin(found, before)] = -1
            if label.verdict != "removed":
                found[said & (times_ms >= label.from_ms) & (times_ms <= label.to_ms)] = place
            before.append(place)
        return found

    def said(self, verdict: Verdict, times_ms: Times, at_ms: int | Times) -> npt.NDArray[np.bool_]:
        """Return bool (n,), of which rows this was said; see `in_force`."""
        places = [place for place, label in enumerate(self.labels) if label.verdict == verdict]
        return np.isin(self.in_force(times_ms, at_ms), places)

    def with_lessons(self, times_ms: Times, levels: Floats, kinds: Kinds) -> Labels:
        """Return them with what they teach.

        Args:
            times_ms: int64 (n,), UTC epoch ms, increasing: rows that have been scored.
            levels: Their surprise in decades, float64 (n,); NaN where there is none.
            kinds: Of each, object (n,).
        """
        lessons = []
        for place, label in enumerate(self.labels):
            if label.verdict not in {"true", "false"}:
                continue
            first, end = np.searchsorted(times_ms, [label.from_ms, label.to_ms + 1])
            if not np.isfinite(levels[first:end]).any():
                continue
            row = int(first + np.nanargmax(levels[first:end]))
            later = (
                other.labelled_ms
                for other in self.labels[place + 1 :]
                if other.target == label.target or (other.verdict != "removed" and other.covers(int(times_ms[row])))
            )
            lessons.append(
                Lesson(
                    kind=str(kinds[row]),
                    level=float(levels[row]),
                    right=label.verdict == "true",
                    from_ms=label.labelled_ms,
                    until_ms=min(later, default=_FOREVER),
                )
            )
        return replace(self, lessons=tuple(lessons))

    def learnt_from(self, scores: OnlineScores, times_ms: Times) -> Labels:
        """Return them with what they teach, from the scores of the rows that they speak of."""
        return self.with_lessons(times_ms, scores.surprise, _kinds(scores))


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


def level_of(score: Floats | float) -> Floats:
    """Return the surprise, in decades, of scores from 0 to 100: what `score_of` and the alarm stream are made of.

    >>> level_of(np.array([0.0, 95.0213, 96.98])).round(2).tolist()
    [0.0, 3.0, 3.5]
    """
    return np.asarray(-np.log1p(-np.minimum(score, 100.0 - 1e-12) / 100.0))


def kind_of(driver: str, actual: float, expected: float) -> str:
    """Return the kind of an alarm: the family of the member that drove it, and the side if it judges the value.

    >>> kind_of("deviation-48", 3.0, 2.0), kind_of("value", 3.0, 2.0), kind_of("value", 1.0, 2.0)
    ('deviation', 'value above', 'value below')
    """
    family = driver.partition("-")[0]
    return f"{family} {'above' if actual > expected else 'below'}" if family in _SIDED else family


def kinds_of(drivers: Sequence[str] | Kinds, actual: Floats, expected: Floats) -> Kinds:
    """Return the kind of each row, object (n,).

    Args:
        drivers: What drove each, n names.
        actual: float64 (n,).
        expected: float64 (n,).
    """
    codes, names = pd.factorize(np.asarray(drivers, dtype=object))
    sides = np.array([[kind_of(name, 0.0, 1.0), kind_of(name, 1.0, 0.0)] for name in names], dtype=object)
    return sides[codes, (actual > expected).astype(int)] if len(codes) else np.empty(0, dtype=object)


def adapt(
    scores: OnlineScores,
    times_ms: Times,
    labels: Labels,
    *,
    threshold: float,
    scored_ms: int | Times | None = None,
    hold_rows: int = 100,
    dead_rows: int = 25,
    alarm_level: float = 3.5,
) -> Adapted:
    """Return what becomes of alarms after what people said; without labels, the detector's own.

    A row that is called expected, or whose kind was wrong too often, does not hold back those after it.

    Args:
        scores: Of rows in order. Of the first `hold_rows` none can become an alarm that the detector had held back.
        times_ms: int64 (n,), UTC epoch ms.
        labels: With what they teach.
        threshold: At or above which `anomaly_score` raises an alarm, 0 to 100.
        scored_ms: When the rows are scored, UTC epoch ms, for all or one each, int64 (n,); what is said later does not
            count. None: each at its own time.
        hold_rows: As in the detector's `AutoConfig`.
        dead_rows: The same.
        alarm_level: The same.
    """
    return adapt_rows(
        labels,
        times_ms,
        scores.surprise,
        scores.anomaly_score,
        _kinds(scores) if labels.lessons else np.full(len(times_ms), "", dtype=object),
        threshold=threshold,
        scored_ms=scored_ms,
        hold_rows=hold_rows,
        dead_rows=dead_rows,
        alarm_level=alarm_level,
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
    hold_rows: int = 100,
    dead_rows: int = 25,
    alarm_level: float = 3.5,
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
        hold_rows: Rows that an alarm must exceed.
        dead_rows: Rows after an alarm without another.
        alarm_level: Surprise that begins such a time.
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
        trigger = np.where(moved, changed >= bar, changed >= alarm_level)
        alarm = -100.0 * np.expm1(-_held(changed, trigger, own, hold_rows, dead_rows))
    return Adapted(alarm, alarm >= threshold, levels - changed, right, wrong, expected)


def _counted(
    lessons: Sequence[Lesson], kinds: Kinds, levels: Floats, at_ms: int | Times, least: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return how many alarms like each row were right, and how many wrong, as was known when it was scored."""
    right, wrong = np.zeros(len(levels), np.int64), np.zeros(len(levels), np.int64)
    if lessons:
        codes, known = pd.factorize(kinds)
        rows_of = {str(kind): codes == code for code, kind in enumerate(known)}
        for lesson in lessons:
            like = rows_of.get(lesson.kind)
            if like is None:
                continue
            like = like & (lesson.from_ms <= np.asarray(at_ms)) & (np.asarray(at_ms) < lesson.until_ms)
            if lesson.right:
                right += like & (levels >= max(lesson.level, least))
            else:
                wrong += like & (levels <= lesson.level + _ALIKE)
    return right, wrong


def _moved(levels: Floats, right: npt.NDArray[np.int64], wrong: npt.NDArray[np.int64], bar: float) -> Floats:
    """Return the surprise, in decades, that has the odds which each row has after what was said."""
    odds = _ODDS * 10.0 ** (levels - bar)
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


def _kinds(scores: OnlineScores) -> Kinds:
    return kinds_of(scores.driver_names(), scores.actual, scores.expected)
