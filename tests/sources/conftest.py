"""A dataset to vary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gridwatch.sources import Dataset


@pytest.fixture(scope="session")
def make_dataset() -> Callable[..., Dataset]:
    """Return a function that makes a dataset of minute bars, with the fields given to it instead."""

    def make(**fields: Any) -> Dataset:
        base = {
            "name": "ibm",
            "symbol": "IBM",
            "source": {"kind": "csv_folder", "path": "/nowhere"},
            "interval": "1min",
            "calendar": "XNYS",
        }
        return Dataset.model_validate(base | fields)

    return make
