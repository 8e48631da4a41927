"""From the surprise at each row to its p-value, to alarms with hold and dead time, and to a mark of whole segments."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

from gridwatch.detectors.base import Floats
from gridwatch.detectors.online.config import AutoConfig
from gridwatch.detectors.online.past import Past
from gridwatch.errors import DetectorError

__all__ = ["Alarms"]


class Alarms:
    """What `gridwatch.detectors.online.kernels` does with the combined surprise of a row, for one from elsewhere.

    Args:
        config: Its constants of hold, dead time and segments.

    >>> alarms = Alarms(AutoConfig(hold_rows=3, dead_rows=1))
    >>> alarms.judge(np.array([0.5, 4.0, 5.0, 6.0, 1.0, 1.0, 1.0, 2.0]))[1].tolist()
    [0.5, 4.0, 0.0, 6.0, 0.0, 0.0, 0.0, 2.0]
    """

    def __init__(self, config: AutoConfig) -> None:
        self._config = config
        self._past = Past(config, two_sided=False, rows=True)
        self._held = np.zeros(config.hold_rows)
        # So that the dead time is over at the start.
        self._since, self._smooth, self._kept = config.dead_rows, 0.0, 0.0

    def judge(
        self, combined: Floats, *, hold_rows: int | None = None, dead_rows: int | None = None
    ) -> tuple[Floats, Floats, Floats]:
        """Return -log10 of the p-values, the alarms and the smoothed surprise, float64 (n,) each, of the next rows.

        Args:
            combined: float64 (n,), their surprise.
            hold_rows: Rows before a row whose surprise an alarm exceeds, at most the constants' and that unless given.
            dead_rows: Rows after an alarm without another; the constants' unless given.
        """
        hold_rows = self._config.hold_rows if hold_rows is None else hold_rows
        dead_rows = self._config.dead_rows if dead_rows is None else dead_rows
        p_surprise = self._past.judge(combined)
        joined = np.concatenate([self._held, combined])
        self._held = joined[len(combined) :].copy()
        alarms = self._alarms(joined[self._config.hold_rows - hold_rows :], combined, hold_rows, dead_rows)
        return p_surprise, alarms, self._segments(combined)

    def copy(self) -> Self:
        """Return alarms that go on from here by themselves."""
        other = type(self)(self._config)
        other._past, other._held = self._past.copy(), self._held.copy()
        other._since, other._smooth, other._kept = self._since, self._smooth, self._kept
        return other

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return all that is known of the rows so far."""
        return {
            "past": self._past.numbers,
            "held": self._held,
            "last": np.array([self._since, self._smooth, self._kept], np.float64),
        }

    def restore(self, arrays: dict[str, npt.NDArray[np.float64]]) -> None:
        """Take up what `arrays` was.

        Raises:
            DetectorError: It does not fit; a missing array raises KeyError.
        """
        held, last = arrays["held"], arrays["last"]
        fits = held.shape == self._held.shape and last.shape == (3,) and held.dtype == last.dtype == np.float64
        if not fits or not np.isfinite(held).all() or not np.isfinite(last).all() or last[0] < 0:
            raise DetectorError(f"The saved alarms are damaged: {held.dtype} {held.shape} and {last.tolist()}.")
        self._past.restore(arrays["past"])
        self._held, self._since = held.copy(), int(last[0])
        self._smooth, self._kept = float(last[1]), float(last[2])

    def _alarms(self, joined: Floats, combined: Floats, hold_rows: int, dead_rows: int) -> Floats:
        out = np.zeros(len(combined))
        if not len(combined):
            return out
        before = np.lib.stride_tricks.sliding_window_view(joined[:-1], hold_rows).max(axis=1)
        # Row -1 is the one before these; the last alarm was `since` rows before it.
        last = -1 - self._since
        for row in np.flatnonzero(combined > before).tolist():
            if row - last > dead_rows:
                out[row] = combined[row]
                if combined[row] >= self._config.alarm_level:
                    last = row
        self._since = len(combined) - 1 - last
        return out

    def _segments(self, combined: Floats) -> Floats:
        config, smooth, kept, out = self._config, self._smooth, self._kept, []
        share = 2.0 / (config.segment_rows + 1.0)
        for cube in (np.minimum(combined, config.segment_cap) ** 3).tolist():
            smooth += share * (cube - smooth)
            kept = max(smooth, config.segment_keep * kept)
            out.append(0.5 * kept)
        self._smooth, self._kept = smooth, kept
        return np.array(out, np.float64)
