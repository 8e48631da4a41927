"""What people say of alarms and ranges of time, from when on it counts, and what it teaches; see `adaptation`."""

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

__all__ = ["VERDICTS", "Kinds", "Label", "Labels", "Lesson", "Verdict", "kind_of", "kinds_of", "level_of"]

Kinds = npt.NDArray[np.object_]

Verdict = Literal["true", "false", "expected", "removed"]

VERDICTS: tuple[Verdict, ...] = ("true", "false", "expected")
"""What can be said; `removed` takes it back."""

_CONCERNS = {
    **dict.fromkeys(("value", "seasonal", "season", "mean", "ewma", "forecast", "trend"), "value"),
    **dict.fromkeys(("spectral", "zscore", "lstm"), "value"),
    **dict.fromkeys(("deviation", "change"), "spread"),
    **dict.fromkeys(("shape", "nearest", "aligned"), "shape"),
    "silence": "flat",
}
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

        Where labels overlap, that which was said last holds, and again what was said before it once it is taken back.

        Args:
            times_ms: int64 (n,), UTC epoch ms, increasing.
            at_ms: When one asks: for all rows, or int64 (n,) one each. Only what was said before is known.
        """
        found = np.full(len(times_ms), -1, np.int64)
        asked = np.broadcast_to(np.asarray(at_ms, np.int64), times_ms.shape)
        spans = [slice(*np.searchsorted(times_ms, (label.from_ms, label.to_ms + 1))) for label in self.labels]
        live: dict[tuple[str, ...], int] = {}
        for place, label in enumerate(self.labels):
            earlier = live.pop(label.target, None)
            if earlier is not None:
                gone = np.zeros(len(found), bool)
                gone[spans[earlier]] = (found[spans[earlier]] == earlier) & (asked[spans[earlier]] > label.labelled_ms)
                found[gone] = -1
                # What had been said there before it holds again.
                for under in live.values() if gone.any() else ():
                    found[spans[under]][gone[spans[under]]] = under
            if label.verdict != "removed":
                found[spans[place]][asked[spans[place]] > label.labelled_ms] = place
                live[label.target] = place
        return found

    def said(self, verdict: Verdict, times_ms: Times, at_ms: int | Times) -> npt.NDArray[np.bool_]:
        """Return bool (n,), of which rows this was said; see `in_force`."""
        places = [place for place, label in enumerate(self.labels) if label.verdict == verdict]
        return np.isin(self.in_force(times_ms, at_ms), places)

    def away(self, times_ms: Times, at_ms: int | Times) -> npt.NDArray[np.bool_]:
        """Return bool (n,), which rows are out of the ordinary, called true or expected: not to be learnt as usual."""
        places = [place for place, label in enumerate(self.labels) if label.verdict in {"true", "expected"}]
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
            kind, level, right = str(kinds[row]), float(levels[row]), label.verdict == "true"
            lessons += [Lesson(kind, level, right, *span) for span in self._spans(place, int(times_ms[row]))]
        return replace(self, lessons=tuple(lessons))

    def _spans(self, place: int, time_ms: int) -> list[tuple[int, int]]:
        """Return from when until when a label was what held at an instant, UTC epoch ms."""
        targets = {label.target for label in self.labels if label.covers(time_ms)}
        near = [number for number, label in enumerate(self.labels) if label.target in targets]
        words = Labels(tuple(self.labels[number] for number in near))
        moments = np.array([label.labelled_ms for label in words.labels], np.int64)
        holds = words.in_force(np.full(len(moments), time_ms, np.int64), moments + 1) == near.index(place)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(int)))
        ends = [*moments.tolist(), _FOREVER]
        return [(ends[first], ends[end]) for first, end in zip(edges[::2], edges[1::2], strict=True)]

    def learnt_from(self, scores: OnlineScores, times_ms: Times) -> Labels:
        """Return them with what they teach, from the scores of the rows that they speak of."""
        return self.with_lessons(
            times_ms, scores.surprise, kinds_of(scores.driver_names(), scores.actual, scores.expected)
        )


def level_of(score: Floats | float) -> Floats:
    """Return the surprise, in decades, of scores from 0 to 100: what `score_of` and the alarm stream are made of.

    >>> level_of(np.array([0.0, 95.0213, 96.98])).round(2).tolist()
    [0.0, 3.0, 3.5]
    """
    return np.asarray(-np.log1p(-np.minimum(score, 100.0 - 1e-12) / 100.0))


def kind_of(driver: str, actual: float, expected: float) -> str:
    """Return the kind of an alarm: what the member that drove it looks at, and for the value itself the side.

    Which member comes first at the same happening changes from time to time; what it looks at changes less.

    >>> kind_of("deviation-48", 3.0, 2.0), kind_of("seasonal", 3.0, 2.0), kind_of("value", 1.0, 2.0)
    ('spread', 'value above', 'value below')
    """
    family = driver.partition("-")[0]
    concern = _CONCERNS.get(family, family)
    return f"value {'above' if actual > expected else 'below'}" if concern == "value" else concern


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
