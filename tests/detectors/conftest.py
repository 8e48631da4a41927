"""One trained LSTM a feature for all tests of detectors: training imports TensorFlow, which takes seconds."""

from __future__ import annotations

import pytest

from gridwatch.detectors import LstmDetector
from gridwatch.detectors.testing import SMALL, random_walk


@pytest.fixture(scope="session")
def learnt() -> LstmDetector:
    detector = LstmDetector("log_return", SMALL)
    detector.learn(*random_walk(400))
    return detector


@pytest.fixture(scope="session")
def learnt_level() -> LstmDetector:
    detector = LstmDetector("level", SMALL)
    detector.learn(*random_walk(400))
    return detector
