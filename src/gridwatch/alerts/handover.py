"""The hand-over of a claimed mail or message: to SendGrid or the webhook, and what each failure makes of its row."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.alerts.breaker import Breaker
from gridwatch.alerts.email import compose
from gridwatch.alerts.outcome import Outcome, failed_receipt, outcome_of
from gridwatch.alerts.page_links import anomaly_url
from gridwatch.alerts.receipts import CHANNEL, WEBHOOK, Receipt, Receipts
from gridwatch.alerts.webhook import Webhook, message_of
from gridwatch.errors import DeliveryError, GridwatchError, StoreError

if TYPE_CHECKING:
    from gridwatch.alerts.address_book import AddressBook
    from gridwatch.alerts.anomaly import Anomaly
    from gridwatch.alerts.background import Background
    from gridwatch.alerts.budget import Budget
    from gridwatch.alerts.sendgrid import Mailer
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["HandOver"]

log = structlog.get_logger(__name__)


COMPOSERS_MAX = 3
"""Most mails composed at once. That is work, most of it the picture's, and no waiting: more at once would only take
turns with each other and with those that send."""


class HandOver:
    """Hands over what is claimed, and knows which services are away.

    Args:
        store: Holds anomalies and scores.
        settings: Sender, tries, pauses.
        receipts: The rows of `deliveries`.
        budget: Counts the mails.
        mailer: Where mails go.
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
        mailer: Mailer,
        address_book: AddressBook,
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._settings = settings
        self._receipts = receipts
        self._budget = budget
        self._mailer = mailer
        self._address_book = address_book
        self._clock = clock
        self.webhook = Webhook(settings, clock=clock) if settings.alerts.webhook_url else None
        self.breakers = {CHANNEL: Breaker(), WEBHOOK: Breaker()}
        self.why_away: dict[str, str] = {}
        self._composers = threading.BoundedSemaphore(COMPOSERS_MAX)

    def hand_over(
        self, row: Receipt, anomaly: Anomaly, recipients: list[str] | None, background: Background | None = None
    ) -> Receipt | Outcome:
        """Hand a claimed mail or message over; return its receipt, which is to be written, or what failed.

        Args:
            row: Claimed by this call.
            anomaly: What it is about.
            recipients: Of a mail; None asks the address book.
            background: What a mail tells beside; None reads it.
        """
        sent = False
        try:
            if recipients is None:
                recipients = self._address_book.recipients(anomaly.container, anomaly.severity)
            message_id = self._sent(row, anomaly, recipients, background)
            sent = True
        except DeliveryError as error:
            return self.failed(row, str(error), error)
        except GridwatchError as error:
            return self.failed(row, str(error))
        except BaseException as error:
            # A defect must not leave the row claimed for minutes; it is raised on, for the edge to log. What it says is
            # not stored: nobody has made sure that no secret is in it.
            self.failed(row, f"A defect: {type(error).__name__}; the log has it.")
            raise
        finally:
            self._budget.done(row.id, sent=sent, now_ms=self._clock())
        told = ", ".join(recipients) or (self.webhook.name if self.webhook else None)
        return replace(row, status="sent", message_id=message_id, error=None, recipients=told, last_ms=self._clock())

    def _sent(self, row: Receipt, anomaly: Anomaly, recipients: list[str], background: Background | None) -> str:
        """Hand it over; return the message id."""
        if row.channel == WEBHOOK and self.webhook:
            return self._post(self.webhook, row, anomaly)
        with self._composers:
            mail = compose(
                anomaly,
                self._address_book.dataset(anomaly.container),
                self._store,
                self._settings,
                recipients=recipients,
                key=row.id,
                possible_duplicate=row.possible_duplicate,
                now_ms=self._clock(),
                background=background,
            )
        return self.send_mail(mail)

    def send_mail(self, mail: dict[str, Any]) -> str:
        """Hand a mail over, and let the next ones know how it went."""
        return self._through(CHANNEL, lambda: self._mailer.send(mail))

    def _post(self, webhook: Webhook, row: Receipt, anomaly: Anomaly) -> str:
        message = message_of(
            anomaly,
            self._address_book.dataset(anomaly.container),
            key=row.id,
            link=anomaly_url(self._settings, anomaly),
            possible_duplicate=row.possible_duplicate,
            now_ms=self._clock(),
        )
        return self._through(WEBHOOK, lambda: webhook.send(message))

    def _through(self, channel: str, send: Callable[[], str]) -> str:
        breaker = self.breakers[channel]
        try:
            message_id = send()
        except DeliveryError as error:
            if error.permanent:
                breaker.passed()
            else:
                self.why_away[channel] = str(error)
                breaker.failed(self._clock(), error.retry_after_s)
            raise
        if breaker.passed():
            self._hurry(channel)
        return message_id

    def _hurry(self, channel: str) -> None:
        try:
            self._receipts.hurry(channel, now_ms=self._clock())
        except StoreError as error:
            # The receipt of what was just sent matters more; the others come when their pauses are over.
            log.warning("not_hurried", channel=channel, error=str(error))

    def failed(self, row: Receipt, reason: str, error: DeliveryError | None = None) -> Outcome:
        """Write down why a claimed row was not taken, and when it is tried again; a service says more by its error."""
        failed = failed_receipt(row, reason, self._settings, error, now_ms=self._clock())
        self._receipts.finish(failed)
        log.warning("delivery_failed", key=row.id, status=failed.status, attempts=row.attempts, error=failed.error)
        return outcome_of(failed.status, failed)
