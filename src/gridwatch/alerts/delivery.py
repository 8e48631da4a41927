"""One mail an anomaly: the life of a row in `deliveries`, from the first trigger to the receipt.

    (none) ── trigger ──> pending ── claim ──> sending ── 202 ──> sent
                             ^                    │
                             ├── may pass ────────┤
                             │                    └── refused for good, or the last try ──> dead
                             └ a `sending` row older than `claim_ms` belonged to a handler that died: it is claimed
                               again, and since SendGrid may have had that mail, marked `possible_duplicate`.

A claim is a compare-and-swap on status, attempts and time of the row, so of many triggers at once only one sends. What
is held back (snoozed, quiet hours, above the limit of an hour) stays pending without losing a try, and goes into a
digest (`digests`). A row whose severity nobody wants to hear of is `skipped`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.alerts.anomaly import Anomaly, find_anomaly, severity_rank
from gridwatch.alerts.breaker import Breaker
from gridwatch.alerts.budget import GATHER_MS, Budget
from gridwatch.alerts.digests import Digests
from gridwatch.alerts.email import compose
from gridwatch.alerts.holding import DIGEST, hold_of
from gridwatch.alerts.outcome import Outcome, claim_ms, failed_receipt, outcome_of, pause_ms
from gridwatch.alerts.page_links import anomaly_url
from gridwatch.alerts.receipts import CHANNEL, WEBHOOK, Receipt, Receipts, delivery_key, new_receipt
from gridwatch.alerts.webhook import Webhook, message_of
from gridwatch.errors import DeliveryError, GridwatchError, StoreError

if TYPE_CHECKING:
    from gridwatch.alerts.address_book import AddressBook
    from gridwatch.alerts.sendgrid import Mailer
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["Delivery", "Outcome", "claim_ms", "pause_ms"]

log = structlog.get_logger(__name__)


class Delivery:
    """Delivers anomalies, by mail and to the webhook where there is one, each once.

    Args:
        store: Holds anomalies, scores and deliveries.
        settings: Sender, tries, pauses, limits.
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
        self._budget = Budget(store, settings)
        self._digests = Digests(
            store, settings, receipts=self._receipts, budget=self._budget, address_book=address_book, clock=clock
        )
        self._webhook = Webhook(settings, clock=clock) if settings.alerts.webhook_url else None
        self._breakers = {CHANNEL: Breaker(), WEBHOOK: Breaker()}
        self._why_away: dict[str, str] = {}

    def deliver(self, container: str, anomaly_id: str, channel: str | None = None) -> Outcome:
        """Send what is due for one anomaly unless it was sent, is being sent, or must wait.

        Args:
            container: Name of an anomaly container, as the store spells it.
            anomaly_id: Row key; the row is read here, whatever the caller knows about it.
            channel: `email` or `webhook`; None: both, and the outcome is the mail's.

        Raises:
            StoreError: The store failed before anything was sent.
        """
        key = delivery_key(anomaly_id, channel or CHANNEL)
        anomaly = find_anomaly(self._store, container, anomaly_id)
        if anomaly is None:
            return Outcome("not_found", key, error=f"{container!r} has no row {anomaly_id!r}.")
        hooked = self._webhook is not None and self._wanted_by_webhook(anomaly)
        # Before the mail's row: an anomaly that has that one has had its chance of this one.
        if channel != WEBHOOK and hooked and self._row(anomaly, WEBHOOK).is_new:
            self._receipts.create(anomaly, now_ms=self._clock(), channel=WEBHOOK)
        outcome = self._deliver(anomaly, channel or CHANNEL)
        if channel is None and hooked:
            self._deliver(anomaly, WEBHOOK)
        return outcome

    def _row(self, anomaly: Anomaly, channel: str) -> Receipt:
        found = self._receipts.read(delivery_key(anomaly.id, channel))
        return found or new_receipt(anomaly, channel, now_ms=self._clock())

    def _wanted_by_webhook(self, anomaly: Anomaly) -> bool:
        least = self._settings.alerts.webhook_severity
        return not anomaly.severity or severity_rank(anomaly.severity) <= severity_rank(least)

    def _deliver(self, anomaly: Anomaly, channel: str) -> Outcome:
        row = self._row(anomaly, channel)
        settled = self._settled(row)
        if settled:
            return settled
        if channel == WEBHOOK and self._webhook is None:
            return self._no_webhook(row, anomaly)
        if row.attempts >= self._settings.alerts.attempts:
            # Only a handler that died each time, or a lowered setting, leads here.
            return self._failed(row, row.error or "no try came to an end", permanent=False, retry_after_s=None)
        if channel == WEBHOOK:
            return self._claimed(row, anomaly, [])
        return self._mail(row, anomaly)

    def _settled(self, row: Receipt) -> Outcome | None:
        """The answer where nothing is to be done now; None when the row may be claimed."""
        now_ms = self._clock()
        if row.status == "sent":
            return outcome_of("already_sent", row)
        if row.status in {"dead", "skipped"}:
            return outcome_of(row.status, row)
        if row.status == "sending":
            return outcome_of("in_progress", row) if now_ms - row.last_ms <= claim_ms(self._settings) else None
        return outcome_of("pending", row) if row.next_ms > now_ms else None

    def _mail(self, row: Receipt, anomaly: Anomaly) -> Outcome:
        """Send a mail, hold it back, or send the digest that it waited for."""
        try:
            recipients = self._address_book.recipients(anomaly.container, anomaly.severity)
        except DeliveryError:
            # Told when it is claimed, where it costs a try: a mail that nobody may get is not tried for ever.
            return self._claimed(row, anomaly, None)
        if not recipients:
            return self._skipped(row, anomaly)
        now_ms, group = self._clock(), ", ".join(recipients)
        if row.status == "pending":
            hold = hold_of(anomaly, self._store, self._settings, now_ms=now_ms)
            if hold:
                return self._hold(row, hold.why, hold.until_ms, group)
            if not row.held and not self._budget.take(row.id, recipients, now_ms=now_ms):
                due_ms = self._budget.digest_ms(group, anomaly.severity, now_ms=now_ms, gather_ms=GATHER_MS)
                return self._hold(row, DIGEST, due_ms, group)
        if row.held:
            return self._digest(row, anomaly, recipients)
        return self._claimed(row, anomaly, recipients)

    def _hold(self, row: Receipt, why: str, until_ms: int, group: str) -> Outcome:
        held = self._receipts.hold(row, held=why, until_ms=until_ms, recipients=group)
        log.info("mail_held", key=row.id, why=why, until_ms=until_ms)
        return outcome_of("pending", held)

    def _digest(self, row: Receipt, anomaly: Anomaly, recipients: list[str]) -> Outcome:
        """Send the digest of all that was held back for these recipients, this one's row with them."""
        now_ms, group = self._clock(), ", ".join(recipients)
        due_ms = self._budget.digest_ms(group, anomaly.severity, now_ms=now_ms)
        if due_ms > now_ms and row.status == "pending":
            return self._hold(row, DIGEST, due_ms, group)
        wait_ms = self._breakers[CHANNEL].wait_ms(now_ms)
        if wait_ms:
            return self._away(row, wait_ms)
        outcome = self._digests.send(row, recipients, self._send_mail)
        if outcome is None:
            # It waits alone: that is a mail as any other.
            return self._claimed(row, anomaly, recipients, asked=True)
        return outcome

    def _claimed(self, row: Receipt, anomaly: Anomaly, recipients: list[str] | None, *, asked: bool = False) -> Outcome:
        """Claim a row and send it; `asked`: the breaker has let this call through already."""
        wait_ms = 0 if asked else self._breakers[row.channel].wait_ms(self._clock())
        if wait_ms:
            self._budget.done(row.id, sent=False, now_ms=self._clock())
            return self._away(row, wait_ms)
        claimed = self._receipts.claim(row, now_ms=self._clock())
        if claimed is None:
            self._budget.done(row.id, sent=False, now_ms=self._clock())
            latest = self._receipts.read(row.id) or row
            return self._settled(latest) or outcome_of("in_progress", latest)
        outcome = self._send(claimed, anomaly, recipients)
        self._budget.done(row.id, sent=outcome.status == "sent", now_ms=self._clock())
        return outcome

    def _away(self, row: Receipt, wait_ms: int) -> Outcome:
        """The service is known to be away: nothing is tried, and the row loses no try."""
        waits = replace(row, next_ms=self._clock() + wait_ms, error=self._why_away.get(row.channel))
        return outcome_of("away", waits)

    def _send(self, row: Receipt, anomaly: Anomaly, recipients: list[str] | None) -> Outcome:
        try:
            if row.channel == WEBHOOK and self._webhook:
                message_id = self._post(self._webhook, row, anomaly)
            else:
                if recipients is None:
                    recipients = self._address_book.recipients(anomaly.container, anomaly.severity)
                mail = compose(
                    anomaly,
                    self._address_book.dataset(anomaly.container),
                    self._store,
                    self._settings,
                    recipients=recipients,
                    key=row.id,
                    possible_duplicate=row.possible_duplicate,
                    now_ms=self._clock(),
                )
                message_id = self._send_mail(mail)
        except DeliveryError as error:
            return self._failed(row, str(error), permanent=error.permanent, retry_after_s=error.retry_after_s)
        except GridwatchError as error:
            return self._failed(row, str(error), permanent=False, retry_after_s=None)
        except BaseException as error:
            # A defect must not leave the row claimed for minutes; it is raised on, for the edge to log.
            self._failed(row, f"{type(error).__name__}: {error}", permanent=False, retry_after_s=None)
            raise
        return self._sent(row, message_id, recipients or [])

    def _send_mail(self, mail: dict[str, Any]) -> str:
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
        breaker = self._breakers[channel]
        try:
            message_id = send()
        except DeliveryError as error:
            if error.permanent:
                breaker.passed()
            else:
                self._why_away[channel] = str(error)
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

    def _sent(self, row: Receipt, message_id: str, recipients: list[str]) -> Outcome:
        done = replace(
            row,
            status="sent",
            message_id=message_id,
            error=None,
            recipients=", ".join(recipients) or (self._webhook.name if self._webhook else None),
            last_ms=self._clock(),
        )
        self._receipts.finish(done)
        log.info("sent", key=row.id, message_id=message_id, attempts=row.attempts)
        return outcome_of("sent", done)

    def _skipped(self, row: Receipt, anomaly: Anomaly) -> Outcome:
        if row.is_new:
            row = self._receipts.create(anomaly, now_ms=self._clock())
        reason = f"nobody is to be told of severity {anomaly.severity!r}"
        done = replace(row, status="skipped", error=reason, last_ms=self._clock(), recipients=None)
        self._receipts.finish(done)
        log.info("mail_skipped", key=row.id, severity=anomaly.severity)
        return outcome_of("skipped", done)

    def _no_webhook(self, row: Receipt, anomaly: Anomaly) -> Outcome:
        if row.is_new:
            row = self._receipts.create(anomaly, now_ms=self._clock(), channel=WEBHOOK)
        done = replace(row, status="skipped", error="GRIDWATCH_ALERTS__WEBHOOK_URL is unset now", last_ms=self._clock())
        self._receipts.finish(done)
        return outcome_of("skipped", done)

    def _failed(self, row: Receipt, reason: str, *, permanent: bool, retry_after_s: float | None) -> Outcome:
        failed = failed_receipt(
            row, reason, self._settings, permanent=permanent, retry_after_s=retry_after_s, now_ms=self._clock()
        )
        self._receipts.finish(failed)
        log.warning("delivery_failed", key=row.id, status=failed.status, attempts=row.attempts, error=failed.error)
        return outcome_of(failed.status, failed)
