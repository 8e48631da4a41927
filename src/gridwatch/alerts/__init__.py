"""From an anomaly row to an email: relay, delivery, mail, and the local inbox."""
