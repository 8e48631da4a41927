"""The scheduled flows validate the rows that no validation has seen, and only those."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gridwatch.containers import Store, open_store
from gridwatch.pipeline.validate import newest_validation, validate
from gridwatch.settings import load_settings
from gridwatch.sources import Dataset, load_dataset

ROOT = Path(__file__).parents[2]
NOW_MS = 1_700_000_000_000


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Dataset:
    plain = json.loads((ROOT / "flows" / "datasets" / "aapl_daily.json").read_text(encoding="utf-8"))
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "aapl_daily.json").write_text(json.dumps(plain), encoding="utf-8")
    shutil.copytree(ROOT / "expectations", tmp_path / "expectations")
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRIDWATCH_DATASETS_DIR", str(tmp_path / "datasets"))
    monkeypatch.setenv("GRIDWATCH_EXPECTATIONS_DIR", str(tmp_path / "expectations"))
    return load_dataset(tmp_path / "datasets" / "aapl_daily.json")


@pytest.fixture
def store(dataset: Dataset) -> Iterator[Store]:
    with open_store(load_settings().store) as opened:
        yield opened


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> list[tuple[Any, ...]]:
    """What was asked of the task, which by itself needs a Prefect server."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "flows"), *sys.path])
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(importlib.import_module("validate"), "validate_task", lambda *given, **_: calls.append(given))
    return calls


def put(store: Store, dataset: Dataset, *days: str) -> None:
    store.put_container(dataset.info)
    ts = pd.to_datetime(list(days)).tz_localize("America/New_York").tz_convert("UTC").as_unit("ms")
    prices = dict.fromkeys(("open", "high", "low", "close"), 1.0)
    store.put(dataset.container, pd.DataFrame({"ts": ts, **prices, "volume": 1}))


def test_only_rows_that_no_validation_has_seen_are_validated(
    dataset: Dataset, store: Store, asked: list[tuple[Any, ...]]
) -> None:
    validate_new = sys.modules["validate"].validate_new
    validate_new(["aapl_daily"], NOW_MS, "flow-1")
    assert asked == [], "nothing is loaded yet"
    put(store, dataset, "2004-12-30")
    validate_new(["aapl_daily"], NOW_MS, "flow-1")
    assert asked == [("aapl_daily", NOW_MS, "flow-1")]
    validate(dataset, store, load_settings(), now_ms=NOW_MS)
    validate_new(["aapl_daily"], NOW_MS, "flow-1")
    assert len(asked) == 1
    put(store, dataset, "2005-01-03")
    validate_new(["aapl_daily"], NOW_MS, "flow-1")
    assert len(asked) == 2
    validate(dataset, store, load_settings(), now_ms=NOW_MS + 1)
    put(store, dataset, "2004-12-31")
    validate_new(["aapl_daily"], NOW_MS, "flow-1")
    assert len(asked) == 3, "a late row is noticed too"
    assert newest_validation(store, dataset) is not None
