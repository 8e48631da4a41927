"""From an anomaly row to an email: relay, delivery, mail, and the local inbox. `docs/alerts.md` tells the whole way."""

from gridwatch.alerts.anomalies import list_anomalies
from gridwatch.alerts.deliveries import list_deliveries, revive
from gridwatch.alerts.relay import DrainReport, Relay, drain

__all__ = ["DrainReport", "Relay", "drain", "list_anomalies", "list_deliveries", "revive"]
