"""The rows of `deliveries`: made once, claimed by compare-and-swap, finished, revived."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.containers.catalog import DELIVERIES
from gridwatch.containers.turn import turn
from gridwatch.errors import StoreBusyError, StoreError

if TYPE_CHECKING:
    from tenacity import Retrying

    from gridwatch.alerts.anomaly import Anomaly
    from gridwatch.containers import Store

__all__ = ["CHANNEL", "Receipt", "Receipts", "delivery_key", "revive"]

log = structlog.get_logger(__name__)

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
        """Write the end of a claim, in the row's turn as the claim was; a busy store is tried again.

        A receipt that is lost means a second mail, so it is written in the end even where there is no turn to be had.

        Raises:
            StoreError: The store failed, or stayed busy.
        """
        statement = (
            f"UPDATE {DELIVERIES.name} SET status = ?, last_ms = ?, next_ms = ?, message_id = ?, error = ?, "  # noqa: S608
            "recipients = ? WHERE id = ?"
        )
        values = [row.status, row.last_ms, row.next_ms, row.message_id, row.error, row.recipients, row.id]
        if row.status != "sent":
            # A failure gives back only its own claim; a receipt counts whoever has claimed the row since.
            statement += " AND status <> 'sent' AND attempts = ?"
            values.append(row.attempts)
        try:
            _change(self._store, row.id, statement, values, now_ms=row.last_ms)
        except StoreError as error:
            if row.status != "sent":
                raise
            log.warning("receipt_without_turn", key=row.id, error=str(error))
            _patiently()(self._store.execute, statement, values)


def revive(store: Store, *, now_ms: int) -> int:
    """Give every dead delivery its tries back, once the cause is cured; return how many there were.

    Raises:
        StoreError: The store failed, or a row stayed busy; those before it are revived, and to do it again is safe.
    """
    dead = store.sql(f"SELECT id FROM {DELIVERIES.name} WHERE status = 'dead'").column("id").to_pylist()  # noqa: S608
    statement = (
        f"UPDATE {DELIVERIES.name} SET status = 'pending', attempts = 0, next_ms = ?, last_ms = ? "  # noqa: S608
        "WHERE id = ? AND status = 'dead'"
    )
    return sum(_change(store, key, statement, [now_ms, now_ms, key], now_ms=now_ms) for key in dead)


def _change(store: Store, key: str, statement: str, values: list[Any], *, now_ms: int) -> int:
    """Run the UPDATE of one row in its turn; return how many rows it changed.

    Raises:
        StoreError: The store failed.
        StoreBusyError: The store or the row stayed busy.
    """

    def change() -> int:
        with turn(store, key, now_ms=now_ms) as ours:
            if not ours:
                raise StoreBusyError(f"Another process is at the delivery {key!r}.")
            return store.execute(statement, values)

    return _patiently()(change)


def _patiently() -> Retrying:
    """Return what calls again, up to five times, where the store is busy."""
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

    return Retrying(
        stop=stop_after_attempt(5),
        wait=wait_exponential(0.2, max=2.0),
        retry=retry_if_exception_type(StoreBusyError),
        reraise=True,
    )
