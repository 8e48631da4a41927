"""Validation of what a container holds: the row that is written, and the newest one read back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import VALIDATIONS
from gridwatch.errors import ContainerNotFoundError, QualityError
from gridwatch.pipeline.validate import newest_validation, validate
from gridwatch.settings import Settings
from gridwatch.sources import Dataset

ROOT = Path(__file__).parents[2]
NOW_MS = 1_700_000_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", expectations_dir=ROOT / "expectations")


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings.store) as store:
        yield store


def _dataset(**fields: Any) -> Dataset:
    source = {"kind": "csv_folder", "path": "/nowhere"}
    base = {"name": "hourly", "symbol": "H", "source": source, "interval": "1h", "timezone": "UTC", "suite": "ohlcv"}
    return Dataset.model_validate(base | fields)


def _fill(store: Store, dataset: Dataset, *, days: int, start: str = "2023-01-01") -> pd.DataFrame:
    ts = pd.date_range(start, periods=days * 24, freq="1h", tz="UTC").as_unit("ms")
    close = 100 + np.sin(np.arange(len(ts)))
    frame = pd.DataFrame(
        {"ts": ts, "open": close, "high": close + 1, "low": close - 1, "close": close, "volume": np.arange(len(ts))}
    )
    store.put_container(dataset.info)
    store.put(dataset.container, frame)
    return frame


def test_a_validation_is_a_row_with_all_it_found(store: Store, settings: Settings) -> None:
    dataset = _dataset()
    frame = _fill(store, dataset, days=5)
    frame.loc[7, "high"] = 0.0
    store.put(dataset.container, frame)
    report = validate(dataset, store, settings, now_ms=NOW_MS, flow_run_id="flow-1")
    assert (report.success, report.rows, report.expectations) == (False, 120, 18)
    assert (report.from_ms, report.to_ms) == (1672531200000, 1672531200000 + 119 * 3_600_000)
    assert report.reasons == "expect_ohlc_to_be_consistent: 1 of 120 rows"
    assert report.failures[0]["rows"][0]["ts"] == "2023-01-01T07:00:00+00:00"
    assert report.report is not None
    assert Path(report.report).is_file()
    assert "## hourly: FAILED" in report.markdown
    assert json.loads(json.dumps(dataclasses.asdict(report)))["id"] == report.id
    (row,) = store.read(VALIDATIONS.name).to_pylist()
    assert (row["id"], row["success"], row["failed"], row["flow_run_id"]) == (report.id, False, 1, "flow-1")
    assert newest_validation(store, dataset) == dataclasses.replace(report, markdown="")


def test_the_newest_validation_counts_and_only_this_dataset_s(store: Store, settings: Settings) -> None:
    dataset, other = _dataset(), _dataset(name="other", symbol="O")
    assert newest_validation(store, dataset) is None
    frame = _fill(store, dataset, days=5)
    first = validate(dataset, store, settings, now_ms=NOW_MS)
    store.put(dataset.container, frame.assign(low=-1.0))
    second = validate(dataset, store, settings, now_ms=NOW_MS + 1)
    assert (first.success, second.success) == (True, False)
    newest = newest_validation(store, dataset)
    assert newest is not None
    assert newest.id == second.id
    assert newest_validation(store, other) is None


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        ({"train_months": None}, 200 * 24),
        ({"train_months": 1}, 30 * 24 + 1),  # from 19 June 23:00 to 19 July 23:00
        ({"train_months": 1, "scoring": {"start": "2023-03-01"}}, 141 * 24),
        ({"training": {"start": "2023-07-01"}}, 19 * 24),
        ({"train_months": 1, "training": {"end": "2023-02-28"}}, 200 * 24 - (27 * 24 + 23)),  # from 28 January 23:00 on
    ],
)
def test_only_rows_that_training_or_scoring_may_use_are_looked_at(
    store: Store, settings: Settings, fields: dict[str, Any], rows: int
) -> None:
    dataset = _dataset(**fields)
    _fill(store, dataset, days=200)
    report = validate(dataset, store, settings, now_ms=NOW_MS)
    assert (report.rows, report.success) == (rows, True)


def test_a_range_can_be_asked_for(store: Store, settings: Settings) -> None:
    dataset = _dataset()
    frame = _fill(store, dataset, days=10)
    times = frame["ts"].astype("int64")
    start_ms, end_ms = int(times[10]), int(times[99])
    report = validate(dataset, store, settings, now_ms=NOW_MS, start_ms=start_ms, end_ms=end_ms)
    assert (report.rows, report.from_ms, report.to_ms) == (90, start_ms, end_ms)


def test_an_empty_container_fails_with_that_reason(store: Store, settings: Settings) -> None:
    dataset = _dataset()
    store.put_container(dataset.info)
    report = validate(dataset, store, settings, now_ms=NOW_MS)
    assert (report.success, report.rows, report.from_ms) == (False, 0, None)
    assert report.reasons.startswith("rows: there are no rows to validate; ")
    assert newest_validation(store, dataset) == dataclasses.replace(report, markdown="")


def test_without_a_container_it_is_told_to_load_first(store: Store, settings: Settings) -> None:
    with pytest.raises(ContainerNotFoundError, match=r"No container 'INTRADAY_H' for dataset 'hourly'.*gridwatch load"):
        validate(_dataset(), store, settings, now_ms=NOW_MS)


def test_without_its_suite_nothing_is_written(store: Store, settings: Settings) -> None:
    dataset = _dataset(suite="ohlc")
    _fill(store, dataset, days=5)
    with pytest.raises(QualityError, match=r"No suite 'ohlc' in .*; did you mean 'ohlcv'\?"):
        validate(dataset, store, settings, now_ms=NOW_MS)
    assert newest_validation(store, dataset) is None


def test_a_row_with_broken_json_is_told(store: Store, settings: Settings) -> None:
    dataset = _dataset()
    _fill(store, dataset, days=5)
    report = validate(dataset, store, settings, now_ms=NOW_MS)
    store.execute("UPDATE validations SET failures = '{' WHERE id = ?", [report.id])
    with pytest.raises(QualityError, match=rf"Row '{report.id}' of 'validations' has broken JSON in failures"):
        newest_validation(store, dataset)
