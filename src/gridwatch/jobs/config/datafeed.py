"""A datafeed: which rows reach a job, and when; read from Elasticsearch's JSON and written as it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gridwatch.errors import JobsBodyError, JobsValueError
from gridwatch.jobs import units
from gridwatch.jobs.config.job import JobConfig
from gridwatch.jobs.config.reading import Body, check_id, read_body

__all__ = ["Chunking", "DatafeedConfig", "DelayedDataCheck", "check_together", "parse_datafeed"]

_SCROLL_MAX = 10_000
_MINUTE_MS = 60_000
_MANUAL_DEFAULT_MS = 3 * 3_600_000
_CHECK_SPANS_MAX = 10_000


class Chunking(Body):
    """`chunking_config`: how the time of a search is cut."""

    mode: Literal["auto", "manual", "off"]
    time_span: str | None = None


class DelayedDataCheck(Body):
    """`delayed_data_check_config`: whether rows that came too late are looked for, and how far back."""

    enabled: bool = True
    check_window: str | None = None


class DatafeedConfig(Body):
    """A datafeed as it is stored; `parse_datafeed` makes it.

    Attributes:
        indices: Containers by name, `*` and `?` allowed, `-name` to leave one out.
        query: Query DSL; `gridwatch.jobs.query` reads it.
        aggregations: Aggregations; `gridwatch.jobs.aggregations` reads them.
        runtime_mappings: Fields made by scripts, by name.
    """

    datafeed_id: str = ""
    job_id: str = ""
    indices: list[str] | str = Field(default_factory=list)
    query: dict[str, Any] = Field(default_factory=lambda: {"match_all": {}})
    aggregations: dict[str, Any] | None = None
    runtime_mappings: dict[str, Any] = Field(default_factory=dict)
    script_fields: dict[str, Any] | None = None
    frequency: str | None = None
    query_delay: str | None = None
    scroll_size: int = Field(1000, ge=0, le=_SCROLL_MAX)
    chunking_config: Chunking | None = None
    delayed_data_check_config: DelayedDataCheck = DelayedDataCheck()
    max_empty_searches: int | None = None
    indices_options: dict[str, Any] | None = None

    @property
    def index_names(self) -> list[str]:
        """The patterns in `indices`, one by one."""
        given = [self.indices] if isinstance(self.indices, str) else self.indices
        return [name.strip() for one in given for name in one.split(",") if name.strip()]

    def frequency_ms(self, bucket_span_ms: int, interval_ms: int | None = None) -> int:
        """Return how often the feed searches, ms.

        Args:
            bucket_span_ms: Of its job.
            interval_ms: Interval of its date_histogram, to which the default is rounded down; by default that of its
                aggregations.
        """
        if self.frequency is not None:
            return units.ms_of(self.frequency, "frequency")
        if interval_ms is None and (histogram := self._histogram()) is not None:
            interval_ms = histogram[0]
        if bucket_span_ms <= 2 * _MINUTE_MS:
            chosen = _MINUTE_MS
        elif bucket_span_ms <= 20 * _MINUTE_MS:
            chosen = bucket_span_ms // 2 // 1000 * 1000
        else:
            chosen = 10 * _MINUTE_MS if bucket_span_ms <= 12 * 60 * _MINUTE_MS else 60 * _MINUTE_MS
        return chosen if interval_ms is None else max(chosen // interval_ms * interval_ms, interval_ms)

    @property
    def query_delay_ms(self) -> int:
        """How far the feed stays behind the clock, ms; by default 60 to 120 s, always the same for a job."""
        if self.query_delay is not None:
            return units.ms_of(self.query_delay, "query_delay")
        seed = int.from_bytes(hashlib.sha256(self.job_id.encode()).digest()[:8])
        return 60_000 + seed % 60_000

    def check_window_ms(self, bucket_span_ms: int) -> int:
        """How far back late rows are looked for, ms: 2 hours or 8 buckets, whichever is more."""
        given = self.delayed_data_check_config.check_window
        if given is None:
            return max(2 * 3_600_000, 8 * bucket_span_ms)
        return units.ms_of(given, "delayed_data_check_config.check_window")

    def chunk_ms(self, interval_ms: int | None, *, composite: bool) -> int | None:
        """Return the length of a chunk, ms; 0 where there is none, None where the rows decide.

        Args:
            interval_ms: Interval of its date_histogram, None without aggregations.
            composite: Whether its aggregation pages by itself.
        """
        chosen = self.chunking_config
        if chosen is None:
            return 0 if composite else None if interval_ms is None else 1000 * interval_ms
        if chosen.mode == "manual":
            span = chosen.time_span
            return _MANUAL_DEFAULT_MS if span is None else units.ms_of(span, "chunking_config.time_span")
        return 0 if chosen.mode == "off" else None if interval_ms is None else 1000 * interval_ms

    def _histogram(self) -> tuple[int, bool] | None:
        """Return the interval of its histogram in ms and whether that is a composite's, None without aggregations."""
        if self.aggregations is None:
            return None
        from gridwatch.jobs.aggregations import interval_of

        return interval_of(self.aggregations)

    def to_json(self) -> dict[str, Any]:
        """Return the datafeed as Elasticsearch would answer it, defaults written out."""
        raw = self.model_dump(exclude_none=True)
        raw = {"datafeed_id": raw.pop("datafeed_id"), "job_id": raw.pop("job_id"), **raw}
        raw["indices"] = self.index_names
        raw["query_delay"] = units.duration_of(self.query_delay_ms)
        if not self.runtime_mappings:
            del raw["runtime_mappings"]
        if self.max_empty_searches == -1:
            del raw["max_empty_searches"]
        if self.chunking_config is None:
            raw["chunking_config"] = self._chunking_json()
        return raw

    def _chunking_json(self) -> dict[str, Any]:
        histogram = self._histogram()
        if histogram is None:
            return {"mode": "auto"}
        span = self.chunk_ms(histogram[0], composite=histogram[1])
        return {"mode": "manual", "time_span": units.duration_of(span)} if span else {"mode": "off"}


