"""gridwatch's server over an embedded store with the packaged series, their scores, anomalies, validations."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gridwatch.containers import ContainerInfo, Store, open_store
from gridwatch.containers.catalog import (
    DELIVERIES,
    TRAININGS,
    VALIDATIONS,
    anomaly_id,
    anomaly_info,
    score_info,
)
from gridwatch.server.run import serve
from gridwatch.server.users import Users
from gridwatch.settings import Settings
from gridwatch.sources import Dataset, load_datasets, open_source
from tests.grafana.plugins import Login

ROOT = Path(__file__).parents[2]
NOW_MS = 1_700_000_000_000


@pytest.fixture(scope="session")
def datasets() -> list[Dataset]:
    return load_datasets(ROOT / "flows" / "datasets")


def fill(store: Store, dataset: Dataset, settings: Settings) -> None:
    """Write a packaged series with what a detector would say of it; others stay empty."""
    for info in (dataset.info, score_info(dataset.symbol), anomaly_info(dataset.symbol)):
        store.put_container(info)
    if dataset.source.kind != "sample":
        return
    [batch] = open_source(dataset, settings).history(now_ms=NOW_MS, months=1)
    frame = batch.frame
    store.put(dataset.container, frame)
    values = frame[dataset.value].astype(float)
    expected = values.rolling(20, min_periods=1).mean().shift(1).bfill()
    spread = float((values - expected).abs().mean())
    loss = ((values - expected) / expected).abs() * 10
    scores = pd.DataFrame(
        {
            "ts": frame["ts"], "actual": values, "expected": expected, "lower": expected - 3 * spread,
            "upper": expected + 3 * spread, "loss": loss, "score": 100 * loss / (1 + loss),
            "p_value": 1 / (1 + loss), "detector": "lstm", "model_version": "1",
        }
    )  # fmt: skip
    store.put(score_info(dataset.symbol).name, scores)
    worst = scores.nlargest(40, "loss")
    times_ms = worst["ts"].astype("datetime64[ms, UTC]").astype(np.int64)
    worst = worst.drop(columns="model_version").assign(
        id=[anomaly_id(dataset.container, "lstm", "", int(ms)) for ms in times_ms], severity="critical",
        explanation="Normal is less.", detected_ms=NOW_MS, model_uri=f"models:/{dataset.model_name}/1",
    )  # fmt: skip
    store.put(anomaly_info(dataset.symbol).name, worst)


def _put(store: Store, info: ContainerInfo, rows: list[dict[str, Any]]) -> None:
    store.put(info.name, pa.Table.from_pylist(rows, schema=info.arrow))


def describe(store: Store, dataset: Dataset, *, failed: int) -> None:
    """Write two validations, three trainings and a delivery of a dataset."""
    validations = [
        {"id": f"{dataset.name}-{place}", "dataset": dataset.name, "container": dataset.container, "suite": "s",
         "run_ms": NOW_MS + place, "success": wrong == 0, "rows": 10, "to_ms": NOW_MS, "expectations": 9,
         "failed": wrong, "failures": "[]"}
        for place, wrong in enumerate([1 - min(failed, 1), failed])
    ]  # fmt: skip
    _put(store, VALIDATIONS, validations)
    trainings = [
        {"run_id": f"{dataset.name}-{place}", "dataset": dataset.name, "model_version": str(place),
         "champion": place != 3, "trained_ms": NOW_MS + place, "rows": 100, "val_loss": 1 / place, "val_mae": 2 / place,
         "champion_mae": None if place == 1 else 2.0, "naive_mae": 3.0}
        for place in (1, 2, 3)
    ]  # fmt: skip
    _put(store, TRAININGS, trainings)
    delivery: dict[str, Any] = {
        "id": f"{dataset.name}-mail", "anomaly_id": "a", "container": anomaly_info(dataset.symbol).name,
        "channel": "email", "status": "dead", "attempts": 3, "last_ms": NOW_MS, "error": "402",
    }  # fmt: skip
    _put(store, DELIVERIES, [delivery])


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("grafana")
    return Settings(_env_file=None, home=home, datasets_dir=ROOT / "flows" / "datasets", server={"port": 0})


@pytest.fixture(scope="session")
def store(datasets: list[Dataset], settings: Settings) -> Iterator[Store]:
    """A store with two packaged series, and one that has not been loaded."""
    with open_store(settings.store) as opened:
        for info in (VALIDATIONS, TRAININGS, DELIVERIES):
            opened.put_container(info)
        for place, dataset in enumerate(datasets):
            fill(opened, dataset, settings)
            describe(opened, dataset, failed=place % 2)
        yield opened


@pytest.fixture(scope="session")
def login(store: Store, settings: Settings) -> Iterator[Login]:
    """A data source of a running server, whose user may only read."""
    Users(settings.home / "users.json").add("grafana", "only to read", rights="read")
    stop, ready, urls = threading.Event(), threading.Event(), list[str]()

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    thread = threading.Thread(
        target=serve, args=(settings, store), kwargs={"clock": lambda: NOW_MS, "on_ready": on_ready, "stop": stop}
    )
    thread.start()
    try:
        assert ready.wait(60)
        yield Login(urls[0], settings.server.cluster, "grafana", "only to read")
    finally:
        stop.set()
        thread.join()
