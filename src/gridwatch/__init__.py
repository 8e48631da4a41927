"""gridwatch finds anomalies in time series that live in GridDB, and tells people."""

__version__ = "0.1.0"
