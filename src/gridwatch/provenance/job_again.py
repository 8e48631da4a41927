"""Anomalies of jobs, found again: a fresh analysis goes through the rows that the datafeed reads, from its start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gridwatch.detectors.severity import severity_by_p
from gridwatch.errors import JobsNotFoundError, ProvenanceError
from gridwatch.jobs.analysis import Analyzer, Results
from gridwatch.jobs.analysis.models import BUCKETS
from gridwatch.jobs.anomalies import anomaly_row
from gridwatch.jobs.extraction import Extraction
from gridwatch.jobs.resources import Datafeed, Job, Resources
from gridwatch.provenance.again import Again
from gridwatch.provenance.job_networks import RecordedNetworks

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.provenance.subject import Subject
    from gridwatch.settings import Settings

__all__ = ["job_again"]

_COMPARED = ("actual", "expected", "lower", "upper", "score", "p_value", "driver", "severity")


def job_again(store: Store, settings: Settings, group: Sequence[Subject], *, now_ms: int) -> dict[str, Again | str]:
    """Return anomalies of one job found again, by their ids; or why one was not.

    Args:
        store: Holds the job, its datafeed and the rows.
        settings: MLflow, where the networks of a job are kept that has them.
        group: Anomalies of one job.
        now_ms: What `now` in the datafeed's query means, UTC epoch ms.

    Raises:
        ProvenanceError: The job is gone, its rows were posted to it and are not kept, or its network is not in MLflow.
        JobsError: The rows cannot be read as the datafeed says.
    """
    job, feed = _resources(store, group[0].job_id or "")
    extraction = Extraction(store, job.config, feed.config, now_ms=now_ms)
    source = ",".join(extraction.containers)
    wanted = {one.ts_ms for one in group}
    by_p = {one.id for one in group if "severity_by" not in one.said}
    teacher = RecordedNetworks(settings, job.id) if job.config.model.type == "lstm" else None
    analyzer = Analyzer(job.config, BUCKETS, teacher=teacher)
    found: dict[str, dict[str, object]] = {}
    rows = 0

    def keep(results: Results) -> None:
        for record in results.records:
            if record.timestamp in wanted:
                row = anomaly_row(job.config, record, source)
                if str(row["id"]) in by_p:
                    row["severity"] = severity_by_p(record.probability)
                found[str(row["id"])] = row

    end_ms = max(wanted) + job.config.bucket_span_ms
    for frame in extraction.frames(feed.start_ms or 0, end_ms):
        rows += len(frame)
        keep(analyzer.push(frame))
    keep(analyzer.advance(end_ms))
    text = f"Found by job {job.id!r} in {rows:,} rows of {source}, gone through from the datafeed's start."
    missing = f"A fresh analysis of {rows:,} rows of {source} finds no such record: {_CAUSES}."
    return {
        one.id: Again(found[one.id], _COMPARED, text, rows, True, (_CAUSES,)) if one.id in found else missing
        for one in group
    }


_CAUSES = (
    "rows, job or datafeed have changed since, or the datafeed was started again at another time, which the stored "
    "state still knows"
)


def _resources(store: Store, job_id: str) -> tuple[Job, Datafeed]:
    resources = Resources(store, make=False)
    try:
        job = resources.job(job_id)
    except JobsNotFoundError as error:
        raise ProvenanceError(f"There is no job {job_id!r} any more; what it has learnt is gone with it.") from error
    feed = resources.datafeed_of(job_id)
    if feed is None:
        raise ProvenanceError(
            f"Job {job_id!r} has no datafeed: its rows were posted to it, and are not kept once they are analysed."
        )
    return job, feed
