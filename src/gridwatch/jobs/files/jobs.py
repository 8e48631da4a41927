"""Jobs in files: what has to be done about each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gridwatch.errors import JobsError
from gridwatch.jobs.config import check_new, check_together, parse_job
from gridwatch.jobs.files.steps import Change, Step, changes, top_of
from gridwatch.jobs.service.updates import updated_job

if TYPE_CHECKING:
    from gridwatch.jobs.config import JobConfig
    from gridwatch.jobs.files.known import Known
    from gridwatch.jobs.files.reading import Resource
    from gridwatch.jobs.resources import Job
    from gridwatch.jobs.service import JobsService

__all__ = ["apply", "lost", "plan"]

_NEVER = ("analysis_config", "data_description", "model", "results_index_name")
_DESCRIPTION = re.compile(r"analysis_config\.detectors\[(\d+)\]\.detector_description")
_PRUNE_WINDOW = "analysis_config.model_prune_window"


def plan(known: Known, one: Resource, *, recreate: bool) -> Step:
    """Return what has to be done about a job; its config is known from then on."""
    try:
        config = parse_job(one.body, job_id=one.id)
        if one.id not in known.jobs:
            check_new(config)
    except JobsError as error:
        return Step("job", one.id, "refuse", one.file, reason=str(error))
    known.wanted[one.id] = config
    stored = known.jobs.get(one.id)
    if stored is None:
        return _created(known, one, config)
    found = changes(stored.config.to_json(), config.to_json())
    if not found:
        return Step("job", one.id, "none", one.file)
    fixed = [each.path for each in found if _is_fixed(each.path)]
    if fixed:
        reason = f"{_listed(fixed)} never changes in a job that is there"
        if not recreate:
            reason += "; --recreate deletes the job, with what it has learnt and found, and makes it anew"
            return Step("job", one.id, "refuse", one.file, found, reason)
        return Step("job", one.id, "recreate", one.file, found, reason, lost(stored), one.body)
    body = _update(found, config)
    try:
        changed = updated_job(stored, body)
        feed = known.feed_of(one.id)
        if feed is not None and ("datafeed", feed.id) not in known.named:
            check_together(changed, feed.config)
    except JobsError as error:
        return Step("job", one.id, "refuse", one.file, found, str(error))
    return Step("job", one.id, "update", one.file, found, body=body)


def _created(known: Known, one: Resource, config: JobConfig) -> Step:
    groups = {group for job in known.jobs.values() for group in job.config.groups if known.stays("job", job.id)}
    if config.job_id in groups:
        return Step("job", one.id, "refuse", one.file, reason=f"the id {one.id!r} is the name of a group")
    return Step("job", one.id, "create", one.file, body=one.body)


def _is_fixed(path: str) -> bool:
    return top_of(path) in _NEVER and path != _PRUNE_WINDOW and _DESCRIPTION.fullmatch(path) is None


def _listed(paths: list[str]) -> str:
    more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
    return f"[{paths[0]}]{more}"


def lost(stored: Job) -> tuple[str, ...]:
    """Return what is lost with a job, as warnings."""
    if not stored.counts.get("bucket_count"):
        return ()
    return (f"what it has learnt of {stored.counts['bucket_count']:,} buckets, and their results, are lost",)


def _update(found: tuple[Change, ...], config: JobConfig) -> dict[str, Any]:
    """Return the body of an `_update` that makes these changes; null brings a default back."""
    given = config.model_dump(exclude_unset=True, exclude_none=True)
    body: dict[str, Any] = {}
    for each in found:
        match = _DESCRIPTION.fullmatch(each.path)
        if match is not None:
            place = int(match[1])
            text = config.detectors[place].description()
            body.setdefault("detectors", []).append({"detector_index": place, "description": text})
        elif each.path == _PRUNE_WINDOW:
            body["model_prune_window"] = config.analysis_config.model_prune_window
        else:
            top = top_of(each.path)
            body[top] = given.get(top)
    return body


def apply(service: JobsService, step: Step) -> None:
    """Do a step.

    Raises:
        JobsError: The store is no longer as it was planned for.
    """
    if step.action in {"delete", "recreate"}:
        service.delete_job(step.id, force=step.action == "recreate")
    if step.action in {"create", "recreate"}:
        service.put_job(step.body, job_id=step.id)
    if step.action == "update":
        service.update_job(step.id, step.body)
