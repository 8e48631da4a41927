"""A service that is away is left alone for a while: no mail loses a try to an outage that all of them share."""

from __future__ import annotations

import threading

__all__ = ["Breaker"]

_FIRST_MS, _LAST_MS = 2_000, 60_000
_ASKED_MAX_MS = 3_600_000
_PROBE_MS = 5_000


class Breaker:
    """Opens after a failure that may pass; then one call at a time finds out whether it has passed.

    >>> breaker = Breaker()
    >>> breaker.failed(0), breaker.wait_ms(500), breaker.wait_ms(2_000), breaker.wait_ms(2_001)
    (None, 1500, 0, 4999)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._pause_ends_ms = 0
        self._asked_until_ms = 0
        self._probe_until_ms = 0

    def wait_ms(self, now_ms: int) -> int:
        """Return how long to stay away, in ms; 0 lets this call through.

        After the pause one call is let through, and others wait for what it finds.
        """
        with self._lock:
            closed_until_ms = max(self._pause_ends_ms, self._asked_until_ms, self._probe_until_ms)
            if now_ms < closed_until_ms:
                return closed_until_ms - now_ms
            if self._failures:
                self._probe_until_ms = now_ms + _PROBE_MS
            return 0

    def is_well(self, now_ms: int) -> bool:
        """Tell whether calls need not ask: nothing failed since one passed, and no pause was asked for."""
        with self._lock:
            return not self._failures and now_ms >= self._asked_until_ms

    def failed(self, now_ms: int, retry_after_s: float | None = None) -> None:
        """Note a failure that may pass: 2 s, doubling to a minute, or what the service asked for, up to an hour."""
        with self._lock:
            # Calls that were under way together fail together: that is one failure.
            if now_ms >= self._pause_ends_ms:
                self._failures += 1
                self._pause_ends_ms = now_ms + min(_LAST_MS, _FIRST_MS << min(self._failures - 1, 10))
            asked_ms = min(_ASKED_MAX_MS, round((retry_after_s or 0.0) * 1000))
            self._asked_until_ms = max(self._asked_until_ms, now_ms + asked_ms)
            self._probe_until_ms = 0

    def passed(self) -> bool:
        """Note that the service took what it was given, or refused it for good; tell whether it was away before.

        A pause that it asked for stays.
        """
        with self._lock:
            was_away = self._failures > 0
            self._failures, self._pause_ends_ms, self._probe_until_ms = 0, 0, 0
            return was_away
