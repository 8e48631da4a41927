"""A small dataset in a real store, and a home where MLflow keeps its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import VALIDATIONS
from gridwatch.detectors.testing import random_walk
from gridwatch.settings import Settings
from gridwatch.sources.dataset import Dataset
from gridwatch.streaming import Broker
from gridwatch.streaming.clients import admin

MakeDataset = Callable[..., Dataset]
Validated = Callable[..., str]


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """One home for all tests that train: MLflow's database takes seconds to make."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRIDWATCH_HOME", str(home))  # where the artifact repository looks for its store
        patch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it; put back afterwards
        yield Settings(home=home)


@pytest.fixture(scope="session")
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings.store, settings=settings) as opened:
        yield opened


@pytest.fixture(scope="session")
def make_dataset(store: Store) -> MakeDataset:
    """Make a dataset and write rows of a random walk for it."""

    def make(name: str, rows: int = 400, *, seed: int = 1, **more: Any) -> Dataset:
        model = {"window": 8, "units": [6], "epochs": 2, "batch_size": 64, "seed": 3}
        raw: dict[str, Any] = {
            "name": name,
            "symbol": name,
            "source": {"kind": "sample", "series": "AAPL"},
            "model": model,
            **more,
        }
        dataset = Dataset.model_validate(raw)
        store.put_container(dataset.info)
        if rows:
            times, values = random_walk(rows, seed)
            store.put(dataset.container, frame(times, values))
        return dataset

    return make


def frame(times: Any, values: Any) -> pd.DataFrame:
    columns = dict.fromkeys(("open", "high", "low", "close"), values)
    ts = pd.to_datetime(times, unit="ms", utc=True).as_unit("ms")
    return pd.DataFrame({"ts": ts, **columns, "volume": 100})


@pytest.fixture(scope="session")
def write(store: Store) -> Callable[[Dataset, Any, Any], None]:
    """Write rows of a dataset: times in ms and closing prices."""

    def put(dataset: Dataset, times: Any, values: Any) -> None:
        store.put(dataset.container, frame(times, values))

    return put


@pytest.fixture(scope="session")
def validated(store: Store) -> Validated:
    """Write the outcome of a validation; return its id."""

    def put(dataset: Dataset, *, success: bool = True, run_ms: int = 1, to_ms: int = 2**42) -> str:
        store.put_container(VALIDATIONS)
        failures = "[]" if success else '[{"expectation": "expect_ohlc_consistent", "reason": "row 7: high < low"}]'
        row = {
            "id": f"{dataset.name}-{run_ms}",
            "dataset": dataset.name,
            "container": dataset.container,
            "suite": dataset.suite,
            "run_ms": run_ms,
            "success": success,
            "rows": 400,
            "from_ms": 0,
            "to_ms": to_ms,
            "expectations": 9,
            "failed": int(not success),
            "failures": failures,
        }
        store.put(VALIDATIONS.name, pa.Table.from_pylist([row], schema=VALIDATIONS.arrow))
        return str(row["id"])

    return put


@pytest.fixture(scope="session")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real broker, which keeps records of any age: these tests load in years that are long past."""
    from kafka.admin import ConfigResource, ConfigResourceType

    settings = Settings(home=tmp_path_factory.mktemp("broker"))
    broker = Broker(settings)
    try:
        address = broker.start()
        with admin(settings, address) as client:
            client.alter_configs([ConfigResource(ConfigResourceType.BROKER, "1", {"log.retention.ms": "-1"})])
        yield address
    finally:
        broker.stop()
