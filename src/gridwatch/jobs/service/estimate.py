"""How much memory a job will take, from how many series it will have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gridwatch.errors import JobsValueError
from gridwatch.jobs.analysis.series import SERIES_BYTES
from gridwatch.jobs.config import parse_job

if TYPE_CHECKING:
    from gridwatch.detectors.online.config import AutoConfig
    from gridwatch.jobs.config import Detector

__all__ = ["estimate"]

_MIB = 1 << 20
_INFLUENCER_BYTES = 400
"""A value of an influencer in the rows of an open bucket: its text once, and its rows' codes."""


def estimate(
    model: AutoConfig,
    analysis_config: object,
    overall_cardinality: Mapping[str, int],
    max_bucket_cardinality: Mapping[str, int],
) -> dict[str, Any]:
    """Return `model_memory_estimate` for a config that is no job yet.

    Args:
        model: Members and constants of the models, whose memory is measured.
        analysis_config: Of the job.
        overall_cardinality: How many values each by and partition field has.
        max_bucket_cardinality: How many values each influencer has in one bucket, at most.

    Raises:
        JobsError: The config is wrong.
        JobsValueError: The cardinality of a split field is missing, or below 0.
    """
    from gridwatch.detectors.online.bank import Bank

    job = parse_job({"analysis_config": analysis_config}, job_id="estimated")
    each = Bank(model, 1).nbytes
    size = 0
    for detector in job.detectors:
        size += _series(detector, overall_cardinality) * (each * len(detector.spec.metrics) + SERIES_BYTES)
    for name in job.influencers:
        if not any(name in detector.split_fields for detector in job.detectors):
            size += _known(max_bucket_cardinality, name, "max_bucket_cardinality") * _INFLUENCER_BYTES
    # Elasticsearch never says less than 10 MB, for its process; ours is one that is there anyway.
    return {"model_memory_estimate": f"{max(-(-size // _MIB), 1)}mb"}


def _series(detector: Detector, cardinality: Mapping[str, int]) -> int:
    """Return how many series a detector has at most: all combinations of its split fields."""
    many = 1
    for name in detector.split_fields:
        many *= max(_known(cardinality, name, "overall_cardinality"), 1)
    return many


def _known(cardinality: Mapping[str, int], name: str, path: str) -> int:
    found = cardinality.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise JobsValueError(
            f"is needed for the field [{name}]: how many values it has, a whole number; got {found!r}.",
            path=f"{path}.{name}",
        )
    return found
