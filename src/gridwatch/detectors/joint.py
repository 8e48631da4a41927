"""The online detectors' members together with streams that come from elsewhere, such as an LSTM's misses.

Each stream is judged among its own past, as each member is. With c the members' surprises taken together (the greatest
and a part of their mean), a row's surprise is the greater of c and the streams', plus the streams' part of the mean:
each stream so counts as one more member. What follows is the same too: the p-value, alarms with hold and dead time, the
segments.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.base import Floats, Times
from gridwatch.detectors.calibration import score_of
from gridwatch.detectors.online.alarms import Alarms
from gridwatch.detectors.online.bank import Bank, BankScores
from gridwatch.detectors.online.config import AutoConfig
from gridwatch.detectors.online.ensemble import OnlineScores, read_state, to_100, write_state
from gridwatch.detectors.online.layout import DAY
from gridwatch.detectors.online.past import Past
from gridwatch.detectors.streams import Stream, Taken
from gridwatch.errors import DetectorError

__all__ = ["Joint"]

_STATE, _STREAMS = "state.npz", "streams.npz"
_HUGE = float(np.finfo(np.float64).max)
_MOST = 1e150  # of an odd number: its square is finite
_BAND_ROWS = 64  # rows between two looks at how far an ordinary miss reaches


class Joint:
    """What is known of the rows so far: by the members, and by each stream with its past.

    Args:
        config: Members and constants.
        streams: Those from elsewhere, at least one.
        members_judged: Whether the members say how odd a row is, or only what is expected of it.
        streams_expect: Whether the first stream that expects a value says what is expected of all rows, or streams only
            of the rows that they drove.
    """

    def __init__(
        self, config: AutoConfig, streams: Sequence[Stream], *, members_judged: bool, streams_expect: bool
    ) -> None:
        self.config, self.streams = config, list(streams)
        self.members_judged, self.streams_expect = members_judged, streams_expect
        self.bank, self.alarms = Bank(config), Alarms(config)
        self.pasts = [Past(config, two_sided=stream.two_sided) for stream in streams]
        self.bands = np.zeros((len(self.streams), 2))

    @property
    def rows(self) -> int:
        """How many rows it has had."""
        return int(self.bank.rows[0])

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the members, then of the streams."""
        return (*self.bank.members, *(stream.name for stream in self.streams))

    def copy(self) -> Self:
        """Return one that goes on from here by itself."""
        streams = [stream.copy() for stream in self.streams]
        other = type(self)(self.config, streams, members_judged=self.members_judged, streams_expect=self.streams_expect)
        other.bank, other.alarms = self.bank.copy(), self.alarms.copy()
        other.pasts, other.bands = [past.copy() for past in self.pasts], self.bands.copy()
        return other

    def update(self, times_ms: Times, values: Floats) -> OnlineScores:
        """Score rows, then learn them; what fails may have learnt a part of them."""
        first = self.rows
        # Differences of values near the end of what a float holds are infinite; the pasts take finite numbers alone.
        with np.errstate(over="ignore"):
            taken = [stream.take(times_ms, values) for stream in self.streams]
        bank = self.bank.update(times_ms, values[None, :])
        surprises, bands = self._judge(first, taken)
        combined, driver = self._combine(bank, surprises)
        unjudged = min(max(self.config.warm_rows - first, 0), len(values))
        combined[:unjudged], driver[:unjudged] = 0.0, -1
        expected = self._expected(bank, taken, bands, driver)
        hold_rows, dead_rows = self.config.quiet_rows(int(self.bank.state.counts[0, DAY]))
        told = self.alarms.judge(combined[unjudged:], hold_rows=hold_rows, dead_rows=dead_rows)
        p_surprise, alarm, segment = (np.concatenate([np.zeros(unjudged), one]) for one in told)
        p_value = np.maximum(10.0**-p_surprise, 1e-12)
        return OnlineScores(
            actual=values.copy(),
            expected=expected["expected"],
            lower=expected["lower"],
            upper=expected["upper"],
            loss=expected["loss"],
            p_value=p_value,
            score=score_of(p_value),
            anomaly_score=to_100(alarm),
            segment_score=to_100(segment),
            surprise=combined,
            driver=driver,
            members=self.members,
        )

    def save(self) -> dict[str, bytes]:
        """Return the state as named files, the same for the same state."""
        arrays = {f"alarms.{name}": array for name, array in self.alarms.arrays().items()}
        for number, (stream, past) in enumerate(zip(self.streams, self.pasts, strict=True)):
            arrays |= {f"{number}.{name}": array for name, array in stream.arrays().items()}
            arrays |= {f"{number}.past": past.numbers, f"{number}.band": self.bands[number]}
        file = io.BytesIO()
        np.savez(file, **arrays)  # type: ignore[arg-type]
        return {_STATE: write_state(self.bank.state), _STREAMS: file.getvalue()}

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Take up what `save` wrote.

        Raises:
            DetectorError: A file is missing or damaged.
        """
        missing = [name for name in (_STATE, _STREAMS) if name not in parts]
        if missing:
            raise DetectorError(f"The saved detector lacks {', '.join(missing)}; it has {sorted(parts)}.")
        self.bank.state = read_state(parts[_STATE], self.bank.state, self.config)
        try:
            with np.load(io.BytesIO(parts[_STREAMS]), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            self.alarms.restore(_of("alarms", arrays))
            for number, (stream, past) in enumerate(zip(self.streams, self.pasts, strict=True)):
                own = _of(str(number), arrays)
                past.restore(own["past"])
                self.bands[number] = own["band"]
                stream.restore(own)
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise DetectorError(f"{_STREAMS} is damaged: {error!r}.") from error
        if not np.isfinite(self.bands).all():
            raise DetectorError(f"{_STREAMS} is damaged: a band is {self.bands.tolist()}.")

    def _judge(self, first: int, taken: Sequence[Taken]) -> tuple[Floats, Floats]:
        """Return surprises (k, n) and the band of each row's misses (k, n, 2), each row before it is learnt."""
        rows = len(taken[0].odd)
        surprises, bands = np.zeros((len(taken), rows)), np.zeros((len(taken), rows, 2))
        # At the same rows however these are cut into calls.
        edges = [0, *range(_BAND_ROWS - first % _BAND_ROWS, rows, _BAND_ROWS), rows]
        for number, (past, one) in enumerate(zip(self.pasts, taken, strict=True)):
            if one.value_at is None:
                surprises[number] = past.judge(np.clip(one.odd, -_MOST, _MOST))
                continue
            for begin, end in pairwise(edges):
                if (first + begin) % _BAND_ROWS == 0:
                    self.bands[number] = past.band()
                bands[number, begin:end] = self.bands[number]
                surprises[number, begin:end] = past.judge(np.clip(one.odd[begin:end], -_MOST, _MOST))
        return surprises, bands

    def _combine(self, bank: BankScores, surprises: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Return the surprise of each row, and what drove it by its place in `members`."""
        members, judged = np.zeros(surprises.shape[1]), len(surprises)
        if self.members_judged:
            # All of a bank's streams are judged but the first and the last.
            members, judged = bank.surprise[0], judged + len(bank.members) - 2
        greatest = surprises.max(axis=0)
        combined = np.maximum(members, greatest) + self.config.mean_weight * surprises.sum(axis=0) / judged
        driver = np.where(greatest > members, surprises.argmax(axis=0) + len(bank.members), bank.driver[0])
        return combined, np.where(combined > 0.0, driver, -1)

    def _expected(
        self, bank: BankScores, taken: Sequence[Taken], bands: Floats, driver: npt.NDArray[np.int64]
    ) -> dict[str, Floats]:
        """Return the expected, least and greatest ordinary value of each row, and its loss."""
        out = {name: getattr(bank, name)[0].copy() for name in ("expected", "lower", "upper", "loss")}
        open_rows = np.ones(len(driver), bool)
        for number, (one, band) in enumerate(zip(taken, bands, strict=True)):
            if one.value_at is None:
                continue
            rows = open_rows if self.streams_expect else driver == len(bank.members) + number
            rows = rows & ~np.isnan(one.odd) & (band[:, 1] > band[:, 0])
            edges = np.zeros(len(rows)), np.minimum(band[:, 0], 0.0), np.maximum(band[:, 1], 0.0)
            with np.errstate(over="ignore"):
                for name, miss in zip(("expected", "lower", "upper"), edges, strict=True):
                    out[name][rows] = np.clip(one.value_at(miss)[rows], -_HUGE, _HUGE)
            if one.loss is not None:
                out["loss"][rows] = one.loss[rows]
            open_rows = open_rows & ~rows
        return out


def _of(prefix: str, arrays: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, npt.NDArray[np.float64]]:
    return {name.partition(".")[2]: array for name, array in arrays.items() if name.partition(".")[0] == prefix}
