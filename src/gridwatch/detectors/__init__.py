"""Detectors learn a series and score its rows; `Detector` says what each promises. Scoring never imports TensorFlow."""

from gridwatch.detectors.base import Detector, Scores, fingerprint
from gridwatch.detectors.explain import Explanation, explain, explain_row
from gridwatch.detectors.lstm import Limit, LstmDetector
from gridwatch.detectors.severity import Severity, job_severity_of, severity_of, severity_score
from gridwatch.detectors.training import LstmConfig

__all__ = [
    "Detector",
    "Explanation",
    "Limit",
    "LstmConfig",
    "LstmDetector",
    "Scores",
    "Severity",
    "explain",
    "explain_row",
    "fingerprint",
    "job_severity_of",
    "severity_of",
    "severity_score",
]
