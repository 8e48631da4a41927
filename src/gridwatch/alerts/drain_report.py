"""What a relay that was asked to finish tells at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridwatch.containers.catalog import DELIVERIES

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["DrainReport", "report_of"]

_ERRORS_MAX = 5


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What became of the anomalies that were without a finished delivery.

    Args:
        sent: Notifications that went out meanwhile, by this relay or another; in a digest each anomaly counts.
        pending: Those that still wait; nothing is lost, a later drain or relay takes them.
        dead: Those that were refused for good or ran out of tries meanwhile.
        handler_url: Where the rows were POSTed.
        warnings: What somebody should know or mend, one sentence each; empty when all went well.
        held: Those that wait on purpose: snoozed, quiet hours, or the next digest.
        skipped: Those whose severity nobody wants to hear of.
    """

    sent: int
    pending: int
    dead: int
    handler_url: str
    warnings: tuple[str, ...] = ()
    held: int = 0
    skipped: int = 0


def report_of(store: Store, keys: Sequence[str], warnings: Sequence[str], *, handler_url: str) -> DrainReport:
    """Return what became of deliveries, with the first few errors of those that did not end well.

    Raises:
        StoreError: The store failed.
    """
    rows = store.get(DELIVERIES.name, keys).to_pylist()
    count = Counter(row["status"] for row in rows)
    held = sum(row["status"] == "pending" and bool(row["held"]) for row in rows)
    ended_badly = {"pending", "sending", "dead"}
    errors = list({row["error"]: None for row in rows if row["status"] in ended_badly and row["error"]})
    return DrainReport(
        sent=count["sent"],
        pending=len(keys) - count["sent"] - count["dead"] - count["skipped"] - held,
        dead=count["dead"],
        held=held,
        skipped=count["skipped"],
        handler_url=handler_url,
        warnings=(*warnings, *errors[:_ERRORS_MAX]),
    )
