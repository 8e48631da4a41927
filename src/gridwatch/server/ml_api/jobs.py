"""The addresses of anomaly detection jobs: made, changed, opened, fed, closed and deleted."""

from __future__ import annotations

from typing import Any

from flask import request

from gridwatch.server.ml_api.asked import Asked
from gridwatch.server.ml_api.endpoint import endpoint
from gridwatch.server.ml_api.posted import check_gaps, post_rows
from gridwatch.server.ml_api.service import jobs
from gridwatch.server.ml_api.shapes import configs

__all__: list[str] = []

_ROOT = "/_ml/anomaly_detectors"
_JOB = f"{_ROOT}/<job_id>"
_INDICES = ("allow_no_indices", "expand_wildcards", "ignore_throttled", "ignore_unavailable")


@endpoint("PUT", _JOB, body="config", parameters=_INDICES, write=True)
def put_job(asked: Asked, job_id: str) -> Any:
    """Make a job, and its datafeed where the body has one."""
    jobs().put_job(asked.body, job_id=job_id)
    return jobs().jobs_json(job_id)["jobs"][0]


@endpoint("GET", _ROOT, _JOB, parameters=("allow_no_match", "exclude_generated"))
def get_jobs(asked: Asked, job_id: str = "_all") -> Any:
    """Return configs."""
    found = jobs().jobs_json(job_id, allow_no_match=asked.flag("allow_no_match", True))
    return {**found, "jobs": configs(asked, found["jobs"])}


@endpoint("GET", f"{_ROOT}/_stats", f"{_JOB}/_stats", parameters=("allow_no_match",))
def job_stats(asked: Asked, job_id: str = "_all") -> Any:
    """Return how jobs fare."""
    return jobs().job_stats(job_id, allow_no_match=asked.flag("allow_no_match", True))


@endpoint("DELETE", _JOB, parameters=("force", "wait_for_completion", "delete_user_annotations"), write=True)
def delete_job(asked: Asked, job_id: str) -> Any:
    """Delete a job with its results and its datafeed."""
    jobs().delete_job(job_id, force=asked.flag("force"))
    return _done(asked)


@endpoint("POST", f"{_JOB}/_update", body="config", write=True)
def update_job(asked: Asked, job_id: str) -> Any:
    """Change what may change of a job."""
    jobs().update_job(job_id, asked.body)
    return jobs().jobs_json(job_id)["jobs"][0]


@endpoint("POST", f"{_JOB}/_open", body="parameters", parameters=("timeout",), write=True)
def open_job(asked: Asked, job_id: str) -> Any:
    """Open a job."""
    asked.duration("timeout")
    jobs().open_job(job_id)
    return {"opened": True, "node": "gridwatch"}


@endpoint("POST", f"{_JOB}/_close", body="parameters", parameters=("allow_no_match", "force", "timeout"), write=True)
def close_jobs(asked: Asked, job_id: str) -> Any:
    """Close jobs."""
    asked.duration("timeout")
    jobs().close_jobs(job_id, force=asked.flag("force"), allow_no_match=asked.flag("allow_no_match", True))
    return {"closed": True}


@endpoint("POST", f"{_JOB}/_train", write=True)
def train_job(asked: Asked, job_id: str) -> Any:
    """Train the network of an open job anew: ours, for jobs whose model is an LSTM."""
    return jobs().train_job(job_id)


@endpoint("POST", f"{_JOB}/_reset", parameters=("wait_for_completion", "delete_user_annotations"), write=True)
def reset_job(asked: Asked, job_id: str) -> Any:
    """Bring a closed job back to its beginning."""
    jobs().reset_job(job_id)
    return _done(asked)


@endpoint(
    "POST",
    f"{_JOB}/_flush",
    body="parameters",
    parameters=("calc_interim", "start", "end", "advance_time", "skip_time"),
    write=True,
    heavy=True,
)
def flush_job(asked: Asked, job_id: str) -> Any:
    """Finish what can be finished of an open job."""
    advance_ms = asked.instant("advance_time")
    if advance_ms is not None:
        check_gaps(jobs().resources.job(job_id), [advance_ms])
    return jobs().flush_job(
        job_id,
        calc_interim=asked.flag("calc_interim"),
        start_ms=asked.instant("start"),
        end_ms=asked.instant("end"),
        advance_time_ms=advance_ms,
        skip_time_ms=asked.instant("skip_time"),
    )


@endpoint("POST", f"{_JOB}/_data", body="rows", parameters=("reset_start", "reset_end"), write=True, heavy=True)
def post_data(asked: Asked, job_id: str) -> Any:
    """Analyse rows that are posted to an open job."""
    counts = post_rows(
        jobs(),
        job_id,
        asked.content,
        key=request.headers.get("Idempotency-Key"),
        reset_start_ms=asked.instant("reset_start"),
        reset_end_ms=asked.instant("reset_end"),
    )
    return counts, 202


@endpoint("POST", f"{_ROOT}/_validate", body="config")
def validate_job(asked: Asked) -> Any:
    """Check a job's config."""
    jobs().validate_job(asked.body)
    return {"acknowledged": True}


@endpoint("POST", f"{_ROOT}/_validate/detector", body="config")
def validate_detector(asked: Asked) -> Any:
    """Check a detector."""
    jobs().validate_detector(asked.body)
    return {"acknowledged": True}


@endpoint(
    "POST",
    f"{_ROOT}/_estimate_model_memory",
    body="parameters",
    body_only=("analysis_config", "overall_cardinality", "max_bucket_cardinality"),
)
def estimate_model_memory(asked: Asked) -> Any:
    """Return how much memory a job would take."""
    return jobs().estimate_model_memory(
        asked.needed("analysis_config"),
        asked.object("overall_cardinality"),
        asked.object("max_bucket_cardinality"),
    )


def _done(asked: Asked) -> dict[str, Any]:
    """Return the answer of what is done at once; who asked not to wait gets the name of a task that is over."""
    asked.flag("delete_user_annotations")
    return {"acknowledged": True} if asked.flag("wait_for_completion", True) else {"task": "gridwatch:0"}
