"""The rows of `deliveries`: made once, claimed by compare-and-swap, held back, finished."""

from __future__ import annotations

from collections.abc import Sequence
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

__all__ = ["CHANNEL", "WEBHOOK", "Receipt", "Receipts", "change_row", "delivery_key"]

log = structlog.get_logger(__name__)

CHANNEL = "email"
WEBHOOK = "webhook"

_BATCH = 100
"""Most keys in one IN list."""


def delivery_key(anomaly_id: str, channel: str = CHANNEL) -> str:
    """Return the idempotency key of a notification, which is also the row key in `deliveries`."""
    return f"{anomaly_id}:{channel}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One row of `deliveries`, as far as decisions need it; times are UTC epoch ms.

    `held` says what a pending row waits for where that is no failure: digest, quiet or snoozed.
    """

    id: str
    status: str
    attempts: int
    last_ms: int
    next_ms: int
    message_id: str | None = None
    error: str | None = None
    recipients: str | None = None
    possible_duplicate: bool = False
    held: str | None = None
    digest: str | None = None
    anomaly_id: str = ""
    container: str = ""
    channel: str = CHANNEL

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Receipt:
        """Make one from a row of the store, in which everything but the key may be null."""
        return cls(
            id=row["id"],
            status=row["status"] or "pending",
            attempts=row["attempts"] or 0,
            last_ms=row["last_ms"] or 0,
            next_ms=row["next_ms"] or 0,
            message_id=row["message_id"],
            error=row["error"],
            recipients=row["recipients"],
            possible_duplicate=bool(row["possible_duplicate"]),
            held=row["held"],
            digest=row["digest"],
            anomaly_id=row["anomaly_id"] or "",
            container=row["container"] or "",
            channel=row["channel"] or CHANNEL,
        )


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
        return Receipt.from_row(found[0]) if found else None

    def held_for(self, recipients: str, *, claimed_before_ms: int) -> list[Receipt]:
        """Return the mails that were held back for these recipients and wait still.

        Those that a handler claimed before this time and never finished are among them: it died.
        """
        rows = self._store.sql(
            f"SELECT * FROM {DELIVERIES.name} WHERE recipients = ? AND held IS NOT NULL "  # noqa: S608
            "AND (status = 'pending' OR (status = 'sending' AND last_ms < ?))",
            [recipients, claimed_before_ms],
        )
        return [Receipt.from_row(row) for row in rows.to_pylist()]

    def create(self, anomaly: Anomaly, *, now_ms: int, channel: str = CHANNEL) -> Receipt:
        """Make the row of an anomaly, or return the one that another call has made meanwhile.

        Raises:
            StoreError: The store failed.
        """
        new = Receipt(
            delivery_key(anomaly.id, channel),
            "pending",
            attempts=0,
            last_ms=now_ms,
            next_ms=0,
            anomaly_id=anomaly.id,
            container=anomaly.container,
            channel=channel,
        )
        try:
            # INSERT, not put: two that come at once must not overwrite each other's claim.
            self._store.execute(
                f"INSERT INTO {DELIVERIES.name} (id, anomaly_id, container, channel, status, attempts, first_ms, "  # noqa: S608
                "last_ms, next_ms, possible_duplicate) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [new.id, anomaly.id, anomaly.container, channel, new.status, 0, now_ms, now_ms, 0, False],
            )
        except StoreError:
            row = self.read(new.id)
            if row is None:
                raise
            return row
        return new

    def claim(self, row: Receipt, *, now_ms: int, digest: str | None = None) -> Receipt | None:
        """Take a row for this call, alone or for a digest; None when another call was quicker.

        Raises:
            StoreError: The store failed.
        """
        claimed = replace(
            row,
            status="sending",
            attempts=row.attempts + 1,
            last_ms=now_ms,
            digest=digest,
            # What was being sent by one that is gone may have arrived.
            possible_duplicate=row.possible_duplicate or row.status == "sending",
        )
        with turn(self._store, row.id, now_ms=now_ms) as ours:
            changed = ours and self._store.execute(
                f"UPDATE {DELIVERIES.name} SET status = ?, attempts = ?, last_ms = ?, possible_duplicate = ?, "  # noqa: S608
                "digest = ? WHERE id = ? AND status = ? AND attempts = ? AND last_ms = ?",
                [
                    *(claimed.status, claimed.attempts, claimed.last_ms, claimed.possible_duplicate, digest),
                    *(row.id, row.status, row.attempts, row.last_ms),
                ],
            )
        return claimed if changed == 1 else None

    def hold(self, row: Receipt, *, held: str, until_ms: int, recipients: str) -> Receipt:
        """Write down what a pending row waits for and until when; a row that was claimed meanwhile stays as it is.

        Raises:
            StoreError: The store failed.
        """
        change_row(
            self._store,
            row.id,
            f"UPDATE {DELIVERIES.name} SET held = ?, next_ms = ?, recipients = ?, error = NULL "  # noqa: S608
            "WHERE id = ? AND status = 'pending' AND attempts = ?",
            [held, until_ms, recipients, row.id, row.attempts],
            now_ms=row.last_ms,
        )
        return replace(row, held=held, next_ms=until_ms, recipients=recipients, error=None)

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
            change_row(self._store, row.id, statement, values, now_ms=row.last_ms)
        except StoreError as error:
            if row.status != "sent":
                raise
            log.warning("receipt_without_turn", key=row.id, error=str(error))
            _patiently()(self._store.execute, statement, values)

    def finish_sent(self, rows: Sequence[Receipt], *, message_id: str, recipients: str, now_ms: int) -> None:
        """Write the receipt of a digest into all its rows, few statements for many: a death in between repeats mails.

        Raises:
            StoreError: The store failed, or stayed busy.
        """
        for start in range(0, len(rows), _BATCH):
            keys = [row.id for row in rows[start : start + _BATCH]]
            _patiently()(
                self._store.execute,
                f"UPDATE {DELIVERIES.name} SET status = 'sent', last_ms = ?, message_id = ?, error = NULL, "  # noqa: S608
                f"recipients = ? WHERE id IN ({', '.join('?' * len(keys))})",
                [now_ms, message_id, recipients, *keys],
            )

    def hurry(self, channel: str, *, now_ms: int) -> None:
        """Let what failed wait no longer: the service is back. The worst went first, and so have the longest pauses.

        Raises:
            StoreError: The store failed.
        """
        self._store.execute(
            f"UPDATE {DELIVERIES.name} SET next_ms = ? "  # noqa: S608 - our own name
            "WHERE status = 'pending' AND channel = ? AND attempts > 0 AND error IS NOT NULL AND next_ms > ?",
            [now_ms, channel, now_ms],
        )


def change_row(store: Store, key: str, statement: str, values: list[Any], *, now_ms: int) -> int:
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
