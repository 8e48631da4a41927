"""Search with each started datafeed that is due, and bring transforms up to date; the work is `gridwatch.jobs`.

Works beside a server that runs datafeeds, and beside other runs of itself: each is read by one at a time.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from _edge import RETRY_DELAYS_S, now_ms, run_name, settings, worth_retrying
from detect import drain_task
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.futures import wait

from gridwatch.containers import open_store
from gridwatch.errors import JobsBusyError, JobsConflictError
from gridwatch.jobs.resources import Resources
from gridwatch.jobs.service import JobsService, Runner
from gridwatch.jobs.tables import TRANSFORMS
from gridwatch.jobs.transform import TransformService


def due(names: list[str] | None = None) -> list[str]:
    """Return the started datafeeds that are to search now; those named, if they are started, due or not."""
    found = settings()
    with open_store(found.store, settings=found) as store:
        if names is None:
            return Runner(store, lambda: JobsService(store, now_ms=now_ms), now_ms=now_ms).due()
        resources = Resources(store, make=False)
        return [one.id for name in names for one in resources.datafeeds(name) if one.state == "started"]


# Safe to retry: a search goes on from what is stored, and results have keys that follow from what they are about.
@task(
    name="datafeed",
    task_run_name="search-{name}",
    retries=1,
    retry_delay_seconds=RETRY_DELAYS_S[:1],
    retry_condition_fn=worth_retrying,
)
def datafeed_task(name: str) -> dict[str, Any]:
    """Return what one search did; `note` says why there was none."""
    found = settings()
    with open_store(found.store, settings=found) as store:
        service = JobsService(store, now_ms=now_ms, threads=found.jobs.analysis_threads, settings=found)
        try:
            return {"datafeed": name, **asdict(service.run_datafeed(name, wait_s=0.0)), "note": ""}
        except JobsBusyError:
            return {"datafeed": name, "note": "somebody else is at it"}
        except JobsConflictError as error:
            return {"datafeed": name, "note": str(error)}


# Safe to retry: a run goes on from its last checkpoint, and rows are upserted by what they are grouped by.
@task(name="transforms", task_run_name="transforms", retries=1, retry_delay_seconds=RETRY_DELAYS_S[:1])
def transforms_task() -> list[dict[str, Any]]:
    """Return what each started transform did whose time has come."""
    found = settings()
    with open_store(found.store, settings=found) as store:
        if store.container(TRANSFORMS.name) is None:
            return []
        return [asdict(ran) for ran in TransformService(store, now_ms=now_ms).run_due()]


# The bound is on the flow: in a worker thread Prefect cannot interrupt a task.
@flow(name="datafeeds", flow_run_name=run_name, timeout_seconds=3600)
def datafeeds_flow(
    datafeeds: list[str] | None = None, cron: str | None = None, timezone: str | None = None
) -> list[dict[str, Any]]:
    """Search with these datafeeds, or with all that are due; return what each search did.

    Begins with the transforms that are due, since jobs read what they write; ends by telling of anomalies. `cron` and
    `timezone` are what a schedule says of itself.
    """
    del cron, timezone
    summaries = transforms_task() if datafeeds is None else []
    for one in summaries:
        if one["error"]:
            get_run_logger().warning("transform %s: %s", one["transform_id"], one["error"])
    runs = [datafeed_task.submit(name) for name in due(datafeeds)]
    wait(runs)
    # Before a failure of one datafeed is raised: the others' searches are shown, and their anomalies told.
    searches = [run.result() for run in runs if run.state.is_completed()]
    if searches:
        create_table_artifact(searches, key="datafeeds", description="Searches of datafeeds")
    if any(one.get("records") for one in searches):
        drain_task()
    return [run.result() for run in runs]


if __name__ == "__main__":
    datafeeds_flow()
