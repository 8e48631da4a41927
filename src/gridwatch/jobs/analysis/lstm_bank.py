"""Series that are judged as usual, and by what a network expects of them: its misses, among all of their series before.

The rarer of the two counts. The usual model says what it says alone, so that nothing is overlooked for there being a
network; the network's p-values are raised, so that it adds three in ten false alarms at most. An LSTM alone overlooks
what is plain to see where a series jumps at hours that it cannot tell; where values follow from those before, it finds
the small faults that the usual model does not. docs/jobs.md has the figures.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.online.config import AutoConfig
from gridwatch.detectors.online.layout import State
from gridwatch.jobs.analysis.lstm_windows import Seen, take

if TYPE_CHECKING:
    from gridwatch.detectors.online.bank import Bank, BankScores
    from gridwatch.jobs.analysis.lstm_network import Network

__all__ = ["MISSES", "LstmBank", "LstmState", "MissBank"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

MISSES = AutoConfig(
    deviation=(), mean=(24,), change=(), ewma=(), forecast=0, shape=(), nearest=0, aligned=(), seasonal=False,
    flat=False, lag_max=8, history_rows=64, warm_rows=40, tail_rows_max=64, p_share=0.015,
)  # fmt: skip
"""What judges misses: each, and the mean of 24, which finds what single ones do not show. Their history says nothing
more, so hardly any is kept."""

_NAMES = {"value": "lstm", "mean-24": "mean-24-lstm"}

_SHARE = 0.3
"""Of as many false alarms as the usual model has, those that the network may add: its weight, as in Bonferroni's method
with weights (Genovese, Roeder and Wasserman 2006). With a tenth it found hardly more than the usual model."""

_TOLD = 2.0
"""-log10 p from which on a bucket is a record: its band is that of who found it odd."""


_MISSED = (*(f"miss_{name}" for name in State._fields), *(f"window_{name}" for name in Seen._fields))

# Mypy wants the names of fields spelt out; these follow from those of what is put together.
_named: Any = namedtuple

MissState = _named("MissState", _MISSED)
"""What is known of the misses of s series: arrays as `State` names them, and as `Seen` does."""

LstmState = _named("LstmState", (*State._fields, *_MISSED))
"""All that is known of s series: as usual, and of the misses; see `MissState`."""


class MissBank:
    """A bank whose series are judged by what a network expects of them alone.

    Args:
        network: It.
        series: How many.
    """

    def __init__(self, network: Network, series: int) -> None:
        from gridwatch.detectors.online.bank import Bank

        self.network = network
        self._misses: Bank = Bank(MISSES, series)
        self._seen = Seen.none(series, network.window)

    def __len__(self) -> int:
        return len(self._seen.rows)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of what is judged."""
        return tuple(_NAMES.get(name, f"{name}-lstm") for name in self._misses.members)

    @property
    def state(self) -> Any:
        """The arrays that it goes on with, a `MissState`; what is written into them counts."""
        return MissState(*self._misses.state, *self._seen)

    @state.setter
    def state(self, state: tuple[Any, ...]) -> None:
        own = len(self._misses.state)
        self._misses.state = type(self._misses.state)(*state[:own])
        self._seen = Seen(*state[own:])

    def look(self, values: Floats) -> None:
        """Take up values without judging them: what the windows of those after them need."""
        self._seen = take(self._seen, values, self.network.memory_rows)[1]

    def update(self, times_ms: Ints, values: Floats, *, threads: int = 1) -> BankScores:
        """Score rows of all series, each before learning from it; see `Bank.update`.

        A value without a whole window before it has no expectation, and surprises nobody.
        """
        windows, seen = take(self._seen, np.asarray(values, np.float64), self.network.memory_rows)
        series, buckets = np.nonzero(windows.ready)
        predicted = np.full(values.shape, np.nan)
        predicted[series, buckets] = self.network.predict(windows.at(series, buckets))
        found = self._misses.update(times_ms, windows.scaled - predicted, threads=threads)
        self._seen = seen
        return self._scores(found, windows.mean, windows.deviation, predicted, np.isfinite(values))

    def copy(self) -> Self:
        """Return a bank that goes on from here by itself."""
        return self.pick(range(len(self)))

    def pick(self, series: Sequence[int]) -> Self:
        """Return a bank with copies of some of the series."""
        other = type(self).__new__(type(self))
        other.network = self.network
        other._misses = self._misses.pick(series)
        other._seen = self._seen.pick(series)
        return other

    def _scores(
        self, found: BankScores, mean: Floats, deviation: Floats, predicted: Floats, there: npt.NDArray[np.bool_]
    ) -> BankScores:
        """Return what is said of misses as it is of the values."""
        from gridwatch.detectors.online.bank import BankScores

        unjudged = there & np.isnan(predicted)
        expected = mean + deviation * predicted
        # An ordinary miss reaches so far; before one is known, nowhere.
        lower = expected + deviation * np.minimum(found.lower, 0.0)
        upper = expected + deviation * np.maximum(found.upper, 0.0)
        told = [np.where(unjudged, 0.0, one) for one in (found.surprise, found.p_surprise, found.alarm, found.segment)]
        surprise, p_surprise, alarm, segment = told
        return BankScores(
            expected, lower, upper, found.loss, surprise, p_surprise, alarm, segment, found.driver, self.members
        )


