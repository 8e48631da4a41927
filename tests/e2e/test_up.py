"""The platform in the background: up from a project, on schedule, a killed service comes back, down leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gridwatch.cli._demo_stages import flow_runs
from gridwatch.cli.project import lay_out
from gridwatch.supervisor import down
from gridwatch.supervisor.process import marked
from gridwatch.supervisor.state import run_dir

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def _cli(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gridwatch.cli", *arguments],
        env={**os.environ, "GRIDWATCH_HOME": str(project / ".gridwatch"), "GRIDWATCH_SERVER__PORT": "0"},
        cwd=project,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def _until(look: Callable[[], Any], timeout_s: float) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(1)
    return found


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project whose platform is up; down at the end whatever happened."""
    lay_out(tmp_path)
    done = _cli(tmp_path, "up")
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield tmp_path
    finally:
        down(tmp_path / ".gridwatch")


def test_a_platform_from_up_to_down(project: Path) -> None:
    state = json.loads(_cli(project, "status", "--json").stdout)
    assert {service["name"]: service["state"] for service in state["services"]} == {
        **dict.fromkeys(("kafka", "mlflow", "prefect", "worker", "sink", "server", "relay"), "running"),
        "deploy": "done",
    }
    assert "already runs in" in _cli(project, "up").stderr

    # Prefect's scheduler turns the schedules of prefect.yaml into runs.
    api = state["addresses"]["prefect"]
    scheduled = _until(lambda: [run for run in flow_runs(api) if run["state_type"] == "SCHEDULED"], 120)
    lines = {(run["parameters"]["cron"], run["parameters"]["timezone"]) for run in scheduled}
    assert lines >= {("30 16 * * 1-5", "America/New_York"), ("10 * * * *", "UTC")}

    # A deployment runs through the worker, with the addresses of this platform.
    deployments = _post(f"{api}/deployments/filter", {})
    ident = next(one["id"] for one in deployments if one["name"] == "load-batch")
    run = _post(f"{api}/deployments/{ident}/create_flow_run", {"parameters": {"datasets": ["aapl_daily"]}})
    ended = _until(lambda: _ended(f"{api}/flow_runs/{run['id']}"), 240)
    assert ended["state_type"] == "COMPLETED"
    assert ended["name"].startswith("load-batch aapl_daily 20")

    # A killed service is started again.
    sink = next(service for service in state["services"] if service["name"] == "sink")
    os.kill(sink["pid"], signal.SIGKILL)
    _until(lambda: _restarted(project), 60)

    assert "gridwatch stopped" in _cli(project, "down").stdout
    assert marked(str(run_dir(project / ".gridwatch"))) == []
    assert _cli(project, "status").returncode == 1


def _restarted(project: Path) -> bool:
    services = json.loads(_cli(project, "status", "--json").stdout)["services"]
    return any(one["name"] == "sink" and one["restarts"] == 1 and one["state"] == "running" for one in services)


def _ended(url: str) -> dict[str, Any] | None:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # loopback
        run: dict[str, Any] = json.load(answer)
    return run if run["end_time"] else None


def _post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)
