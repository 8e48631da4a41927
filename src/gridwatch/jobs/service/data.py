"""Rows that are posted to a job, and a look at what has come of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gridwatch.errors import JobsValueError
from gridwatch.jobs.analysis import Results
from gridwatch.jobs.config import JobConfig, check_new, parse_datafeed, parse_job
from gridwatch.jobs.config.detector import Detector, check_detectors
from gridwatch.jobs.config.reading import read_body
from gridwatch.jobs.extraction import check_asked
from gridwatch.jobs.resources import Job
from gridwatch.jobs.service.training import Trainings
from gridwatch.jobs.service.updates import check_pair

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["JobData"]

_KEY_MAX = 256


class JobData(Trainings):
    """What can be done with an open job, and with a config that is none yet."""

    def post_data(
        self,
        job_id: str,
        frame: pd.DataFrame,
        *,
        key: str | None = None,
        reset_start_ms: int | None = None,
        reset_end_ms: int | None = None,
        invalid_dates: int = 0,
        input_bytes: int = 0,
    ) -> Job:
        """Analyse rows that were posted to an open job; once this returns, they are stored.

        Args:
            job_id: Which.
            frame: The time field int64 ms, and the job's fields.
            key: What the poster calls this post: another one of the same key, of the newest 1,000, does nothing.
            reset_start_ms: Not supported: a gap that is to be posted anew begins here.
            reset_end_ms: And ends here.
            invalid_dates: Rows beside those of `frame` whose time could not be read.
            input_bytes: What the rows took as they were posted.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It is not open.
            JobsValueError: Part of the past is to be posted again, or the key is too long.
        """
        if reset_start_ms is not None or reset_end_ms is not None:
            raise JobsValueError("is not supported; reset the job and post all rows again.", path="reset_start")
        if key is not None and not 0 < len(key) <= _KEY_MAX:
            raise JobsValueError(
                f"has to have 1 to {_KEY_MAX} characters, got {len(key)}; a UUID will do.", path="Idempotency-Key"
            )
        self.resources.job(job_id)
        with self.running.hold(job_id) as open_job:
            open_job.post(frame, key=key, invalid=invalid_dates, input_bytes=input_bytes)
            return open_job.job

    def flush_job(
        self,
        job_id: str,
        *,
        calc_interim: bool = False,
        start_ms: int | None = None,
        end_ms: int | None = None,
        advance_time_ms: int | None = None,
        skip_time_ms: int | None = None,
    ) -> dict[str, Any]:
        """Finish what can be finished of an open job.

        Args:
            job_id: Which.
            calc_interim: Whether interim results of open buckets are written.
            start_ms: First instant of those, UTC epoch ms; None for all.
            end_ms: First instant not wanted any more.
            advance_time_ms: No more rows will come before this: buckets that end there are finished.
            skip_time_ms: As if nothing had been there before this: no results, nothing learnt.

        Returns:
            `flushed` and `last_finalized_bucket_end`, UTC epoch ms, 0 before the first bucket.

        Raises:
            JobsNotFoundError: There is none.
            JobsConflictError: It is not open.
            JobsValueError: The start is not before the end, or time is both advanced and skipped.
        """
        if start_ms is not None and end_ms is not None and start_ms >= end_ms:
            raise JobsValueError(f"invalid [start] {start_ms}: it has to be before [end] {end_ms}.", path="start")
        if not calc_interim and (start_ms is not None or end_ms is not None):
            raise JobsValueError("[start] and [end] go with [calc_interim] true only.", path="calc_interim")
        if advance_time_ms is not None and skip_time_ms is not None:
            raise JobsValueError("[advance_time] and [skip_time] exclude each other.", path="skip_time")
        with self.running.hold(job_id) as open_job:
            analyzer = open_job.analyzer
            if advance_time_ms is not None:
                open_job.commit(analyzer.advance(advance_time_ms), open_job.fed_to_ms)
            if skip_time_ms is not None and (analyzer.next_bucket or 0) < skip_time_ms:
                analyzer.skip(skip_time_ms)
                open_job.commit(Results(), open_job.fed_to_ms)
            if calc_interim:
                open_job.tell_interim(start_ms, end_ms)
            newest = analyzer.counts.latest_bucket_timestamp
            end = 0 if newest is None else newest + open_job.job.config.bucket_span_ms
            return {"flushed": True, "last_finalized_bucket_end": end}

    def validate_job(self, raw: object) -> JobConfig:
        """Return the config that a job's JSON stands for, without making it.

        With a `datafeed_config` the two are checked together.

        Raises:
            JobsError: As `put_job`, but for ids that are taken.
        """
        given = raw.get("job_id") if isinstance(raw, Mapping) else None
        config = parse_job(raw, job_id=None if given else "validated")
        check_new(config)
        if config.datafeed_config is not None:
            feed = parse_datafeed(config.datafeed_config, job_id=config.job_id)
            check_pair(config, feed)
            check_asked(self.store, feed, now_ms=self.now_ms())
        return config

    def validate_detector(self, raw: object) -> Detector:
        """Return the detector that its JSON stands for.

        Raises:
            JobsError: It is wrong.
        """
        return check_detectors([read_body(Detector, raw)], "detectors", summarised=False)[0]
