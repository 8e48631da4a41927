"""Detectors that learn as they go, for one series or many. Importing this loads Numba: do it where it is needed."""

from gridwatch.detectors.online.bank import Bank, BankScores
from gridwatch.detectors.online.config import AutoConfig
from gridwatch.detectors.online.ensemble import AutoDetector, OnlineDetector, OnlineScores

__all__ = ["AutoConfig", "AutoDetector", "Bank", "BankScores", "OnlineDetector", "OnlineScores"]
