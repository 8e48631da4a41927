"""The seed of a run, a new one each time unless GRIDWATCH_TEST_FAULTS_SEED gives one again; and a platform to share."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.faults.flow import Platform


@pytest.fixture
def seed() -> int:
    """The seed of everything that is random in a test."""
    return int(os.environ.get("GRIDWATCH_TEST_FAULTS_SEED") or random.randrange(10**6))


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A broker and a store server, for tests that leave both running."""
    with Platform(tmp_path_factory.mktemp("platform")) as platform:
        yield platform
