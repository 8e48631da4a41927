"""Whole alarms at one threshold: how many are right, how many windows are found, and how late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from gridwatch.detectors.base import Floats
from gridwatch.detectors.evaluation.nab import Window, check_windows, probation_rows

__all__ = ["Events"]


@dataclass(frozen=True, slots=True)
class Events:
    """What came of one threshold, after probation; several files are added up with `+`.

    An alarm is a run of flagged rows without a gap. It is right when it shares a row with a window.

    Attributes:
        alarms: How many.
        right: How many of them are right.
        windows: Windows that could be found.
        found: Those with a flagged row.
        outside_rows: Rows outside windows.
        false_rows: Flagged rows outside windows.
        delays: Rows from the beginning of each found window, or the end of probation within it, to its first alarm.
    """

    alarms: int = 0
    right: int = 0
    windows: int = 0
    found: int = 0
    outside_rows: int = 0
    false_rows: int = 0
    delays: tuple[int, ...] = ()

    @classmethod
    def of(cls, score: Floats, windows: Sequence[Window], threshold: float) -> Self:
        """Count those of one file.

        Args:
            score: float64 (n,), the whole file's; a row is flagged at or above the threshold, NaN never.
            windows: First and last row of each, both included, in order.
            threshold: In the score's units.

        Raises:
            DetectorError: The windows are out of the file, out of order or overlap.
        """
        check_windows(windows, len(score))
        start = probation_rows(len(score))
        flagged = score >= threshold
        flagged[:start] = False
        inside = np.zeros(len(score), dtype=bool)
        judged = [(max(first, start), last) for first, last in windows if last >= start]
        for first, last in judged:
            inside[first : last + 1] = True
        edges = np.flatnonzero(np.diff(flagged.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
        hits = [np.flatnonzero(flagged[first : last + 1]) for first, last in judged]
        delays = tuple(int(hit[0]) for hit in hits if len(hit))
        return cls(
            alarms=len(edges),
            right=sum(bool(inside[begin:end].any()) for begin, end in edges),
            windows=len(judged),
            found=len(delays),
            outside_rows=int((~inside[start:]).sum()),
            false_rows=int((flagged & ~inside).sum()),
            delays=delays,
        )

    def __add__(self, other: Events) -> Events:
        return Events(
            self.alarms + other.alarms,
            self.right + other.right,
            self.windows + other.windows,
            self.found + other.found,
            self.outside_rows + other.outside_rows,
            self.false_rows + other.false_rows,
            self.delays + other.delays,
        )

    @property
    def precision(self) -> float:
        """Share of the alarms that are right; NaN without alarms."""
        return self.right / self.alarms if self.alarms else float("nan")

    @property
    def recall(self) -> float:
        """Share of the windows that are found; NaN without windows."""
        return self.found / self.windows if self.windows else float("nan")

    @property
    def false_rows_per_1000(self) -> float:
        """Flagged rows outside windows, of a thousand there; NaN without such rows."""
        return 1000.0 * self.false_rows / self.outside_rows if self.outside_rows else float("nan")

    @property
    def delay_rows_median(self) -> float:
        """Median of the delays, in rows; NaN when nothing was found."""
        return float(np.median(self.delays)) if self.delays else float("nan")
