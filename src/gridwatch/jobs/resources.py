"""Jobs and datafeeds as rows of the store: who is there, in which state, and since when."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pyarrow as pa

from gridwatch.errors import JobsConflictError, JobsExistsError, JobsNotFoundError
from gridwatch.jobs.config import DatafeedConfig, JobConfig, parse_datafeed, parse_job
from gridwatch.jobs.tables import DATAFEEDS, JOBS

if TYPE_CHECKING:
    from gridwatch.containers import ContainerInfo, Store

__all__ = ["Datafeed", "FeedState", "Job", "JobState", "Resources"]

JobState: TypeAlias = Literal["closed", "opening", "opened", "closing", "failed"]
FeedState: TypeAlias = Literal["stopped", "starting", "started", "stopping"]


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is stored.

    Attributes:
        config: What it analyses.
        state: Where it is in its life.
        created_ms: UTC epoch ms, like all times here.
        reason: Why it failed.
        opened_ms: When it was opened last.
        finished_ms: When it was closed last.
        analysed_to_ms: End of the last finished bucket.
        counts: `data_counts` of the newest state.
        size: `model_size_stats` of the newest state.
    """

    config: JobConfig
    state: JobState
    created_ms: int
    reason: str | None = None
    opened_ms: int | None = None
    finished_ms: int | None = None
    analysed_to_ms: int | None = None
    counts: dict[str, Any] = field(default_factory=dict)
    size: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its id."""
        return self.config.job_id


@dataclass(frozen=True, slots=True)
class Datafeed:
    """A datafeed as it is stored; times are UTC epoch ms.

    Attributes:
        config: What it reads.
        state: Where it is in its life.
        created_ms: When it was made.
        reason: Why it stopped by itself.
        start_ms: First row wanted, None for the earliest.
        end_ms: First row not wanted any more, None to go on.
        searched_ms: When it last searched.
        searches: Searches so far.
        empty_searches: Searches in a row, since the start, that found nothing.
        search_time_ms: Time that they took together.
        checked_ms: When it last looked for rows that came late.
    """

    config: DatafeedConfig
    state: FeedState
    created_ms: int
    reason: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    searched_ms: int | None = None
    searches: int = 0
    empty_searches: int = 0
    search_time_ms: float = 0.0
    checked_ms: int | None = None

    @property
    def id(self) -> str:
        """Its id."""
        return self.config.datafeed_id


class Resources:
    """Rows of `ml_jobs` and `ml_datafeeds`, which are made when missing.

    Args:
        store: Any backend.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        for info in (JOBS, DATAFEEDS):
            store.put_container(info, modifiable=True)

    def job(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            JobsNotFoundError: There is none.
        """
        found = self._rows(JOBS, [job_id])
        if not found:
            raise JobsNotFoundError(f"No known job with id '{job_id}'.", job_id=job_id)
        return _job(found[0])

    def jobs(self, pattern: str = "_all", *, allow_no_match: bool = True) -> list[Job]:
        """Return jobs by id, sorted: ids or groups, several by comma, `*` allowed, `_all` for all.

        Raises:
            JobsNotFoundError: An id names none, or nothing matches and that is not allowed.
        """
        every = [_job(row) for row in self._rows(JOBS)]
        names = {job.id: (job.id, *job.config.groups) for job in every}
        chosen = _matching(pattern, names, "job", allow_no_match=allow_no_match)
        return [job for job in every if job.id in chosen]

    def add_job(self, job: Job) -> None:
        """Store a new job.

        Raises:
            JobsExistsError: Its id is that of a job or of a group.
        """
        taken = {name for other in self.jobs() for name in (other.id, *other.config.groups)}
        if job.id in taken:
            raise JobsExistsError(
                f"The job cannot be created with the Id '{job.id}'. The Id is already used.", job_id=job.id
            )
        self.put_job(job)

    def put_job(self, job: Job) -> None:
        """Store a job over the one that is there."""
        row = {
            "id": job.id,
            "config": json.dumps(job.config.to_json()),
            "state": job.state,
            "reason": job.reason,
            "created_ms": job.created_ms,
            "opened_ms": job.opened_ms,
            "finished_ms": job.finished_ms,
            "analysed_to_ms": job.analysed_to_ms,
            "counts": json.dumps(job.counts),
            "size": json.dumps(job.size),
        }
        self._put(JOBS, row)

    def drop_job(self, job_id: str) -> None:
        """Delete the row of a job."""
        self.store.delete(JOBS.name, [job_id])

    def datafeed(self, datafeed_id: str) -> Datafeed:
        """Return a datafeed.

        Raises:
            JobsNotFoundError: There is none.
        """
        found = self._rows(DATAFEEDS, [datafeed_id])
        if not found:
            raise JobsNotFoundError(f"No datafeed with id [{datafeed_id}] exists.", datafeed_id=datafeed_id)
        return _datafeed(found[0])

    def datafeeds(self, pattern: str = "_all", *, allow_no_match: bool = True) -> list[Datafeed]:
        """Return datafeeds by id, sorted; see `jobs`."""
        every = [_datafeed(row) for row in self._rows(DATAFEEDS)]
        names = {feed.id: (feed.id,) for feed in every}
        chosen = _matching(pattern, names, "datafeed", allow_no_match=allow_no_match)
        return [feed for feed in every if feed.id in chosen]

    def datafeed_of(self, job_id: str) -> Datafeed | None:
        """Return the datafeed of a job, or None."""
        return next((feed for feed in self.datafeeds() if feed.config.job_id == job_id), None)

    def add_datafeed(self, feed: Datafeed) -> None:
        """Store a new datafeed.

        Raises:
            JobsExistsError: Its id is taken.
            JobsConflictError: Its job has another one.
        """
        if self._rows(DATAFEEDS, [feed.id]):
            raise JobsExistsError(f"A datafeed with id [{feed.id}] already exists.", datafeed_id=feed.id)
        other = self.datafeed_of(feed.config.job_id)
        if other is not None:
            raise JobsConflictError(
                f"A datafeed [{other.id}] already exists for job [{feed.config.job_id}].", datafeed_id=other.id
            )
        self.put_datafeed(feed)

    def put_datafeed(self, feed: Datafeed) -> None:
        """Store a datafeed over the one that is there."""
        row = {
            "id": feed.id,
            "job_id": feed.config.job_id,
            "config": json.dumps(feed.config.model_dump(exclude_none=True)),
            "state": feed.state,
            "reason": feed.reason,
            "created_ms": feed.created_ms,
            "start_ms": feed.start_ms,
            "end_ms": feed.end_ms,
            "searched_ms": feed.searched_ms,
            "searches": feed.searches,
            "empty_searches": feed.empty_searches,
            "search_time_ms": feed.search_time_ms,
            "checked_ms": feed.checked_ms,
        }
        self._put(DATAFEEDS, row)

    def drop_datafeed(self, datafeed_id: str) -> None:
        """Delete the row of a datafeed."""
        self.store.delete(DATAFEEDS.name, [datafeed_id])

    def _rows(self, info: ContainerInfo, keys: list[str] | None = None) -> list[dict[str, Any]]:
        table = self.store.read(info.name) if keys is None else self.store.get(info.name, keys)
        return sorted(table.to_pylist(), key=lambda row: str(row["id"]))

    def _put(self, info: ContainerInfo, row: dict[str, Any]) -> None:
        self.store.put(info.name, pa.Table.from_pylist([row], schema=info.arrow))


def _job(row: dict[str, Any]) -> Job:
    times = {name: row[name] for name in ("created_ms", "opened_ms", "finished_ms", "analysed_to_ms")}
    return Job(
        config=parse_job(json.loads(row["config"])),
        state=row["state"],
        reason=row["reason"],
        counts=json.loads(row["counts"]),
        size=json.loads(row["size"]),
        **times,
    )


def _datafeed(row: dict[str, Any]) -> Datafeed:
    names = ("state", "reason", "created_ms", "start_ms", "end_ms", "searched_ms", "searches", "empty_searches")
    rest = {name: row[name] for name in (*names, "search_time_ms", "checked_ms")}
    return Datafeed(config=parse_datafeed(json.loads(row["config"])), **rest)


def _matching(pattern: str, names: Mapping[str, Iterable[str]], what: str, *, allow_no_match: bool) -> set[str]:
    """Return the ids that a pattern stands for."""
    chosen: set[str] = set()
    for part in filter(None, (part.strip() for part in pattern.split(","))):
        wild = part == "_all" or "*" in part
        mask = "*" if part == "_all" else part
        found = {name for name, also in names.items() if any(fnmatch.fnmatchcase(one, mask) for one in also)}
        if not found and not (wild and allow_no_match):
            raise JobsNotFoundError(f"No known {what} with id '{part}'.", pattern=pattern)
        chosen |= found
    return chosen
