"""Learning around what is critical: it is judged as it is, and what was expected is learnt in its place.

A p-value is a rank among all values so far. Were a burst learnt like any other value, the next one as great would be
the second greatest of some thousand, hardly worth a word: of four bursts of nine times the usual count one was
critical so, and all four are with this. What is not critical, and yet beyond the band of ordinary values, is learnt as
the end of that band (winsorised: Dixon 1960), so that it counts as one more of the rare ones and does not stretch the
tail: of ten faults of eight deviations the last three scored 7 on the average, where the first scored 73. What comes
often is no burst, and is learnt: each series has a credit for what it leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from gridwatch.detectors.online.bank import Bank, BankScores

__all__ = ["CREDIT_FIRST", "HOLD_SURPRISE", "Scores", "update_without_bursts"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

HOLD_SURPRISE = 4.0
"""-log10 of the probability at which a value is not learnt: that of a critical record."""

CLIP_SURPRISE = 3.0
"""From here on the end of the band is learnt, if the value is beyond it: the band's own share, one value in 1,000."""

COST = 100
"""Values that a series has to have for each that is not learnt: one in 100. Calibrated, p < 1e-4 is one in 10,000."""

CREDIT_FIRST, CREDIT_MAX = 3 * COST, 12 * COST
"""A new series may leave out three; one with a long past twelve in a row, and what goes on is how things are now."""

_BLOCK = 64
"""Buckets that are judged at once; those of a series with a burst among them are judged again from the first."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a bank says of s series in b buckets.

    Attributes:
        columns: float64 (5, s, b): surprise, expected, lower, upper, and the place of the driver.
        members: Names of the members.
    """

    columns: Floats
    members: tuple[str, ...]

    @classmethod
    def of(cls, found: BankScores) -> Self:
        """Return the part of a bank's answer that a job needs."""
        columns = (found.p_surprise, found.expected, found.lower, found.upper, found.driver.astype(np.float64))
        return cls(np.stack(columns), found.members)

    def without(self, which: npt.NDArray[np.bool_]) -> Self:
        """Return the scores with nothing said of some buckets, bool (s, b)."""
        columns = self.columns.copy()
        columns[:4, which], columns[4, which] = np.nan, -1.0
        return type(self)(columns, self.members)

    def unjudged(self, which: npt.NDArray[np.bool_]) -> Self:
        """Return the scores with some buckets as ordinary ones of 0, bool (s, b)."""
        columns = self.columns.copy()
        columns[:4, which], columns[4, which] = 0.0, -1.0
        return type(self)(columns, self.members)

    def joined(self, surprise: Floats, expected: Floats, share: float, name: str) -> Self:
        """Return what a further member and the bank say together: the rarer of the two, for there being two.

        Bonferroni with weights: a false alarm of the bank has the share 1 - `share`.

        Args:
            surprise: float64 (s, b), of the member; NaN where it says nothing.
            expected: float64 (s, b), what it expected.
            share: Of false alarms, the member's.
            name: Of the member.
        """
        columns = self.columns.copy()
        columns[0] = np.maximum(columns[0] + np.log10(1.0 - share), 0.0)
        other = surprise + np.log10(share)
        more = other > np.nan_to_num(columns[0])
        columns[0, more], columns[1, more], columns[4, more] = other[more], expected[more], len(self.members)
        return type(self)(columns, (*self.members, name))


def update_without_bursts(bank: Bank, credit: Ints, times_ms: Ints, values: Floats, *, threads: int = 1) -> Scores:
    """Judge buckets of all series of a bank, and learn what is not critical.

    The same as to judge bucket after bucket and learn each value; or its expectation where -log10 p is `HOLD_SURPRISE`
    or more, or the end of the band that it is beyond where that is `CLIP_SURPRISE` or more, and the series has the
    credit.

    Args:
        bank: The series; goes on.
        credit: int64 (s,), a value adds 1, one that is not learnt takes `COST`; goes on.
        times_ms: int64 (b,), or (s, b) where each series has its own.
        values: float64 (s, b), NaN for none.
        threads: How many threads share the work.
    """
    parts = []
    for start in range(0, values.shape[1], _BLOCK):
        times, block = times_ms[..., start : start + _BLOCK], values[:, start : start + _BLOCK]
        before = bank.copy()
        found = Scores.of(bank.update(times, block, threads=threads))
        odd = (found.columns[0] >= CLIP_SURPRISE).any(axis=1)
        if odd.any():
            _again(bank, before, credit, times, block, found.columns, np.flatnonzero(odd), threads)
        usual = ~odd
        credit[usual] = np.minimum(credit[usual] + np.isfinite(block[usual]).sum(axis=1), CREDIT_MAX)
        parts.append(found.columns)
    return Scores(np.concatenate(parts, axis=2) if parts else np.zeros((5, *values.shape)), bank.members)


def _again(
    bank: Bank, before: Bank, credit: Ints, times: Ints, values: Floats, columns: Floats, odd: Ints, threads: int
) -> None:
    """Judge a block of some series again, one burst further each time, until nothing more is to be left out."""
    learnt = values.copy()
    at = dict.fromkeys(odd.tolist(), 0)
    while at:
        places = {one: _next(credit, columns, values, one, start) for one, start in at.items()}
        # A series is looked at until nothing more of it is left out.
        at = {one: place + 1 for one, place in places.items() if place is not None}
        if not at:
            return
        changed = list(at)
        for one, start in at.items():
            learnt[one, start - 1] = _instead(columns[:, one, start - 1], values[one, start - 1])
        other = before.pick(changed)
        own = times[changed] if times.ndim > 1 else times
        further = Scores.of(other.update(own, learnt[changed], threads=threads)).columns
        for row, (one, start) in enumerate(at.items()):
            columns[:, one, start:] = further[:, row, start:]
        for ours, theirs in zip(bank.state, other.state, strict=True):
            ours[changed] = theirs


def _instead(column: Floats, value: float) -> float:
    """Return what is learnt of a value, given what was said of it, float64 (5,)."""
    surprise, expected, lower, upper, _ = column.tolist()
    if surprise < CLIP_SURPRISE:
        return value
    return float(expected if surprise >= HOLD_SURPRISE else min(max(value, lower), upper))


def _next(credit: Ints, columns: Floats, values: Floats, one: int, start: int) -> int | None:
    """Return the next bucket of a series that is not to be learnt as it is, None where there is none; keep credit."""
    for place in range(start, columns.shape[2]):
        if np.isnan(columns[0, one, place]):
            continue
        credit[one] = min(credit[one] + 1, CREDIT_MAX)
        if credit[one] >= COST and _instead(columns[:, one, place], values[one, place]) != values[one, place]:
            credit[one] -= COST
            return place
    return None
