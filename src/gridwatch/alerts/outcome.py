"""What became of a call for a delivery, and how failures are told and paused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gridwatch.alerts.sendgrid import WAIT_MAX_S

if TYPE_CHECKING:
    from gridwatch.alerts.receipts import Receipt
    from gridwatch.errors import DeliveryError
    from gridwatch.settings import Settings

__all__ = ["FIRST_PAUSE_MS", "LAST_PAUSE_MS", "Outcome", "claim_ms", "failed_receipt", "outcome_of", "pause_ms"]

FIRST_PAUSE_MS, LAST_PAUSE_MS = 10_000, 3_600_000
_ERROR_LENGTH = 1000


def claim_ms(settings: Settings) -> int:
    """Return how long a claim holds: the longest one delivery can take, in ms, and 15 s for the plot and the store."""
    mail = settings.sendgrid
    mail_s = mail.attempts * mail.timeout_s + (mail.attempts - 1) * WAIT_MAX_S
    return round(1000 * (max(mail_s, settings.alerts.webhook_timeout_s) + 15))


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
    `next_ms`), away (the service is, and nothing was tried), dead, skipped, or not_found. `held` says what a pending
    one waits for; `digest` how many anomalies the digest told that it was sent in.
    """

    status: str
    key: str
    message_id: str | None = None
    error: str | None = None
    attempts: int = 0
    next_ms: int | None = None
    possible_duplicate: bool = False
    held: str | None = None
    digest: int = 0


def outcome_of(status: str, row: Receipt, *, digest: int = 0) -> Outcome:
    """Return the outcome that a row of `deliveries` tells."""
    held = row.held if status == "pending" else None
    return Outcome(
        status, row.id, row.message_id, row.error, row.attempts, row.next_ms, row.possible_duplicate, held, digest
    )


def failed_receipt(
    row: Receipt, reason: str, settings: Settings, error: DeliveryError | None, *, now_ms: int
) -> Receipt:
    """Return a claimed row after a failure: dead where that is for good or was the last try, else pending.

    `error` is a service's: `permanent`, `retry_after_s`, and `maybe_taken`, which makes the row a possible duplicate
    from now on; None where it failed before, and may pass.
    """
    said = error.values if error else {}
    permanent = bool(said.get("permanent"))
    last = row.attempts >= settings.alerts.attempts
    if last and not permanent:
        reason = f"Given up after {row.attempts} deliveries: {reason}"
    asked_ms = min(LAST_PAUSE_MS, round((said.get("retry_after_s") or 0.0) * 1000))
    return replace(
        row,
        status="dead" if permanent or last else "pending",
        error=reason[:_ERROR_LENGTH],
        last_ms=now_ms,
        possible_duplicate=row.possible_duplicate or bool(said.get("maybe_taken")),
        next_ms=now_ms + max(asked_ms, pause_ms(row.attempts)),
    )
