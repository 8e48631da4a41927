"""How many records the sink takes at a time: fewer when a batch of them takes nearly as long as its group waits."""

from __future__ import annotations

import structlog

__all__ = ["POLL_INTERVAL_S", "Pace"]

log = structlog.get_logger(__name__)

POLL_INTERVAL_S = 300.0
"""A member that does not ask for records for so many seconds loses its partitions."""

# A batch twice as large still takes less than half of what is slow, even if twice as long for each record.
_FAST = 1 / 8


class Pace:
    """The bound of the next batch.

    A batch that takes longer than the poll interval is written, but cannot be committed: its partitions went to
    another member, or back to this one, and it comes again. At the same size it would do so for ever.

    Args:
        rows_max: Most records of a batch, and of the first.
        interval_s: Seconds between two polls that cost a member its partitions. More than half of it is slow.
    """

    def __init__(self, rows_max: int, interval_s: float = POLL_INTERVAL_S) -> None:
        self._rows_max = rows_max
        self._slow_s = interval_s / 2
        self.rows = rows_max
        """Most records of the next batch."""

    def took(self, rows: int, seconds: float) -> None:
        """Take note of a batch, written or not."""
        if seconds > self._slow_s:
            # What is far too slow is not approached by halves: each try is written again.
            self.rows = max(1, min(rows // 2, int(rows * self._slow_s / seconds)))
            log.warning("sink_batch_slow", rows=rows, seconds=round(seconds, 1), next_rows_max=self.rows)
        elif seconds < self._slow_s * _FAST and rows >= self.rows:
            self.rows = min(self._rows_max, 2 * self.rows)
