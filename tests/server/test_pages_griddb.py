"""The pages over a real GridDB give what they give over the embedded store with the same rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from flask import Flask

from gridwatch.alerts.deliveries import list_deliveries, revive
from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import DELIVERIES, VALIDATIONS, anomaly_id, anomaly_info, score_info
from gridwatch.jobs.service import JobsService
from gridwatch.server.app import create_app
from gridwatch.server.state import state
from gridwatch.settings import Settings
from tests.containers.griddb_server import drop_databases, griddb
from tests.server.conftest import NOW_MS

pytestmark = pytest.mark.griddb

HOUR = 3_600_000
ROWS = 30_000
FIRST_MS = NOW_MS - ROWS * 60_000
BURST_MS = FIRST_MS + 15_000 * 60_000
KEY = anomaly_id("pump", "auto", "", FIRST_MS + 4_000 * 60_000)
SPIKES = {4_000: "critical", 15_000: "low", 15_001: "high"}
JOB = {
    "analysis_config": {"bucket_span": "1h", "detectors": [{"function": "max", "field_name": "actual"}]},
    "data_description": {"time_field": "ts"},
    "datafeed_config": {"datafeed_id": "feed", "indices": ["SCORE_pump"]},
}
PATHS = (
    *("/overview", "/series", "/series/pump", "/anomalies", "/anomalies?severity=high", "/anomalies?series=none"),
    *("/anomalies.json", f"/anomalies/ANOMALY_pump/{KEY}", "/jobs", "/jobs/peaks", "/jobs/peaks?sort=score&score=50"),
    *("/models", "/validations", "/validations?dataset=pump&success=no", "/validations/v1", "/dead-letters"),
    *("/pages/data/lanes?pieces=50", f"/pages/data/lanes?detector=auto&from={BURST_MS}"),
    *(f"/pages/data/series/pump?pieces={pieces}&from={FIRST_MS}&to={NOW_MS}" for pieces in (50, 1200)),
    f"/pages/data/series/pump?pieces=300&from={BURST_MS - HOUR}&to={BURST_MS + HOUR}",
    "/_ml/anomaly_detectors/peaks/results/records",
)
MISSING = (
    *("/series/none", "/series/a%F0%9F%98%80", "/anomalies/%F0%9F%98%80/x", "/jobs/none", "/validations/%C3%A9%20"),
    "/_ml/anomaly_detectors/%F0%9F%98%80",
)
_CHANGING = re.compile(r'(csrf[-_]token" (?:content|value)="[^"]*")')


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, Flask]]:
    """The application over the embedded store and over GridDB, with the same rows and a job that has run."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(_env_file=None, home=home, datasets_dir=home / "datasets", server={"port": 0})
    with open_store(settings.store) as embedded, griddb(home) as server:
        for store in (embedded, server):
            _fill(store)
        first, second = (create_app(settings, store, clock=lambda: NOW_MS) for store in (embedded, server))
        yield first, second
    drop_databases()


def _fill(store: Store) -> None:
    times = FIRST_MS + np.arange(ROWS) * 60_000
    values = np.random.default_rng(1).normal(20, 0.2, ROWS)
    values[list(SPIKES)] += 30
    columns = {"actual": values, "expected": np.full(ROWS, 20.0), "lower": values * 0 + 19, "upper": values * 0 + 21}
    store.put_container(score_info("pump"))
    store.put("SCORE_pump", pa.table({"ts": pa.array(times).cast(pa.timestamp("ms", "UTC")), **columns}))
    anomalies = [
        {
            "id": anomaly_id("pump", "auto", "", int(times[at])), "ts": int(times[at]), "actual": values[at],
            "expected": 20.0, "score": 90.0 + at / 2_000, "severity": word, "detector": "auto", "driver": "value",
            "detected_ms": NOW_MS,
        }
        for at, word in SPIKES.items()
    ]  # fmt: skip
    _put(store, anomaly_info("pump"), *anomalies)
    _put(
        store,
        VALIDATIONS,
        *({"id": f"v{n}", "dataset": "pump", "run_ms": n, "success": n > 1, "failures": "[]"} for n in range(1, 4)),
    )
    row = {"id": f"{KEY}:email", "anomaly_id": KEY, "container": "ANOMALY_pump", "channel": "email", "attempts": 30}
    _put(store, DELIVERIES, row | {"status": "dead", "last_ms": NOW_MS, "next_ms": NOW_MS, "recipients": "a@b.c"})
    service = JobsService(store, now_ms=lambda: NOW_MS)
    service.put_job(JOB, job_id="peaks")
    service.open_job("peaks")
    service.start_datafeed("feed", end_ms=NOW_MS)
    service.run_datafeed("feed")


def _put(store: Store, info: Any, *rows: dict[str, Any]) -> None:
    store.put_container(info)
    store.put(info.name, pa.Table.from_pylist(list(rows), schema=info.arrow))


def test_every_page_is_the_same_over_both_stores(apps: tuple[Flask, Flask]) -> None:
    clients = [app.test_client() for app in apps]
    for path in (*PATHS, *MISSING):
        embedded, server = (client.get(path) for client in clients)
        assert server.status_code == embedded.status_code != 500, path
        told = [_CHANGING.sub("", answer.text) for answer in (embedded, server)]
        assert told[1] == told[0], path
        assert (server.status_code == 200) is (path not in MISSING), path


def test_dead_deliveries_get_their_tries_back(apps: tuple[Flask, Flask]) -> None:
    for store in (state(app).store for app in apps):
        assert revive(store, [KEY], now_ms=NOW_MS + 1) == 1
        assert [(row["status"], row["attempts"]) for row in list_deliveries(store)] == [("pending", 0)]
