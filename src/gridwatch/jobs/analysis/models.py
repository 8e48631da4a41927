"""Models of the series of one detector: banks of `gridwatch.detectors` in pages, so that new series copy nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.online.config import AutoConfig
from gridwatch.jobs.analysis.bursts import CREDIT_FIRST, Scores, update_without_bursts
from gridwatch.jobs.analysis.gaps import Gaps, Owed
from gridwatch.jobs.analysis.picking import take_over
from gridwatch.jobs.analysis.silence import SHARE, Silence

if TYPE_CHECKING:
    from gridwatch.detectors.online.bank import Bank

__all__ = ["BUCKETS", "Judged", "Models"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

BUCKETS = AutoConfig(
    deviation=(), mean=(24,), change=(), ewma=(), forecast=0, shape=(), nearest=0, aligned=(), flat=False,
    season_share=0.0, history_rows=2048, warm_rows=40, tail_rows_max=64,
    tail_shape=0.15, p_share=0.015,
)  # fmt: skip
"""What judges buckets: value, season and level; their shapes and steps are too few for more, and memory counts.

The tail is a power law of exponent 6.7 instead of 5: bursts are not learnt, so what it is fitted to is ordinary. At
0.2 a burst of nine times a count of 3 was critical in three of four cases, at 0.15 in 19 of 20, at one ordinary bucket
in 10,000; at 0.1 more of what is ordinary is critical than should be. It is fitted to as large a share of the buckets'
own surprises as of the members', with which all this was measured.
"""

SILENCE = "silence"
"""The member that stands for a run of zeros."""

_PAGE_MAX = 256


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What models say of s series in b buckets, (s, b) each; NaN where there was no value.

    Attributes:
        surprise: -log10 of the probability of a value at least as odd.
        expected: What was expected.
        lower: Least ordinary value.
        upper: Greatest ordinary value.
        driver: int64, which member was the most surprised.
        members: Names of the members.
    """

    surprise: Floats
    expected: Floats
    lower: Floats
    upper: Floats
    driver: Ints
    members: tuple[str, ...]


