"""NAB's score: an early alarm inside a labelled window earns, a row flagged outside costs, a missed window costs.

One threshold serves all files. The rules are those of version 1.1 of the Numenta Anomaly Benchmark, described in
Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark" (ICMLA 2015).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.base import Floats
from gridwatch.errors import DetectorError

__all__ = ["PROFILES", "Marked", "Profile", "Sweep", "Window", "check_windows", "every_other", "mark", "probation_rows"]

Window = tuple[int, int]
"""First and last row of a labelled window, both included."""

Mask = npt.NDArray[np.bool_]

_PROBATION = 0.15
_PROBATION_ROWS_MAX = 750
_STEEPNESS = 5.0
_FAR = 3.0  # widths past a window from which on a flagged row costs in full


@dataclass(frozen=True, slots=True)
class Profile:
    """What counts how much; an alarm at the first row of a window earns 1.

    Attributes:
        name: As NAB names it.
        false_row: Cost of a flagged row far from any window.
        missed: Cost of a window without an alarm.
    """

    name: str
    false_row: float
    missed: float


PROFILES = (
    Profile("standard", 0.11, 1.0),
    Profile("reward_low_FP_rate", 0.22, 1.0),
    Profile("reward_low_FN_rate", 0.11, 2.0),
)
"""NAB's three profiles."""


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """One file as the score sees it, without the rows of its probation.

    Attributes:
        score: float64 (n,), high is anomalous; a row is flagged at or above the threshold.
        worth: float64 (n,), what an alarm at the row is worth: 1 to 0 inside a window, 0 to -1 outside.
        window: int64 (n,), number of the row's window from 0; -1 outside.
        windows: Windows of which at least one row comes after probation; others cannot be found and do not count.
    """

    score: Floats
    worth: Floats
    window: npt.NDArray[np.int64]
    windows: int


def probation_rows(rows: int) -> int:
    """Return how many rows at the beginning of a file are for learning only and not judged.

    >>> probation_rows(100), probation_rows(4032), probation_rows(10_000)
    (15, 604, 750)
    """
    return min(int(_PROBATION * rows), _PROBATION_ROWS_MAX)


def check_windows(windows: Sequence[Window], rows: int) -> None:
    """Check that windows lie in the file, in order, without sharing a row.

    Raises:
        DetectorError: They do not; names the first such window.
    """
    before = -1
    for first, last in windows:
        if not 0 <= first <= last < rows:
            raise DetectorError(f"Window {(first, last)} is no pair of first and last row in a file of {rows} rows.")
        if first <= before:
            raise DetectorError(f"Window {(first, last)} begins before the one before it has ended (row {before}).")
        before = last


def mark(score: Floats, windows: Sequence[Window]) -> Marked:
    """Return what an alarm is worth at each row of a file.

    Args:
        score: float64 (n,), the whole file's; NaN (not scored) counts as below every threshold.
        windows: First and last row of each, both included, in order.

    Raises:
        DetectorError: The windows are out of the file, out of order or overlap.
    """
    rows = len(score)
    check_windows(windows, rows)
    worth, window = np.full(rows, -1.0), np.full(rows, -1, dtype=np.int64)
    start, counted = probation_rows(rows), 0
    for place, (first, last) in enumerate(windows):
        width = last - first + 1
        inside = np.arange(first, last + 1)
        worth[inside] = _falling(-(last - inside + 1) / width) / _falling(-1.0)
        if last >= start:
            window[inside] = counted
            counted += 1
        following = np.arange(last + 1, windows[place + 1][0] if place + 1 < len(windows) else rows)
        # A late alarm is cheap just after the window, and the dearer the later it comes.
        past = (following - last) / max(width - 1, 1)
        worth[following] = np.where(past > _FAR, -1.0, _falling(np.minimum(past, _FAR)))
    return Marked(np.where(np.isnan(score), -np.inf, score)[start:], worth[start:], window[start:], counted)


