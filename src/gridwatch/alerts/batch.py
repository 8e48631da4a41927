"""Several anomalies at once: what each mail costs in reads, claims and receipts is paid once for all of them.

Nothing is promised less than for one: a row is claimed before its mail is handed over, each mail goes out by itself and
is its own success or failure, and the receipts of those that were taken are written before anybody is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from gridwatch.alerts.anomaly import Anomaly, find_anomalies
from gridwatch.alerts.background import Background, backgrounds
from gridwatch.alerts.outcome import Outcome, outcome_of
from gridwatch.alerts.receipt_batches import begun, claim_new, finish_sent, hold_new
from gridwatch.alerts.receipts import CHANNEL, Receipt, delivery_key, new_receipt
from gridwatch.errors import DeliveryError, GridwatchError, StoreError

if TYPE_CHECKING:
    from gridwatch.alerts.delivery import Delivery
    from gridwatch.containers import Store

__all__ = ["BATCH_MAX", "Batch", "Place"]

log = structlog.get_logger(__name__)

BATCH_MAX = 8
"""Most anomalies in one batch. Each has a thread of its own, so that no claim waits for another one's mail server."""

Place = tuple[str, str]
"""Container and row key of an anomaly."""

Ended = Outcome | GridwatchError
"""What came of one: of the others, none fails with it."""


@dataclass(slots=True)
class _Plan:
    """What is to be done for which anomaly; one that stands nowhere goes its own way, as if it had come alone."""

    held: dict[Place, Receipt] = field(default_factory=dict)
    mailed: dict[Place, tuple[Receipt, Anomaly, list[str]]] = field(default_factory=dict)


class Batch:
    """Decides on the anomalies of one call, and hands their mails over.

    Args:
        delivery: Whose decisions and parts it uses.
        store: Holds anomalies, scores and deliveries.
        clock: UTC epoch ms.
    """

    def __init__(self, delivery: Delivery, store: Store, *, clock: Callable[[], int]) -> None:
        self._delivery = delivery
        self._store = store
        self._clock = clock

    def deliver(self, places: Sequence[Place]) -> list[Ended]:
        """Send, hold back or answer for each; return what came of each, in their order.

        Raises:
            StoreError: The store failed before anything was sent.
        """
        # In their order, which is that of severity.
        each = list(dict.fromkeys(places))
        plan = _Plan()
        claimed: dict[Place, Receipt] = {}
        try:
            self._decide(plan, each)
            ended: dict[Place, Ended] = {**self._held(plan)}
            claimed = self._claimed(plan)
        finally:
            # It was counted when it was decided.
            for row in (row for place, (row, _, _) in plan.mailed.items() if place not in claimed):
                self._delivery.uncount(row)
        told = self._backgrounds(plan, list(claimed))
        work: dict[Future[Receipt | Outcome], Place] = {}
        hand_over = self._delivery.handover.hand_over
        with ThreadPoolExecutor(BATCH_MAX, "mail") as pool:
            for place in each:
                if place in claimed:
                    _, anomaly, recipients = plan.mailed[place]
                    work[pool.submit(hand_over, claimed[place], anomaly, recipients, told[place])] = place
                elif place not in ended:
                    work[pool.submit(self._delivery.deliver, *place, CHANNEL)] = place
            ended |= self._finished(work)
        return [ended[place] for place in places]

    def _decide(self, plan: _Plan, places: Sequence[Place]) -> None:
        """Plan what can be decided together: mails that nobody has begun, while the mail service is well."""
        if not self._delivery.is_plain:
            return
        anomalies = self._anomalies(places)
        old = begun(self._store, [delivery_key(key) for _, key in anomalies])
        for place, anomaly in anomalies.items():
            row = new_receipt(anomaly, CHANNEL, now_ms=self._clock())
            if row.id in old:
                continue
            try:
                recipients = self._delivery.recipients_of(anomaly)
            except DeliveryError:
                continue
            if not recipients:
                continue
            hold = self._delivery.held_back(row, anomaly, recipients)
            if hold:
                plan.held[place] = replace(row, held=hold.why, next_ms=hold.until_ms, recipients=", ".join(recipients))
            else:
                plan.mailed[place] = row, anomaly, recipients

    def _anomalies(self, places: Sequence[Place]) -> dict[Place, Anomaly]:
        found: dict[Place, Anomaly] = {}
        for container in dict.fromkeys(container for container, _ in places):
            keys = [key for one, key in places if one == container]
            try:
                found |= {(container, one.id): one for one in find_anomalies(self._store, container, keys)}
            except DeliveryError:
                # One of them cannot be told; each finds out for itself whether it is the one.
                continue
        return {place: found[place] for place in places if place in found}

    def _held(self, plan: _Plan) -> dict[Place, Outcome]:
        rows = hold_new(self._store, self._delivery.receipts, list(plan.held.values()), now_ms=self._clock())
        return {place: outcome_of("pending", row) for place, row in zip(plan.held, rows, strict=True)}

    def _claimed(self, plan: _Plan) -> dict[Place, Receipt]:
        """Take the rows of mails; one that another call took first is answered for as if it had come alone."""
        rows = {place: row for place, (row, _, _) in plan.mailed.items()}
        taken = claim_new(self._store, self._delivery.receipts, list(rows.values()), now_ms=self._clock())
        return {place: taken[row.id] for place, row in rows.items() if row.id in taken}

    def _backgrounds(self, plan: _Plan, claimed: list[Place]) -> dict[Place, Background | None]:
        try:
            read = backgrounds(self._store, [plan.mailed[place][1] for place in claimed])
        except StoreError as error:
            # Each mail tries for itself, and fails for itself.
            log.warning("backgrounds_not_read", error=str(error))
            return dict.fromkeys(claimed)
        return dict(zip(claimed, read, strict=True))

    def _finished(self, work: dict[Future[Receipt | Outcome], Place]) -> dict[Place, Ended]:
        """Write receipts as mails are taken, those that come together in one piece; return what came of each."""
        ended: dict[Place, Ended] = {}
        defects: list[BaseException] = []
        waiting = set(work)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            sent: dict[Place, Receipt] = {}
            for future in done:
                error = future.exception()
                if isinstance(error, GridwatchError):
                    ended[work[future]] = error
                elif error is not None:
                    # Raised on when the others have their receipts.
                    defects.append(error)
                else:
                    result = future.result()
                    if isinstance(result, Receipt):
                        sent[work[future]] = result
                    else:
                        ended[work[future]] = result
            try:
                finish_sent(self._store, self._delivery.receipts, list(sent.values()))
            except StoreError as error:
                ended |= dict.fromkeys(sent, error)
            else:
                ended |= {place: self._delivery.told(row) for place, row in sent.items()}
        if defects:
            raise defects[0]
        return ended
