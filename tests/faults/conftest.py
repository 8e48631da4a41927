"""The seed of a run: a new one each time, unless GRIDWATCH_TEST_FAULTS_SEED gives one again."""

from __future__ import annotations

import os
import random

import pytest


@pytest.fixture
def seed() -> int:
    """The seed of everything that is random in a test."""
    return int(os.environ.get("GRIDWATCH_TEST_FAULTS_SEED") or random.randrange(10**6))
