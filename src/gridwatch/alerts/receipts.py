"""The rows of `deliveries`: made once, claimed by compare-and-swap, held back, finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.alerts.receipt import CHANNEL, WEBHOOK, Receipt, delivery_key, new_receipt
from gridwatch.containers.catalog import DELIVERIES
from gridwatch.containers.turn import turn
from gridwatch.errors import StoreBusyError, StoreError

if TYPE_CHECKING:
    from tenacity import Retrying

    from gridwatch.alerts.anomaly import Anomaly
    from gridwatch.containers import Store

__all__ = ["CHANNEL", "WEBHOOK", "Receipt", "Receipts", "change_row", "delivery_key", "new_receipt"]

log = structlog.get_logger(__name__)

_BATCH, _BATCH_OF_GRIDDB = 100, 10
"""Most keys in one IN list."""


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
        new = replace(new_receipt(anomaly, channel, now_ms=now_ms), is_new=False)
        return new if self._insert(new, now_ms) else self.read(new.id) or new

    def _insert(self, new: Receipt, now_ms: int) -> bool:
        """Write a row that is not there yet; False where another call was first.

        Raises:
            StoreError: The store failed.
        """
        try:
            # INSERT, not put: two that come at once must not overwrite each other's claim.
            self._store.execute(
                f"INSERT INTO {DELIVERIES.name} (id, anomaly_id, container, channel, status, attempts, first_ms, "  # noqa: S608
                "last_ms, next_ms, possible_duplicate, recipients, held) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    *(new.id, new.anomaly_id, new.container, new.channel, new.status, new.attempts),
                    *(now_ms, now_ms, new.next_ms, False, new.recipients, new.held),
                ],
            )
        except StoreError:
            if self.read(new.id) is None:
                raise
            return False
        return True

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
        if row.is_new:
            # To make it is to have it: one write less for every mail.
            return replace(claimed, is_new=False) if self._insert(claimed, now_ms) else None
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

    def claim_all(self, rows: Sequence[Receipt], *, digest: str, claimed_before_ms: int, now_ms: int) -> list[Receipt]:
        """Take rows for one digest; return those that no other call has taken, in their order.

        Args:
            rows: Pending, or claimed before `claimed_before_ms` by one that died.
            digest: Key of this claim; no other has it.
            claimed_before_ms: UTC epoch ms.
            now_ms: The present.

        Raises:
            StoreError: The store failed.
        """
        if not self._store.atomic_updates:
            found = [self.claim(row, now_ms=now_ms, digest=digest) for row in rows]
            return [row for row in found if row is not None]
        taken: dict[str, Receipt] = {}
        for start in range(0, len(rows), _BATCH):
            keys = [row.id for row in rows[start : start + _BATCH]]
            among = f"id IN ({', '.join('?' * len(keys))})"
            change = (
                f"UPDATE {DELIVERIES.name} SET status = 'sending', attempts = attempts + 1, last_ms = ?, digest = ?"  # noqa: S608
            )
            # What was being sent by one that is gone may have arrived; first, or it would take the others for such.
            self._store.execute(
                f"{change}, possible_duplicate = ? WHERE {among} AND status = 'sending' AND last_ms < ?",
                [now_ms, digest, True, *keys, claimed_before_ms],
            )
            self._store.execute(f"{change} WHERE {among} AND status = 'pending'", [now_ms, digest, *keys])
            ours = self._store.sql(
                f"SELECT * FROM {DELIVERIES.name} WHERE {among} AND digest = ?",  # noqa: S608
                [*keys, digest],
            )
            taken |= {raw["id"]: Receipt.from_row(raw) for raw in ours.to_pylist()}
        return [taken[row.id] for row in rows if row.id in taken]

    def hold(self, row: Receipt, *, held: str, until_ms: int, recipients: str) -> Receipt:
        """Write down what a pending row waits for and until when; a row that was claimed meanwhile stays as it is.

        Raises:
            StoreError: The store failed.
        """
        held_row = replace(row, held=held, next_ms=until_ms, recipients=recipients, error=None, is_new=False)
        if row.is_new:
            self._insert(held_row, row.last_ms)
            return held_row
        change_row(
            self._store,
            row.id,
            f"UPDATE {DELIVERIES.name} SET held = ?, next_ms = ?, recipients = ?, error = NULL "  # noqa: S608
            "WHERE id = ? AND status = 'pending' AND attempts = ?",
            [held, until_ms, recipients, row.id, row.attempts],
            now_ms=row.last_ms,
        )
        return held_row

    def finish(self, row: Receipt) -> None:
        """Write the end of a claim, in the row's turn as the claim was; a busy store is tried again.

        A receipt that is lost means a second mail, so it is written in the end even where there is no turn to be had.

        Raises:
            StoreError: The store failed, or stayed busy.
        """
        statement = (
            f"UPDATE {DELIVERIES.name} SET status = ?, last_ms = ?, next_ms = ?, message_id = ?, error = ?, "  # noqa: S608
            "recipients = ?"
        )
        values = [row.status, row.last_ms, row.next_ms, row.message_id, row.error, row.recipients]
        if row.status == "sent":
            # It counts whoever has claimed the row since.
            statement += " WHERE id = ?"
            values.append(row.id)
        else:
            # A failure gives back only its own claim.
            statement += ", possible_duplicate = ? WHERE id = ? AND status <> 'sent' AND attempts = ?"
            values += [row.possible_duplicate, row.id, row.attempts]
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
        # GridDB 5.9 was seen to crash over a change with a hundred keys in its IN.
        batch = _BATCH if self._store.atomic_updates else _BATCH_OF_GRIDDB
        for start in range(0, len(rows), batch):
            keys = [row.id for row in rows[start : start + batch]]
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
