"""Guesses at passwords and tokens are slowed: after a few wrong ones a caller waits, longer each time."""

from __future__ import annotations

import threading
from collections import OrderedDict

__all__ = ["Throttle"]

FREE = 5
"""Wrong tries that cost nothing: people mistype."""

_FIRST_MS = 1_000
_LONGEST_MS = 300_000
_FORGET_MS = 3_600_000
_KNOWN_MAX = 10_000


class Throttle:
    """Counts wrong tries by caller. Safe to use from many threads.

    >>> slow = Throttle()
    >>> for _ in range(6):
    ...     slow.failed("192.0.2.7", now_ms=0)
    >>> slow.wait_ms("192.0.2.7", now_ms=0), slow.wait_ms("192.0.2.7", now_ms=2_000), slow.wait_ms("::1", now_ms=0)
    (2000, 0, 0)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def wait_ms(self, caller: str, *, now_ms: int) -> int:
        """Return how long this caller has to wait before the next try, in ms; 0 for not at all."""
        with self._lock:
            times, last_ms = self._failed.get(caller, (0, 0))
        if times < FREE or now_ms - last_ms > _FORGET_MS:
            return 0
        pause_ms = min(_FIRST_MS << min(times - FREE, 20), _LONGEST_MS)
        return max(0, last_ms + pause_ms - now_ms)

    def failed(self, caller: str, *, now_ms: int) -> None:
        """Count a wrong try."""
        with self._lock:
            times, last_ms = self._failed.pop(caller, (0, now_ms))
            self._failed[caller] = (1 if now_ms - last_ms > _FORGET_MS else times + 1, now_ms)
            while len(self._failed) > _KNOWN_MAX:
                self._failed.popitem(last=False)

    def succeeded(self, caller: str) -> None:
        """Forget a caller's wrong tries."""
        with self._lock:
            self._failed.pop(caller, None)