def _falling(place: float | Floats) -> Floats:
    """Return a sigmoid that falls from 1 far left of zero to -1 far right of it."""
    return np.asarray(2.0 / (1.0 + np.exp(_STEEPNESS * np.asarray(place))) - 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """What every threshold scores on a corpus, for one profile.

    Attributes:
        profile: Which.
        threshold: float64 (k,), falling; +inf, which flags nothing, comes first.
        gain: float64 (m,), what the threshold's fall past each row adds to the raw score; rows of falling score.
        file: int64 (m,), the row's file.
        ends: int64 (k,), rows at or above each threshold.
        windows: int64 (files,), windows of each file.
    """

    profile: Profile
    threshold: Floats
    gain: Floats
    file: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]

    @classmethod
    def of(cls, files: Sequence[Marked], profile: Profile) -> Self:
        """Sweep the files of a corpus.

        Raises:
            DetectorError: There are no files.
        """
        if not files:
            raise DetectorError("There are no files to score.")
        score = np.concatenate([file.score for file in files])
        gain = np.concatenate([_gains(file, profile) for file in files])
        number = np.repeat(np.arange(len(files)), [len(file.score) for file in files])
        order = np.argsort(-score, kind="stable")
        # No threshold flags a row without a score, which is -inf here.
        order = order[: int(np.isfinite(score).sum() + np.isposinf(score).sum())]
        falling = score[order]
        last = np.flatnonzero(np.diff(falling, append=-np.inf))
        return cls(
            profile,
            np.append(np.inf, falling[last]),
            gain[order],
            number[order],
            np.append(0, last + 1),
            np.array([file.windows for file in files], dtype=np.int64),
        )

    def best(self, files: Mask | None = None) -> tuple[float, float]:
        """Return the best normalised score, and the highest threshold that reaches it.

        Args:
            files: bool (files,), which files count; by default all.
        """
        raw = self._raw(files)
        place = int(np.argmax(raw))
        return self._normalised(raw[place], files), float(self.threshold[place])

    def at(self, threshold: float, files: Mask | None = None) -> float:
        """Return the normalised score at a threshold: 100 is perfect, 0 is flagging nothing."""
        return self._normalised(self._raw(files)[self._place(threshold)], files)

    def cross(self, half: Mask) -> float:
        """Return the normalised score of all files, each at the best threshold of the half that it is not in.

        NaN where one of the halves is empty, as of a single file: nothing says then which threshold to take.

        Args:
            half: bool (files,), which files are in the first half.
        """
        if half.all() or not half.any():
            return float("nan")
        raw = 0.0
        for chosen, judged in ((half, ~half), (~half, half)):
            raw += float(self._raw(judged)[int(np.argmax(self._raw(chosen)))])
        return self._normalised(raw, None)

    def cross_random(self, splits: int, seed: int) -> Floats:
        """Return `cross` for seeded random halves of the files, float64 (splits,)."""
        return np.array([self.cross(half) for half in _random_halves(len(self.windows), splits, seed)])

    def _place(self, threshold: float) -> int:
        return int(np.searchsorted(-self.threshold, -threshold, side="right")) - 1

    def _raw(self, files: Mask | None) -> Floats:
        """Return the raw score at every threshold, float64 (k,), of some files."""
        gain = self.gain if files is None else np.where(files[self.file], self.gain, 0.0)
        total = np.concatenate([[0.0], np.cumsum(gain)])
        return np.asarray(total[self.ends] - self.profile.missed * self._windows(files))

    def _windows(self, files: Mask | None) -> int:
        return int((self.windows if files is None else self.windows[files]).sum())

    def _normalised(self, raw: float, files: Mask | None) -> float:
        windows = self._windows(files)
        if not windows:
            return float("nan")
        return float(100.0 * (raw / windows + self.profile.missed) / (1.0 + self.profile.missed))


def _gains(file: Marked, profile: Profile) -> Floats:
    """Return what each row adds to the raw score when a falling threshold reaches it, float64 (n,).

    In a window only the best alarm counts: a row adds what it is worth above the rows of its window reached before.
    """
    gain = np.where(file.window < 0, profile.false_row * file.worth, 0.0)
    for number in range(file.windows):
        rows = np.flatnonzero(file.window == number)
        rows = rows[np.argsort(-file.score[rows], kind="stable")]
        gain[rows] = np.diff(np.maximum.accumulate(file.worth[rows]), prepend=-profile.missed)
    return gain


def every_other(files: int) -> Mask:
    """Return the half that holds the first, third, ... of so many files, bool (files,)."""
    half: Mask = np.arange(files) % 2 == 0
    return half


def _random_halves(files: int, splits: int, seed: int) -> Iterator[Mask]:
    random = np.random.default_rng(seed)
    for _ in range(splits):
        half = np.zeros(files, dtype=bool)
        half[random.permutation(files)[: files // 2]] = True
        yield half
