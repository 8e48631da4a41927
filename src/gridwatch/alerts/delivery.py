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

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from gridwatch.alerts.anomaly import Anomaly, find_anomaly, severity_rank
from gridwatch.alerts.batch import Batch, Place
from gridwatch.alerts.budget import GATHER_MS, Budget
from gridwatch.alerts.digests import Digests
from gridwatch.alerts.handover import HandOver
from gridwatch.alerts.holding import DIGEST, Hold, hold_of
from gridwatch.alerts.outcome import Outcome, claim_ms, outcome_of, pause_ms
from gridwatch.alerts.receipts import CHANNEL, WEBHOOK, Receipt, Receipts, delivery_key, new_receipt
from gridwatch.errors import DeliveryError, GridwatchError

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
        self._address_book = address_book
        self._clock = clock
        self.receipts = Receipts(store)
        self._budget = Budget(store, settings)
        self._digests = Digests(
            store, settings, receipts=self.receipts, budget=self._budget, address_book=address_book, clock=clock
        )
        self.handover = HandOver(
            store,
            settings,
            receipts=self.receipts,
            budget=self._budget,
            mailer=mailer,
            address_book=address_book,
            clock=clock,
        )

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
        hooked = self.handover.webhook is not None and self._wanted_by_webhook(anomaly)
        # Before the mail's row: an anomaly that has that one has had its chance of this one.
        if channel != WEBHOOK and hooked and self._row(anomaly, WEBHOOK).is_new:
            self.receipts.create(anomaly, now_ms=self._clock(), channel=WEBHOOK)
        outcome = self._deliver(anomaly, channel or CHANNEL)
        if channel is None and hooked:
            self._deliver(anomaly, WEBHOOK)
        return outcome

    def deliver_all(self, places: Sequence[Place]) -> list[Outcome | GridwatchError]:
        """Send the mails of several anomalies, each as `deliver` would, for less; return what came of each, in order.

        Args:
            places: Container and row key of each, the worst first; at most `batch.BATCH_MAX`.

        Raises:
            StoreError: The store failed before anything was sent.
        """
        return Batch(self, self._store, clock=self._clock).deliver(places)

    @property
    def is_plain(self) -> bool:
        """Whether mails may be decided on together: no webhook beside them, nothing known to be away."""
        return (
            self._store.atomic_updates
            and self.handover.webhook is None
            and self.handover.breakers[CHANNEL].is_well(self._clock())
        )

    def _row(self, anomaly: Anomaly, channel: str) -> Receipt:
        found = self.receipts.read(delivery_key(anomaly.id, channel))
        return found or new_receipt(anomaly, channel, now_ms=self._clock())

    def _wanted_by_webhook(self, anomaly: Anomaly) -> bool:
        least = self._settings.alerts.webhook_severity
        return not anomaly.severity or severity_rank(anomaly.severity) <= severity_rank(least)

    def _deliver(self, anomaly: Anomaly, channel: str) -> Outcome:
        row = self._row(anomaly, channel)
        settled = self._settled(row)
        if settled:
            return settled
        if channel == WEBHOOK and self.handover.webhook is None:
            return self._no_webhook(row, anomaly)
        if row.attempts >= self._settings.alerts.attempts:
            # Only a handler that died each time, or a lowered setting, leads here.
            return self.handover.failed(row, row.error or "no try came to an end")
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
            recipients = self.recipients_of(anomaly)
        except DeliveryError:
            # Told when it is claimed, where it costs a try: a mail that nobody may get is not tried for ever.
            return self._claimed(row, anomaly, None)
        if not recipients:
            return self._skipped(row, anomaly)
        if row.status == "pending":
            hold = self.held_back(row, anomaly, recipients)
            if hold:
                return self._hold(row, hold.why, hold.until_ms, ", ".join(recipients))
        if row.held:
            return self._digest(row, anomaly, recipients)
        return self._claimed(row, anomaly, recipients)

    def recipients_of(self, anomaly: Anomaly) -> list[str]:
        """Return who is told; see `AddressBook.recipients`."""
        return self._address_book.recipients(anomaly.container, anomaly.severity)

    def held_back(self, row: Receipt, anomaly: Anomaly, recipients: list[str]) -> Hold | None:
        """Return what a pending mail has to wait for; None, and it is counted, where it may go.

        Raises:
            StoreError: The store failed.
        """
        now_ms = self._clock()
        hold = hold_of(anomaly, self._store, self._settings, now_ms=now_ms)
        if hold or row.held or self._budget.take(row.id, recipients, now_ms=now_ms):
            return hold
        due_ms = self._budget.digest_ms(", ".join(recipients), anomaly.severity, now_ms=now_ms, gather_ms=GATHER_MS)
        return Hold(DIGEST, due_ms)

    def uncount(self, row: Receipt) -> None:
        """Take back that a mail counts, which another call sends, or none."""
        self._budget.done(row.id, sent=False, now_ms=self._clock())

    def _hold(self, row: Receipt, why: str, until_ms: int, group: str) -> Outcome:
        held = self.receipts.hold(row, held=why, until_ms=until_ms, recipients=group)
        log.info("mail_held", key=row.id, why=why, until_ms=until_ms)
        return outcome_of("pending", held)

    def _digest(self, row: Receipt, anomaly: Anomaly, recipients: list[str]) -> Outcome:
        """Send the digest of all that was held back for these recipients, this one's row with them."""
        now_ms, group = self._clock(), ", ".join(recipients)
        due_ms = self._budget.digest_ms(group, anomaly.severity, now_ms=now_ms)
        if due_ms > now_ms and row.status == "pending":
            return self._hold(row, DIGEST, due_ms, group)
        wait_ms = self.handover.breakers[CHANNEL].wait_ms(now_ms)
        if wait_ms:
            return self._away(row, wait_ms)
        outcome = self._digests.send(row, recipients, self.handover.send_mail)
        if outcome is None:
            # It waits alone: that is a mail as any other.
            return self._claimed(row, anomaly, recipients, asked=True)
        return outcome

    def _claimed(self, row: Receipt, anomaly: Anomaly, recipients: list[str] | None, *, asked: bool = False) -> Outcome:
        """Claim a row and send it; `asked`: the breaker has let this call through already."""
        wait_ms = 0 if asked else self.handover.breakers[row.channel].wait_ms(self._clock())
        if wait_ms:
            self.uncount(row)
            return self._away(row, wait_ms)
        claimed = self.receipts.claim(row, now_ms=self._clock())
        if claimed is None:
            self.uncount(row)
            latest = self.receipts.read(row.id) or row
            return self._settled(latest) or outcome_of("in_progress", latest)
        result = self.handover.hand_over(claimed, anomaly, recipients)
        if isinstance(result, Outcome):
            return result
        self.receipts.finish(result)
        return self.told(result)

    def told(self, row: Receipt) -> Outcome:
        """Say that a row's receipt is written."""
        log.info("sent", key=row.id, message_id=row.message_id, attempts=row.attempts)
        return outcome_of("sent", row)

    def _away(self, row: Receipt, wait_ms: int) -> Outcome:
        """The service is known to be away: nothing is tried, and the row loses no try."""
        waits = replace(row, next_ms=self._clock() + wait_ms, error=self.handover.why_away.get(row.channel))
        return outcome_of("away", waits)

    def _skipped(self, row: Receipt, anomaly: Anomaly) -> Outcome:
        if row.is_new:
            row = self.receipts.create(anomaly, now_ms=self._clock())
        reason = f"nobody is to be told of severity {anomaly.severity!r}"
        done = replace(row, status="skipped", error=reason, last_ms=self._clock(), recipients=None)
        self.receipts.finish(done)
        log.info("mail_skipped", key=row.id, severity=anomaly.severity)
        return outcome_of("skipped", done)

    def _no_webhook(self, row: Receipt, anomaly: Anomaly) -> Outcome:
        if row.is_new:
            row = self.receipts.create(anomaly, now_ms=self._clock(), channel=WEBHOOK)
        done = replace(row, status="skipped", error="GRIDWATCH_ALERTS__WEBHOOK_URL is unset now", last_ms=self._clock())
        self.receipts.finish(done)
        return outcome_of("skipped", done)
