"""What there is to say about Kafka Connect, for `connect status`, `status` and `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from gridwatch.cli._connect import own_workers
from gridwatch.cli._output import print_table
from gridwatch.errors import MissingServiceError, StreamError

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["connect_report", "failures", "show_connectors"]


def connect_report(found: Settings, *, timeout_s: float | None = None) -> dict[str, Any]:
    """Return what there is to say about Connect: address, workers, connectors with their tasks; errors as text."""
    from gridwatch.streaming.connect_apply import find_connect
    from gridwatch.streaming.connect_watch import read_watch

    workers = [
        {"worker": worker.folder.name, "pid": worker.pid, "url": worker.url, "log": str(worker.log_file)}
        for worker in own_workers(found)
    ]
    report: dict[str, Any] = {"url": found.connect.url, "workers": workers, "connectors": [], "error": None}
    watched = {(one.connector, one.task): one for one in read_watch(found.home / "connect")}
    try:
        connect = find_connect(found, timeout_s=timeout_s)
        report["url"] = connect.api.url
        for status in connect.api.statuses():
            tasks = []
            for task in (status.connector, *status.tasks):
                seen = watched.get((status.name, task.number))
                row = {"task": task.number, "state": task.state, "worker": task.worker, "reason": task.reason}
                tasks.append(
                    {**row, "restarts": seen.restarts if seen else 0, "given_up": bool(seen and seen.given_up)}
                )
            report["connectors"].append({"name": status.name, "kind": status.kind, **tasks[0], "tasks": tasks[1:]})
    except (MissingServiceError, StreamError) as error:
        report["error"] = str(error)
    return report


def failures(report: dict[str, Any]) -> list[str]:
    """Return a line for each connector and task that has failed."""
    return [
        f"connector {one['name']}" + (f" task {part['task']}" if part["task"] >= 0 else "") + f": {_why(part)}"
        for one in report["connectors"]
        for part in (one, *one["tasks"])
        if part["state"] == "FAILED"
    ]


def show_connectors(report: dict[str, Any]) -> None:
    """Print a report as a table for people."""
    if report["error"] is not None:
        typer.echo(report["error"])
        return
    rows = []
    for one in report["connectors"]:
        if one["state"] == "FAILED" or not one["tasks"]:
            rows.append((one["name"], "", one["state"], one["restarts"], _why(one)))
        rows += [(one["name"], task["task"], task["state"], task["restarts"], _why(task)) for task in one["tasks"]]
    typer.echo(f"Kafka Connect at {report['url']}" + ("" if rows else " has no connectors; `gridwatch connect apply`."))
    if rows:
        print_table(("connector", "task", "state", "restarts", "what is wrong"), rows)


def _why(part: dict[str, Any]) -> str:
    given_up = "given up, `gridwatch connect restart` tries again: " if part["given_up"] else ""
    return f"{given_up}{part['reason']}" if part["state"] == "FAILED" else ""
