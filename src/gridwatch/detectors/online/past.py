"""One stream's past outside of a bank: its numbers are judged among all before, as the members of a bank are."""

from __future__ import annotations

from typing import Self

import numpy as np

from gridwatch.detectors.base import Floats
from gridwatch.detectors.online import kernels
from gridwatch.detectors.online.config import AutoConfig
from gridwatch.detectors.online.layout import LEAST, SEEN, TOP, USED
from gridwatch.detectors.online.members import constants_of, empty_past
from gridwatch.errors import DetectorError

__all__ = ["Past"]


class Past:
    """What is kept of all numbers that a stream has had; `gridwatch.detectors.online.surprise` says how.

    Args:
        config: Constants of the tail.
        two_sided: Whether a low number is as odd as a high one.
        rows: Whether the numbers are the surprises of rows, whose ranks are p-values: the tail begins at `p_share`.

    >>> past = Past(AutoConfig(), two_sided=True)
    >>> past.judge(np.arange(200.0) % 50)[:3].tolist(), bool(past.judge(np.array([-90.0]))[0] > 5.0)
    ([0.0, 0.0, 0.0], True)
    """

    def __init__(self, config: AutoConfig, *, two_sided: bool, rows: bool = False) -> None:
        self.two_sided, self.rows = two_sided, rows
        self.numbers = empty_past(config, two_sided=two_sided)
        self._config = config
        constants = constants_of(config)
        self._constants = constants._replace(tail_share=config.p_share) if rows else constants

    @property
    def seen(self) -> int:
        """How many numbers the stream has had."""
        return int(self.numbers[SEEN])

    def judge(self, stream: Floats) -> Floats:
        """Return the surprise at each number, float64 (n,), before it is counted; NaN is passed over and gets 0."""
        out = np.empty(len(stream))
        kernels.surprises(self.numbers, self.two_sided, np.array(stream, np.float64), self._constants, out)
        return out

    def band(self) -> tuple[float, float]:
        """Return the least and greatest ordinary miss: all but `band_p` of those so far are within.

        A two-sided stream is one of misses with their sign; of any other the numbers are their sizes. Zeros while there
        have been too few to tell.
        """
        if self.seen < self._config.warm_rows:
            return 0.0, 0.0
        room = self._config.tail_rows_max
        top, bottom = (self.numbers[start:][: min(self.seen, room)] for start in (TOP, len(self.numbers) - room))
        spread = float(top[-1] - self.numbers[LEAST])
        if not self.two_sided:
            up = self._reach(top, spread, self._config.band_p)
            return -up, up
        return -self._reach(bottom, spread, 0.5 * self._config.band_p), self._reach(
            top, spread, 0.5 * self._config.band_p
        )

    def copy(self) -> Self:
        """Return a past that goes on from here by itself."""
        other = type(self)(self._config, two_sided=self.two_sided, rows=self.rows)
        other.numbers = self.numbers.copy()
        return other

    def restore(self, numbers: Floats) -> None:
        """Take up what `numbers` was.

        Raises:
            DetectorError: It cannot be the past of a stream with these constants.
        """
        body = numbers.copy()
        if numbers.shape == self.numbers.shape and numbers.dtype == np.float64:
            body[np.isinf(empty_past(self._config, two_sided=self.two_sided))] = 0.0
        if (
            numbers.shape != self.numbers.shape
            or numbers.dtype != np.float64
            or not np.isfinite(body).all()
            or np.isnan(numbers).any()
            or body[SEEN] < 0
            or not 0 <= body[USED] <= self._config.bins
        ):
            raise DetectorError(
                f"The saved past of a stream is damaged: {numbers.dtype} {numbers.shape}, or numbers out of range; its "
                f"detector has {self.numbers.dtype} {self.numbers.shape}."
            )
        self.numbers = numbers.copy()

    def _reach(self, ordered: Floats, spread: float, p_value: float) -> float:
        """Return the number that is exceeded with probability `p_value`; the arithmetic of the kernels' bands."""
        config, rows = self._config, self.seen
        extremes = min(max(int(config.tail_share * rows), config.tail_rows_min), len(ordered))
        start = float(ordered[-extremes])
        ratio = (extremes + 1.0) / (rows + 1.0) / p_value
        if ratio <= 1.0:
            return start
        excess = max(float(ordered[-extremes:].mean()) - start, 1e-3 * spread)
        return float(start + excess * (ratio**config.tail_shape - 1.0) / config.tail_shape)
