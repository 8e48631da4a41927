"""Packaged real series of `bokeh_sampledata`, public data: nothing to download, no key.

Daily bars of AAPL, FB, GOOG, IBM and MSFT, 2000 to 2013, prices as they were traded: the package's `adj_close`, which
knows later splits, is left out. A daily bar carries its session's date at 00:00 in the dataset's zone. And half-hourly
`sea_surface_temperature` of a buoy, 2016 to 2017, which behaves as a machine's sensor does.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from importlib.metadata import version

import numpy as np
import pandas as pd
from typing_extensions import override

from gridwatch.containers import ColumnType
from gridwatch.errors import SourceError
from gridwatch.sources.base import RejectedRow, Source, SourceBatch
from gridwatch.sources.dataset_model import Dataset, SampleSource

__all__ = ["SERIES", "Sample"]

SERIES = ("AAPL", "FB", "GOOG", "IBM", "MSFT", "sea_surface_temperature")


class Sample(Source):
    """One packaged series. `months` is not looked at: the series are years old.

    Raises:
        SourceError: There is no such series, or it lacks a column of the dataset.
    """

    def __init__(self, dataset: Dataset, source: SampleSource) -> None:
        if source.series not in SERIES:
            raise SourceError(
                f"No sample series {source.series!r}; there are {', '.join(SERIES)}.", series=source.series
            )
        self._dataset = dataset
        self._series = source.series
        self._key = f"{source.series}@{version('bokeh-sampledata')}"

    @override
    def history(self, *, now_ms: int, months: int, done: Collection[str] = ()) -> Iterator[SourceBatch]:
        if self._key in done:
            return
        frame, rejected = self._rows()
        past = frame[frame["ts"] <= pd.Timestamp(now_ms, unit="ms", tz="UTC")]
        yield SourceBatch(self._key, past, rejected, complete=len(past) == len(frame))

    @override
    def daily(self, *, now_ms: int) -> Iterator[SourceBatch]:
        """Yield the rows of the newest day, in the dataset's zone, that is not after `now_ms`."""
        frame, _ = self._rows()
        past = frame[frame["ts"] <= pd.Timestamp(now_ms, unit="ms", tz="UTC")]
        if past.empty:
            return
        days = past["ts"].dt.tz_convert(self._dataset.timezone).dt.date
        newest = past[days == days.iloc[-1]].reset_index(drop=True)
        today = pd.Timestamp(now_ms, unit="ms", tz=self._dataset.timezone).date()
        yield SourceBatch(f"{self._key}:{days.iloc[-1]}", newest, complete=days.iloc[-1] < today)

    def _rows(self) -> tuple[pd.DataFrame, list[RejectedRow]]:
        raw = _temperatures() if self._series == "sea_surface_temperature" else _bars(self._series, self._dataset)
        missing = [column.name for column in self._dataset.columns if column.name not in raw.columns]
        if missing:
            known = ", ".join(name for name in raw.columns if name != "ts")
            raise SourceError(
                f"Sample series {self._series!r} has no column {', '.join(map(repr, missing))}; it has {known}.",
                missing=missing,
            )
        types: dict[str, str] = {}
        for column in self._dataset.columns:
            if column.type not in _DTYPES:
                raise SourceError(
                    f"Sample series {self._series!r} cannot be read as {column.type} (column {column.name!r}); use "
                    f"{', '.join(_DTYPES)}.",
                    column=column.name,
                )
            types[column.name] = _DTYPES[column.type]
        raw = raw[["ts", *types]].astype(types)
        again = raw["ts"].duplicated(keep="last")
        rejected = [
            RejectedRow(int(place) + 2, ",".join(map(str, raw.iloc[place])), "a later line has the same time")
            for place in np.flatnonzero(again)
        ]
        return raw[~again].sort_values("ts", ignore_index=True), rejected


_DTYPES = {ColumnType.DOUBLE: "float64", ColumnType.FLOAT: "float32", ColumnType.LONG: "int64"}


def _bars(ticker: str, dataset: Dataset) -> pd.DataFrame:
    """Return `ts` and open, high, low, close, volume of one stock."""
    from bokeh_sampledata import stocks

    frame = pd.DataFrame(getattr(stocks, ticker)).drop(columns="adj_close")
    midnight = pd.to_datetime(frame.pop("date"), format="%Y-%m-%d").dt.tz_localize(dataset.timezone)
    frame.insert(0, "ts", midnight.dt.tz_convert("UTC").astype("datetime64[ms, UTC]"))
    return frame


def _temperatures() -> pd.DataFrame:
    """Return `ts` and temperature, degrees Celsius."""
    with warnings.catch_warnings():
        # The package renames a column in a way that pandas 3.1 deprecates; that is not its reader's fault.
        warnings.simplefilter("ignore", DeprecationWarning)
        from bokeh_sampledata.sea_surface_temperature import sea_surface_temperature as table

    ts = pd.to_datetime(table.index, utc=True).astype("datetime64[ms, UTC]")
    return pd.DataFrame({"ts": ts, "temperature": table["temperature"].to_numpy()})
