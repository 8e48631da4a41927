"""Why a mail is held back although nothing failed: its series is snoozed, or it is quiet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridwatch.alerts.quiet import quiet_until
from gridwatch.alerts.snoozes import snoozed_until

if TYPE_CHECKING:
    from gridwatch.alerts.anomaly import Anomaly
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["DIGEST", "QUIET", "SNOOZED", "Hold", "hold_of"]

DIGEST, QUIET, SNOOZED = "digest", "quiet", "snoozed"


@dataclass(frozen=True, slots=True)
class Hold:
    """What a mail waits for: digest, quiet or snoozed; and until when, UTC epoch ms."""

    why: str
    until_ms: int


def hold_of(anomaly: Anomaly, store: Store, settings: Settings, *, now_ms: int) -> Hold | None:
    """Return why nobody wants this mail now; None when it may go.

    Raises:
        StoreError: The store failed.
    """
    snoozed_ms = snoozed_until(store, anomaly.container, anomaly.severity, now_ms=now_ms)
    if snoozed_ms is not None:
        return Hold(SNOOZED, snoozed_ms)
    alerts = settings.alerts
    if (anomaly.severity or "").lower() == "critical" and not alerts.quiet_critical:
        return None
    quiet_ms = quiet_until(alerts.quiet_hours, alerts.quiet_zone, now_ms)
    return Hold(QUIET, quiet_ms) if quiet_ms is not None else None
