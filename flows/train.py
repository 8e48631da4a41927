"""Train a model for each dataset; the work itself is `gridwatch.pipeline.train`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from _edge import RETRY_DELAYS_S, artifact_key, chosen, dataset, now_ms, root_run_id, run_name, settings, worth_retrying
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from validate import validate_new

from gridwatch.containers import open_store
from gridwatch.pipeline.train import train
from gridwatch.pipeline.train_report import train_markdown


# Safe to retry: a repeated training is one more MLflow run, and `champion` moves only to a better model.
@task(
    name="train",
    task_run_name="train-{name}",
    retries=1,
    retry_delay_seconds=RETRY_DELAYS_S[1:2],
    retry_condition_fn=worth_retrying,
    timeout_seconds=4 * 3600,
)
def train_task(name: str, at_ms: int, flow_run_id: str | None, force: bool) -> dict[str, Any]:
    """Return what training on one dataset gave; its figures, with a link to MLflow, are an artifact."""
    found = settings()
    with open_store(found.store, settings=found) as store:
        report = train(dataset(name), store, found, now_ms=at_ms, flow_run_id=flow_run_id, force=force)
    text = train_markdown(report, found.tracking_uri)
    create_markdown_artifact(text, key=artifact_key("model", name), description=f"Model of {name}")
    return asdict(report)


@flow(name="train", flow_run_name=run_name)
def train_flow(
    datasets: list[str] | None = None, cron: str | None = None, timezone: str | None = None, force: bool = False
) -> dict[str, dict[str, Any]]:
    """Train on these datasets, or all; with `cron` and `timezone`, only those that are scheduled so.

    Begins with validating what is new.
    """
    at_ms, run_id, names = now_ms(), root_run_id(), chosen(datasets, "train", cron, timezone)
    validate_new(names, at_ms, run_id)
    # One after the other: TensorFlow uses all cores for one. A failure is raised once all have had their turn.
    ends = {name: train_task(name, at_ms, run_id, force, return_state=True) for name in names}
    return {name: end.result() for name, end in ends.items()}


if __name__ == "__main__":
    train_flow()
