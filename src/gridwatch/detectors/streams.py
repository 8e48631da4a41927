"""Streams of oddness that are made outside of the online detectors' kernels, each from rows as they come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.base import Floats, Times
from gridwatch.errors import DetectorError

__all__ = ["Arrays", "RecentRows", "Stream", "Taken"]

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """What a stream says of n rows.

    Attributes:
        odd: float64 (n,), how odd each is in the stream's own units; NaN where it cannot say.
        value_at: From misses with their sign, float64 (n,), to the values that would have been missed so; NaN where it
            cannot say. None for a stream that does not expect a value.
        loss: The miss, in standard deviations of what was learnt, where that is known.
    """

    odd: Floats
    value_at: Callable[[Floats], Floats] | None = None
    loss: Floats | None = None


class Stream(Protocol):
    """Turns rows into numbers that are high (or low) where the series is odd, from each row and earlier ones only."""

    @property
    def name(self) -> str:
        """Such as `lstm`; a score names it as what drove it."""

    @property
    def two_sided(self) -> bool:
        """Whether a low number is as odd as a high one, as of misses with their sign rather than their sizes."""

    def take(self, times_ms: Times, values: Floats) -> Taken:
        """Return what the next rows say, and keep what later rows need of them.

        However the rows are cut into calls, they say the same.

        Raises:
            DetectorError: Values that cannot be taken; names the rows.
        """

    def copy(self) -> Self:
        """Return a stream that goes on from here by itself."""

    def arrays(self) -> Arrays:
        """Return what is kept of the rows so far."""

    def restore(self, arrays: Arrays) -> None:
        """Take up what `arrays` was.

        Raises:
            DetectorError: It does not fit; a missing array raises KeyError.
        """


class RecentRows:
    """What a stream keeps that needs nothing but the last few values."""

    ROWS_MAX: ClassVar[int]
    """Most values that are kept."""
    KEPT: ClassVar[str]
    """What they are called where they turn out to be damaged."""

    def __init__(self) -> None:
        self._history = np.empty(0)

    def copy(self) -> Self:
        """Return a stream that goes on from here by itself."""
        other = type(self)()
        other._history = self._history
        return other

    def arrays(self) -> Arrays:
        """Return what is kept of the rows so far."""
        return {"history": self._history}

    def restore(self, arrays: Arrays) -> None:
        """Take up what `arrays` was; see `Stream.restore`."""
        history: npt.NDArray[Any] = arrays["history"]
        fits = history.ndim == 1 and len(history) <= self.ROWS_MAX and history.dtype == np.float64
        if not fits or not np.isfinite(history).all():
            raise DetectorError(f"The saved {self.KEPT} is damaged: {history.dtype} {history.shape}, or not finite.")
        self._history = history.copy()
