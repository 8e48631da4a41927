"""Bring in the newest rows of each dataset; the work itself is `gridwatch.pipeline.ingest`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from _edge import RETRY_DELAYS_S, chosen, dataset, now_ms, root_run_id, run_name, settings, worth_retrying
from prefect import flow, task
from prefect.futures import wait
from validate import validate_new

from gridwatch.containers import open_store
from gridwatch.pipeline.ingest import ingest_daily


# Safe to retry: rows are upserted by their time.
@task(
    name="ingest-daily",
    task_run_name="ingest-{name}",
    retries=3,
    retry_delay_seconds=RETRY_DELAYS_S,
    retry_condition_fn=worth_retrying,
)
def ingest_task(name: str, at_ms: int) -> dict[str, Any]:
    """Return what ingesting one dataset did."""
    found = settings()
    with open_store(found.store, settings=found) as store:
        return asdict(ingest_daily(dataset(name), store, found, now_ms=at_ms))


# The bound is on the flow: in a worker thread Prefect cannot interrupt a task.
@flow(name="ingest-daily", flow_run_name=run_name, timeout_seconds=3600)
def ingest_daily_flow(
    datasets: list[str] | None = None, cron: str | None = None, timezone: str | None = None
) -> dict[str, dict[str, Any]]:
    """Ingest these datasets, or all; with `cron` and `timezone`, only those that are scheduled so.

    Ends by validating what is new.
    """
    at_ms, names = now_ms(), chosen(datasets, "ingest", cron, timezone)
    runs = {name: ingest_task.submit(name, at_ms) for name in names}
    wait(list(runs.values()))
    validate_new(names, at_ms, root_run_id())
    return {name: run.result() for name, run in runs.items()}


if __name__ == "__main__":
    ingest_daily_flow()
