"""The addresses of results: buckets, records, influencers and overall buckets."""

from __future__ import annotations

from typing import Any

from gridwatch.errors import JobsBodyError
from gridwatch.jobs.results import Wanted
from gridwatch.server.ml_api.asked import Asked
from gridwatch.server.ml_api.endpoint import endpoint
from gridwatch.server.ml_api.errors import unfit
from gridwatch.server.ml_api.service import jobs

__all__: list[str] = []

_RESULTS = "/_ml/anomaly_detectors/<job_id>/results"
_COMMON = ("start", "end", "exclude_interim", "from", "size", "sort", "desc")
_SIZE = 100
_WINDOW_MAX = 10_000
"""Most results that can be paged through: `from` and `size` together, as Elasticsearch's result window."""


@endpoint(
    "GET POST",
    f"{_RESULTS}/buckets",
    f"{_RESULTS}/buckets/<timestamp>",
    body="parameters",
    parameters=(*_COMMON, "anomaly_score", "expand"),
    body_only=("page", "timestamp"),
    heavy=True,
)
def get_buckets(asked: Asked, job_id: str, timestamp: str | None = None) -> Any:
    """Return buckets, or the one of an instant."""
    at = asked.given.get("timestamp") if timestamp is None else timestamp
    at_ms = None if at is None else Asked({"timestamp": at}).instant("timestamp")
    wanted = _wanted(asked, "anomaly_score", "timestamp", descending=False)
    return jobs().buckets(job_id, wanted, timestamp_ms=at_ms, expand=asked.flag("expand"))


@endpoint(
    "GET POST",
    f"{_RESULTS}/records",
    body="parameters",
    parameters=(*_COMMON, "record_score"),
    body_only=("page",),
)
def get_records(asked: Asked, job_id: str) -> Any:
    """Return records."""
    return jobs().records(job_id, _wanted(asked, "record_score", "record_score", descending=True))


@endpoint(
    "GET POST",
    f"{_RESULTS}/influencers",
    body="parameters",
    parameters=(*_COMMON, "influencer_score"),
    body_only=("page",),
)
def get_influencers(asked: Asked, job_id: str) -> Any:
    """Return influencers."""
    return jobs().influencers(job_id, _wanted(asked, "influencer_score", "influencer_score", descending=True))


@endpoint(
    "GET POST",
    f"{_RESULTS}/overall_buckets",
    body="parameters",
    parameters=(
        "top_n", "bucket_span", "overall_score", "start", "end", "exclude_interim", "allow_no_match",
    ),
    heavy=True,
)  # fmt: skip
def get_overall_buckets(asked: Asked, job_id: str) -> Any:
    """Return what several jobs say together."""
    return jobs().overall_buckets(
        job_id,
        top_n=asked.whole("top_n", 1),
        bucket_span=asked.text("bucket_span"),
        overall_score=asked.number("overall_score", 0.0),
        start_ms=asked.instant("start"),
        end_ms=asked.instant("end"),
        exclude_interim=asked.flag("exclude_interim"),
        allow_no_match=asked.flag("allow_no_match", True),
    )


def _wanted(asked: Asked, score: str, sort: str, *, descending: bool) -> Wanted:
    page = asked.given.get("page", {})
    if not isinstance(page, dict) or not page.keys() <= {"from", "size"}:
        raise JobsBodyError("has [from] and [size] and nothing else.", path="page", allowed=("from", "size"))
    paged = Asked({**asked.given, **{name: value for name, value in page.items() if value is not None}})
    start, size = paged.whole("from", 0), paged.whole("size", _SIZE)
    if start + size > _WINDOW_MAX:
        raise unfit(
            f"[from] and [size] are {start + size} together, at most {_WINDOW_MAX}; ask for less time with [start] and "
            "[end]."
        )
    column = asked.text("sort") or sort
    return Wanted(
        start_ms=asked.instant("start"),
        end_ms=asked.instant("end"),
        score_min=asked.number(score, 0.0),
        interim=not asked.flag("exclude_interim"),
        sort="ts" if column == "timestamp" else column,
        descending=asked.flag("desc", descending),
        start=start,
        size=size,
    )
