"""The `auto` detector: learns as it goes, scores each row before learning from it, without labels and without training.

Members turn the series into streams of oddness (`members`); the surprise of a stream is -log10 of the share of its
own past that was as odd (`surprise`); the greatest of them, with a part of their mean, is the row's surprise. Its rank
among its own past is the p-value, and what passes hold and dead time is the alarm (`alarms`).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.base import Detector, Floats, Scores, Times, check_series
from gridwatch.detectors.document import JSON, check_enough, document, learnt, read
from gridwatch.detectors.online.bank import Bank, BankScores
from gridwatch.detectors.online.config import AutoConfig
from gridwatch.detectors.online.layout import LAST_MS, State
from gridwatch.detectors.online.members import all_knots, in_bounds
from gridwatch.errors import DetectorError

__all__ = ["AutoDetector", "OnlineDetector", "OnlineScores"]

FORMAT = 3
"""Of what is saved: the members' constants and state. Another number wherever these change, so that what was saved
before is refused as such rather than as damaged."""

_STATE = "state.npz"


@dataclass(frozen=True, slots=True, eq=False)
class OnlineScores(Scores):
    """Scores of n rows with what an online detector knows beyond; float64 (n,) but for `driver`.

    Attributes:
        anomaly_score: The alarm stream, 0 to 100: above 0 only where a row stands out from those before it, and not
            soon after another alarm.
        segment_score: 0 to 100, smoothed, high over the whole of an odd segment.
        surprise: Of each row, in decades, before anything is held back: what the alarm stream is made of.
        driver: int64 (n,), which member was the most surprised, by its place in `members`; -1 for none.
        members: Names of the members.
    """

    anomaly_score: Floats
    segment_score: Floats
    surprise: Floats
    driver: npt.NDArray[np.int64]
    members: tuple[str, ...]

    def driver_names(self) -> list[str]:
        """Return the name of the member that drove each row, "" for none."""
        return [self.members[place] if place >= 0 else "" for place in self.driver.tolist()]


@runtime_checkable
class OnlineDetector(Detector, Protocol):
    """A detector that learns each row right after scoring it, so that it needs no training and no history again."""

    def update(self, times_ms: Times, values: Floats) -> OnlineScores:
        """Score rows that follow those of the call before, each before learning from it.

        However the rows are cut into calls, their scores are the same.

        Args:
            times_ms: int64 (n,), UTC epoch ms, strictly increasing, after the last row seen.
            values: float64 (n,), finite.

        Raises:
            DetectorError: Values or times that cannot be scored; names the row. Nothing is learnt then.
        """


class AutoDetector:
    """The ensemble of all members over one series.

    Args:
        config: Members and constants.

    >>> from gridwatch.detectors.testing import random_walk
    >>> times, values = random_walk(600)
    >>> values[500:560] = values[500]
    >>> scores = AutoDetector().update(times, values)
    >>> row = int(scores.anomaly_score.argmax())
    >>> 500 < row < 525, scores.driver_names()[row]
    (True, 'deviation-24')
    """

    kind = "auto"

    def __init__(self, config: AutoConfig | None = None) -> None:
        self.config = config or AutoConfig()
        self._bank: Bank | None = None

    @property
    def context_rows(self) -> int:
        """No rows need to be given again: what they said is in the state."""
        return 0

    @property
    def rows_min(self) -> int:
        """Fewest rows that `learn` takes."""
        return self.config.warm_rows

    @property
    def rows(self) -> int:
        """How many rows have been learnt."""
        return 0 if self._bank is None else int(self._bank.rows[0])

    def learn(self, times_ms: Times, values: Floats) -> None:
        """Start anew and learn a series; see `Detector.learn`."""
        check_enough(len(values), self.rows_min, who="a rank among the past", smaller="warm_rows")
        check_series(times_ms, values)
        bank = Bank(self.config)
        bank.update(times_ms, values[None, :])
        self._bank = bank

    def update(self, times_ms: Times, values: Floats) -> OnlineScores:
        """Score rows, then learn them; see `OnlineDetector.update`."""
        check_series(times_ms, values)
        bank = self._bank or Bank(self.config)
        check_follows(times_ms, bank)
        scores = _scores(values, bank.update(times_ms, values[None, :]))
        self._bank = bank
        return scores

    def score(self, times_ms: Times, values: Floats) -> Scores:
        """Score rows as if they followed those learnt, without learning them; see `Detector.score`."""
        check_series(times_ms, values)
        if self._bank is None:
            return Scores.neutral(values)
        bank = self._bank.copy()
        # Whether they do follow is for the caller to know: a backtest may score rows that were learnt.
        bank.state.counts[:, LAST_MS] = np.iinfo(np.int64).min
        return _scores(values, bank.update(times_ms, values[None, :]))

    def save(self) -> dict[str, bytes]:
        """Return `detector.json` and `state.npz`; see `Detector.save`."""
        bank = learnt(self._bank)
        return {JSON: document(self.kind, FORMAT, asdict(self.config)), _STATE: write_state(bank.state)}

    @classmethod
    def load(cls, parts: Mapping[str, bytes]) -> Self:
        """Return the detector that `save` wrote; see `Detector.load`."""
        with read(parts, cls.kind, FORMAT, files=(_STATE,)) as raw:
            config = AutoConfig.of(raw["config"])
            bank = Bank(config)
        detector = cls(config)
        bank.state = read_state(parts[_STATE], bank.state, config)
        detector._bank = bank
        return detector


def _scores(values: Floats, bank: BankScores) -> OnlineScores:
    p_surprise = np.minimum(bank.p_surprise[0], 12.0)
    # One pass for the three: for a single row each costs as much as the kernels.
    score, anomaly_score, segment_score = to_100(np.array((p_surprise, bank.alarm[0], bank.segment[0])))
    return OnlineScores(
        actual=values.copy(),
        expected=bank.expected[0],
        lower=bank.lower[0],
        upper=bank.upper[0],
        loss=bank.loss[0],
        p_value=10.0**-p_surprise,
        score=score,
        anomaly_score=anomaly_score,
        segment_score=segment_score,
        surprise=bank.surprise[0],
        driver=bank.driver[0],
        members=bank.members,
    )


def check_follows(times_ms: Times, bank: Bank) -> None:
    """Check that rows come after those that a bank of one series has had.

    Raises:
        DetectorError: They do not; names both times.
    """
    if len(times_ms) and times_ms[0] <= bank.state.counts[0, LAST_MS] and bank.rows[0]:
        raise DetectorError(
            f"Row 0 at {np.datetime64(int(times_ms[0]), 'ms')}Z does not come after the last row learnt "
            f"({np.datetime64(int(bank.last_ms[0]), 'ms')}Z); leave out the rows that were scored already.",
            row=0,
        )


def to_100(surprise: Floats) -> Floats:
    """Return 0 to 100 as `score_of` does, for a surprise: -log10 of a p-value, or what stands for it."""
    return 100.0 * np.abs(np.expm1(-surprise))


def write_state(state: State) -> bytes:
    """Return the state of one series as the bytes of `state.npz`, the same for the same state."""
    file = io.BytesIO()
    np.savez(file, **{name: array[0] for name, array in state._asdict().items()})
    return file.getvalue()


def read_state(content: bytes, like: State, config: AutoConfig) -> State:
    """Return the state in `state.npz`, checked so that the kernels never reach past an array.

    Args:
        content: What `write_state` wrote.
        like: A state of the same configuration.
        config: That configuration.

    Raises:
        DetectorError: It is damaged, or of another configuration.
    """
    arrays = {}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            for name, array in like._asdict().items():
                arrays[name] = file[name][None]
                if arrays[name].shape != array.shape or arrays[name].dtype != array.dtype:
                    raise DetectorError(
                        f"state.npz is damaged: {name} is {arrays[name].dtype} {arrays[name].shape[1:]}, its detector "
                        f"has {array.dtype} {array.shape[1:]}."
                    )
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DetectorError(f"state.npz is damaged: {error!r}.") from error
    state = State(**arrays)
    knots = all_knots(config)
    finite = all(np.isfinite(array).all() for name, array in arrays.items() if name != "past")
    if not finite or not np.isfinite(np.where(knots, 0.0, state.past[0])).all() or not in_bounds(state, config):
        raise DetectorError("state.npz is damaged: a count is out of its range, or a number is not finite.")
    return state
