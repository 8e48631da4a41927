"""Models of series that share a network once it is trained, and are judged as usual until then."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from gridwatch.jobs.analysis.bursts import CREDIT_FIRST, update_without_bursts
from gridwatch.jobs.analysis.lstm_bank import MISSES, LstmBank, MissBank
from gridwatch.jobs.analysis.lstm_lesson import Recent, filled
from gridwatch.jobs.analysis.lstm_windows import Seen
from gridwatch.jobs.analysis.models import Floats, Ints, Judged, Models

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gridwatch.detectors.online.bank import Bank
    from gridwatch.detectors.online.config import AutoConfig
    from gridwatch.jobs.analysis.lstm_network import Network
    from gridwatch.jobs.config import JobConfig

__all__ = ["LstmModels", "models_of", "sizes_of"]

_CALIBRATED = 400_000
"""Windows that are looked at to calibrate all series after a training: some ten seconds."""

_ROWS_MIN = 150
"""Fewest buckets of each series: with those that are learnt and not judged it is sure of one in a hundred."""


class LstmModels(Models):
    """The models of a growing number of series, and their newest buckets; see `Models`.

    Args:
        config: What judges them until a network does.
        threads: How many threads share the work.
        most: How many series there may be.
        spaced: What `Models` takes beside: gaps that are to be filled, and zeros.
        buckets: Newest buckets that are kept to learn from.
    """

    def __init__(
        self, config: AutoConfig, threads: int = 1, most: int | None = None, *spaced: int, buckets: int
    ) -> None:
        super().__init__(config, threads, most, *spaced)
        self.network: Network | None = None
        self.recent = Recent(buckets)

    @property
    @override
    def nbytes(self) -> int:
        return super().nbytes + self.recent.nbytes

    @override
    def bank(self, series: int) -> Bank:
        usual = super().bank(series)
        return usual if self.network is None else _shared(usual, MissBank(self.network, series))

    @override
    def update(self, times_ms: Ints, values: Floats) -> Judged:
        self.recent.note(times_ms, values)
        return super().update(times_ms, values)

    @override
    def keep(self, which: Ints) -> None:
        super().keep(which)
        self.recent.keep(which)

    @override
    def own_arrays(self) -> dict[str, Any]:
        return {"times": self.recent.times, "values": self.recent.values, "many": np.array([self.recent.many])}

    @override
    def restore_own(self, arrays: Mapping[str, Any]) -> None:
        recent = self.recent
        values = arrays["values"]
        fits = values.dtype == np.float32 and values.shape[1:] == recent.values.shape[1:]
        if not fits or arrays["times"].shape != recent.times.shape or not int(arrays["many"][0]) >= 0:
            raise ValueError(f"newest buckets are {values.dtype} {values.shape}")
        recent.times, recent.values, recent.many = arrays["times"], values, int(arrays["many"][0])

    def adopt(self, network: Network) -> None:
        """Go on with a network: what it misses is learnt from the newest buckets, as if it had been there.

        Args:
            network: Which.
        """
        self.network = network
        times, values = filled(self.recent, self.slots)
        judged = min(max(_CALIBRATED // max(len(values), 1), _ROWS_MIN), len(times))
        had: list[tuple[int, Any]] = [*self._used(self.room)]
        for place, (start, page) in enumerate(had):
            misses = MissBank(network, len(page))
            part = np.full((len(page), len(times)), np.nan)
            known = values[start : start + len(page)]
            part[: len(known)] = known
            misses.look(part[:, :-judged])
            credit = np.full(len(page), CREDIT_FIRST, np.int64)
            update_without_bursts(_as_bank(misses), credit, times[-judged:], part[:, -judged:], threads=self.threads)
            self.pages[place] = _shared(page.usual if isinstance(page, LstmBank) else page, misses)


def _shared(usual: Bank, misses: MissBank) -> Bank:
    return _as_bank(LstmBank(usual, misses))


def _as_bank(bank: LstmBank | MissBank) -> Bank:
    """Return what has all that models ask of a bank."""
    return bank  # type: ignore[return-value]


def sizes_of(job: JobConfig) -> tuple[int, int]:
    """Return what a job's series takes more than as usual, bytes, and what each function of a detector does."""
    from gridwatch.detectors.online.members import empty_state

    if job.model.type != "lstm":
        return 0, 0
    misses = sum(array.nbytes for array in (*empty_state(MISSES), *Seen.none(1, job.model.window)))
    recent = Recent(job.train_buckets)
    return misses + recent.values.itemsize * job.train_buckets, recent.nbytes


def models_of(job: JobConfig) -> Callable[..., Models]:
    """Return what makes the models of a job's detectors."""
    return partial(LstmModels, buckets=job.train_buckets) if job.model.type == "lstm" else Models
