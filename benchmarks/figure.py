"""What one comparison found, and how it is measured: both sides in turns, the best of each counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Figure", "compare", "fastest"]


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Args:
        name: What was measured.
        amount: How much work: rows, windows, mails.
        unit: What `amount` counts.
        seconds: gridwatch's time.
        baseline: What a user would otherwise run.
        baseline_seconds: Its time for the same work; None where nothing compares.
        aim: The ratio, or for a figure without a baseline the seconds, that was aimed at.
        note: What else a reader must know, such as an error or a quality on an equal footing.
    """

    name: str
    amount: int
    unit: str
    seconds: float
    baseline: str = ""
    baseline_seconds: float | None = None
    aim: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times faster than the baseline."""
        return None if self.baseline_seconds is None else self.baseline_seconds / self.seconds

    @property
    def rate(self) -> float:
        """Amount a second."""
        return self.amount / self.seconds

    def as_dict(self) -> dict[str, Any]:
        """Return the fields with rate and ratio, for JSON."""
        return {**asdict(self), "rate": self.rate, "ratio": self.ratio}


def fastest(work: Callable[[], object], *, rounds: int = 3) -> float:
    """Return the least of `rounds` durations, in seconds: noise only ever adds."""
    return min(_timed(work) for _ in range(rounds))


def compare(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    rounds: int = 3,
    before: Callable[[], object] = lambda: None,
) -> tuple[float, float]:
    """Return the least duration of each, in seconds, measured in turns so that both meet the same noise.

    Args:
        ours: One side.
        theirs: The other.
        rounds: How often.
        before: What is done before each, and not measured.
    """
    pairs = [(_timed(ours, before), _timed(theirs, before)) for _ in range(rounds)]
    return min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)


def _timed(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    before()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
