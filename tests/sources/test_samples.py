"""The packaged series: prices as they were traded, and a sensor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd
import pytest

from gridwatch.errors import SourceError
from gridwatch.settings import Settings
from gridwatch.sources import Dataset, open_source
from gridwatch.sources.samples import SERIES

MakeDataset = Callable[..., Dataset]
NOW_MS = 1_800_000_000_000


def _ms(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1000)


def _stock(make_dataset: MakeDataset, series: str = "AAPL") -> Dataset:
    return make_dataset(source={"kind": "sample", "series": series}, interval="1D")


def test_prices_are_those_of_the_day_so_the_split_is_in_them(make_dataset: MakeDataset) -> None:
    (batch,) = open_source(_stock(make_dataset), Settings()).history(now_ms=NOW_MS, months=1)
    times = pd.DatetimeIndex(batch.frame["ts"]).tz_convert("America/New_York")
    close = batch.frame["close"].set_axis(times)
    assert batch.complete
    assert close.loc["2005-02-25"].item() == pytest.approx(88.99)
    assert close.loc["2005-02-28"].item() == pytest.approx(44.86)
    assert (times == times.normalize()).all()
    assert batch.frame.dtypes.astype(str).tolist() == ["datetime64[ms, UTC]", *["float64"] * 4, "int64"]


def test_a_done_series_is_not_read_again_and_a_cut_one_is_never_done(make_dataset: MakeDataset) -> None:
    source = open_source(_stock(make_dataset), Settings())
    (cut,) = source.history(now_ms=_ms(2005, 1, 1), months=1)
    assert not cut.complete
    assert cut.frame["ts"].iloc[-1] < pd.Timestamp("2005-01-01", tz="UTC")
    (whole,) = source.history(now_ms=NOW_MS, months=1)
    assert list(source.history(now_ms=NOW_MS, months=1, done={whole.key})) == []


def test_daily_is_the_newest_session_up_to_now(make_dataset: MakeDataset) -> None:
    source = open_source(_stock(make_dataset), Settings())
    (batch,) = source.daily(now_ms=_ms(2005, 1, 8))
    assert batch.frame["ts"].astype(str).tolist() == ["2005-01-07 05:00:00+00:00"]
    assert list(source.daily(now_ms=_ms(1999, 1, 1))) == []


def test_the_buoy_is_a_sensor_with_one_time_twice(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(
        source={"kind": "sample", "series": "sea_surface_temperature"},
        columns=[{"name": "temperature"}],
        value="temperature",
        calendar=None,
        timezone="UTC",
        interval="30min",
    )
    (batch,) = open_source(dataset, Settings()).history(now_ms=NOW_MS, months=1)
    assert len(batch.frame) + len(batch.rejected) == 19226
    assert [row.reason for row in batch.rejected] == ["a later line has the same time"]
    assert batch.frame["ts"].is_monotonic_increasing
    assert batch.frame["ts"].is_unique
    (day,) = open_source(dataset, Settings()).daily(now_ms=_ms(2016, 6, 1, 12))
    assert (len(day.frame), day.complete) == (25, False)
    (day,) = open_source(dataset, Settings()).daily(now_ms=NOW_MS)
    assert (len(day.frame), day.complete) == (1, True)


@pytest.mark.parametrize("series", SERIES[:5])
def test_every_stock_has_consistent_bars(make_dataset: MakeDataset, series: str) -> None:
    (batch,) = open_source(_stock(make_dataset, series), Settings()).history(now_ms=NOW_MS, months=1)
    assert (batch.frame["low"] <= batch.frame[["open", "close"]].min(axis=1)).all()


def test_an_unknown_series_is_told_with_the_known_ones(make_dataset: MakeDataset) -> None:
    with pytest.raises(SourceError, match=r"No sample series 'TSLA'; there are AAPL, FB, GOOG, IBM, MSFT, sea_surface"):
        open_source(_stock(make_dataset, "TSLA"), Settings())


def test_a_column_that_the_series_lacks_is_told(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(source={"kind": "sample", "series": "sea_surface_temperature"})
    with pytest.raises(SourceError, match=r"has no column 'open', 'high', .*; it has temperature"):
        list(open_source(dataset, Settings()).history(now_ms=NOW_MS, months=1))


def test_a_type_that_a_series_cannot_have_is_told(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(source={"kind": "sample", "series": "AAPL"}, columns=[{"name": "close", "type": "SHORT"}])
    with pytest.raises(SourceError, match=r"Sample series 'AAPL' cannot be read as SHORT \(column 'close'\)"):
        list(open_source(dataset, Settings()).history(now_ms=NOW_MS, months=1))