class LstmBank:
    """A bank whose series share a network; takes the place of `detectors.online.bank.Bank`.

    Args:
        usual: The series as they are judged without it.
        misses: The same series, judged by it.
    """

    def __init__(self, usual: Bank, misses: MissBank) -> None:
        self.usual, self.misses = usual, misses

    def __len__(self) -> int:
        return len(self.misses)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of what is judged."""
        return (*self.usual.members, *self.misses.members)

    @property
    def state(self) -> Any:
        """The arrays that it goes on with, an `LstmState`; what is written into them counts."""
        return LstmState(*self.usual.state, *self.misses.state)

    @state.setter
    def state(self, state: tuple[Any, ...]) -> None:
        own = len(self.usual.state)
        self.usual.state = type(self.usual.state)(*state[:own])
        self.misses.state = MissState(*state[own:])

    @property
    def nbytes(self) -> int:
        """Memory, bytes; that of the network is everybody's."""
        return sum(array.nbytes for array in self.state)

    def update(self, times_ms: Ints, values: Floats, *, threads: int = 1) -> BankScores:
        """Score rows of all series, each before learning from it; see `Bank.update`."""
        from gridwatch.detectors.online.bank import BankScores

        ours = self.misses.update(times_ms, values, threads=threads)
        usual = self.usual.update(times_ms, values, threads=threads)
        spoken = np.isfinite(ours.expected)
        missed = np.where(spoken, ours.p_surprise + np.log10(_SHARE), -1.0)
        rarer = missed > usual.p_surprise
        # Odd as usual: its band. Else the network says what is expected, wherever it says anything.
        own = spoken & (rarer | (usual.p_surprise < _TOLD))
        return BankScores(
            expected=np.where(own, ours.expected, usual.expected),
            lower=np.where(own, ours.lower, usual.lower),
            upper=np.where(own, ours.upper, usual.upper),
            loss=np.where(own, ours.loss, usual.loss),
            surprise=np.where(rarer, ours.surprise, usual.surprise),
            p_surprise=np.where(rarer, missed, usual.p_surprise),
            alarm=usual.alarm,
            segment=usual.segment,
            driver=np.where(rarer & (ours.driver >= 0), ours.driver + len(self.usual.members), usual.driver),
            members=self.members,
        )

    def copy(self) -> Self:
        """Return a bank that goes on from here by itself."""
        return self.pick(range(len(self)))

    def pick(self, series: Sequence[int]) -> Self:
        """Return a bank with copies of some of the series."""
        return type(self)(self.usual.pick(series), self.misses.pick(series))
