"""Bars of two sessions in New York, and the folders of a validation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridwatch.quality import Outcome, validate_frame
from gridwatch.sources import Dataset

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """Minute bars of a share."""
    return Dataset.model_validate(
        {"name": "ibm", "symbol": "IBM", "source": {"kind": "csv_folder", "path": "/nowhere"}, "calendar": "XNYS"}
    )


@pytest.fixture
def bars() -> pd.DataFrame:
    """Every minute of 2013-10-09 and 2013-10-10, 09:30 to 15:59 in New York: 780 rows."""
    days = [pd.date_range(f"2013-10-{day:02} 13:30", periods=390, freq="1min", tz="UTC") for day in (9, 10)]
    ts = pd.DatetimeIndex(days[0].append(days[1])).as_unit("ms")
    close = 184 + np.sin(np.arange(len(ts)) / 50)
    return pd.DataFrame(
        {"ts": ts, "open": close, "high": close + 0.1, "low": close - 0.1, "close": close, "volume": np.arange(len(ts))}
    )


@pytest.fixture
def check(dataset: Dataset) -> Callable[..., Outcome]:
    """Return a function that validates a frame of `dataset` against a suite that ships."""

    def check(
        frame: pd.DataFrame, *, of: Dataset = dataset, docs_dir: Path | None = None, run_name: str = "run"
    ) -> Outcome:
        return validate_frame(frame, of, ROOT / "expectations", docs_dir, now_ms=10**12, run_name=run_name)

    return check
