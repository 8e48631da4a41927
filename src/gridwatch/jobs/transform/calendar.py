"""How a date_histogram cuts time, as whole numbers that SQL can group by: fixed lengths, and months of the calendar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridwatch.jobs import sql
from gridwatch.jobs.sql import Sql

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["CALENDAR", "Buckets", "calendar_buckets"]

_HOUR = 3_600_000
_DAY = 24 * _HOUR
CALENDAR = {
    "1m": "minute", "minute": "minute", "1h": "hour", "hour": "hour", "1d": "day", "day": "day", "1w": "week",
    "week": "week", "1M": "month", "month": "month", "1q": "quarter", "quarter": "quarter", "1y": "year",
    "year": "year",
}  # fmt: skip
"""Elasticsearch's calendar intervals; others are refused."""
_LENGTHS = {"minute": 60_000, "hour": _HOUR, "day": _DAY, "week": 7 * _DAY}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_MONDAY = 4 * _DAY
"""1970 began on a Thursday, weeks begin on Monday."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Time cut into numbered buckets: those of a fixed length, or of whole months.

    Attributes:
        every_ms: Length, 0 where it is in months.
        months: Length in months, 0 where it is fixed.
        zone_ms: Offset of the zone whose calendar counts.
        first_ms: Where a bucket begins in that zone, after 1970.
    """

    every_ms: int = 0
    months: int = 0
    zone_ms: int = 0
    first_ms: int = 0

    @property
    def _shift(self) -> int:
        return (self.zone_ms - self.first_ms) % self.every_ms

    def sql(self, time: Sql) -> Sql:
        """Return the number of the bucket that a TIMESTAMP is in; null for null."""
        # Whole numbers of our own, not parameters: GridDB groups by what it knows when it reads the statement.
        if self.every_ms:
            ms = sql.compose("TO_EPOCH_MS({})", time)
            return Sql(f"({ms.text} + {self._shift}) / {self.every_ms}", ms.parameters)
        if self.zone_ms:
            time = Sql(f"TIMESTAMP_ADD(MILLISECOND, {time.text}, {self.zone_ms})", time.parameters)
        parts = sql.compose("EXTRACT(YEAR, {}) * 12 + EXTRACT(MONTH, {}) - 1", time, time)
        return Sql(f"({parts.text}) / {self.months}", parts.parameters)

    def begins(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return when buckets begin, UTC epoch ms, int64 (n,); not before 1970, where GridDB's time begins.

        >>> hours = Buckets(every_ms=3_600_000)
        >>> hours.begins(np.array([2])), hours.numbers(np.array([7_300_000]))
        (array([7200000]), array([2]))
        """
        if self.every_ms:
            found = numbers * self.every_ms - self._shift
        else:
            months = (numbers * self.months - 1970 * 12).astype("datetime64[M]")
            found = months.astype("datetime64[ms]").astype(np.int64) - self.zone_ms
        return np.maximum(found, 0)

    def numbers(self, times_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the numbers of the buckets that instants are in, int64 (n,)."""
        if self.every_ms:
            return (times_ms + self._shift) // self.every_ms
        local = (times_ms + self.zone_ms).astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
        return (local + 1970 * 12) // self.months

    def floor(self, time_ms: int) -> int:
        """Return when the bucket of an instant begins, UTC epoch ms."""
        return int(self.begins(self.numbers(np.array([time_ms], np.int64)))[0])

    def after(self, time_ms: int) -> int:
        """Return when the bucket after that of an instant begins, UTC epoch ms."""
        return int(self.begins(self.numbers(np.array([time_ms], np.int64)) + 1)[0])


def calendar_buckets(text: str, zone_ms: int = 0, offset_ms: int = 0) -> Buckets:
    """Return the buckets of a calendar interval of `CALENDAR`."""
    unit = CALENDAR[text]
    if unit in _MONTHS:
        return Buckets(months=_MONTHS[unit], zone_ms=zone_ms - offset_ms)
    return Buckets(_LENGTHS[unit], zone_ms=zone_ms, first_ms=offset_ms + (_MONDAY if unit == "week" else 0))
