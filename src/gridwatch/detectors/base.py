"""What every detector promises: learn from a series, score it causally, be saved to bytes and loaded again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from gridwatch.errors import DetectorError

__all__ = ["Detector", "Floats", "Scores", "Times", "check_series", "fingerprint"]

Times = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of n rows; every column is float64 (n,), NaN in the rows that have too little history to be scored.

    Attributes:
        actual: The value of the row, in its own units; never NaN.
        expected: What the rows before it led to expect, in the value's units.
        lower: Least value that would not be an anomaly, in the value's units.
        upper: Greatest such value.
        loss: Absolute error of the expectation in standard deviations of the learnt feature.
        p_value: Share of ordinary rows expected to be at least as odd, 0 to 1.
        score: 0 to 100, high is anomalous; 95 is one row in a thousand.
        method: The detector's kind, which drove every row where nothing more is known; no column.
    """

    actual: Floats
    expected: Floats
    lower: Floats
    upper: Floats
    loss: Floats
    p_value: Floats
    score: Floats
    method: str = field(default="", kw_only=True)

    def __len__(self) -> int:
        return len(self.actual)

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """Bool (n,): which rows have a score."""
        return ~np.isnan(self.score)

    def columns(self) -> dict[str, Floats]:
        """Return the columns that every detector has, by name, in order."""
        return {item.name: getattr(self, item.name) for item in fields(Scores) if item.name != "method"}

    def driver_names(self) -> list[str]:
        """Return for each row what drove its score, as `explain` takes it; "" in rows without a score."""
        return [self.method if scored else "" for scored in self.scored.tolist()]

    @staticmethod
    def neutral(values: Floats) -> Scores:
        """Return what a detector says before it has learnt: every row is as expected."""
        zeros, ones = np.zeros(len(values)), np.ones(len(values))
        return Scores(values.copy(), values.copy(), values.copy(), values.copy(), zeros, ones, zeros.copy())


@runtime_checkable
class Detector(Protocol):
    """Learns one series and scores rows of it; a row's score depends on that row and earlier ones only."""

    @property
    def kind(self) -> str:
        """Short name of the method, such as `lstm`; part of an anomaly's key."""

    @property
    def context_rows(self) -> int:
        """Rows before a row that its score depends on; with fewer it is scored from what there is."""

    @property
    def rows_min(self) -> int:
        """Fewest rows that `learn` takes."""

    def learn(self, times_ms: Times, values: Floats) -> None:
        """Learn a series, forgetting what was learnt before; the arrays are left alone.

        Args:
            times_ms: int64 (n,), UTC epoch ms, strictly increasing.
            values: float64 (n,), finite.

        Raises:
            DetectorError: Too few rows, or values that cannot be learnt; says how many are needed, or names the row.
        """

    def score(self, times_ms: Times, values: Floats) -> Scores:
        """Score rows, oldest first; before learning every score is 0.

        Args:
            times_ms: int64 (n,), UTC epoch ms, strictly increasing.
            values: float64 (n,), finite.

        Raises:
            DetectorError: Values that cannot be scored; names the row.
        """

    def save(self) -> dict[str, bytes]:
        """Return what was learnt as named files; the same for the same model, on every machine.

        Raises:
            DetectorError: Nothing has been learnt yet.
        """

    @classmethod
    def load(cls, parts: Mapping[str, bytes]) -> Self:
        """Return the detector that `save` wrote.

        Raises:
            DetectorError: A file is missing, damaged, or of a later version than this one reads.
        """


def fingerprint(parts: Mapping[str, bytes]) -> str:
    """Return the sha256 (hex) over all files of a saved detector: of each, by name, its bytes, one after another.

    >>> fingerprint({"model.onnx": b"b", "detector.json": b"a"}) == hashlib.sha256(b"ab").hexdigest()
    True
    """
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(parts[name])
    return digest.hexdigest()


def check_series(times_ms: Times, values: Floats) -> None:
    """Check the shape, order and values of a series.

    Raises:
        DetectorError: The lengths differ, times do not increase, or a value is not finite; names the first such row.
    """
    if times_ms.ndim != 1 or times_ms.shape != values.shape:
        raise DetectorError(f"Times {times_ms.shape} and values {values.shape} must be two columns of one length.")
    # Most calls pass, and many have one row: what is wrong is only looked for where something is.
    late = times_ms[1:] <= times_ms[:-1]
    if late.any():
        row = int(np.argmax(late)) + 1
        raise DetectorError(
            f"Row {row} at {_instant(times_ms[row])} does not come after the one before it "
            f"({_instant(times_ms[row - 1])}); sort the rows and keep one a time.",
            row=row,
        )
    if not np.isfinite(values).all():
        broken = np.flatnonzero(~np.isfinite(values))
        row = int(broken[0])
        raise DetectorError(
            f"{len(broken)} of {len(values)} values are not finite, first {values[row]} in row {row} at "
            f"{_instant(times_ms[row])}; leave such rows out.",
            row=row,
        )


def _instant(time_ms: np.int64) -> str:
    return f"{np.datetime64(int(time_ms), 'ms')}Z"
