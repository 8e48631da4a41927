"""What a job's series have to teach a network: their newest buckets, kept for it, as windows and what followed them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from gridwatch.jobs.analysis.gaps import Gaps
from gridwatch.jobs.analysis.lstm_windows import Seen, Windows, take

__all__ = ["Lesson", "Recent", "lesson_of"]

Floats: TypeAlias = npt.NDArray[np.float64]
Floats32: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int64]

_WINDOWS_MAX = 20_000
"""Windows that are learnt; of more, every so many-th. A network of 32 units has some 4,400 weights."""

_WINDOWS_MIN, _HELD_MIN = 200, 20
_HELD_SHARE = 0.1
"""Of the time, the newest, whose windows say when to stop, and which of two networks is the better one."""


class Recent:
    """The newest buckets of a growing number of series, in single precision.

    Args:
        buckets: How many.

    Attributes:
        times: int64 (n,), starts of the buckets, UTC epoch ms.
        values: float32 (s, n), NaN for none. Bucket k since the beginning is at k modulo n in both.
        many: How many buckets there have been.
    """

    def __init__(self, buckets: int) -> None:
        self.times = np.zeros(buckets, np.int64)
        self.values = np.zeros((0, buckets), np.float32)
        self.many = 0

    @property
    def nbytes(self) -> int:
        """Memory, bytes."""
        return self.times.nbytes + self.values.nbytes

    def note(self, times_ms: Ints, values: Floats) -> None:
        """Remember buckets.

        Args:
            times_ms: int64 (b,).
            values: float64 (s, b), NaN for none; s may have grown.
        """
        room = len(self.times)
        new = len(values) - len(self.values)
        if new > 0:
            self.values = np.vstack([self.values, np.full((new, room), np.nan, np.float32)])
        places = (self.many + np.arange(len(times_ms)))[-room:] % room
        self.times[places] = times_ms[-room:]
        with np.errstate(over="ignore"):
            kept = values[:, -room:].astype(np.float32)
        # What single precision does not hold teaches nothing.
        kept[np.isinf(kept)] = np.nan
        self.values[:, places] = kept
        self.many += len(times_ms)

    def keep(self, which: Ints) -> None:
        """Forget all series but some; see `Models.keep`."""
        self.values = self.values[which]

    def in_order(self) -> tuple[Ints, Floats]:
        """Return times (b,) and values (s, b), the oldest first."""
        room = len(self.times)
        places = np.arange(max(self.many - room, 0), self.many) % room
        return self.times[places], self.values[:, places].astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Windows of all series in the order of time, and the value that followed each, scaled alike.

    Attributes:
        windows: float32 (k, window).
        targets: float32 (k,).
        held: How many of them, the newest, are kept from the network.
        series: How many series they are of.
        from_ms: Start of the first bucket, UTC epoch ms.
        to_ms: Start of the last.
        memory_rows: Over how many values the series were scaled.
    """

    windows: Floats32
    targets: Floats32
    held: int
    series: int
    from_ms: int
    to_ms: int
    memory_rows: int

    @property
    def enough(self) -> bool:
        """Whether there is anything to learn from it."""
        return len(self.targets) - self.held >= _WINDOWS_MIN and self.held >= _HELD_MIN

    @property
    def example(self) -> Floats32:
        """The newest windows as a network takes them, float32 (3, window, 1)."""
        return np.ascontiguousarray(self.windows[-3:, :, None])

    @property
    def digest(self) -> str:
        """Hex digest of the windows and what followed them."""
        return hashlib.sha256(self.windows.tobytes() + self.targets.tobytes()).hexdigest()[:16]


def lesson_of(recents: Sequence[tuple[Recent, int]], window: int) -> Lesson:
    """Return what series have to teach.

    Args:
        recents: The newest buckets of each detector and function, and buckets of a day where their gaps are filled.
        window: Values that a network is to look at.
    """
    memory = len(recents[0][0].times)
    taken: list[tuple[Ints, Windows]] = []
    for recent, slots in recents:
        times, values = filled(recent, slots)
        taken.append((times, take(Seen.none(len(values), window), values, memory)[0]))
    total = sum(int(windows.ready.sum()) for _, windows in taken)
    step = max(-(-total // _WINDOWS_MAX), 1)
    parts = [_some(times, windows, step) for times, windows in taken]
    when, shown, targets = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(when, kind="stable")
    when, shown, targets = when[order], shown[order], targets[order]
    first, last = (int(when[0]), int(when[-1])) if len(when) else (0, 0)
    held = int((when > last - _HELD_SHARE * (last - first)).sum()) if len(when) else 0
    series = sum(int(windows.ready.any(axis=1).sum()) for _, windows in taken)
    return Lesson(shown, targets, held, series, first, last, memory)


def filled(recent: Recent, slots: int) -> tuple[Ints, Floats]:
    """Return times (b,) and values (s, b) as the models learnt them, gaps filled where they fill them."""
    times, values = recent.in_order()
    return times, (Gaps(len(values), slots).fill(times, values)[0] if slots and len(values) else values)


def _some(times: Ints, windows: Windows, step: int) -> tuple[Ints, Floats32, Floats32]:
    """Return times, windows and what followed of every so many-th."""
    series, buckets = (one[::step] for one in np.nonzero(windows.ready))
    with np.errstate(over="ignore"):
        targets = np.clip(windows.scaled[series, buckets], -8.0, 8.0).astype(np.float32)
    return times[buckets], windows.at(series, buckets), targets
