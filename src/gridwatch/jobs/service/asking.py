"""What can be asked: configs, stats, results and estimates, as Elasticsearch answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gridwatch.errors import JobsNotFoundError, JobsValueError
from gridwatch.jobs import results_json, units
from gridwatch.jobs.results import Kind, Wanted
from gridwatch.jobs.service import stats
from gridwatch.jobs.service.data import JobData
from gridwatch.jobs.service.estimate import estimate

__all__ = ["Asking"]

_RECORDS_MAX = 100
"""Records in one expanded bucket."""


class Asking(JobData):
    """Questions that change nothing."""

    def jobs_json(self, pattern: str = "_all", *, allow_no_match: bool = True) -> dict[str, Any]:
        """Return `count` and `jobs`, the configs, each with its datafeed as `datafeed_config`.

        Raises:
            JobsNotFoundError: An id names none, or nothing matches and that is not allowed.
        """
        jobs = self.resources.jobs(pattern, allow_no_match=allow_no_match)
        feeds = {feed.config.job_id: feed for feed in self.resources.datafeeds()}
        return {"count": len(jobs), "jobs": [stats.job_json(job, feeds.get(job.id)) for job in jobs]}

    def datafeeds_json(self, pattern: str = "_all", *, allow_no_match: bool = True) -> dict[str, Any]:
        """Return `count` and `datafeeds`, the configs; see `jobs_json`."""
        feeds = self.resources.datafeeds(pattern, allow_no_match=allow_no_match)
        return {"count": len(feeds), "datafeeds": [stats.datafeed_json(feed) for feed in feeds]}

    def job_stats(self, pattern: str = "_all", *, allow_no_match: bool = True) -> dict[str, Any]:
        """Return `count` and `jobs`, how each fares; see `jobs_json`."""
        jobs = self.resources.jobs(pattern, allow_no_match=allow_no_match)
        now_ms = self.now_ms()
        return {"count": len(jobs), "jobs": [stats.job_stats_json(job, now_ms) for job in jobs]}

    def datafeed_stats(self, pattern: str = "_all", *, allow_no_match: bool = True) -> dict[str, Any]:
        """Return `count` and `datafeeds`, how each fares; see `jobs_json`."""
        feeds = self.resources.datafeeds(pattern, allow_no_match=allow_no_match)
        jobs = {job.id: job for job in self.resources.jobs()}
        found = [stats.datafeed_stats_json(feed, jobs.get(feed.config.job_id)) for feed in feeds]
        return {"count": len(feeds), "datafeeds": found}

    def buckets(
        self, job_id: str, wanted: Wanted | None = None, *, timestamp_ms: int | None = None, expand: bool = False
    ) -> dict[str, Any]:
        """Return `count` (of all that match) and `buckets` of a job, oldest first unless told otherwise.

        Args:
            job_id: Which.
            wanted: Which buckets.
            timestamp_ms: The one bucket that starts then, UTC epoch ms.
            expand: Whether each bucket has its records.

        Raises:
            JobsNotFoundError: There is no such job, or no bucket at `timestamp_ms`.
            JobsValueError: Sorted by what buckets do not have.
        """
        job = self.resources.job(job_id)
        wanted = wanted or Wanted()
        if timestamp_ms is not None:
            wanted = replace(wanted, start_ms=timestamp_ms, end_ms=timestamp_ms + 1)
        count, rows = self._find("buckets", [job_id], wanted)
        if timestamp_ms is not None and not rows:
            raise JobsNotFoundError(f"No known bucket of job [{job_id}] with timestamp [{timestamp_ms}].")
        records = None
        found = []
        for row in rows:
            if expand:
                start = results_json.time_ms(row["ts"])
                inside = Wanted(start, start + 1, interim=wanted.interim, sort="record_score", descending=True,
                                size=_RECORDS_MAX)  # fmt: skip
                records = [
                    results_json.record_json(one, job.config) for one in self._find("records", [job_id], inside)[1]
                ]
            found.append(results_json.bucket_json(row, records))
        return {"count": count, "buckets": found}

    def records(self, job_id: str, wanted: Wanted | None = None) -> dict[str, Any]:
        """Return `count` (of all that match) and `records` of a job, the greatest score first unless told otherwise.

        Raises:
            JobsNotFoundError: There is no such job.
            JobsValueError: Sorted by what records do not have.
        """
        job = self.resources.job(job_id)
        count, rows = self._find("records", [job_id], wanted or Wanted(sort="record_score", descending=True))
        return {"count": count, "records": [results_json.record_json(row, job.config) for row in rows]}

    def influencers(self, job_id: str, wanted: Wanted | None = None) -> dict[str, Any]:
        """Return `count` (of all that match) and `influencers` of a job, the greatest score first; see `records`."""
        self.resources.job(job_id)
        count, rows = self._find("influencers", [job_id], wanted or Wanted(sort="influencer_score", descending=True))
        return {"count": count, "influencers": [results_json.influencer_json(row) for row in rows]}

    def model_plot(self, job_id: str, wanted: Wanted | None = None) -> dict[str, Any]:
        """Return `count` (of all that match) and `model_plot` of a job, oldest first; see `records`."""
        job = self.resources.job(job_id)
        count, rows = self._find("model_plot", [job_id], wanted or Wanted())
        return {"count": count, "model_plot": [results_json.model_plot_json(row, job.config) for row in rows]}

    def overall_buckets(
        self,
        pattern: str = "_all",
        *,
        top_n: int = 1,
        bucket_span: str | None = None,
        overall_score: float = 0.0,
        start_ms: int | None = None,
        end_ms: int | None = None,
        exclude_interim: bool = False,
        allow_no_match: bool = True,
    ) -> dict[str, Any]:
        """Return `count` and `overall_buckets`: what several jobs say of the same time.

        Args:
            pattern: Which jobs.
            top_n: How many jobs' scores are averaged, the greatest first.
            bucket_span: Length of an overall bucket, a time value; None for the longest bucket span of the jobs.
            overall_score: Least score wanted.
            start_ms: First bucket wanted, UTC epoch ms.
            end_ms: First not wanted any more.
            exclude_interim: Whether to leave out what may still change.
            allow_no_match: Whether a pattern may match nothing.

        Raises:
            JobsNotFoundError: An id names none, or nothing matches and that is not allowed.
            JobsValueError: `top_n` is below 1, or the span is shorter than that of a job.
        """
        if top_n < 1:
            raise JobsValueError(f"has to be 1 or more, got {top_n}.", path="top_n")
        jobs = self.resources.jobs(pattern, allow_no_match=allow_no_match)
        if not jobs:
            return {"count": 0, "overall_buckets": []}
        longest = max(job.config.bucket_span_ms for job in jobs)
        span = longest if bucket_span is None else units.ms_of(bucket_span, "bucket_span")
        if span < longest:
            raise JobsValueError(
                f"has to be at least the longest bucket_span of the jobs, {units.duration_of(longest)}, got "
                f"{bucket_span}.",
                path="bucket_span",
            )
        wanted = Wanted(start_ms, end_ms, interim=not exclude_interim)
        rows = self.results.scores([job.id for job in jobs], wanted)
        found = results_json.overall_json(rows, job_span_ms=longest, span_ms=span, top_n=top_n, score_min=overall_score)
        return {"count": len(found), "overall_buckets": found}

    def estimate_model_memory(
        self,
        analysis_config: Mapping[str, Any],
        overall_cardinality: Mapping[str, int] | None = None,
        max_bucket_cardinality: Mapping[str, int] | None = None,
    ) -> dict[str, Any]:
        """Return `model_memory_estimate`, such as `12mb`: the measured bytes of a series times how many there are.

        Args:
            analysis_config: Of the job.
            overall_cardinality: How many values each by and partition field has in all.
            max_bucket_cardinality: How many values each influencer has in one bucket, at most.

        Raises:
            JobsError: The config is wrong.
            JobsValueError: The cardinality of a split field is missing.
        """
        return estimate(self.model, analysis_config, overall_cardinality or {}, max_bucket_cardinality or {})

    def _find(self, kind: Kind, job_ids: Sequence[str], wanted: Wanted) -> tuple[int, list[dict[str, Any]]]:
        try:
            page = self.results.find(kind, job_ids, wanted)
        except ValueError as error:
            raise JobsValueError(str(error), path="sort", value=wanted.sort) from error
        return page.count, page.rows
