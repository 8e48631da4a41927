"""Detectors learn a series and score its rows; `Detector` says what each promises. Scoring never imports TensorFlow."""

from gridwatch.detectors.base import Detector, Scores, fingerprint
from gridwatch.detectors.calibration import Severity, severity_of
from gridwatch.detectors.lstm import Limit, LstmDetector
from gridwatch.detectors.training import LstmConfig

__all__ = ["Detector", "Limit", "LstmConfig", "LstmDetector", "Scores", "Severity", "fingerprint", "severity_of"]
