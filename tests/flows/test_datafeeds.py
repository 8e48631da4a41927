"""The flow that searches with datafeeds: which are due, and what a search comes to."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gridwatch.containers import Store, open_store
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.errors import JobsNotFoundError
from gridwatch.jobs.service import JobsService
from gridwatch.jobs.transform import TransformService

ROOT = Path(__file__).parents[2]
NOW_MS = 1_700_000_000_000
HOUR = 3_600_000
WEB = ContainerInfo(
    "web",
    ContainerType.TIME_SERIES,
    (Column("time", ColumnType.TIMESTAMP, nullable=False), Column("host", ColumnType.STRING)),
    ("time",),
)
JOB: dict[str, Any] = {
    "analysis_config": {"bucket_span": "1h", "detectors": [{"function": "count"}]},
    "datafeed_config": {"indices": ["web"]},
}
PIVOT: dict[str, Any] = {
    "group_by": {"host": {"terms": {"field": "host"}}},
    "aggregations": {"n": {"value_count": {"field": "time"}}},
}


@pytest.fixture
def flow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The module, over a store of its own and at a time of its own."""
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRIDWATCH_DATASETS_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(ROOT / "flows"), *sys.path])
    module = importlib.import_module("datafeeds")
    monkeypatch.setattr(module, "now_ms", lambda: NOW_MS)
    return module


@pytest.fixture
def store(flow: Any) -> Iterator[Store]:
    with open_store(flow.settings().store) as store:
        yield store


def test_nothing_is_made_where_there_are_no_jobs(flow: Any, store: Store) -> None:
    assert flow.due() == []
    assert flow.due(["*"]) == []
    assert flow.transforms_task.fn() == []
    assert store.containers() == []


def test_what_is_started_and_due_searches_once(flow: Any, store: Store) -> None:
    times = pd.to_datetime([NOW_MS - (9 - hour) * HOUR for hour in range(6)], unit="ms", utc=True)
    store.put_container(WEB)
    store.put("web", pd.DataFrame({"time": times, "host": "a"}))
    service = JobsService(store, now_ms=lambda: NOW_MS)
    for name in ("web", "other"):
        service.put_job(JOB, job_id=name)
    service.open_job("web")
    service.start_datafeed("web")
    assert flow.due() == ["web"]
    assert flow.due(["other"]) == [], "it is not started"
    done = flow.datafeed_task.fn("web")
    assert (done["rows"], done["done"], done["note"]) == (6, False, "")
    assert done["buckets"] >= 6
    assert flow.due() == []
    assert flow.due(["web"]) == ["web"], "who names it wants it now"
    service.stop_datafeed("web")
    assert "is stopped; start it first" in flow.datafeed_task.fn("web")["note"]
    service.start_datafeed("web")
    with service.running.hold("web"):
        assert flow.datafeed_task.fn("web") == {"datafeed": "web", "note": "somebody else is at it"}
    store.drop_container("web")
    with pytest.raises(JobsNotFoundError, match=r"no such index \[web\]"):
        flow.datafeed_task.fn("web")


def test_transforms_that_are_due_run_first(flow: Any, store: Store) -> None:
    store.put_container(WEB)
    store.put("web", pd.DataFrame({"time": [pd.Timestamp(NOW_MS, unit="ms", tz="UTC")], "host": ["a"]}))
    service = TransformService(store, now_ms=lambda: NOW_MS)
    service.put({"source": {"index": "web"}, "dest": {"index": "hosts"}, "pivot": PIVOT}, transform_id="hosts")
    assert flow.transforms_task.fn() == []
    service.start("hosts")
    [ran] = flow.transforms_task.fn()
    assert (ran["transform_id"], ran["written"], ran["error"]) == ("hosts", 1, "")
    assert store.read("hosts").num_rows == 1
