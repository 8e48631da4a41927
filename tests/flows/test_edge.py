"""What the flows take from their surroundings."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gridwatch.errors import DatasetError, SourceError, StreamError, ValidationFailedError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The module, with a home and two datasets of which one has a schedule of its own."""
    plain = json.loads((ROOT / "flows" / "datasets" / "aapl_daily.json").read_text(encoding="utf-8"))
    other = {**plain, "name": "other", "symbol": "OTHER", "schedule": {"ingest": "5 * * * *", "timezone": "Asia/Tokyo"}}
    for one in (plain, other):
        (tmp_path / f"{one['name']}.json").write_text(json.dumps(one), encoding="utf-8")
    monkeypatch.setenv("GRIDWATCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRIDWATCH_DATASETS_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(ROOT / "flows"), *sys.path])
    return importlib.import_module("_edge")


def test_all_datasets_or_those_named_or_those_with_the_line_in_the_zone(edge: Any) -> None:
    assert edge.chosen(None, "ingest", None) == ["aapl_daily", "other"]
    assert edge.chosen(["other"], "ingest", None) == ["other"]
    assert edge.chosen(None, "ingest", "5 * * * *") == ["other"]
    assert edge.chosen(None, "detect", "30 17 * * 1-5") == ["aapl_daily", "other"]
    assert edge.chosen(None, "detect", "30 17 * * 1-5", "America/New_York") == ["aapl_daily"]
    assert edge.chosen(None, "detect", "30 17 * * 1-5", "Asia/Tokyo") == ["other"]
    assert edge.chosen(None, "ingest", "30 16 * * 1-5", "Asia/Tokyo") == []
    with pytest.raises(DatasetError, match="No dataset 'third'"):
        edge.chosen(["third"], "ingest", None)


def test_what_is_logged_is_as_the_settings_say(edge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    edge.settings()
    assert logging.getLogger("gridwatch").level == logging.INFO
    monkeypatch.setenv("GRIDWATCH_LOG_LEVEL", "ERROR")
    edge.settings()
    assert logging.getLogger("gridwatch").level == logging.ERROR


def test_outside_a_run_there_is_no_run(edge: Any) -> None:
    assert edge.root_run_id() is None


@pytest.mark.parametrize(
    ("parameters", "names"),
    [({"datasets": ["a", "b"], "cron": None}, "a b"), ({"cron": "5 * * * *"}, "scheduled"), ({}, "all")],
)
def test_a_run_is_named_by_flow_datasets_and_time(
    edge: Any, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any], names: str
) -> None:
    monkeypatch.setattr(edge, "flow_run", SimpleNamespace(parameters=parameters, flow_name="detect"))
    monkeypatch.setattr(edge, "now_ms", lambda: 1_767_225_900_000)
    assert edge.run_name() == f"detect {names} 2026-01-01 00:05"


def test_keys_of_artifacts_are_as_prefect_wants_them(edge: Any) -> None:
    assert edge.artifact_key("validation", "AAPL_daily") == "validation-aapl-daily"


def test_the_addresses_of_a_running_platform_are_used(edge: Any, tmp_path: Path) -> None:
    import os

    from gridwatch.supervisor.process import started_s
    from gridwatch.supervisor.state import PlatformState, run_dir

    addresses = {"kafka": "127.0.0.1:1", "mlflow": "http://127.0.0.1:2", "handler": "http://127.0.0.1:3/trigger"}
    PlatformState(os.getpid(), started_s(os.getpid()) or 0.0, [], addresses).write(run_dir(tmp_path / "home"))
    assert edge.settings().kafka.bootstrap_servers == "127.0.0.1:1"
    assert edge.settings().tracking_uri == "http://127.0.0.1:2"
    PlatformState(os.getpid(), 1.0, [], addresses).write(run_dir(tmp_path / "home"))
    assert edge.settings().kafka.bootstrap_servers is None


@pytest.mark.parametrize(
    ("error", "again"),
    [(StreamError("away"), True), (SourceError("busy"), True), (DatasetError("wrong"), False),
     (ValidationFailedError("bad rows"), False), (OSError("disk"), True), (ZeroDivisionError("a defect"), False)],
)  # fmt: skip
def test_only_what_may_pass_is_tried_again(edge: Any, error: Exception, again: bool) -> None:
    from prefect.client.schemas.objects import State
    from prefect.states import Failed

    state: State[None] = Failed(data=error)
    assert edge.worth_retrying(None, None, state) is again
