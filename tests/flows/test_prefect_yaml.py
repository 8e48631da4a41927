"""prefect.yaml agrees with the flow files and the dataset files."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from gridwatch.sources import load_datasets
from gridwatch.supervisor.platform import WORK_POOL

ROOT = Path(__file__).parents[2]
FLOWS = sorted(path for path in (ROOT / "flows").glob("*.py") if not path.name.startswith("_"))
STAGES = {"ingest-daily": "ingest", "detect": "detect", "train": "train"}


@pytest.fixture(scope="module")
def deployments() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    return found


def test_every_flow_file_has_a_deployment(deployments: list[dict[str, Any]]) -> None:
    deployed = {one["entrypoint"].partition(":")[0] for one in deployments}
    assert deployed == {str(path.relative_to(ROOT)) for path in FLOWS}


def test_every_deployment_has_pool_limit_tags_and_description(deployments: list[dict[str, Any]]) -> None:
    for one in deployments:
        assert one["work_pool"]["name"] == WORK_POOL
        assert one["concurrency_limit"]["limit"] == 1
        assert one["concurrency_limit"]["collision_strategy"] in {"CANCEL_NEW", "ENQUEUE"}
        assert "gridwatch" in one["tags"]
        assert one["description"].endswith(".")


def test_every_schedule_passes_its_own_line_and_zone_on(deployments: list[dict[str, Any]]) -> None:
    for one in deployments:
        for schedule in one.get("schedules", []):
            assert schedule["parameters"] == {"cron": schedule["cron"], "timezone": schedule["timezone"]}
            assert ZoneInfo(schedule["timezone"])


def test_every_dataset_is_scheduled_in_its_zone(deployments: list[dict[str, Any]]) -> None:
    for dataset in load_datasets(ROOT / "flows" / "datasets"):
        for one in deployments:
            if one["name"] in STAGES:
                wanted = getattr(dataset.schedule, STAGES[one["name"]])
                zones = {each["timezone"] for each in one["schedules"] if each["cron"] == wanted}
                assert zones == {dataset.schedule.timezone}, (dataset.name, one["name"])


def test_detection_comes_an_hour_after_the_ingest_and_training_on_saturday(deployments: list[dict[str, Any]]) -> None:
    lines = {
        one["name"]: {s["cron"] for s in one.get("schedules", []) if s["timezone"] == "America/New_York"}
        for one in deployments
    }
    assert lines["ingest-daily"] == {"30 16 * * 1-5"}
    assert lines["detect"] == {"30 17 * * 1-5"}
    assert lines["train"] == {"0 6 * * 6"}


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_every_entrypoint_is_a_flow_with_retries_and_timeouts(
    path: Path, deployments: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import Flow, Task

    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    [one] = [each for each in deployments if each["entrypoint"].startswith(f"flows/{path.name}:")]
    module = importlib.import_module(path.stem)
    flow = getattr(module, one["entrypoint"].partition(":")[2])
    assert isinstance(flow, Flow)
    assert flow.name == one["name"]
    assert getattr(flow.flow_run_name, "__name__", None) == "run_name"
    if one.get("schedules"):
        assert {"cron", "timezone"} <= set(flow.parameters.properties)
        assert not flow.parameters.required
    for task in (value for value in vars(module).values() if isinstance(value, Task)):
        assert task.retries > 0
        assert task.timeout_seconds or flow.timeout_seconds
        assert task.name == "drain-relay" or task.task_run_name
