"""Changes of a job or datafeed that exists: what may change, and the config that comes of it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from gridwatch.errors import JobsBodyError, JobsConflictError, JobsRequestError, JobsValueError
from gridwatch.jobs import units
from gridwatch.jobs.aggregations import check_aggregations
from gridwatch.jobs.config import (
    DatafeedConfig,
    JobConfig,
    check_own_settings,
    check_together,
    parse_datafeed,
    parse_job,
)
from gridwatch.jobs.config.job import AnalysisLimits, ModelPlot
from gridwatch.jobs.config.reading import Body, read_body
from gridwatch.jobs.resources import Datafeed, Job

__all__ = ["check_pair", "updated_datafeed", "updated_job"]

_FIXED_IN_JOBS = ("analysis_config", "data_description", "model", "results_index_name", "datafeed_config")


class _DetectorUpdate(Body):
    detector_index: int
    description: str | None = None
    custom_rules: list[dict[str, Any]] | None = None


class _JobUpdate(Body):
    """The body of a job's `_update`: only these can change."""

    job_id: str | None = None
    description: str | None = None
    groups: list[str] | None = None
    detectors: list[_DetectorUpdate] = Field(default_factory=list)
    analysis_limits: AnalysisLimits | None = None
    model_plot_config: ModelPlot | None = None
    model_prune_window: str | None = None
    background_persist_interval: str | None = None
    renormalization_window_days: int | None = None
    results_retention_days: int | None = None
    model_snapshot_retention_days: int | None = None
    daily_model_snapshot_retention_after_days: int | None = None
    allow_lazy_open: bool | None = None
    custom_settings: dict[str, Any] | None = None


def check_pair(job: JobConfig, feed: DatafeedConfig) -> None:
    """Refuse a job and a datafeed that cannot work together.

    Raises:
        JobsError: They contradict each other; says what to change.
    """
    check_together(job, feed)
    check_aggregations(job, feed)


def updated_job(job: Job, raw: object) -> JobConfig:
    """Return the config of a job after an update; a key that is null goes back to its default.

    Args:
        job: As it is.
        raw: The body of the update.

    Raises:
        JobsBodyError: A key is unknown, or one that never changes.
        JobsConflictError: Its memory limit changes while it is open.
        JobsError: A value is not allowed.
    """
    fixed = [name for name in _FIXED_IN_JOBS if isinstance(raw, dict) and name in raw]
    if fixed:
        raise JobsBodyError(
            "cannot be changed once a job is made; make another job, or delete this one first.",
            path=fixed[0],
            allowed=_JobUpdate.model_fields,
        )
    update = read_body(_JobUpdate, raw)
    if update.job_id not in {None, job.id}:
        raise JobsValueError(f"the job_id in the body is {update.job_id!r}, in the address {job.id!r}.", path="job_id")
    config = _without_defaults(job.config)
    config["analysis_config"]["detectors"] = _detectors(config["analysis_config"]["detectors"], update.detectors)
    if "model_prune_window" in update.model_fields_set:
        _set(config["analysis_config"], "model_prune_window", update.model_prune_window)
    given = update.model_dump(exclude_unset=True, exclude={"job_id", "detectors", "model_prune_window"})
    for name, value in given.items():
        _set(config, name, value)
    changed = parse_job(config)
    if update.custom_settings is not None:
        check_own_settings(changed)
    _check_limit(job, changed)
    return changed


def updated_datafeed(feed: Datafeed, raw: object) -> DatafeedConfig:
    """Return the config of a datafeed after an update; a key that is null goes back to its default.

    Args:
        feed: As it is.
        raw: The body of the update.

    Raises:
        JobsConflictError: It runs.
        JobsError: It names another job, or a value is not allowed.
    """
    if feed.state != "stopped":
        raise JobsConflictError(
            f"Cannot update datafeed [{feed.id}] while its status is {feed.state}.", datafeed_id=feed.id
        )
    if not isinstance(raw, dict):
        raise JobsBodyError(f"expected an object, got {raw!r}.")
    body = dict(raw)
    for short, name in (("aggs", "aggregations"), ("indexes", "indices")):
        if short in body and name not in body:
            body[name] = body.pop(short)
    for name, value in (("job_id", feed.config.job_id), ("datafeed_id", feed.id)):
        if body.pop(name, value) != value:
            raise JobsValueError(f"cannot be changed; it is {value!r}, got {raw[name]!r}.", path=name)
    config = feed.config.model_dump(exclude_unset=True, exclude_none=True)
    for name, value in body.items():
        _set(config, name, value)
    return parse_datafeed(config, datafeed_id=feed.id, job_id=feed.config.job_id)


def _without_defaults(config: JobConfig) -> dict[str, Any]:
    return config.model_dump(exclude_unset=True, exclude_none=True)


def _set(config: dict[str, Any], name: str, value: object) -> None:
    if value is None:
        config.pop(name, None)
    else:
        config[name] = value


def _detectors(detectors: list[dict[str, Any]], updates: list[_DetectorUpdate]) -> list[dict[str, Any]]:
    for place, update in enumerate(updates):
        path = f"detectors[{place}]"
        if not 0 <= update.detector_index < len(detectors):
            raise JobsRequestError(
                f"detector_index is out of range: {update.detector_index}; the job has {len(detectors)} detectors, "
                "from 0.",
                path=f"{path}.detector_index",
            )
        if update.custom_rules:
            raise JobsValueError("[custom_rules] are not supported yet; leave them out.", path=f"{path}.custom_rules")
        if update.description is not None:
            detectors[update.detector_index]["detector_description"] = update.description
    return detectors


def _check_limit(job: Job, changed: JobConfig) -> None:
    if changed.memory_limit == job.config.memory_limit:
        return
    path = "analysis_limits.model_memory_limit"
    if job.state != "closed":
        raise JobsConflictError(
            f"Cannot update [analysis_limits] while job [{job.id}] is {job.state}; close it first.", path=path
        )
    used = int(job.size.get("model_bytes") or 0)
    if changed.memory_limit < used:
        raise JobsValueError(
            f"cannot be {units.megabytes_text(changed.memory_limit)}: the models of job [{job.id}] take "
            f"{units.megabytes_text(used + (1 << 20) - 1)} already.",
            path=path,
        )
