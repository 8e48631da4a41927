"""Load the history of each dataset; the work itself is `gridwatch.pipeline.load`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from _edge import RETRY_DELAYS_S, chosen, dataset, now_ms, run_name, settings, worth_retrying
from prefect import flow, task
from prefect.futures import wait

from gridwatch.containers import open_store
from gridwatch.pipeline.load import load_batch


# Safe to retry: batches that are in their container already are skipped, and rows are upserted by their time.
@task(
    name="load-batch",
    task_run_name="load-{name}",
    retries=3,
    retry_delay_seconds=RETRY_DELAYS_S,
    retry_condition_fn=worth_retrying,
)
def load_task(name: str, months: int | None, at_ms: int) -> dict[str, Any]:
    """Return what loading one dataset did."""
    found = settings()
    with open_store(found.store, settings=found) as store:
        return asdict(load_batch(dataset(name), store, found, now_ms=at_ms, months=months))


# The bound is on the flow: in a worker thread Prefect cannot interrupt a task.
@flow(name="load-batch", flow_run_name=run_name, timeout_seconds=7200)
def load_batch_flow(datasets: list[str] | None = None, months: int | None = None) -> dict[str, dict[str, Any]]:
    """Load `months` of history (default: as each dataset says) of these datasets, or all."""
    at_ms = now_ms()
    runs = {name: load_task.submit(name, months, at_ms) for name in chosen(datasets, "ingest")}
    wait(list(runs.values()))
    return {name: run.result() for name, run in runs.items()}


if __name__ == "__main__":
    load_batch_flow()
