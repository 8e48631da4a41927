"""Validate the rows of each dataset; the work itself is `gridwatch.pipeline.validate`."""

from __future__ import annotations

from _edge import RETRY_DELAYS_S, artifact_key, chosen, dataset, now_ms, root_run_id, run_name, settings, worth_retrying
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact

from gridwatch.containers import open_store
from gridwatch.pipeline.validate import is_current, validate


# Safe to retry: the row of an outcome is keyed by its dataset and time.
@task(
    name="validate",
    task_run_name="validate-{name}",
    retries=1,
    retry_delay_seconds=RETRY_DELAYS_S[:1],
    retry_condition_fn=worth_retrying,
    timeout_seconds=1800,
)
def validate_task(name: str, at_ms: int, flow_run_id: str | None) -> bool:
    """Return whether one dataset met its expectations; what it met and what not is an artifact."""
    found = settings()
    with open_store(found.store, settings=found) as store:
        report = validate(dataset(name), store, found, now_ms=at_ms, flow_run_id=flow_run_id)
    create_markdown_artifact(report.markdown, key=artifact_key("validation", name), description=f"Rows of {name}")
    return report.success


def validate_new(names: list[str], at_ms: int, flow_run_id: str | None) -> None:
    """Validate those datasets whose newest validation has not seen all rows; what comes next decides on the outcome."""
    found = settings()
    with open_store(found.store, settings=found) as store:
        stale = [
            one.name
            for one in map(dataset, names)
            if store.container(one.container) is not None and not is_current(store, one)
        ]
    for name in stale:
        validate_task(name, at_ms, flow_run_id, return_state=True)


@flow(name="validate", flow_run_name=run_name)
def validate_flow(datasets: list[str] | None = None) -> dict[str, bool]:
    """Validate these datasets, or all. Data that fails is reported, not raised: training and scoring decide on it."""
    at_ms = now_ms()
    run_id = root_run_id()
    # One after the other: Great Expectations keeps its context in the process. An error (not: a finding) is raised
    # once all have had their turn.
    ends = {name: validate_task(name, at_ms, run_id, return_state=True) for name in chosen(datasets, "ingest")}
    return {name: end.result() for name, end in ends.items()}


if __name__ == "__main__":
    validate_flow()
