"""The demo's dataset, learnt and scored for real, without a broker: its rows are put where the sink would."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import VALIDATIONS
from gridwatch.pipeline.detect import DetectReport, detect
from gridwatch.pipeline.train import train
from gridwatch.settings import Settings
from gridwatch.sources import load_datasets, open_source
from gridwatch.sources.dataset import Dataset
from tests.mlflow_database import put_database

REPOSITORY = Path(__file__).parents[2]
LEARNT_MS, SCORED_MS = 1_760_000_000_000, 1_760_000_500_000


@dataclass(frozen=True)
class Demo:
    """What the demo leaves: settings, store, and what was found."""

    settings: Settings
    store: Store
    dataset: Dataset
    report: DetectReport


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRIDWATCH_HOME", str(home))  # where the artifact repository looks for its store
        patch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it; put back afterwards
        put_database(tmp_path_factory, home / "mlflow.db")
        yield Settings(home=home, datasets_dir=REPOSITORY / "flows" / "datasets")


@pytest.fixture(scope="session")
def demo(home: Settings) -> Iterator[Demo]:
    with open_store(home.store, settings=home) as store:
        [dataset] = load_datasets(home.datasets_dir, ["aapl_daily"])
        yield Demo(home, store, dataset, learnt_and_scored(dataset, store, home))


def learnt_and_scored(dataset: Dataset, store: Store, settings: Settings) -> DetectReport:
    """Load a sample dataset, note a validation of it, train, and detect as a flow would."""
    store.put_container(dataset.info)
    for batch in open_source(dataset, settings).history(now_ms=LEARNT_MS, months=dataset.history_months):
        store.put(dataset.container, batch.frame)
    validated(dataset, store, settings)
    train(dataset, store, settings, now_ms=LEARNT_MS)
    return detect(dataset, store, settings, now_ms=SCORED_MS, flow_run_id="0fe4ae5b-6d5c-4d3c-9d57-4a1f0b7c9a11")


def validated(dataset: Dataset, store: Store, settings: Settings) -> None:
    report = settings.home / "data_docs" / f"{dataset.name}.html"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text("<p>passed</p>", encoding="utf-8")
    row = {
        "id": f"validation-{dataset.name}",
        "dataset": dataset.name,
        "container": dataset.container,
        "suite": dataset.suite,
        "run_ms": LEARNT_MS,
        "success": True,
        "rows": 1500,
        "from_ms": 0,
        "to_ms": 2**42,
        "expectations": 9,
        "failed": 0,
        "failures": "[]",
        "report": str(report),
    }
    store.put_container(VALIDATIONS)
    store.put(VALIDATIONS.name, pa.Table.from_pylist([row], schema=VALIDATIONS.arrow))


@pytest.fixture
def copied(demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Demo]:
    """A copy of all that, to change."""
    home = tmp_path / "home"
    shutil.copytree(demo.settings.home, home)
    demo.store.backup(home / "copy.db")  # type: ignore[attr-defined]
    for name in ("store.db", "store.db-wal", "store.db-shm"):
        (home / name).unlink(missing_ok=True)
    (home / "copy.db").rename(home / "store.db")
    monkeypatch.setenv("GRIDWATCH_HOME", str(home))
    settings = demo.settings.model_copy(update={"home": home})
    with open_store(settings.store, settings=settings) as store:
        # Its report is the copy's own.
        validated(demo.dataset, store, settings)
        yield Demo(settings, store, demo.dataset, demo.report)
