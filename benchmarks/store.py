"""The embedded store against what one would write with sqlite3 and pandas: upsert a frame, read it back."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.figure import Figure, compare
from gridwatch.containers import open_store
from gridwatch.containers.catalog import series_info

ROWS = 500_000
NAMES = ["ts", "open", "high", "low", "close", "volume"]


def minute_bars(rows: int) -> pd.DataFrame:
    """Return a frame of `rows` minute bars: ts datetime64[ms, UTC], four float64 prices, int64 volume."""
    random = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(random.normal(0, 1e-4, rows)))
    frame = pd.DataFrame({"open": close, "high": close + 0.1, "low": close - 0.1, "close": close})
    frame["volume"] = random.integers(1, 10_000, rows)
    ts_ms = 1_700_000_000_000 + 60_000 * np.arange(rows)
    frame.insert(0, "ts", pd.to_datetime(ts_ms, unit="ms", utc=True).astype("datetime64[ms, UTC]"))
    return frame


def run() -> Iterator[Figure]:
    """Yield the figures for writing and reading."""
    frame = minute_bars(ROWS)
    with tempfile.TemporaryDirectory() as folder:
        plain_path = Path(folder) / "plain.db"
        with (
            closing(sqlite3.connect(plain_path)) as plain,
            open_store(f"sqlite:///{Path(folder) / 'store.db'}") as store,
        ):
            plain.execute("PRAGMA journal_mode=WAL")
            plain.execute("CREATE TABLE bars (ts INTEGER PRIMARY KEY, open, high, low, close, volume)")
            store.put_container(series_info("bars"))

            def write_plain() -> None:
                rows = frame.assign(ts=frame["ts"].astype("int64")).itertuples(index=False, name=None)
                with plain:
                    plain.executemany("INSERT OR REPLACE INTO bars VALUES (?, ?, ?, ?, ?, ?)", rows)

            def read_plain() -> pd.DataFrame:
                read = pd.read_sql("SELECT * FROM bars ORDER BY ts", plain)
                read["ts"] = pd.to_datetime(read["ts"], unit="ms", utc=True)
                return read

            ours_s, plain_s = compare(lambda: store.put("bars", frame), write_plain)
            yield Figure("store write", ROWS, "rows", ours_s, "sqlite3 executemany", plain_s, aim=4)
            ours_s, plain_s = compare(lambda: store.read("bars").to_pandas(), read_plain)
            equal = store.read("bars").to_pandas()["close"].equals(read_plain()["close"])
            yield Figure(
                "store read", ROWS, "rows", ours_s, "pandas.read_sql", plain_s, aim=4, note=f"equal values: {equal}"
            )
