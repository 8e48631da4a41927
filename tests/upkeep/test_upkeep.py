"""What is old enough goes, and what somebody needs stays: on a store with everything in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gridwatch.containers.catalog import (
    DETECTIONS,
    TRAININGS,
    score_info,
)
from gridwatch.containers.schema import ContainerInfo
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.settings import RetentionSettings, Settings
from gridwatch.sources.dataset_model import Dataset
from gridwatch.upkeep import Sweep, run_upkeep, wants_upkeep

DAY_MS = 86_400_000
NOW_MS = 1_000 * DAY_MS
TODAY = 1_000


def dataset(**retention: int) -> Dataset:
    return Dataset.model_validate(
        {
            "name": "pump",
            "symbol": "pump",
            "source": {"kind": "csv_folder", "path": "/nowhere"},
            "columns": [{"name": "v"}],
            "value": "v",
            "interval": "1D",
            "feature": "level",
            "retention": retention,
        }
    )


def put(store: SqliteStore, info: ContainerInfo, *rows: dict[str, Any]) -> None:
    store.put_container(info)
    store.put(
        info.name,
        pa.Table.from_pylist([{name: row.get(name) for name in info.arrow.names} for row in rows], info.arrow),
    )


def days_in(store: SqliteStore, container: str) -> list[int]:
    return [value.value // DAY_MS for value in store.read(container)["ts"]]


def ids_in(store: SqliteStore, container: str) -> list[str]:
    return sorted(store.read(container).column("id").to_pylist())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Rows of 1,000 days, all of them scored, the model from day 950."""
    with SqliteStore(tmp_path / "store.db") as made:
        info = dataset().info
        put(made, info, *({"ts": day * DAY_MS, "v": 1.0} for day in range(TODAY)))
        put(made, score_info("pump"), *({"ts": day * DAY_MS, "actual": 1.0} for day in range(TODAY)))
        made.put_container(DETECTIONS)
        watermark(made, TODAY - 1)
        put(
            made,
            TRAININGS,
            {"run_id": "r", "dataset": "pump", "model_uri": "m/1", "champion": True, "trained_ms": 1,
             "to_ms": 950 * DAY_MS},
        )  # fmt: skip
        yield made


def watermark(store: SqliteStore, day: int) -> None:
    put(store, DETECTIONS, {"dataset": "pump", "scored_to_ms": day * DAY_MS, "model_uri": "m/1"})


def settings(tmp_path: Path, **retention: int) -> Settings:
    return Settings(home=tmp_path, retention=RetentionSettings(**retention))


def sweep(store: SqliteStore, tmp_path: Path, one: Dataset, *, dry_run: bool = False, **keep: int) -> list[Sweep]:
    return run_upkeep(store, settings(tmp_path, **keep), [one], clock=lambda: NOW_MS, dry_run=dry_run).sweeps


def test_without_a_retention_nothing_goes(store: SqliteStore, tmp_path: Path) -> None:
    assert not wants_upkeep(settings(tmp_path), [dataset()])
    assert wants_upkeep(settings(tmp_path), [dataset(rows_days=100)])
    assert wants_upkeep(settings(tmp_path, messages_days=1), [])
    assert sweep(store, tmp_path, dataset()) == []
    assert store.read("SCORE_pump").num_rows == TODAY


def test_rows_and_scores_go_by_their_age(store: SqliteStore, tmp_path: Path) -> None:
    one = dataset(rows_days=200, scores_days=100)
    planned = sweep(store, tmp_path, one, dry_run=True)
    assert store.read(one.container).num_rows == TODAY
    done = sweep(store, tmp_path, one)
    assert done == planned
    assert [(each.container, each.rows, each.kept) for each in done] == [
        ("INTRADAY_pump", 800, 0),
        ("SCORE_pump", 900, 0),
    ]
    assert days_in(store, one.container) == list(range(800, TODAY))
    assert days_in(store, "SCORE_pump") == list(range(900, TODAY))
    assert all(each.rows == 0 for each in sweep(store, tmp_path, one)), "a second run finds nothing"
