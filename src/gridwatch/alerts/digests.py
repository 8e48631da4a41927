"""Digests: all that was held back for the same recipients, in one mail, worst first."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.alerts.anomaly import Anomaly, is_anomaly_container, severity_rank
from gridwatch.alerts.digest_mail import compose_digest
from gridwatch.alerts.holding import DIGEST, hold_of
from gridwatch.alerts.outcome import Outcome, claim_ms, failed_receipt, outcome_of
from gridwatch.errors import DeliveryError, GridwatchError

if TYPE_CHECKING:
    from gridwatch.alerts.address_book import AddressBook
    from gridwatch.alerts.budget import Budget
    from gridwatch.alerts.receipts import Receipt, Receipts
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["DIGEST_MAX", "Digests"]

log = structlog.get_logger(__name__)

DIGEST_MAX = 200
"""Most anomalies in one digest; what is above waits for the next one."""

_Entry = tuple["Receipt", Anomaly]


class Digests:
    """Collects, claims and sends.

    Args:
        store: Holds anomalies and deliveries.
        settings: Tries and limits.
        receipts: The rows of `deliveries`.
        budget: When a digest is due.
        address_book: Who gets them.
        clock: UTC epoch ms.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        receipts: Receipts,
        budget: Budget,
        address_book: AddressBook,
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._settings = settings
        self._receipts = receipts
        self._budget = budget
        self._address_book = address_book
        self._clock = clock
        self._one = threading.Lock()

    def send(self, row: Receipt, recipients: list[str], send_mail: Callable[[dict[str, Any]], str]) -> Outcome | None:
        """Send the digest that holds this row; None, and nothing is done, where it would hold nothing else.

        Args:
            row: A held row that is due.
            recipients: Its recipients.
            send_mail: Hands a mail over.

        Raises:
            StoreError: The store failed before anything was sent.
        """
        if not self._one.acquire(blocking=False):
            # Another trigger is at a digest, which may well hold this row.
            return outcome_of("in_progress", row)
        try:
            entries = self._waiting(row, recipients)
            if len(entries) == 1 and entries[0][0].id == row.id:
                return None
            return self._send(row, entries, recipients, send_mail)
        finally:
            self._one.release()

    def _waiting(self, row: Receipt, recipients: list[str]) -> list[_Entry]:
        """The rows that are held for these recipients and may go now, worst first, with their anomalies."""
        now_ms, group = self._clock(), ", ".join(recipients)
        old_ms = now_ms - claim_ms(self._settings)
        rows = {one.id: one for one in self._receipts.held_for(group, claimed_before_ms=old_ms)} | {row.id: row}
        ripe = [
            one
            for one in rows.values()
            # What waits for the next digest need not wait any longer once there is one.
            if (one.next_ms <= now_ms or (one.held == DIGEST and not one.error))
            and one.attempts < self._settings.alerts.attempts
        ]
        found = []
        for one, anomaly in self._anomalies(ripe):
            told = self._address_book.recipients(anomaly.container, anomaly.severity)
            if told == recipients and hold_of(anomaly, self._store, self._settings, now_ms=now_ms) is None:
                found.append((one, anomaly))
        found.sort(key=lambda entry: (severity_rank(entry[1].severity), entry[1].ts_ms, entry[1].id))
        return found[:DIGEST_MAX]

    def _anomalies(self, rows: list[Receipt]) -> list[_Entry]:
        found: list[_Entry] = []
        for container in {one.container for one in rows}:
            if not is_anomaly_container(self._store.container(container)):
                continue
            of = {one.anomaly_id: one for one in rows if one.container == container}
            table = self._store.get(container, list(of)).to_pylist()
            found += [(of[raw["id"]], Anomaly.from_row(container, raw)) for raw in table if raw["ts"] is not None]
        return found

    def _send(
        self,
        row: Receipt,
        entries: list[_Entry],
        recipients: list[str],
        send_mail: Callable[[dict[str, Any]], str],
    ) -> Outcome:
        digest = uuid.uuid4().hex
        claimed = self._claim(entries, digest)
        if not claimed:
            return outcome_of("in_progress", row)
        rows = [one for one, _ in claimed]
        try:
            mail = compose_digest(
                claimed,
                self._address_book,
                self._store,
                self._settings,
                recipients=recipients,
                key=f"{digest}:digest",
                now_ms=self._clock(),
            )
            message_id = send_mail(mail)
        except DeliveryError as error:
            return self._failed(row, rows, str(error), error)
        except GridwatchError as error:
            return self._failed(row, rows, str(error))
        except BaseException as error:
            self._failed(row, rows, f"A defect: {type(error).__name__}; the log has it.")
            raise
        now_ms, group = self._clock(), ", ".join(recipients)
        self._receipts.finish_sent(rows, message_id=message_id, recipients=group, now_ms=now_ms)
        self._budget.digest_sent(group, now_ms=now_ms)
        log.info("digest_sent", key=f"{digest}:digest", message_id=message_id, anomalies=len(rows))
        done = replace(row, status="sent", message_id=message_id, error=None)
        return outcome_of("sent", done, digest=len(rows))

    def _claim(self, entries: list[_Entry], digest: str) -> list[_Entry]:
        now_ms = self._clock()
        anomalies = {one.id: anomaly for one, anomaly in entries}
        claimed = self._receipts.claim_all(
            [one for one, _ in entries],
            digest=digest,
            claimed_before_ms=now_ms - claim_ms(self._settings),
            now_ms=now_ms,
        )
        return [(one, anomalies[one.id]) for one in claimed]

    def _failed(self, row: Receipt, rows: list[Receipt], reason: str, error: DeliveryError | None = None) -> Outcome:
        outcome = outcome_of("in_progress", row)
        for one in rows:
            failed = failed_receipt(one, reason, self._settings, error, now_ms=self._clock())
            self._receipts.finish(failed)
            if one.id == row.id:
                outcome = outcome_of(failed.status, failed)
        log.warning("digest_failed", anomalies=len(rows), error=reason)
        return outcome
