"""The stores that the tests of jobs run on: the embedded one, and with `-m griddb` a real GridDB."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridwatch.containers import Store, open_store
from tests.containers.griddb_server import griddb

__all__ = ["BACKENDS"]


def _sqlite(folder: Path) -> Store:
    return open_store(f"sqlite:///{folder / 'store.db'}")


BACKENDS = [pytest.param(_sqlite, id="sqlite"), pytest.param(griddb, id="griddb", marks=pytest.mark.griddb)]
"""Functions that open a store without containers, given a folder."""
