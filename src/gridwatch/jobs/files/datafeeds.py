"""Datafeeds in files: what has to be done about each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gridwatch.errors import JobsError, JobsNotFoundError
from gridwatch.jobs.config import DatafeedConfig, check_together, parse_datafeed
from gridwatch.jobs.extraction import Extraction
from gridwatch.jobs.files.steps import Step, changes, top_of
from gridwatch.jobs.service.updates import updated_datafeed

if TYPE_CHECKING:
    from collections.abc import Iterable, Set

    from gridwatch.jobs.files.known import Known
    from gridwatch.jobs.files.reading import Resource
    from gridwatch.jobs.service import JobsService

__all__ = ["apply", "carried", "kept", "make_room", "plan"]


def plan(known: Known, one: Resource, *, recreate: bool) -> Step:
    """Return what has to be done about a datafeed. Jobs are planned before it."""
    try:
        config = parse_datafeed(one.body, datafeed_id=one.id)
    except JobsError as error:
        return Step("datafeed", one.id, "refuse", one.file, reason=str(error))
    first = known.fed.setdefault(config.job_id, one.id)
    if first != one.id:
        reason = f"job {config.job_id!r} has another datafeed in these files, {first!r}; a job has one"
        return Step("datafeed", one.id, "refuse", one.file, reason=reason)
    stored = known.datafeeds.get(one.id)
    found = () if stored is None else changes(stored.config.to_json(), config.to_json())
    if stored is not None and not found:
        return Step("datafeed", one.id, "none", one.file)
    wrong, warnings = _checked(known, config)
    if wrong:
        return Step("datafeed", one.id, "refuse", one.file, found, wrong)
    if stored is None:
        return Step("datafeed", one.id, "create", one.file, warnings=warnings, body=one.body)
    if stored.config.job_id != config.job_id:
        reason = "[job_id] never changes in a datafeed that is there"
        if not recreate:
            return Step("datafeed", one.id, "refuse", one.file, found, f"{reason}; --recreate makes it anew")
        return Step("datafeed", one.id, "recreate", one.file, found, reason, warnings, one.body)
    given = config.model_dump(exclude_unset=True, exclude_none=True)
    tops = dict.fromkeys(top_of(each.path) for each in found)
    body: dict[str, Any] = {top: given.get(top) for top in tops}
    try:
        updated_datafeed(replace(stored, state="stopped"), body)
    except JobsError as error:
        return Step("datafeed", one.id, "refuse", one.file, found, str(error))
    if stored.state == "stopped":
        return Step("datafeed", one.id, "update", one.file, found, warnings=warnings, body=body)
    if warnings:
        # It would run on and find nothing.
        reason = f"{warnings[0]} It is {stored.state}; `gridwatch datafeeds stop {one.id}` stops it."
        return Step("datafeed", one.id, "refuse", one.file, found, reason)
    runs = "it runs: it stops after the rows at hand, is changed, and goes on from where it was"
    return Step("datafeed", one.id, "update", one.file, found, warnings=(runs,), body=body)


def _checked(known: Known, config: DatafeedConfig) -> tuple[str, tuple[str, ...]]:
    """Return why a datafeed is refused, "" where it is not, and what may be wrong all the same."""
    if ("job", config.job_id) in known.named and config.job_id not in known.wanted:
        return f"its job {config.job_id!r} is refused", ()
    job = known.job(config.job_id)
    if job is None:
        return f"there is no job {config.job_id!r}, and no file for it", ()
    other = known.feed_of(config.job_id)
    leaves = other is None or other.id in known.moved or not known.stays("datafeed", other.id)
    if other is not None and other.id != config.datafeed_id and not leaves:
        return f"job {config.job_id!r} has the datafeed {other.id!r}; --prune deletes it where no file names it", ()
    try:
        check_together(job, config)
        Extraction(known.service.store, job, config, now_ms=known.service.now_ms())
    except JobsNotFoundError as error:
        # Rows may come later; a start tells it again.
        return "", (str(error),)
    except JobsError as error:
        return str(error), ()
    return "", ()


def carried(known: Known, step: Step, anew: Set[str]) -> Step:
    """Return the step of a datafeed whose job is made anew, for it goes with the old one; other steps as they are."""
    stored = known.datafeeds.get(step.id)
    if step.kind != "datafeed" or step.action not in {"none", "update"} or stored is None:
        return step
    job_id = stored.config.job_id
    if job_id not in anew:
        return step
    body = stored.config.model_dump(exclude_none=True)
    whole = {name: value for name, value in {**body, **step.body}.items() if value is not None}
    return replace(step, action="recreate", reason=f"its job {job_id!r} is made anew", body=whole)


def kept(known: Known, anew: Set[str]) -> list[Step]:
    """Return a step for each datafeed that no file names and whose job is made anew: it stays as it is."""
    return [
        Step(
            "datafeed",
            feed.id,
            "recreate",
            reason=f"its job {feed.config.job_id!r} is made anew",
            body=feed.config.model_dump(exclude_none=True),
        )
        for feed in known.datafeeds.values()
        if feed.config.job_id in anew and ("datafeed", feed.id) not in known.named and known.stays("datafeed", feed.id)
    ]


def make_room(service: JobsService, steps: Iterable[Step]) -> None:
    """Delete the datafeeds that go to another job: it may have one that goes to theirs, and a job has one at a time."""
    for step in steps:
        if step.kind == "datafeed" and step.action == "recreate":
            stored = next((feed for feed in service.resources.datafeeds() if feed.id == step.id), None)
            if stored is not None and stored.config.job_id != step.body.get("job_id"):
                service.delete_datafeed(step.id, force=True)


def apply(service: JobsService, step: Step) -> None:
    """Do a step.

    Raises:
        JobsError: The store is no longer as it was planned for.
    """
    if step.action == "delete" or (step.action == "recreate" and _there(service, step.id)):
        service.delete_datafeed(step.id, force=step.action == "recreate")
    if step.action in {"create", "recreate"}:
        service.put_datafeed(step.body, datafeed_id=step.id)
    if step.action == "update":
        service.update_datafeed(step.id, step.body, running=True)


def _there(service: JobsService, datafeed_id: str) -> bool:
    # With its job, a datafeed is deleted too.
    return any(feed.id == datafeed_id for feed in service.resources.datafeeds())
