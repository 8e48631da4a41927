"""What the tests on a real GridDB server leave there is dropped at the end of the run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.containers.griddb_server import drop_databases


@pytest.fixture(scope="session", autouse=True)
def databases_dropped() -> Iterator[None]:
    yield
    drop_databases()
