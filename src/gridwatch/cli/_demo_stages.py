"""What the demo shows while it runs: each service as it comes up, each stage of the flow as Prefect records it."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from gridwatch.cli._demo_child import FIGURES
from gridwatch.supervisor import State, Supervisor

__all__ = ["SERVICES", "STAGES", "Timeline", "flow_runs"]

SERVICES = {
    "kafka": "Kafka broker (KRaft, no ZooKeeper)",
    "sink": "sink: Kafka to container store",
    "mlflow": "MLflow server",
    "prefect": "Prefect server",
    "server": "trigger handler, inbox and pages",
    "relay": "relay: anomaly rows to the handler",
}

STAGES = {
    "load-batch": "real prices through Kafka into the store",
    "validate": "Great Expectations holds them against the suite",
    "train": "the detector learns, is logged to MLflow, its bytes in the store",
    "detect": "rows scored, each before it is learnt; anomalies written, mails sent",
}

_COMPARE = "compare: the same rows by an LSTM trained in Keras, with its fixed threshold"


@dataclass
class Timeline:
    """Says each thing once, when it has happened; times are seconds since the beginning."""

    say: Callable[[str], None]
    began_s: float = field(default_factory=time.monotonic)
    told: set[str] = field(default_factory=set)
    completed: bool = False
    doing: Callable[[str], None] = lambda _text: None
    """Shows what is waited for, where that can be shown and taken back."""

    def line(self, text: str, took_s: float | None = None) -> None:
        """Say one thing."""
        took = "" if took_s is None else f"{took_s:5.1f} s"
        self.say(f"{time.monotonic() - self.began_s:6.1f} s  {took:>7}  {text}")

    def services(self, supervisor: Supervisor) -> None:
        """Say which services have come up, or were given up, since the last call."""
        for name, label in SERVICES.items():
            shown = supervisor.service(name)
            if shown.state is State.RUNNING and name not in self.told:
                self.told.add(name)
                self.line(f"{label}" + (f"  {shown.address}" if shown.address else ""))
            elif shown.state is State.BACKOFF and f"{name} {shown.restarts}" not in self.told:
                self.told.add(f"{name} {shown.restarts}")
                self.line(f"{label}: {shown.error}; starting it again")
        self.doing("starting " + ", ".join(name for name in SERVICES if name not in self.told))

    def compared(self, home: Path) -> bool:
        """Tell whether the detectors have been compared; says so once they have."""
        there = (home / FIGURES).exists()
        if there:
            self.line(_COMPARE)
        return there

    def stages(self, prefect_api: str) -> None:
        """Say which stages of the flow have ended since the last call."""
        for run in flow_runs(prefect_api):
            # Flow, datasets, time.
            name = run["name"].partition(" ")[0]
            if name == "run-all":
                # The process itself takes seconds more to unload what it has imported.
                self.completed = run["state_type"] == "COMPLETED"
            elif name in STAGES and name not in self.told and run["end_time"]:
                self.told.add(name)
                took_s = (_moment(run["end_time"]) - _moment(run["start_time"])).total_seconds()
                well = run["state_type"] == "COMPLETED"
                self.line(f"{name}: {STAGES[name] if well else run['state_name']}", took_s)
        self.doing(next((f"{name}: {text}" for name, text in STAGES.items() if name not in self.told), _COMPARE))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def flow_runs(prefect_api: str) -> list[dict[str, Any]]:
    """Return the flow runs that Prefect has recorded, oldest first; none while it does not answer."""
    request = urllib.request.Request(  # noqa: S310  # our own loopback address
        f"{prefect_api}/flow_runs/filter",
        data=json.dumps({"sort": "START_TIME_ASC", "limit": 50}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            found: list[dict[str, Any]] = json.load(answer)
    except (OSError, ValueError):
        return []
    return found
