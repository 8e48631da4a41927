"""Whether a p-value means what it says: of ordinary rows, one in a thousand should have 0.001 or less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from gridwatch.detectors.base import Floats
from gridwatch.detectors.evaluation.nab import Window, check_windows, probation_rows

__all__ = ["LEVELS", "Rates"]

LEVELS = (1e-2, 1e-3, 1e-4)
"""Nominal rates that are checked."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How often p-values came out at or below each level, on ordinary rows; several files are added up with `+`.

    Ordinary are the rows outside windows, after probation, that have a p-value.

    Attributes:
        rows: Ordinary rows.
        below: Of them, at or below each of `LEVELS`.
    """

    rows: int = 0
    below: tuple[int, ...] = field(default=(0,) * len(LEVELS))

    @classmethod
    def of(cls, p_value: Floats, windows: Sequence[Window]) -> Self:
        """Count those of one file.

        Args:
            p_value: float64 (n,), the whole file's; NaN where a row was not scored.
            windows: First and last row of each, both included, in order.

        Raises:
            DetectorError: The windows are out of the file, out of order or overlap.
        """
        check_windows(windows, len(p_value))
        ordinary = ~np.isnan(p_value)
        ordinary[: probation_rows(len(p_value))] = False
        for first, last in windows:
            ordinary[first : last + 1] = False
        kept = p_value[ordinary]
        return cls(len(kept), tuple(int((kept <= level).sum()) for level in LEVELS))

    def __add__(self, other: Rates) -> Rates:
        return Rates(self.rows + other.rows, tuple(a + b for a, b in zip(self.below, other.below, strict=True)))

    @property
    def realised_over_nominal(self) -> tuple[float, ...]:
        """Realised rate over nominal rate at each of `LEVELS`, 1 is right and 2 twice as many; NaN without rows."""
        if not self.rows:
            return (float("nan"),) * len(LEVELS)
        return tuple(below / self.rows / level for below, level in zip(self.below, LEVELS, strict=True))
