"""The rows of `deliveries`: made once, claimed by compare-and-swap, finished, revived."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gridwatch.alerts.turn import turn
from gridwatch.containers.catalog import DELIVERIES
from gridwatch.errors import StoreBusyError, StoreError

if TYPE_CHECKING:
    from gridwatch.alerts.anomaly import Anomaly
    from gridwatch.containers import Store

__all__ = ["CHANNEL", "Receipt", "Receipts", "delivery_key", "revive"]

CHANNEL = "email"


def delivery_key(anomaly_id: str, channel: str = CHANNEL) -> str:
    """Return the idempotency key of a notification, which is also the row key in `deliveries`."""
    return f"{anomaly_id}:{channel}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One row of `deliveries`, as far as decisions need it; times are UTC epoch ms."""

    id: str
    status: str
    attempts: int
    last_ms: int
    next_ms: int
    message_id: str | None = None
    error: str | None = None
    recipients: str | None = None
    possible_duplicate: bool = False


class Receipts:
    """Reads and writes single rows; every change of status goes through here.

    Args:
        store: Holds the container `deliveries`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, key: str) -> Receipt | None:
        """Return the row of this key, or None."""
        found = self._store.get(DELIVERIES.name, [key]).to_pylist()
        if not found:
            return None
        row = found[0]
        return Receipt(
            id=key,
            status=row["status"] or "pending",
            attempts=row["attempts"] or 0,
            last_ms=row["last_ms"] or 0,
            next_ms=row["next_ms"] or 0,
            message_id=row["message_id"],
            error=row["error"],
            recipients=row["recipients"],
            possible_duplicate=bool(row["possible_duplicate"]),
        )

    def create(self, anomaly: Anomaly, *, now_ms: int) -> Receipt:
        """Make the row of an anomaly, or return the one that another call has made meanwhile.

        Raises:
            StoreError: The store failed.
        """
        new = Receipt(delivery_key(anomaly.id), "pending", attempts=0, last_ms=now_ms, next_ms=0)
        try:
            # INSERT, not put: two that come at once must not overwrite each other's claim.
            self._store.execute(
                f"INSERT INTO {DELIVERIES.name} (id, anomaly_id, container, channel, status, attempts, first_ms, "  # noqa: S608
                "last_ms, next_ms, possible_duplicate) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [new.id, anomaly.id, anomaly.container, CHANNEL, new.status, 0, now_ms, now_ms, 0, False],
            )
        except StoreError:
            row = self.read(new.id)
            if row is None:
                raise
            return row
        return new

    def claim(self, row: Receipt, *, now_ms: int) -> Receipt | None:
        """Take a row for this call; None when another call was quicker.

        Raises:
            StoreError: The store failed.
        """
        claimed = replace(
            row,
            status="sending",
            attempts=row.attempts + 1,
            last_ms=now_ms,
            # What was being sent by one that is gone may have arrived.
            possible_duplicate=row.possible_duplicate or row.status == "sending",
        )
        with turn(self._store, row.id, now_ms=now_ms) as ours:
            changed = ours and self._store.execute(
                f"UPDATE {DELIVERIES.name} SET status = ?, attempts = ?, last_ms = ?, possible_duplicate = ? "  # noqa: S608
                "WHERE id = ? AND status = ? AND attempts = ? AND last_ms = ?",
                [
                    *(claimed.status, claimed.attempts, claimed.last_ms, claimed.possible_duplicate),
                    *(row.id, row.status, row.attempts, row.last_ms),
                ],
            )
        return claimed if changed == 1 else None

    def finish(self, row: Receipt) -> None:
        """Write the end of a claim; a receipt that is lost means a second mail, so a busy store is tried again.

        A failure is written in the row's turn, as a claim is. A receipt waits for no turn: it counts in any case.

        Raises:
            StoreError: The store failed, or stayed busy.
        """
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

        statement = (
            f"UPDATE {DELIVERIES.name} SET status = ?, last_ms = ?, next_ms = ?, message_id = ?, error = ?, "  # noqa: S608
            "recipients = ? WHERE id = ?"
        )
        values = [row.status, row.last_ms, row.next_ms, row.message_id, row.error, row.recipients, row.id]
        if row.status != "sent":
            # A failure gives back only its own claim; a receipt counts whoever has claimed the row since.
            statement += " AND status <> 'sent' AND attempts = ?"
            values.append(row.attempts)
        for attempt in Retrying(
            stop=stop_after_attempt(5),
            wait=wait_exponential(0.2, max=2.0),
            retry=retry_if_exception_type(StoreBusyError),
            reraise=True,
        ):
            with attempt:
                if row.status == "sent":
                    self._store.execute(statement, values)
                    continue
                with turn(self._store, row.id, now_ms=row.last_ms) as ours:
                    if not ours:
                        raise StoreBusyError(f"Another process is at the delivery {row.id!r}.")
                    self._store.execute(statement, values)


def revive(store: Store, *, now_ms: int) -> int:
    """Give every dead delivery its tries back, once the cause is cured; return how many there were."""
    return store.execute(
        f"UPDATE {DELIVERIES.name} SET status = 'pending', attempts = 0, next_ms = ?, last_ms = ? "  # noqa: S608
        "WHERE status = 'dead'",
        [now_ms, now_ms],
    )