class Models:
    """The models of a growing number of series.

    Args:
        config: Members and constants, the same for all.
        threads: How many threads share the work.
        most: How many series there may be; no memory is taken for more.
        slots: Buckets of a day, where gaps are to be filled; 0 where there are none.
        zeros_span_ms: The length of a bucket, where runs of zeros are to be judged; 0 where an empty bucket is none.
        zero_below: Values from 0 up to it are zeros; 1 for counts, as `evened` makes them.
    """

    def __init__(
        self,
        config: AutoConfig,
        threads: int = 1,
        most: int | None = None,
        slots: int = 0,
        zeros_span_ms: int = 0,
        zero_below: int = 0,
    ) -> None:
        self.config = config
        self.most = most
        self.threads = threads
        self.pages: list[Bank] = []
        self.credits: list[Ints] = []
        self.slots = slots
        self.gaps: list[Gaps] = []
        self.zeros_span_ms = zeros_span_ms
        self.zero_below = zero_below
        self.silences: list[Silence] = []

    @property
    def room(self) -> int:
        """How many series there is a model for."""
        return sum(len(page) for page in self.pages)

    @property
    def nbytes(self) -> int:
        """Memory, bytes."""
        return sum(part.nbytes for parts in (self.pages, self.credits, self.gaps, self.silences) for part in parts)

    def bank(self, series: int) -> Bank:
        """Return the models of new series, a page of them."""
        from gridwatch.detectors.online.bank import Bank

        return Bank(self.config, series)

    def own_arrays(self) -> dict[str, Any]:
        """Return what there is beside pages, credits and gaps, to be stored."""
        return {}

    def restore_own(self, arrays: Mapping[str, Any]) -> None:
        """Take back what `own_arrays` was; a missing one raises KeyError, one that does not fit ValueError."""

    def update(self, times_ms: Ints, values: Floats) -> Judged:
        """Judge buckets of all series, and learn them.

        What is critical is judged as it is, and its expectation is learnt in its place, as `bursts` tells.

        Args:
            times_ms: int64 (b,), starts of the buckets, after those of the call before.
            values: float64 (s, b), NaN for none; s may have grown since the call before.
        """
        while self.room < len(values):
            # As many as there are: one series costs one, and pages stay few.
            size = min(max(self.room, 1), _PAGE_MAX)
            size = size if self.most is None else max(min(size, self.most - self.room), 1)
            self.pages.append(self.bank(size))
            self.credits.append(np.full(size, CREDIT_FIRST, np.int64))
            self.gaps.append(Gaps(size, self.slots))
            self.silences.append(Silence(size, self.zeros_span_ms))
        parts = []
        for (start, page), credit, gaps, silence in zip(
            self._used(len(values)), self.credits, self.gaps, self.silences, strict=False
        ):
            part = values[start : start + len(page)]
            if len(part) < len(page):
                part = np.vstack([part, np.full((len(page) - len(part), values.shape[1]), np.nan)])
            filled = None
            if self.slots:
                part, filled, owed = gaps.fill(times_ms, part)
                _catch_up(page, credit, owed, self.threads)
            learnt = np.where(silence.begun(part), part, np.nan) if self.zeros_span_ms else part
            scores = update_without_bursts(page, credit, times_ms, learnt, threads=self.threads)
            if self.zeros_span_ms:
                scores = scores.unjudged(np.isfinite(part) & np.isnan(learnt))
                scores = scores.joined(*silence.update(times_ms, part, zero_below=self.zero_below), SHARE, SILENCE)
            parts.append(scores if filled is None else scores.without(filled))
        return self._judged(parts, *values.shape)

    def preview(self, times_ms: Ints, values: Floats, places: Ints) -> Judged:
        """Judge buckets of some series as if they came next, without learning.

        Args:
            times_ms: int64 (b,).
            values: float64 (k, b).
            places: int64 (k,), which series, ascending; those without a model yet are not judged.
        """
        parts, judged = [], 0
        for (start, page), credit, gaps in zip(self._used(self.room), self.credits, self.gaps, strict=True):
            here = places[(places >= start) & (places < start + len(page))] - start
            if len(here):
                part, copy = values[judged : judged + len(here)], page.pick(here.tolist())
                if self.slots:
                    own = Gaps(len(here), self.slots)
                    take_over(own.arrays, [gaps.arrays], here, [0])
                    part, _, owed = own.fill(times_ms, part)
                    _catch_up(copy, credit[here], owed, self.threads)
                scores = Scores.of(copy.update(times_ms, part, threads=self.threads))
                if self.zeros_span_ms:
                    # As in `update`, where no bucket is silent that is not complete.
                    nothing = np.full(part.shape, np.nan)
                    scores = scores.joined(nothing, nothing, SHARE, SILENCE)
                parts.append(scores)
                judged += len(here)
        return self._judged(parts, judged, values.shape[1])

    def keep(self, which: Ints) -> None:
        """Forget all series but some.

        Args:
            which: int64 (k,), their numbers, ascending; from here on they are 0 to k - 1.
        """
        had, gaps, silences, used = self.credits, self.gaps, self.silences, self._used(self.room)
        starts = [start for start, _ in used]
        self.pages, self.credits, self.gaps, self.silences = [], [], [], []
        for first in range(0, len(which), _PAGE_MAX):
            wanted = which[first : first + _PAGE_MAX]
            new, credit = self.bank(len(wanted)), np.zeros(len(wanted), np.int64)
            take_over(new.state, [page.state for _, page in used], wanted, starts)
            take_over((credit,), [(theirs,) for theirs in had], wanted, starts)
            self.pages.append(new)
            self.credits.append(credit)
            self.gaps.append(Gaps(len(wanted), self.slots))
            take_over(self.gaps[-1].arrays, [part.arrays for part in gaps], wanted, starts)
            self.silences.append(Silence(len(wanted), self.zeros_span_ms))
            take_over(self.silences[-1].arrays, [part.arrays for part in silences], wanted, starts)

    def _used(self, series: int) -> list[tuple[int, Bank]]:
        starts = np.cumsum([0, *(len(page) for page in self.pages)])
        return [(int(start), page) for start, page in zip(starts, self.pages, strict=False) if start < series]

    def _judged(self, parts: Sequence[Scores], series: int, buckets: int) -> Judged:
        if not parts:
            # All series may have been forgotten, and time goes on.
            empty = np.zeros((0, buckets))
            return Judged(empty, empty, empty, empty, empty.astype(np.int64), ())
        columns = (np.concatenate(column)[:series] for column in zip(*(part.columns for part in parts), strict=True))
        surprise, expected, lower, upper, driver = columns
        return Judged(surprise, expected, lower, upper, driver.astype(np.int64), parts[0].members)


def _catch_up(page: Bank, credit: Ints, owed: Owed | None, threads: int) -> None:
    """Have some series of a page learn what is owed to them."""
    if owed is None:
        return
    other, left = page.pick(owed.rows.tolist()), credit[owed.rows]
    update_without_bursts(other, left, owed.times_ms, owed.values, threads=threads)
    credit[owed.rows] = left
    for ours, theirs in zip(page.state, other.state, strict=True):
        ours[owed.rows] = theirs
