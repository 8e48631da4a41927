"""One trained LSTM a feature for all tests of detectors: training imports TensorFlow, which takes seconds."""

from __future__ import annotations

import pytest

from gridwatch.detectors import LstmDetector
from gridwatch.detectors.testing import SMALL, random_walk


@pytest.fixture(scope="session")
def told() -> list[tuple[int, int]]:
    """What `learnt` was told while it was trained: the epoch, of at most how many."""
    return []


@pytest.fixture(scope="session")
def learnt(told: list[tuple[int, int]]) -> LstmDetector:
    detector = LstmDetector("log_return", SMALL, on_epoch=lambda epoch, most, _row: told.append((epoch, most)))
    detector.learn(*random_walk(400))
    return detector


@pytest.fixture(scope="session")
def learnt_level() -> LstmDetector:
    detector = LstmDetector("level", SMALL)
    detector.learn(*random_walk(400))
    return detector