def parse_datafeed(raw: object, *, datafeed_id: str | None = None, job_id: str | None = None) -> DatafeedConfig:
    """Return a datafeed from its JSON.

    Args:
        raw: The body of a PUT, or a job's `datafeed_config`.
        datafeed_id: The id in the URL; without it the body's, or the job's.
        job_id: The job it belongs to, where it is known from elsewhere.

    Raises:
        JobsBodyError: An unknown or missing key, a value of another type.
        JobsValueError: A value that is not allowed, or that contradicts another.
    """
    feed = read_body(DatafeedConfig, _renamed(raw))
    for key, given, outer in (("datafeed_id", feed.datafeed_id, datafeed_id), ("job_id", feed.job_id, job_id)):
        if outer is not None and given and given != outer:
            raise JobsValueError(f"the {key} in the body is {given!r}, outside it {outer!r}.", path=key)
    job = job_id or feed.job_id
    known = datafeed_id or feed.datafeed_id or job
    for key, value in (("job_id", job), ("datafeed_id", known)):
        if not value:
            raise JobsBodyError("is required and is missing.", path=key)
        check_id(value, key)
    feed = feed.model_copy(update={"datafeed_id": known, "job_id": job})
    _check(feed)
    return feed


def check_together(job: JobConfig, feed: DatafeedConfig) -> None:
    """Refuse a job and a datafeed that cannot work together, aggregations included.

    Raises:
        JobsBodyError: The aggregations have another shape.
        JobsValueError: Rows may come late although a feed's never do, summaries are missing or unasked for, the time
            is a runtime field, or a window is out of bounds.
    """
    if job.latency_ms:
        raise JobsValueError("a job with latency cannot have a datafeed.", path="analysis_config.latency")
    if job.time_field in feed.runtime_mappings:
        raise JobsValueError(
            f"the time field {job.time_field!r} may not be a runtime field.", path=f"runtime_mappings.{job.time_field}"
        )
    window, span = feed.check_window_ms(job.bucket_span_ms), job.bucket_span_ms
    if feed.delayed_data_check_config.enabled and not span <= window < _CHECK_SPANS_MAX * span:
        raise JobsValueError(
            f"has to be at least the bucket_span ({job.analysis_config.bucket_span}) and below {_CHECK_SPANS_MAX} of "
            f"them, got {units.duration_of(window)}.",
            path="delayed_data_check_config.check_window",
        )
    if feed.aggregations is not None:
        from gridwatch.jobs.aggregations import check_aggregations

        check_aggregations(job, feed)


def _renamed(raw: object) -> object:
    """Return the body with `aggs` and `indexes` under their long names."""
    if not isinstance(raw, Mapping):
        return raw
    body = dict(raw)
    for short, name in (("aggs", "aggregations"), ("indexes", "indices")):
        if short in body:
            if name in body:
                raise JobsValueError(f"[{short}] and [{name}] are the same; give one.", path=short)
            body[name] = body.pop(short)
    return body


def _check(feed: DatafeedConfig) -> None:
    if not feed.index_names:
        raise JobsValueError("names no container; give at least one.", path="indices")
    if feed.script_fields is not None:
        raise JobsValueError("is not supported; use runtime_mappings.", path="script_fields")
    if feed.max_empty_searches is not None and (feed.max_empty_searches == 0 or feed.max_empty_searches < -1):
        raise JobsValueError(
            f"has to be above 0, or -1 for none, got {feed.max_empty_searches}.", path="max_empty_searches"
        )
    if feed.frequency is not None and (
        (frequency := units.ms_of(feed.frequency, "frequency")) <= 0 or frequency % 1000
    ):
        raise JobsValueError(f"has to be whole seconds and at least 1s, got {feed.frequency!r}.", path="frequency")
    if feed.query_delay_ms < 0:
        raise JobsValueError(f"cannot be less than 0, got {feed.query_delay!r}.", path="query_delay")
    chunking = feed.chunking_config
    if chunking is not None and chunking.time_span is not None:
        if chunking.mode != "manual":
            raise JobsValueError(
                f"goes with mode manual only, got mode {chunking.mode!r}.", path="chunking_config.time_span"
            )
        if units.ms_of(chunking.time_span, "chunking_config.time_span") <= 0:
            raise JobsValueError(f"has to be above 0, got {chunking.time_span!r}.", path="chunking_config.time_span")
