"""The datasets of a demo on one's own bars: a folder of CSV files, one dataset a symbol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gridwatch.errors import SourceError

__all__ = ["datasets_of"]

_TIME = "timestamp"
_ROWS_MIN = 300
_SCORED = 0.25
"""Share of the days that are scored; the rest is learnt."""


def datasets_of(folder: Path, recipients: list[str]) -> list[dict[str, Any]]:
    """Return a dataset for each symbol: what stands before the first `_` in the names of its files.

    Args:
        folder: Files `SYMBOL_*.csv` with the columns `timestamp,open,high,low,close,volume` of US shares, times as in
            New York.
        recipients: Who is told of anomalies.

    Raises:
        SourceError: There are none, or one lacks columns, times or rows.
    """
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.csv")):
        files.setdefault(path.stem.partition("_")[0], []).append(path)
    if not files:
        raise SourceError(
            f"No CSV files in {str(folder)!r}; bars are wanted in files SYMBOL_*.csv, such as IBM_1min.csv, with the "
            "columns timestamp,open,high,low,close,volume."
        )
    return [_dataset(symbol, folder, paths, recipients) for symbol, paths in files.items()]


def _dataset(symbol: str, folder: Path, paths: list[Path], recipients: list[str]) -> dict[str, Any]:
    import pandas as pd

    try:
        times = pd.concat([pd.to_datetime(pd.read_csv(path, usecols=[_TIME])[_TIME]) for path in paths])
    except (ValueError, OSError) as error:
        raise SourceError(
            f"Cannot read the column {_TIME!r} of the bars of {symbol} in {str(folder)!r}: {error}."
        ) from error
    times = times.drop_duplicates().sort_values()
    days = times.dt.date.drop_duplicates().tolist()
    if len(times) < _ROWS_MIN or len(days) < 2:
        raise SourceError(
            f"{symbol} has {len(times)} bars on {len(days)} days in {str(folder)!r}; at least {_ROWS_MIN} on two days "
            "are wanted, to learn some and to score the others."
        )
    first = days[min(len(days) - 1, round(len(days) * (1 - _SCORED)))]
    before = days[days.index(first) - 1]
    step = times.diff().median()
    return {
        "name": "".join(letter if letter.isalnum() else "_" for letter in symbol.lower()),
        "description": f"{symbol}: your bars, learnt up to {before}, scored from {first} on.",
        "symbol": symbol,
        "source": {
            "kind": "csv_folder",
            "path": str(folder.resolve()),
            "pattern": f"{symbol}[_.]*csv",
            "daily_pattern": "-",
        },
        "interval": f"{max(int(step.total_seconds()), 1)}s",
        "calendar": "XNYS",
        "train_months": None,
        "training": {"end": str(before)},
        "scoring": {"start": str(first)},
        "recipients": recipients,
    }
