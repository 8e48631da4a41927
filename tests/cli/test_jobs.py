"""`jobs` and `datafeeds`: the way of a job from its JSON to its results, on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from gridwatch.cli.app import app
from gridwatch.containers import open_store
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType

HOUR = 3_600_000
START = 1_708_128_000_000
DAYS = 4
BURST = START + (DAYS * 24 - 10) * HOUR
LOGS = ContainerInfo(
    "kibana_sample_data_logs",
    ContainerType.COLLECTION,
    (
        Column("id", ColumnType.LONG, nullable=False),
        Column("timestamp", ColumnType.TIMESTAMP),
        Column("bytes", ColumnType.DOUBLE),
        Column("geo.src", ColumnType.STRING),
    ),
    ("id",),
)
JOB: dict[str, Any] = {
    "analysis_config": {
        "bucket_span": "1h",
        "detectors": [{"function": "count", "partition_field_name": "geo.src"}],
        "influencers": ["geo.src"],
    },
    "data_description": {"time_field": "timestamp"},
    "datafeed_config": {"indices": [LOGS.name], "datafeed_id": "feed-rate"},
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a job's file, and a store with logs: some 20 an hour a country, and 400 in one hour of one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(1)
    usual, burst = rng.integers(0, DAYS * 24 * HOUR, DAYS * 24 * 40) + START, rng.integers(0, HOUR, 400) + BURST
    when = np.concatenate([usual, burst])
    rows = {
        "id": np.arange(len(when)),
        "timestamp": pa.array(when, pa.timestamp("ms", "UTC")),
        "bytes": rng.random(len(when)),
        "geo.src": [*rng.choice(["CN", "US"], len(usual)), *["US"] * len(burst)],
    }
    with open_store(f"sqlite:///{tmp_path / 'home' / 'store.db'}") as store:
        store.put_container(LOGS)
        store.put(LOGS.name, pa.table(rows))
    (tmp_path / "rate.json").write_text(json.dumps(JOB), encoding="utf-8")
    return tmp_path


def run(*words: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == status, done.stdout + done.stderr
    return done.stdout


def told(*words: str) -> Any:
    return json.loads(run(*words, "--json"))


def test_a_job_goes_its_way(home: Path) -> None:
    assert run("jobs", "list").startswith("No jobs;")
    assert run("datafeeds", "list").startswith("No datafeeds;")
    assert "rate.json is right; its datafeed finds rows" in run("jobs", "validate", "rate.json")
    assert run("jobs", "put", "rate.json") == "job rate made; next: gridwatch jobs open rate\n"
    seen = json.loads(run("datafeeds", "preview", "feed-rate", "--rows", "3"))
    assert [list(row) for row in seen] == [["timestamp", "geo.src"]] * 3
    assert json.loads(run("datafeeds", "preview", "rate.json", "--rows", "3")) == seen
    ended = told("datafeeds", "start", "feed-rate", "--open", "--end", "2024-02-21")
    assert (ended["rows"], ended["done"]) == (DAYS * 24 * 40 + 400, True)
    [worst, *_] = told("jobs", "results", "rate")["records"]
    assert (worst["timestamp"], worst["partition_field_value"]) == (BURST, "US")
    table = run("jobs", "results", "rate", "--score", "75")
    assert "critical" in table
    assert "geo.src=US" in table
    for kind, key in (("buckets", "buckets"), ("influencers", "influencers"), ("overall", "overall_buckets")):
        assert told("jobs", "results", "rate", kind, "--score", "50")[key]
        assert "critical" in run("jobs", "results", "rate", kind, "--score", "50")
    listed = run("jobs", "list")
    assert "closed" in listed
    assert "feed-rate (stopped)" in listed
    assert "2024-02-21 00:00:00" in run("datafeeds", "list")
    assert told("datafeeds", "list")["datafeeds"][0]["state"] == "stopped"
    assert "Job closed" in run("jobs", "show", "rate")
