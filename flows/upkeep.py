"""Delete what has been kept as long as retention says; the work itself is `gridwatch.upkeep`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from _edge import RETRY_DELAYS_S, now_ms, run_name, settings, worth_retrying
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact

from gridwatch.containers import open_store
from gridwatch.sources import load_datasets
from gridwatch.upkeep import run_upkeep


# Safe to retry: what was deleted is gone, and the next run does the rest.
@task(
    name="upkeep",
    task_run_name="upkeep",
    retries=2,
    retry_delay_seconds=RETRY_DELAYS_S[:2],
    retry_condition_fn=worth_retrying,
)
def upkeep_task(dry_run: bool) -> dict[str, Any]:
    """Return what one run of upkeep did; its sweeps are a table artifact."""
    found = settings()
    with open_store(found.store, settings=found) as store:
        report = run_upkeep(store, found, load_datasets(found.datasets_dir), clock=now_ms, dry_run=dry_run)
    if report.note:
        get_run_logger().warning(report.note)
    sweeps = [asdict(sweep) for sweep in report.sweeps]
    if sweeps:
        create_table_artifact(sweeps, key="upkeep", description="What retention deleted")
    return asdict(report)


# The bound is on the flow: in a worker thread Prefect cannot interrupt a task.
@flow(name="upkeep", flow_run_name=run_name, timeout_seconds=6 * 3600)
def upkeep_flow(dry_run: bool = False, cron: str | None = None, timezone: str | None = None) -> dict[str, Any]:
    """Delete what is older than its retention, or only count it; `cron` and `timezone` are what a schedule says."""
    del cron, timezone
    return upkeep_task(dry_run)


if __name__ == "__main__":
    upkeep_flow()
