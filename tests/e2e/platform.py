"""What a platform in the background promises: all runs, on schedule, a killed service comes back, down leaves nothing.

The test of the documented commands checks it between the `up` and the `down` that it has to run anyway.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gridwatch.cli._demo_stages import flow_runs
from gridwatch.supervisor import ServiceState, State, read_state
from gridwatch.supervisor.process import marked
from gridwatch.supervisor.state import run_dir

__all__ = ["check_down", "check_up"]

Run = Callable[[Path, list[str]], subprocess.CompletedProcess[str]]


def check_up(project: Path, run: Run) -> None:
    """Check a platform that has just come up; `run` runs a command in the project."""
    state = json.loads(run(project, ["status", "--json"]).stdout)
    assert {service["name"]: service["state"] for service in state["services"]} == {
        **dict.fromkeys(("kafka", "mlflow", "prefect", "worker", "sink", "server", "relay"), "running"),
        "deploy": "done",
    }
    assert "already runs in" in run(project, ["up"]).stderr
    sink = _sink(project)
    assert sink.pid is not None
    os.kill(sink.pid, signal.SIGKILL)

    # Prefect's scheduler turns the schedules of prefect.yaml into runs.
    api = state["addresses"]["prefect"]
    scheduled = _until(lambda: [run for run in flow_runs(api) if run["state_type"] == "SCHEDULED"], 240)
    lines = {(run["parameters"]["cron"], run["parameters"]["timezone"]) for run in scheduled}
    assert lines >= {("30 16 * * 1-5", "America/New_York"), ("10 * * * *", "UTC")}

    # A deployment runs through the worker, with the addresses of this platform.
    deployments = _post(f"{api}/deployments/filter", {})
    ident = next(one["id"] for one in deployments if one["name"] == "load-batch")
    begun = _post(f"{api}/deployments/{ident}/create_flow_run", {"parameters": {"datasets": ["aapl_daily"]}})
    ended = _until(lambda: _ended(f"{api}/flow_runs/{begun['id']}"), 240)
    assert ended["state_type"] == "COMPLETED"
    assert ended["name"].startswith("load-batch aapl_daily 20")

    # The killed service was started again.
    _until(lambda: (_sink(project).restarts, _sink(project).state) == (1, State.RUNNING), 240)


def check_down(project: Path, run: Run) -> None:
    """Check that a platform that was just stopped has left no process."""
    assert marked(str(run_dir(project / ".gridwatch"))) == []
    assert run(project, ["status"]).returncode == 1


def _until(look: Callable[[], Any], timeout_s: float) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return found


def _sink(project: Path) -> ServiceState:
    state = read_state(project / ".gridwatch")
    assert state is not None
    return next(service for service in state.services if service.name == "sink")


def _ended(url: str) -> dict[str, Any] | None:
    with urllib.request.urlopen(url, timeout=120) as answer:  # noqa: S310  # loopback
        run: dict[str, Any] = json.load(answer)
    return run if run["end_time"] else None


def _post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
        return json.load(answer)
