"""How many mails each recipient has got within the hour: what is above the limit goes into digests."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from gridwatch.alerts.receipts import CHANNEL
from gridwatch.containers.catalog import DELIVERIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["Budget"]

_HOUR_MS = 3_600_000
_READ_EVERY_MS = 60_000
GATHER_MS = 2_000
"""The first digest waits so long: what exceeds the limit seldom comes alone."""

CRITICAL_MS = 60_000
"""Longest wait of what is critical for a digest."""


class Budget:
    """Counts the mails of the last hour by recipient, and when each group of recipients had its last digest.

    The receipts in the store are what counts, read again every minute since another handler may send too; in between
    this process adds its own.

    Args:
        store: Holds `deliveries`.
        settings: The limit, and the pause between digests.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._limit = settings.alerts.mails_per_hour
        self._pause_ms = round(settings.alerts.digest_s * 1000)
        self._lock = threading.Lock()
        self._read_ms: int | None = None
        self._mails: dict[str, list[int]] = {}
        self._under_way: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._digests: dict[str, int] = {}

    def take(self, key: str, recipients: Sequence[str], *, now_ms: int) -> bool:
        """Count one mail to these recipients; False, and nothing is counted, where one of them has had enough.

        Raises:
            StoreError: The store failed.
        """
        if not self._limit:
            return True
        with self._lock:
            self._read(now_ms)
            since_ms = now_ms - _HOUR_MS
            others = [people for other, (_, people) in self._under_way.items() if other != key]
            for one in map(str.lower, recipients):
                sent = sum(at_ms > since_ms for at_ms in self._mails.get(one, ()))
                if sent + sum(one in people for people in others) >= self._limit:
                    return False
            self._under_way[key] = now_ms, tuple(map(str.lower, recipients))
            return True

    def done(self, key: str, *, sent: bool, now_ms: int) -> None:
        """Note what became of a mail that was counted."""
        with self._lock:
            _, recipients = self._under_way.pop(key, (0, ()))
            for one in recipients if sent else ():
                self._mails.setdefault(one, []).append(now_ms)

    def digest_ms(self, recipients: str, severity: str | None, *, now_ms: int, gather_ms: int = 0) -> int:
        """Return when the next digest to these recipients may go, UTC epoch ms.

        Args:
            recipients: The group, as `deliveries` has it.
            severity: Of what waits; critical waits a minute at most.
            now_ms: UTC epoch ms.
            gather_ms: How long the first digest waits for others to join.

        Raises:
            StoreError: The store failed.
        """
        with self._lock:
            self._read(now_ms)
            last_ms = self._digests.get(recipients.lower())
        if last_ms is None:
            return now_ms + gather_ms
        pause_ms = min(self._pause_ms, CRITICAL_MS) if (severity or "").lower() == "critical" else self._pause_ms
        return max(now_ms, last_ms + pause_ms)

    def digest_sent(self, recipients: str, *, now_ms: int) -> None:
        """Note that these recipients got a digest."""
        with self._lock:
            self._digests[recipients.lower()] = now_ms

    def _read(self, now_ms: int) -> None:
        """Read the receipts of the last hour, and of the last pause where that is longer; the lock is held."""
        if self._read_ms is not None and 0 <= now_ms - self._read_ms < _READ_EVERY_MS:
            return
        rows = self._store.sql(
            f"SELECT recipients, digest, last_ms FROM {DELIVERIES.name} "  # noqa: S608 - our own name
            "WHERE last_ms > ? AND status = 'sent' AND channel = ?",
            [now_ms - max(_HOUR_MS, self._pause_ms), CHANNEL],
        ).to_pylist()
        mails: dict[str, list[int]] = {}
        digests: dict[str, int] = {}
        for row in rows:
            group = (row["recipients"] or "").lower()
            if row["digest"]:
                digests[group] = max(digests.get(group, 0), row["last_ms"])
            else:
                for one in filter(None, group.split(", ")):
                    mails.setdefault(one, []).append(row["last_ms"])
        self._mails, self._digests, self._read_ms = mails, digests, now_ms
