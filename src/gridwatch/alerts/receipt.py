"""One row of `deliveries`, and the key that makes a notification happen once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridwatch.alerts.anomaly import Anomaly

__all__ = ["CHANNEL", "FINISHED", "WEBHOOK", "Receipt", "delivery_key", "new_receipt"]

CHANNEL = "email"
WEBHOOK = "webhook"

FINISHED = ("sent", "dead", "skipped")
"""The states of a delivery that nothing follows by itself."""


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
    first_ms: int = 0
    is_new: bool = False
    """Not in the store yet."""

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
            first_ms=row["first_ms"] or 0,
        )


def new_receipt(anomaly: Anomaly, channel: str, *, now_ms: int) -> Receipt:
    """Return the row of an anomaly that has none, as it is before anything is decided."""
    return Receipt(
        delivery_key(anomaly.id, channel),
        "pending",
        attempts=0,
        last_ms=now_ms,
        next_ms=0,
        anomaly_id=anomaly.id,
        container=anomaly.container,
        channel=channel,
        is_new=True,
    )
