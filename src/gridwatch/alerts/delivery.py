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
from typing import TYPE_CHECKING, Any

import structlog

from gridwatch.alerts.anomaly import Anomaly, find_anomaly
from gridwatch.alerts.email import compose
from gridwatch.alerts.sendgrid import WAIT_MAX_S
from gridwatch.containers.catalog import DELIVERIES
from gridwatch.errors import DeliveryError, GridwatchError, StoreBusyError, StoreError

if TYPE_CHECKING:
    from gridwatch.alerts.address_book import AddressBook
    from gridwatch.alerts.sendgrid import Mailer
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["CHANNEL", "Delivery", "Outcome", "claim_ms", "delivery_key", "pause_ms", "revive"]

log = structlog.get_logger(__name__)

CHANNEL = "email"

FIRST_PAUSE_MS, LAST_PAUSE_MS = 10_000, 3_600_000
_ERROR_LENGTH = 1000


def delivery_key(anomaly_id: str, channel: str = CHANNEL) -> str:
    """Return the idempotency key of a notification, which is also the row key in `deliveries`."""
    return f"{anomaly_id}:{channel}"


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


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of `deliveries`, as far as the decisions need it."""

    id: str
    status: str
    attempts: int
    last_ms: int
    next_ms: int
    message_id: str | None
    error: str | None
    possible_duplicate: bool

    def outcome(self, status: str) -> Outcome:
        return Outcome(
            status, self.id, self.message_id, self.error, self.attempts, self.next_ms, self.possible_duplicate
        )


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
        row = self._row(key) or self._create(key, anomaly)
        settled = self._settled(row)
        if settled:
            return settled
        if row.attempts >= self._settings.alerts.attempts:
            # Only a handler that died each time, or a lowered setting, leads here.
            return self._failed(row, row.error or "no try came to an end", permanent=False, retry_after_s=None)
        claimed = self._claim(row)
        if claimed is None:
            latest = self._row(key) or row
            return self._settled(latest) or latest.outcome("in_progress")
        return self._send(claimed, anomaly)

    def _settled(self, row: _Row) -> Outcome | None:
        """The answer where nothing is to be done now; None when the row may be claimed."""
        now_ms = self._clock()
        if row.status == "sent":
            return row.outcome("already_sent")
        if row.status == "dead":
            return row.outcome("dead")
        if row.status == "sending":
            return row.outcome("in_progress") if now_ms - row.last_ms <= claim_ms(self._settings) else None
        return row.outcome("pending") if row.next_ms > now_ms else None

    def _row(self, key: str) -> _Row | None:
        found = self._store.get(DELIVERIES.name, [key]).to_pylist()
        if not found:
            return None
        row = found[0]
        return _Row(
            id=key,
            status=row["status"] or "pending",
            attempts=row["attempts"] or 0,
            last_ms=row["last_ms"] or 0,
            next_ms=row["next_ms"] or 0,
            message_id=row["message_id"],
            error=row["error"],
            possible_duplicate=bool(row["possible_duplicate"]),
        )

    def _create(self, key: str, anomaly: Anomaly) -> _Row:
        now_ms = self._clock()
        values: dict[str, Any] = {
            "id": key,
            "anomaly_id": anomaly.id,
            "container": anomaly.container,
            "channel": CHANNEL,
            "status": "pending",
            "attempts": 0,
            "first_ms": now_ms,
            "last_ms": now_ms,
            "next_ms": 0,
            "possible_duplicate": False,
        }
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        try:
            # INSERT, not put: two that come at once must not overwrite each other's claim.
            self._store.execute(
                f"INSERT INTO {DELIVERIES.name} ({names}) VALUES ({marks})",  # noqa: S608 - our own names
                list(values.values()),
            )
        except StoreError:
            row = self._row(key)
            if row is None:
                raise
            return row
        return _Row(key, "pending", 0, now_ms, 0, None, None, possible_duplicate=False)

    def _claim(self, row: _Row) -> _Row | None:
        """Take the row for this call; None when another call was quicker."""
        claimed = replace(
            row,
            status="sending",
            attempts=row.attempts + 1,
            last_ms=self._clock(),
            possible_duplicate=row.possible_duplicate or row.status == "sending",
        )
        changed = self._store.execute(
            f"UPDATE {DELIVERIES.name} SET status = ?, attempts = ?, last_ms = ?, possible_duplicate = ? "  # noqa: S608
            "WHERE id = ? AND status = ? AND attempts = ? AND last_ms = ?",
            [
                claimed.status,
                claimed.attempts,
                claimed.last_ms,
                claimed.possible_duplicate,
                row.id,
                row.status,
                row.attempts,
                row.last_ms,
            ],
        )
        return claimed if changed == 1 else None

    def _send(self, row: _Row, anomaly: Anomaly) -> Outcome:
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

    def _sent(self, row: _Row, message_id: str, recipients: list[str]) -> Outcome:
        done = replace(row, status="sent", message_id=message_id, error=None, last_ms=self._clock())
        self._finish(done, recipients)
        log.info("mail_sent", key=row.id, message_id=message_id, attempts=row.attempts)
        return done.outcome("sent")

    def _failed(self, row: _Row, reason: str, *, permanent: bool, retry_after_s: float | None) -> Outcome:
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
        self._finish(failed, [])
        log.warning("mail_failed", key=row.id, status=status, attempts=row.attempts, error=failed.error)
        return failed.outcome(status)

    def _finish(self, row: _Row, recipients: list[str]) -> None:
        """Write the end of a claim; a receipt that is lost means a second mail, so a busy store is tried again."""
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

        # A failure gives back only its own claim; a receipt counts whoever has claimed the row since.
        mine = "" if row.status == "sent" else " AND status <> 'sent' AND attempts = ?"
        statement = (
            f"UPDATE {DELIVERIES.name} SET status = ?, last_ms = ?, next_ms = ?, message_id = ?, "  # noqa: S608
            f"error = ?, recipients = ? WHERE id = ?{mine}"
        )
        values = [row.status, row.last_ms, row.next_ms, row.message_id, row.error, ", ".join(recipients), row.id]
        for attempt in Retrying(
            stop=stop_after_attempt(5),
            wait=wait_exponential(0.2, max=2.0),
            retry=retry_if_exception_type(StoreBusyError),
            reraise=True,
        ):
            with attempt:
                self._store.execute(statement, values if row.status == "sent" else [*values, row.attempts])


def revive(store: Store, *, now_ms: int) -> int:
    """Give every dead delivery its tries back, once the cause is cured; return how many there were."""
    return store.execute(
        f"UPDATE {DELIVERIES.name} SET status = 'pending', attempts = 0, next_ms = ?, last_ms = ? "  # noqa: S608
        "WHERE status = 'dead'",
        [now_ms, now_ms],
    )
