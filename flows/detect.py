"""Score the newest rows of each dataset and tell of anomalies; the work itself is `gridwatch.pipeline.detect`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from _edge import RETRY_DELAYS_S, artifact_key, chosen, dataset, now_ms, root_run_id, run_name, settings, worth_retrying
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.futures import wait
from validate import validate_new

from gridwatch.alerts.anomalies import list_anomalies
from gridwatch.alerts.relay import drain
from gridwatch.containers import open_store
from gridwatch.pipeline.detect import detect


# Safe to retry: anomalies are keyed by their source, detector and time, so a second write replaces the first.
@task(
    name="detect",
    task_run_name="detect-{name}",
    retries=3,
    retry_delay_seconds=RETRY_DELAYS_S,
    retry_condition_fn=worth_retrying,
)
def detect_task(name: str, at_ms: int, flow_run_id: str | None, force: bool) -> dict[str, Any]:
    """Return what scoring one dataset gave; its anomalies are a table artifact."""
    found, one = settings(), dataset(name)
    with open_store(found.store, settings=found) as store:
        report = detect(one, store, found, now_ms=at_ms, flow_run_id=flow_run_id, force=force)
        rows = [row for row in list_anomalies(store, symbol=one.symbol) if row["flow_run_id"] == flow_run_id]
    shown = [
        {key: row[key] for key in ("time", "actual", "expected", "score", "severity", "driver", "explanation", "id")}
        for row in rows
    ]
    if shown:
        create_table_artifact(shown, key=artifact_key("anomalies", name), description=f"Anomalies of {name}")
    return asdict(report)


# Not a reason to fail: what could not be sent stays pending, and the next drain or relay takes it.
@task(name="drain-relay", retries=2, retry_delay_seconds=RETRY_DELAYS_S[:2], timeout_seconds=300)
def drain_task() -> dict[str, Any]:
    """Return how many mails went out; warn of those that wait."""
    found = settings()
    with open_store(found.store, settings=found) as store:
        report = drain(store, found, clock=now_ms)
    for warning in report.warnings:
        get_run_logger().warning(warning)
    return asdict(report)


# The bound is on the flow: in a worker thread Prefect cannot interrupt a task.
@flow(name="detect", flow_run_name=run_name, timeout_seconds=1800)
def detect_flow(
    datasets: list[str] | None = None, cron: str | None = None, timezone: str | None = None, force: bool = False
) -> dict[str, dict[str, Any]]:
    """Score these datasets, or all; with `cron` and `timezone`, only those that are scheduled so.

    Begins with validating what is new, ends by draining the relay.
    """
    at_ms, run_id, names = now_ms(), root_run_id(), chosen(datasets, "detect", cron, timezone)
    validate_new(names, at_ms, run_id)
    runs = {name: detect_task.submit(name, at_ms, run_id, force) for name in names}
    wait(list(runs.values()))
    # Before a failure of one dataset is raised: the anomalies of the others are told all the same.
    mails = drain_task()
    return {name: {**run.result(), "mails": mails} for name, run in runs.items()}


if __name__ == "__main__":
    detect_flow()
