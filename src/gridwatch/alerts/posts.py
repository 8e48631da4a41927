"""Rows under way to the handler: several at once, mails and webhooks in lanes of their own."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from gridwatch.alerts.handler import POSTS_MAX, Answer, Handler, HandlerAwayError
from gridwatch.alerts.receipts import CHANNEL, WEBHOOK

if TYPE_CHECKING:
    from gridwatch.alerts.outbox import Due

__all__ = ["Posts"]

# A webhook that hangs must not keep mails back.
_LANES = {CHANNEL: POSTS_MAX - 2, WEBHOOK: 2}


class Posts:
    """Threads that POST; all methods are for one thread, that of the relay."""

    def __init__(self) -> None:
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._under_way: dict[str, tuple[Due, Future[Answer]]] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def __contains__(self, key: str) -> bool:
        return key in self._under_way

    def has_room(self, channel: str) -> bool:
        """Tell whether another row of this channel would be POSTed at once."""
        busy = sum(row.channel == channel for row, _ in self._under_way.values())
        return busy < _LANES.get(channel, 1)

    def start(self, handler: Handler, row: Due) -> None:
        """POST a row in a thread."""
        if row.channel not in self._pools:
            self._pools[row.channel] = ThreadPoolExecutor(_LANES.get(row.channel, 1), f"post-{row.channel}")
        self._under_way[row.key] = row, self._pools[row.channel].submit(handler.post, row)

    def wait(self, timeout_s: float) -> None:
        """Wait until one of them is done, or the time is over."""
        wait([future for _, future in self._under_way.values()], timeout_s, FIRST_COMPLETED)

    def finished(self) -> list[tuple[Due, Answer | HandlerAwayError]]:
        """Take out those that are done, with what the handler said."""
        done = [(row, future) for row, future in self._under_way.values() if future.done()]
        for row, _ in done:
            del self._under_way[row.key]
        return [(row, _answer(future)) for row, future in done]

    def close(self) -> None:
        """Wait for what is under way, and end the threads."""
        for pool in self._pools.values():
            pool.shutdown(wait=True)
        self._pools = {}


def _answer(future: Future[Answer]) -> Answer | HandlerAwayError:
    error = future.exception()
    if isinstance(error, HandlerAwayError):
        return error
    # Anything else is a defect, and raised here.
    return future.result()
