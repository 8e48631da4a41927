"""Jobs and datafeeds as rows of the store: who is there, in which state, and since when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gridwatch.errors import JobsConflictError, JobsExistsError, JobsNotFoundError, JobsValueError
from gridwatch.jobs import sql
from gridwatch.jobs.config import DatafeedConfig, JobConfig, parse_datafeed, parse_job
from gridwatch.jobs.keyed import KeyedRows, matching
from gridwatch.jobs.tables import DATAFEEDS, JOBS

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["Datafeed", "FeedState", "Job", "JobState", "Resources"]

JobState: TypeAlias = Literal["closed", "opening", "opened", "closing", "failed"]
FeedState: TypeAlias = Literal["stopped", "starting", "started", "stopping"]

_AT_WORK = ("started", "stopping")
_CONFIG_MAX = 31_744
"""Bytes that a STRING of GridDB has at most, with blocks of 64 KB."""


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
        timing: How long its buckets took, see `gridwatch.jobs.timing`.
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
    timing: dict[str, Any] = field(default_factory=dict)

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
        searched_ms: When it last searched to the end.
        tried_ms: When it last tried.
        searches: Searches so far.
        empty_searches: Searches in a row, since the start, that found nothing.
        search_time_ms: Time that they took together.
        checked_ms: When it last looked for rows that came late.
        fed_to_ms: First instant that has not been read.
        error: What the last search failed with, None when it did not.
        failing_since_ms: When the failures that follow one another began.
        failures: How many they are.
        late: Rows that came too late and were told of, by the start of their bucket.
    """

    config: DatafeedConfig
    state: FeedState
    created_ms: int
    reason: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    searched_ms: int | None = None
    tried_ms: int | None = None
    searches: int = 0
    empty_searches: int = 0
    search_time_ms: float = 0.0
    checked_ms: int | None = None
    fed_to_ms: int | None = None
    error: str | None = None
    failing_since_ms: int | None = None
    failures: int = 0
    late: dict[int, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its id."""
        return self.config.datafeed_id


class Resources:
    """Rows of `ml_jobs` and `ml_datafeeds`, which are made when missing.

    Args:
        store: Any backend.
        make: Whether they are; without it, a store that lacks them has no jobs.
    """

    def __init__(self, store: Store, *, make: bool = True) -> None:
        self.store = store
        self._jobs = KeyedRows(store, JOBS, make=make)
        self._datafeeds = KeyedRows(store, DATAFEEDS, make=make)

    def job(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            JobsNotFoundError: There is none.
        """
        found = self._jobs.get(job_id)
        if found is None:
            raise JobsNotFoundError(f"No known job with id '{job_id}'.", job_id=job_id)
        return _job(found)

    def jobs(self, pattern: str = "_all", *, allow_no_match: bool = True) -> list[Job]:
        """Return jobs by id, sorted: ids or groups, several by comma, `*` allowed, `_all` for all.

        Raises:
            JobsNotFoundError: An id names none, or nothing matches and that is not allowed.
        """
        every = [_job(row) for row in self._jobs.all()]
        names = {job.id: (job.id, *job.config.groups) for job in every}
        chosen = matching(pattern, names, allow_no_match=allow_no_match, unknown=lambda part: _unknown("job", part))
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
        self._jobs.put(job.id, _columns(job))

    def change_job(self, job_id: str, *, states: Sequence[JobState] = (), **changes: Any) -> Job:
        """Change some columns of a job, and leave alone what others change at the same time; return it as it is then.

        Args:
            job_id: Which.
            states: Only in one of these; empty for any.
            **changes: Attributes of `Job` and their new values.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It is in another state.
        """
        columns = {name: _column(value) for name, value in changes.items()}
        changed = self._jobs.change(job_id, columns, states=states)
        job = self.job(job_id)
        if not changed:
            raise JobsConflictError(f"Job [{job_id}] is {job.state}, not {' or '.join(states)}.", job_id=job_id)
        return job

    def drop_job(self, job_id: str) -> None:
        """Delete the row of a job."""
        self._jobs.drop(job_id)

    def datafeed(self, datafeed_id: str) -> Datafeed:
        """Return a datafeed.

        Raises:
            JobsNotFoundError: There is none.
        """
        found = self._datafeeds.get(datafeed_id)
        if found is None:
            raise JobsNotFoundError(f"No datafeed with id [{datafeed_id}] exists.", datafeed_id=datafeed_id)
        return _datafeed(found)

    def datafeeds(self, pattern: str = "_all", *, allow_no_match: bool = True) -> list[Datafeed]:
        """Return datafeeds by id, sorted; see `jobs`."""
        every = [_datafeed(row) for row in self._datafeeds.all()]
        names = {feed.id: (feed.id,) for feed in every}
        chosen = matching(
            pattern, names, allow_no_match=allow_no_match, unknown=lambda part: _unknown("datafeed", part)
        )
        return [feed for feed in every if feed.id in chosen]

    def started(self) -> list[tuple[str, int | None, int | None]]:
        """Return (id, searched_ms, tried_ms) of the datafeeds that are started; (id, None, None) of those stopping."""
        columns = sql.joined(", ", [sql.name(one) for one in ("id", "state", "searched_ms", "tried_ms")])
        at_work = sql.any_of(sql.compose("({} = {})", sql.name("state"), sql.value(one)) for one in _AT_WORK)
        found = sql.compose("SELECT {} FROM {} WHERE {}", columns, sql.name(DATAFEEDS.name), at_work)
        rows = self.store.sql(found.text, found.parameters).to_pylist()
        return [
            (row["id"], None, None) if row["state"] == "stopping" else (row["id"], row["searched_ms"], row["tried_ms"])
            for row in rows
        ]

    def datafeed_of(self, job_id: str) -> Datafeed | None:
        """Return the datafeed of a job, or None."""
        return next((feed for feed in self.datafeeds() if feed.config.job_id == job_id), None)

    def add_datafeed(self, feed: Datafeed) -> None:
        """Store a new datafeed.

        Raises:
            JobsExistsError: Its id is taken.
            JobsConflictError: Its job has another one.
        """
        if self._datafeeds.get(feed.id) is not None:
            raise JobsExistsError(f"A datafeed with id [{feed.id}] already exists.", datafeed_id=feed.id)
        other = self.datafeed_of(feed.config.job_id)
        if other is not None:
            raise JobsConflictError(
                f"A datafeed [{other.id}] already exists for job [{feed.config.job_id}].", datafeed_id=other.id
            )
        self.put_datafeed(feed)

    def put_datafeed(self, feed: Datafeed) -> None:
        """Store a datafeed over the one that is there."""
        self._datafeeds.put(feed.id, {**_columns(feed), "job_id": feed.config.job_id})

    def change_datafeed(self, datafeed_id: str, *, states: Sequence[FeedState] = (), **changes: Any) -> Datafeed:
        """Change some columns of a datafeed, as `change_job` does.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It is in another state.
        """
        columns = {name: _column(value) for name, value in changes.items()}
        changed = self._datafeeds.change(datafeed_id, columns, states=states)
        feed = self.datafeed(datafeed_id)
        if not changed:
            raise JobsConflictError(
                f"Datafeed [{datafeed_id}] is {feed.state}, not {' or '.join(states)}.", datafeed_id=datafeed_id
            )
        return feed

    def drop_datafeed(self, datafeed_id: str) -> None:
        """Delete the row of a datafeed."""
        self._datafeeds.drop(datafeed_id)


def _columns(one: Job | Datafeed) -> dict[str, Any]:
    return {each.name: _column(getattr(one, each.name)) for each in fields(one)}


def _column(value: Any) -> Any:
    """Return an attribute as its column holds it.

    Raises:
        JobsValueError: A config is too long.
    """
    if isinstance(value, JobConfig):
        return _fitting(f"job [{value.job_id}]", json.dumps(value.to_json()))
    if isinstance(value, DatafeedConfig):
        return _fitting(f"datafeed [{value.datafeed_id}]", json.dumps(value.model_dump(exclude_none=True)))
    return json.dumps(value) if isinstance(value, dict) else value


def _fitting(what: str, text: str) -> str:
    if len(text) > _CONFIG_MAX:
        raise JobsValueError(
            f"the JSON of {what} takes {len(text):,} bytes; at most {_CONFIG_MAX:,} fit into its row. Shorten what is "
            "long: many terms of a query may become a range, a prefix or a runtime field."
        )
    return text


def _job(row: dict[str, Any]) -> Job:
    times = {name: row[name] for name in ("created_ms", "opened_ms", "finished_ms", "analysed_to_ms")}
    return Job(
        config=parse_job(json.loads(row["config"])),
        state=row["state"],
        reason=row["reason"],
        counts=json.loads(row["counts"]),
        size=json.loads(row["size"]),
        # A store of an earlier gridwatch has none.
        timing=json.loads(row.get("timing") or "{}"),
        **times,
    )


def _datafeed(row: dict[str, Any]) -> Datafeed:
    rest = {one.name: row[one.name] for one in fields(Datafeed) if one.name != "config"}
    # A column that was added to a store of an earlier gridwatch is null.
    rest["failures"] = rest["failures"] or 0
    rest["late"] = {int(start): int(many) for start, many in json.loads(rest["late"] or "{}").items()}
    return Datafeed(config=parse_datafeed(json.loads(row["config"])), **rest)


def _unknown(what: str, part: str) -> JobsNotFoundError:
    return JobsNotFoundError(f"No known {what} with id '{part}'.", pattern=part)
