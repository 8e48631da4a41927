"""Sample data: the same each time, with a day and a week in it, and what is odd where it is said to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import SourceError
from gridwatch.sources.kibana_rows import PutAnomaly
from gridwatch.sources.kibana_samples import CONTAINERS, START_MS, Sample, make_samples, write_samples

DAY = 86_400_000
TIMES = dict(zip(CONTAINERS, ("timestamp", "order_date", "at_timestamp"), strict=True))


@pytest.fixture(scope="module")
def samples() -> dict[str, Sample]:
    return {sample.info.name: sample for sample in make_samples(days=14)}


def frame_of(sample: Sample) -> pd.DataFrame:
    frame: pd.DataFrame = sample.rows.to_pandas()
    return frame.assign(ms=sample.rows[TIMES[sample.info.name]].cast(pa.int64()).to_numpy())


def test_one_seed_gives_one_table_and_another_one_another(samples: dict[str, Sample]) -> None:
    for again in make_samples(days=14):
        assert again.rows.equals(samples[again.info.name].rows)
        assert again.anomalies == samples[again.info.name].anomalies
    [other] = make_samples(days=14, seed=2, names=["security_events"])
    assert not other.rows.equals(samples["security_events"].rows)
    # What is made of one container does not hang on the others.
    [alone] = make_samples(days=14, names=["security_events"])
    assert alone.rows.equals(samples["security_events"].rows)


@pytest.mark.parametrize("name", CONTAINERS)
def test_there_is_a_day_and_a_week_in_it(samples: dict[str, Sample], name: str) -> None:
    frame = frame_of(samples[name])
    assert frame["ms"].is_monotonic_increasing
    assert frame["ms"].between(START_MS, START_MS + 14 * DAY - 1).all()
    day = frame.groupby(frame["ms"] // DAY).size()
    weekend = (day.index.to_numpy() + 3) % 7 >= 5
    assert day[weekend].mean() < 0.9 * day[~weekend].mean()
    hours = frame.groupby(frame["ms"] % DAY // 3_600_000).size()
    assert hours.max() > 2 * hours.min()


def window(frame: pd.DataFrame, put: PutAnomaly, days_before: int = 0) -> pd.DataFrame:
    """Return the rows of what is odd, or of the same hours some days before."""
    back = days_before * DAY
    found = frame[frame["ms"].between(put.start_ms - back, put.end_ms - back - 1)]
    for field, value in put.entities.items():
        found = found[found[field.replace("@", "at_")] == value]
    return found


def test_what_is_odd_is_where_it_is_said_to_be(samples: dict[str, Sample]) -> None:
    told = [(put, frame_of(sample)) for sample in samples.values() for put in sample.anomalies]
    assert [put.kind for put, _ in told] == [
        "burst", "outage", "errors", "large", "dear", "silence", "dear", "elsewhere", "dear", "guessing", "deleting",
        "locked",
    ]  # fmt: skip
    for put, frame in told:
        now, before = window(frame, put), window(frame, put, days_before=1)
        if put.kind in {"outage", "silence", "locked"}:
            assert now.empty
            assert len(before) > 2
        elif put.kind == "large":
            assert now["bytes"].mean() > 20 * before["bytes"].mean()
        elif put.kind in {"dear", "elsewhere"}:
            price = frame[frame["ms"] < put.start_ms]["taxful_total_price"].mean()
            assert now["taxful_total_price"].mean() > 5 * price
        else:
            assert len(now) > 10 * max(len(before), 1)
        assert now.empty or put.start_ms <= now["ms"].min() <= now["ms"].max() < put.end_ms
        assert put.start_ms >= START_MS + 4 * DAY


def test_written_twice_it_is_there_once(samples: dict[str, Sample], tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    with SqliteStore(tmp_path / "store.db") as store:
        for _ in range(2):
            put = write_samples(
                store, days=14, names=["kibana_sample_data_ecommerce"], progress=lambda *told: seen.append(told)
            )
        rows = store.read("kibana_sample_data_ecommerce")
    expected = samples["kibana_sample_data_ecommerce"]
    assert rows.num_rows == expected.rows.num_rows == seen[-1][1] == seen[-1][2]
    assert rows["order_id"].to_pylist() == list(np.arange(rows.num_rows) + 550_000)
    assert tuple(put) == expected.anomalies


def test_what_cannot_be_made_is_told() -> None:
    with pytest.raises(SourceError, match="No sample data 'flights'; there are kibana_sample_data_logs"):
        list(make_samples(names=["flights"]))
    with pytest.raises(SourceError, match="Sample data of 7 days; 14 to 3660 can be made"):
        list(make_samples(days=7))
    with pytest.raises(SourceError, match="cannot begin at -1: GridDB's time is 1970 to 9999"):
        list(make_samples(start_ms=-1))
