"""Many series that are scored and learnt at once, row by row, with the state of each."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.online import kernels
from gridwatch.detectors.online.config import AutoConfig
from gridwatch.detectors.online.layout import LAST_MS, ROWS, Output, State
from gridwatch.detectors.online.members import empty_state, members_of, plan_of
from gridwatch.errors import DetectorError

__all__ = ["Bank", "BankScores"]

_PARTS = 8  # of each thread's share
_WORTH = 1_000  # values, some 2 ms: threads for less cost more than they save


@dataclass(frozen=True, slots=True, eq=False)
class BankScores:
    """Scores of s series by n rows, float64 (s, n) each; NaN where a series had no row.

    Attributes:
        expected: What the rows before led to expect, in the value's units.
        lower: Least ordinary value.
        upper: Greatest ordinary value.
        loss: Distance from the expectation in standard deviations of such distances.
        surprise: Members taken together; rises with oddness, from 0.
        p_surprise: -log10 of the p-value: the rank of `surprise` among its own past, with a fitted tail.
        alarm: `surprise` where it is an alarm, else 0.
        segment: Smoothed `surprise`, for whole segments.
        driver: int64 (s, n), which member was the most surprised, by its place in `members`; -1 for none.
        members: Names of the members.
    """

    expected: Floats
    lower: Floats
    upper: Floats
    loss: Floats
    surprise: Floats
    p_surprise: Floats
    alarm: Floats
    segment: Floats
    driver: npt.NDArray[np.int64]
    members: tuple[str, ...]


class Bank:
    """The state of many series, and how it goes on.

    Args:
        config: Members and constants, the same for all series.
        series: How many.

    >>> bank = Bank(AutoConfig(), 2)
    >>> bank.rows.tolist(), bank.nbytes < 700_000
    ([0, 0], True)
    """

    def __init__(self, config: AutoConfig, series: int = 1) -> None:
        self.config = config
        self.members = members_of(config)
        self.state = empty_state(config, series)
        self._plan = plan_of(config)

    def __len__(self) -> int:
        return len(self.state.counts)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Rows of each series so far, int64 (s,)."""
        return self.state.counts[:, ROWS].copy()  # type: ignore[no-any-return]

    @property
    def last_ms(self) -> npt.NDArray[np.int64]:
        """Time of each series' last row, UTC epoch ms, int64 (s,); 0 before the first."""
        return self.state.counts[:, LAST_MS].copy()  # type: ignore[no-any-return]

    @property
    def nbytes(self) -> int:
        """Memory of the state, which does not grow."""
        return sum(array.nbytes for array in self.state)

    def update(self, times_ms: Times, values: Floats, *, threads: int = 1) -> BankScores:
        """Score rows of all series, each before learning from it.

        Args:
            times_ms: int64 (n,) for all series or (s, n), UTC epoch ms, increasing in each series.
            values: float64 (s, n); NaN where a series has no row.
            threads: How many threads share the series; the scores are the same for any number.

        Raises:
            DetectorError: The shapes differ, a value is infinite, or times do not increase.
        """
        # Copies: a read-only array is a type of its own, for which all would be compiled once more.
        values = np.array(values, np.float64, order="C")
        times = np.array(times_ms, np.int64, order="C", ndmin=2)
        if values.ndim != 2 or len(values) != len(self) or times.shape not in {values.shape, (1, values.shape[1])}:
            raise DetectorError(
                f"A bank of {len(self)} series takes values (s, n) and times (n,) or (s, n); got {values.shape} and "
                f"{np.shape(times_ms)}."
            )
        columns, driver = np.empty((len(Output._fields) - 1, *values.shape)), np.empty(values.shape, np.int64)
        # A sum is finite where all are; a row alone is scored in little more time than each look at all values takes.
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.add.reduce(values, axis=None)
        if not np.isfinite(total):
            _check_finite(values)
            columns[:], driver[:] = np.nan, -1
        self._check_times(times)
        self._run(times, values, columns, driver, max(min(threads, len(self)), 1))
        expected, lower, upper, loss, surprise, p_surprise, alarm, segment = columns
        return BankScores(expected, lower, upper, loss, surprise, p_surprise, alarm, segment, driver, self.members)

    def copy(self) -> Self:
        """Return a bank that goes on from here by itself."""
        return self.pick(range(len(self)))

    def pick(self, series: Sequence[int]) -> Self:
        """Return a bank with copies of some of the series."""
        other = type(self).__new__(type(self))
        other.config, other.members, other._plan = self.config, self.members, self._plan
        other.state = State(*(array[list(series)] for array in self.state))
        return other

    def _check_times(self, times: Times) -> None:
        counts, rows = self.state.counts, times.shape[1]
        # A first row at a time that the series has passed already is as wrong as two rows out of order.
        late = (times[:, 0] <= counts[:, LAST_MS]) & (counts[:, ROWS] > 0) if rows else np.zeros(len(self), np.bool_)
        if late.any() or (rows > 1 and (times[:, 1:] <= times[:, :-1]).any()):
            series = int(np.argmax(late))
            raise DetectorError(
                "Times must increase in each series, and go on after the last row of the call before "
                f"(series {series}: {np.datetime64(int(self.last_ms[series]), 'ms')}Z); sort the rows, and leave out "
                "those that were scored already."
            )

    def _rooms(self) -> tuple[Floats, npt.NDArray[np.float32]]:
        """Return arrays for the kernels to work in."""
        plan = self._plan
        few = max(plan.constants.seasons, 5)
        single = max(plan.constants.lag_max, 2 * self.state.sums.shape[2])
        return np.zeros(2 * len(plan.windows) + plan.combined + few), np.zeros(single, np.float32)

    def _run(self, times: Times, values: Floats, columns: Floats, driver: npt.NDArray[np.int64], threads: int) -> None:
        def part(first: int, last: int) -> None:
            kernels.advance(self.state, self._plan, times, values, columns, driver, first, last, *self._rooms())

        # More parts than threads: a core that is busy otherwise takes fewer of them.
        parts = min(_PARTS * threads, len(self), values.size // _WORTH)
        if threads == 1 or parts < 2:
            part(0, len(self))
            return
        edges = np.linspace(0, len(self), parts + 1).astype(int).tolist()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, edges[:-1], edges[1:]))


def _check_finite(values: Floats) -> None:
    wrong = np.argwhere(np.isinf(values))
    if len(wrong):
        series, row = wrong[0].tolist()
        raise DetectorError(f"Series {series} has an infinite value in row {row}; leave such rows out.", row=row)
