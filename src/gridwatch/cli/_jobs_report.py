"""What `status` and `doctor` say of jobs, datafeeds and transforms: how many there are, and which are not well."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.settings import Settings

__all__ = ["JobsReport", "jobs_report"]


@dataclass(frozen=True, slots=True)
class JobsReport:
    """How the jobs of a store fare.

    Attributes:
        jobs: How many there are.
        opened: Of these, how many are open.
        started: How many datafeeds and continuous transforms are started.
        wrong: What is not well: kind and id, and why.
    """

    jobs: int
    opened: int
    started: int
    wrong: list[tuple[str, str]]


def jobs_report(settings: Settings) -> JobsReport | None:
    """Return how jobs fare; None where there is no store yet, or none of them in it. Nothing is made.

    Raises:
        StoreError: The store cannot be read.
    """
    if settings.store.startswith("sqlite:") and not Path(settings.store.removeprefix("sqlite:///")).exists():
        return None
    from gridwatch.containers import open_store

    with open_store(settings.store, settings=settings) as store:
        return _report(store)


def _report(store: Store) -> JobsReport | None:
    from gridwatch.jobs.resources import Resources
    from gridwatch.jobs.tables import JOBS, TRANSFORMS
    from gridwatch.jobs.transform.resources import Transforms

    if store.container(JOBS.name) is None and store.container(TRANSFORMS.name) is None:
        return None
    resources = Resources(store, make=False)
    jobs, feeds = resources.jobs(), resources.datafeeds()
    wrong = [(f"job {job.id}", f"failed: {job.reason}") for job in jobs if job.state == "failed"]
    wrong += [
        (f"job {job.id}", "its models are at their memory limit; nothing new is modelled")
        for job in jobs
        if job.size.get("memory_status") == "hard_limit"
    ]
    wrong += [
        (f"datafeed {feed.id}", f"{feed.state}, {feed.failures} searches in a row failed: {feed.error}")
        for feed in feeds
        if feed.error is not None
    ]
    started = sum(feed.state == "started" for feed in feeds)
    for one in Transforms(store, make=False).find():
        started += one.state == "started"
        error = one.reason or one.stats.get("error")
        if error:
            wrong.append((f"transform {one.id}", f"{one.state}: {error}"))
    return JobsReport(len(jobs), sum(job.state == "opened" for job in jobs), started, wrong)
