"""Anomalies of jobs: found again in the rows that the datafeed reads, and what stands in the way is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import anomaly_info
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.detectors.severity import job_severity_of, severity_by_p
from gridwatch.jobs.service import JobsService
from gridwatch.provenance import Status, explain, replay, subjects
from gridwatch.settings import Settings

HOUR = 3_600_000
START = 1_708_128_000_000
NOW_MS = START + 400 * HOUR
VISITS = ContainerInfo(
    "visits",
    ContainerType.COLLECTION,
    (
        Column("id", ColumnType.LONG, nullable=False),
        Column("timestamp", ColumnType.TIMESTAMP),
        Column("host", ColumnType.STRING),
        Column("seconds", ColumnType.DOUBLE),
    ),
    ("id",),
)
JOB: dict[str, Any] = {
    "analysis_config": {
        "bucket_span": "1h",
        "detectors": [
            {"function": "count", "partition_field_name": "host"},
            {"function": "mean", "field_name": "seconds"},
        ],
    },
    "data_description": {"time_field": "timestamp"},
    "custom_settings": {"gridwatch": {"alert_score": 50}},
    "datafeed_config": {"indices": ["visits"], "datafeed_id": "feed", "query_delay": "0s"},
}


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose job has gone through its rows, in two searches, as a datafeed in real time does it."""
    home = tmp_path_factory.mktemp("analysed")
    with open_store(f"sqlite:///{home / 'store.db'}") as store:
        store.put_container(VISITS)
        rng = np.random.default_rng(5)
        when = np.sort(np.concatenate([rng.integers(0, 300 * HOUR, 9000), rng.integers(250 * HOUR, 251 * HOUR, 400)]))
        seconds = rng.normal(3.0, 0.2, len(when))
        seconds[(when >= 270 * HOUR) & (when < 271 * HOUR)] *= 4.0
        rows = {
            "id": np.arange(len(when)),
            "timestamp": pa.array(START + when, pa.timestamp("ms", "UTC")),
            "host": rng.choice(["a", "b"], len(when)),
            "seconds": seconds,
        }
        store.put(VISITS.name, pa.table(rows))
        for now_ms in (START + 120 * HOUR, NOW_MS):
            service = JobsService(store, now_ms=partial(int, now_ms))
            if now_ms != NOW_MS:
                service.put_job(JOB, job_id="visits_job")
                service.open_job("visits_job")
                service.start_datafeed("feed")
            service.run_datafeed("feed")
    return home


@pytest.fixture
def settings(analysed: Path, tmp_path: Path) -> Settings:
    return Settings(home=Path(shutil.copytree(analysed, tmp_path / "home")))


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings.store, settings=settings) as store:
        yield store


def test_every_anomaly_of_a_job_is_found_again_bit_by_bit(store: Store, settings: Settings) -> None:
    wanted = subjects(store)
    done = replay(store, settings, wanted, now_ms=NOW_MS)
    assert {one.verdict for one in done} == {"bit-equal"}, [(one.text, one.differing) for one in done]
    assert {one["detector"] for one in wanted} == {"visits_job/0/count", "visits_job/1/mean"}
    assert "Found by job 'visits_job' in 9,4" in done[0].text


def test_how_bad_a_record_is_goes_by_its_score_now_and_by_its_p_value_in_older_rows(
    store: Store, settings: Settings
) -> None:
    wanted = subjects(store)
    assert {one["severity"] for one in wanted} == {job_severity_of(one["score"]) for one in wanted}
    assert {one["severity"] for one in wanted} <= {"high", "critical"}  # the job tells from 50 on
    first = next(one for one in wanted if severity_by_p(one["p_value"]) != one["severity"])
    row = store.get(first.container, [first.id]).to_pylist()[0]
    said = {name: value for name, value in first.said.items() if name != "severity_by"}
    old = {"severity": severity_by_p(row["p_value"]), "provenance": json.dumps(said)}
    schema = anomaly_info(first.series).arrow
    store.put(first.container, pa.Table.from_pylist([row | old], schema=schema))
    assert {one.verdict for one in replay(store, settings, subjects(store), now_ms=NOW_MS)} == {"bit-equal"}


def test_rows_that_changed_show(store: Store, settings: Settings) -> None:
    worst = max(subjects(store), key=lambda one: float(one["actual"]))
    store.delete(VISITS.name, list(range(3000)))
    [one] = replay(store, settings, [worst], now_ms=NOW_MS)
    assert one.verdict == "differs"
    assert {"expected", "p_value"} & {column.column for column in one.differing}
    assert "rows, job or datafeed have changed since" in one.text


def test_the_chain_of_a_job(store: Store, settings: Settings) -> None:
    chain = explain(store, settings, subjects(store)[0].id)
    found = {link.name: link.status for link in chain.links}
    assert found["anomaly"] is found["input rows"] is found["job"] is found["libraries"] is Status.OK
    assert chain.sound
    # A bucket without rows is an anomaly too, and has a digest of none.
    [first, *_] = [one for one in subjects(store) if one["input_rows"]]
    rows = store.sql("SELECT id FROM visits WHERE timestamp >= ? ORDER BY timestamp LIMIT 1", [_instant(first.ts_ms)])
    store.delete(VISITS.name, rows["id"].to_pylist())
    said = explain(store, settings, first.id)
    link = next(link for link in said.links if link.name == "input rows")
    assert link.status is Status.CHANGED
    assert f"as the datafeed reads them: {first['input_rows'] - 1:,} now" in link.text
    assert not said.sound


def test_without_its_datafeed_or_job_the_rows_are_not_known(store: Store, settings: Settings) -> None:
    service = JobsService(store, now_ms=lambda: NOW_MS)
    [one, *_] = subjects(store)
    service.stop_datafeed("feed")
    service.delete_datafeed("feed")
    [done] = replay(store, settings, [one], now_ms=NOW_MS)
    assert done.verdict == "not replayed"
    assert any("the datafeed that read them is gone" in link.text for link in explain(store, settings, one.id).links)
    assert "Job 'visits_job' has no datafeed: its rows were posted to it" in done.text
    service.close_job("visits_job")
    service.delete_job("visits_job")
    [done] = replay(store, settings, [one], now_ms=NOW_MS)
    assert "There is no job 'visits_job' any more" in done.text
    assert not explain(store, settings, one.id).sound
