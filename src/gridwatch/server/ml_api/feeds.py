"""The addresses of datafeeds: made, changed, started, stopped, deleted and previewed."""

from __future__ import annotations

from typing import Any

from gridwatch.server.ml_api.asked import Asked
from gridwatch.server.ml_api.endpoint import endpoint
from gridwatch.server.ml_api.errors import MlApiError
from gridwatch.server.ml_api.service import jobs
from gridwatch.server.ml_api.shapes import configs

__all__: list[str] = []

_ROOT = "/_ml/datafeeds"
_FEED = f"{_ROOT}/<datafeed_id>"
_WAIT_MAX_S = 60.0
"""A thread waits for as long at most, whatever the caller would."""
_INDICES = ("allow_no_indices", "expand_wildcards", "ignore_throttled", "ignore_unavailable")


@endpoint("PUT", _FEED, body="config", parameters=_INDICES, write=True)
def put_datafeed(asked: Asked, datafeed_id: str) -> Any:
    """Make a datafeed."""
    jobs().put_datafeed(asked.body, datafeed_id=datafeed_id)
    return jobs().datafeeds_json(datafeed_id)["datafeeds"][0]


@endpoint("GET", _ROOT, _FEED, parameters=("allow_no_match", "exclude_generated"))
def get_datafeeds(asked: Asked, datafeed_id: str = "_all") -> Any:
    """Return configs."""
    found = jobs().datafeeds_json(datafeed_id, allow_no_match=asked.flag("allow_no_match", True))
    return {**found, "datafeeds": configs(asked, found["datafeeds"])}


@endpoint("GET", f"{_ROOT}/_stats", f"{_FEED}/_stats", parameters=("allow_no_match",))
def datafeed_stats(asked: Asked, datafeed_id: str = "_all") -> Any:
    """Return how datafeeds fare."""
    return jobs().datafeed_stats(datafeed_id, allow_no_match=asked.flag("allow_no_match", True))


@endpoint("DELETE", _FEED, parameters=("force",), write=True)
def delete_datafeed(asked: Asked, datafeed_id: str) -> Any:
    """Delete a datafeed."""
    jobs().delete_datafeed(datafeed_id, force=asked.flag("force"))
    return {"acknowledged": True}


@endpoint("POST", f"{_FEED}/_update", body="config", parameters=_INDICES, write=True)
def update_datafeed(asked: Asked, datafeed_id: str) -> Any:
    """Change a stopped datafeed."""
    jobs().update_datafeed(datafeed_id, asked.body)
    return jobs().datafeeds_json(datafeed_id)["datafeeds"][0]


@endpoint("POST", f"{_FEED}/_start", body="parameters", parameters=("start", "end", "timeout"), write=True, heavy=True)
def start_datafeed(asked: Asked, datafeed_id: str) -> Any:
    """Start a datafeed; it runs beside the server."""
    asked.duration("timeout")
    jobs().start_datafeed(datafeed_id, start_ms=asked.instant("start"), end_ms=asked.instant("end"))
    return {"started": True, "node": "gridwatch"}


@endpoint(
    "POST",
    f"{_FEED}/_stop",
    body="parameters",
    parameters=("allow_no_match", "force", "timeout", "close_job"),
    write=True,
)
def stop_datafeeds(asked: Asked, datafeed_id: str) -> Any:
    """Stop datafeeds."""
    from gridwatch.jobs.service.datafeeds import STOP_WAIT_S

    timeout_ms = asked.duration("timeout")
    jobs().stop_datafeeds(
        datafeed_id,
        force=asked.flag("force"),
        allow_no_match=asked.flag("allow_no_match", True),
        close_job=asked.flag("close_job"),
        wait_s=STOP_WAIT_S if timeout_ms is None else min(timeout_ms / 1000.0, _WAIT_MAX_S),
    )
    return {"stopped": True}


@endpoint(
    "GET POST",
    f"{_ROOT}/_preview",
    f"{_FEED}/_preview",
    body="parameters",
    parameters=("start", "end"),
    body_only=("datafeed_config", "job_config"),
    heavy=True,
)
def preview_datafeed(asked: Asked, datafeed_id: str | None = None) -> Any:
    """Return the first rows as the job gets them."""
    feed, job = asked.object("datafeed_config"), asked.object("job_config")
    if datafeed_id is None and feed is None and job is None:
        raise MlApiError(
            400, "illegal_argument_exception", "a preview needs the id of a datafeed, or [datafeed_config] in its body."
        )
    return jobs().preview_datafeed(
        datafeed_id, datafeed=feed, job=job, start_ms=asked.instant("start"), end_ms=asked.instant("end")
    )
