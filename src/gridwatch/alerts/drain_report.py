"""What a relay that was asked to finish tells at its end."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DrainReport"]


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
