"""Rows under way to the handler: several at once, mails and webhooks in lanes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from gridwatch.alerts.batch import BATCH_MAX
from gridwatch.alerts.handler import POSTS_MAX, Answer, Handler, HandlerAwayError
from gridwatch.alerts.receipts import CHANNEL, WEBHOOK

if TYPE_CHECKING:
    from gridwatch.alerts.outbox import Due

__all__ = ["Posts"]

# A webhook that hangs must not keep mails back.
_LANES = {CHANNEL: POSTS_MAX - 2, WEBHOOK: 2}

ROWS_MAX = 3 * BATCH_MAX
"""Most mails under way: a death of the handler makes a possible duplicate of each at most."""


class Posts:
    """Threads that POST; all methods are for one thread, that of the relay."""

    def __init__(self) -> None:
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._under_way: dict[str, tuple[Due, int, Future[list[Answer]]]] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def __contains__(self, key: str) -> bool:
        return key in self._under_way

    def keys(self, channel: str) -> set[str]:
        """Return the keys of a channel's rows that are under way."""
        return {row.key for row, _, _ in self._under_way.values() if row.channel == channel}

    def room(self, channel: str) -> int:
        """Return how many rows of this channel would be POSTed at once, together or alone; 0 for none."""
        busy = [future for row, _, future in self._under_way.values() if row.channel == channel]
        if len(set(busy)) >= _LANES.get(channel, 1):
            return 0
        return max(0, min(BATCH_MAX, ROWS_MAX - len(busy))) if channel == CHANNEL else 1

    def start(self, handler: Handler, rows: Sequence[Due]) -> None:
        """POST rows of one channel in a thread, in one piece."""
        channel = rows[0].channel
        if channel not in self._pools:
            self._pools[channel] = ThreadPoolExecutor(_LANES.get(channel, 1), f"post-{channel}")
        future = self._pools[channel].submit(handler.post, list(rows))
        self._under_way |= {row.key: (row, place, future) for place, row in enumerate(rows)}

    def wait(self, timeout_s: float) -> None:
        """Wait until one of them is done, or the time is over."""
        wait({future for _, _, future in self._under_way.values()}, timeout_s, FIRST_COMPLETED)

    def finished(self) -> list[tuple[Due, Answer | HandlerAwayError]]:
        """Take out those that are done, with what the handler said; it may have said nothing of the last of several."""
        done = [entry for entry in self._under_way.values() if entry[2].done()]
        for row, _, _ in done:
            del self._under_way[row.key]
        found = [(row, _answer(future, place)) for row, place, future in done]
        return [(row, answer) for row, answer in found if answer is not None]

    def close(self) -> None:
        """Wait for what is under way, and end the threads."""
        for pool in self._pools.values():
            pool.shutdown(wait=True)
        self._pools = {}


def _answer(future: Future[list[Answer]], place: int) -> Answer | HandlerAwayError | None:
    error = future.exception()
    if isinstance(error, HandlerAwayError):
        return error
    # Anything else is a defect, and raised here.
    answers = future.result()
    return answers[place] if place < len(answers) else None
