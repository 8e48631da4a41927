"""Upkeep on a real GridDB: the same deletes, and a container that expires by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridwatch.containers import Store
from gridwatch.containers.catalog import VALIDATIONS, score_info
from gridwatch.jobs.tables import BUCKETS
from gridwatch.pipeline import transport
from gridwatch.pipeline.series import read_series, rows_before
from gridwatch.upkeep import run_upkeep
from tests.containers.griddb_server import drop_databases, griddb
from tests.upkeep.test_upkeep import DAY_MS, NOW_MS, TODAY, anomaly, dataset, put, settings

pytestmark = pytest.mark.griddb


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with griddb(tmp_path_factory.mktemp("griddb")) as store:
        yield store
    drop_databases()


def test_what_is_old_goes_and_what_is_needed_stays(server: Store, tmp_path: Path) -> None:
    put(server, score_info("pump"), *({"ts": day * DAY_MS, "actual": 1.0} for day in range(TODAY)))
    anomaly(server, "sent", 100, "sent", "dead")
    anomaly(server, "waits", 500, "pending")
    put(server, VALIDATIONS, *({"id": f"v{day}", "dataset": "pump", "run_ms": day} for day in (1, 2)))
    put(server, BUCKETS, *({"id": str(day), "job_id": "a", "ts": day * DAY_MS} for day in (1, 20)))
    keep = settings(tmp_path, anomalies_days=365, validations_days=30, results_days=15)
    report = run_upkeep(server, keep, [dataset(scores_days=100)], clock=lambda: NOW_MS)
    done = {sweep.container: (sweep.rows, sweep.kept) for sweep in report.sweeps}
    assert done == {
        "SCORE_pump": (440, 460),
        "ANOMALY_pump": (1, 1),
        "deliveries": (2, 0),
        "validations": (1, 1),
        "ml_buckets": (1, 0),
    }
    assert server.read("SCORE_pump").num_rows == TODAY - 440
    assert server.read("deliveries").column("id").to_pylist() == ["waits:0"]
    again = run_upkeep(server, keep, [dataset(scores_days=100)], clock=lambda: NOW_MS)
    assert again.rows == 0


def test_a_container_of_partitions_expires_and_is_read_as_others_are(server: Store) -> None:
    one = dataset(rows_days=300, expire=True)
    made = server.put_container(transport._info(one, server))
    assert made.partitioning is not None
    assert made.partitioning.expiration == 300
    now_ms = time.time_ns() // 1_000_000
    put(server, one.info, *({"ts": now_ms - days * DAY_MS, "v": float(days)} for days in (400, 200, 100, 1)))
    assert server.read(one.container)["v"].to_pylist() == [200.0, 100.0, 1.0]
    assert read_series(one, server, None, now_ms).values.tolist() == [200.0, 100.0, 1.0]
    assert rows_before(one, server, now_ms, 2).values.tolist() == [100.0, 1.0]
    assert transport._info(one, server) == one.info
