"""What is stored and what is wanted, looked up once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gridwatch.jobs.transform.resources import Transforms

if TYPE_CHECKING:
    from gridwatch.jobs.config import JobConfig
    from gridwatch.jobs.files.reading import Kind, Resource
    from gridwatch.jobs.resources import Datafeed, Job
    from gridwatch.jobs.service import JobsService
    from gridwatch.jobs.transform import Transform

__all__ = ["Known"]


@dataclass(frozen=True)
class Known:
    """The present and the future of a store.

    Attributes:
        service: Over the store.
        jobs: Those that are stored, by id.
        datafeeds: Likewise.
        transforms: Likewise.
        named: What files name.
        moved: Ids of the stored datafeeds that files give to another job.
        prune: Whether all else goes.
        wanted: Configs of jobs that files name and that are right, by id; filled while a plan is made.
        fed: Ids of the datafeeds that files name, by that of their job; likewise.
    """

    service: JobsService
    jobs: dict[str, Job]
    datafeeds: dict[str, Datafeed]
    transforms: dict[str, Transform]
    named: frozenset[tuple[Kind, str]]
    moved: frozenset[str]
    prune: bool
    wanted: dict[str, JobConfig] = field(default_factory=dict)
    fed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, service: JobsService, resources: Sequence[Resource], *, prune: bool) -> Known:
        """Look up what is stored."""
        feeds = {feed.id: feed for feed in service.resources.datafeeds()}
        return cls(
            service,
            {job.id: job for job in service.resources.jobs()},
            feeds,
            {one.id: one for one in Transforms(service.store, make=False).find()},
            frozenset((one.kind, one.id) for one in resources),
            frozenset(
                one.id
                for one in resources
                if one.kind == "datafeed" and one.id in feeds and one.body.get("job_id") != feeds[one.id].config.job_id
            ),
            prune,
        )

    def stays(self, kind: Kind, key: str) -> bool:
        """Whether a stored resource is still there afterwards."""
        return not self.prune or (kind, key) in self.named

    def job(self, job_id: str) -> JobConfig | None:
        """Return the config that a job has afterwards, None where there is none then."""
        if job_id in self.wanted:
            return self.wanted[job_id]
        stored = self.jobs.get(job_id)
        return stored.config if stored is not None and self.stays("job", job_id) else None

    def feed_of(self, job_id: str) -> Datafeed | None:
        """Return the datafeed that is stored for a job."""
        return next((feed for feed in self.datafeeds.values() if feed.config.job_id == job_id), None)
