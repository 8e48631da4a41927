"""One mail an anomaly: the life of a row in `deliveries`, from the first trigger to the receipt.

    (none) ── trigger ──> pending ── claim ──> sending ── 202 ──> sent
                             ^                    │
                             ├── may pass ────────┤
                             │                    └── refused for good, or the last try ──> dead
                             └ a `sending` row older than `claim_ms` belonged to a handler that died: it is claimed
                               again, and since SendGrid may have had that mail, marked `possible_duplicate`.

A claim is a compare-and-swap on status, attempts and time of the row, so of many triggers at once only one sends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from gridwatch.alerts.anomaly import Anomaly, find_anomaly
from gridwatch.alerts.email import compose
from gridwatch.alerts.receipts import Receipt, Receipts, delivery_key
from gridwatch.alerts.sendgrid import WAIT_MAX_S
from gridwatch.errors import DeliveryError, GridwatchError

if TYPE_CHECKING:
    from gridwatch.alerts.address_book import AddressBook
    from gridwatch.alerts.sendgrid import Mailer
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["Delivery", "Outcome", "claim_ms", "pause_ms"]

log = structlog.get_logger(__name__)

FIRST_PAUSE_MS, LAST_PAUSE_MS = 10_000, 3_600_000
_ERROR_LENGTH = 1000


def claim_ms(settings: Settings) -> int:
    """Return how long a claim holds: the longest one delivery can take, in ms, and 15 s for the plot and the store."""
    mail = settings.sendgrid
    return round(1000 * (mail.attempts * mail.timeout_s + (mail.attempts - 1) * WAIT_MAX_S + 15))


def pause_ms(attempts: int) -> int:
    """Return the pause after so many failed deliveries: 10 s, doubling up to an hour, in ms.

    >>> [pause_ms(tries) // 1000 for tries in (1, 2, 3, 9, 10, 1000)]
    [10, 20, 40, 2560, 3600, 3600]
    """
    return min(LAST_PAUSE_MS, FIRST_PAUSE_MS << min(attempts - 1, 20))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one call.

    `status` is sent, already_sent, in_progress (another call is sending it), pending (to be tried again, not before
    `next_ms`), dead, or not_found.
    """

    status: str
    key: str
    message_id: str | None = None
    error: str | None = None
    attempts: int = 0
    next_ms: int | None = None
    possible_duplicate: bool = False


def _outcome(status: str, row: Receipt) -> Outcome:
    return Outcome(status, row.id, row.message_id, row.error, row.attempts, row.next_ms, row.possible_duplicate)


class Delivery:
    """Delivers anomalies by mail, each once.

    Args:
        store: Holds anomalies, scores and deliveries.
        settings: Sender, tries, pauses.
        mailer: Where mails go.
        address_book: Who gets them.
        clock: UTC epoch ms.
    """

    def __init__(
        self, store: Store, settings: Settings, *, mailer: Mailer, address_book: AddressBook, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._settings = settings
        self._mailer = mailer
        self._address_book = address_book
        self._clock = clock
        self._receipts = Receipts(store)

    def deliver(self, container: str, anomaly_id: str) -> Outcome:
        """Send the mail for one anomaly unless it was sent, is being sent, or must wait.

        Args:
            container: Name of an anomaly container, as the store spells it.
            anomaly_id: Row key; the row is read here, whatever the caller knows about it.

        Raises:
            StoreError: The store failed before anything was sent.
        """
        key = delivery_key(anomaly_id)
        anomaly = find_anomaly(self._store, container, anomaly_id)
        if anomaly is None:
            return Outcome("not_found", key, error=f"{container!r} has no row {anomaly_id!r}.")
        row = self._receipts.read(key) or self._receipts.create(anomaly, now_ms=self._clock())
        settled = self._settled(row)
        if settled:
            return settled
        if row.attempts >= self._settings.alerts.attempts:
            # Only a handler that died each time, or a lowered setting, leads here.
            return self._failed(row, row.error or "no try came to an end", permanent=False, retry_after_s=None)
        claimed = self._receipts.claim(row, now_ms=self._clock())
        if claimed is None:
            latest = self._receipts.read(key) or row
            return self._settled(latest) or _outcome("in_progress", latest)
        return self._send(claimed, anomaly)

    def _settled(self, row: Receipt) -> Outcome | None:
        """The answer where nothing is to be done now; None when the row may be claimed."""
        now_ms = self._clock()
        if row.status == "sent":
            return _outcome("already_sent", row)
        if row.status == "dead":
            return _outcome("dead", row)
        if row.status == "sending":
            return _outcome("in_progress", row) if now_ms - row.last_ms <= claim_ms(self._settings) else None
        return _outcome("pending", row) if row.next_ms > now_ms else None

    def _send(self, row: Receipt, anomaly: Anomaly) -> Outcome:
        recipients: list[str] = []
        try:
            dataset = self._address_book.dataset(anomaly.container)
            recipients = self._address_book.recipients(anomaly.container)
            mail = compose(
                anomaly,
                dataset,
                self._store,
                self._settings,
                recipients=recipients,
                key=row.id,
                possible_duplicate=row.possible_duplicate,
            )
            message_id = self._mailer.send(mail)
        except DeliveryError as error:
            return self._failed(row, str(error), permanent=error.permanent, retry_after_s=error.retry_after_s)
        except GridwatchError as error:
            return self._failed(row, str(error), permanent=False, retry_after_s=None)
        except BaseException as error:
            # A defect must not leave the row claimed for minutes; it is raised on, for the edge to log.
            self._failed(row, f"{type(error).__name__}: {error}", permanent=False, retry_after_s=None)
            raise
        return self._sent(row, message_id, recipients)

    def _sent(self, row: Receipt, message_id: str, recipients: list[str]) -> Outcome:
        done = replace(
            row,
            status="sent",
            message_id=message_id,
            error=None,
            recipients=", ".join(recipients),
            last_ms=self._clock(),
        )
        self._receipts.finish(done)
        log.info("mail_sent", key=row.id, message_id=message_id, attempts=row.attempts)
        return _outcome("sent", done)

    def _failed(self, row: Receipt, reason: str, *, permanent: bool, retry_after_s: float | None) -> Outcome:
        last = row.attempts >= self._settings.alerts.attempts
        status = "dead" if permanent or last else "pending"
        if last and not permanent:
            reason = f"Given up after {row.attempts} deliveries: {reason}"
        now_ms = self._clock()
        asked_ms = min(LAST_PAUSE_MS, round((retry_after_s or 0.0) * 1000))
        failed = replace(
            row,
            status=status,
            error=reason[:_ERROR_LENGTH],
            last_ms=now_ms,
            next_ms=now_ms + max(asked_ms, pause_ms(row.attempts)),
        )
        self._receipts.finish(failed)
        log.warning("mail_failed", key=row.id, status=status, attempts=row.attempts, error=failed.error)
        return _outcome(status, failed)
