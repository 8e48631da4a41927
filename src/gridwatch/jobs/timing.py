"""How long buckets take to be analysed, in Elasticsearch's words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["timing_json", "whole_ms", "with_buckets"]

_DECAY = 0.01
"""Weight of the newest bucket in the exponential average, as in Elasticsearch: some 100 buckets count."""
_HOUR_MS = 3_600_000

_PREFIX = "bucket_processing_time_ms"
_NONE: dict[str, float] = dict.fromkeys(
    (f"total_{_PREFIX}", f"minimum_{_PREFIX}", f"maximum_{_PREFIX}", f"average_{_PREFIX}",
     f"exponential_average_{_PREFIX}"),
    0.0,
)  # fmt: skip


def with_buckets(timing: Mapping[str, Any], pieces: Iterable[tuple[int, float]]) -> dict[str, Any]:
    """Return timings with those of some more buckets.

    Args:
        timing: Before, empty for nothing.
        pieces: Buckets that were analysed together, and how long they took, ms; each counts as an equal share.

    >>> one = with_buckets({}, [(2, 10.0)])
    >>> one["bucket_count"], one["total_bucket_processing_time_ms"], one["average_bucket_processing_time_ms"]
    (2, 10.0, 5.0)
    >>> two = with_buckets(one, [(1, 105.0)])
    >>> two["minimum_bucket_processing_time_ms"], two["maximum_bucket_processing_time_ms"]
    (5.0, 105.0)
    >>> two["exponential_average_bucket_processing_time_ms"]
    6.0
    """
    found = {"bucket_count": 0, **_NONE, **timing}
    for buckets, took_ms in pieces:
        if buckets <= 0:
            continue
        each, first = took_ms / buckets, not found["bucket_count"]
        found["bucket_count"] += buckets
        found[f"total_{_PREFIX}"] += took_ms
        found[f"minimum_{_PREFIX}"] = each if first else min(found[f"minimum_{_PREFIX}"], each)
        found[f"maximum_{_PREFIX}"] = max(found[f"maximum_{_PREFIX}"], each)
        before = each if first else found[f"exponential_average_{_PREFIX}"]
        # What as many steps with the same value come to.
        kept = (1.0 - _DECAY) ** buckets
        found[f"exponential_average_{_PREFIX}"] = each + kept * (before - each)
        found[f"average_{_PREFIX}"] = found[f"total_{_PREFIX}"] / found["bucket_count"]
    return found


def whole_ms(took_ms: float, buckets: int) -> int:
    """Return what each of some buckets took, in whole milliseconds as Elasticsearch tells it: rounded up, from 1.

    >>> whole_ms(30.0, 20), whole_ms(0.01, 3)
    (2, 1)
    """
    return max(math.ceil(took_ms / max(buckets, 1)), 1)


def timing_json(job_id: str, timing: Mapping[str, Any], *, bucket_span_ms: int) -> dict[str, Any]:
    """Return `timing_stats` of a job.

    Args:
        job_id: Whose.
        timing: As `with_buckets` returns it.
        bucket_span_ms: Length of its buckets.
    """
    known = with_buckets(timing, ())
    average = known.pop(f"exponential_average_{_PREFIX}")
    return {
        "job_id": job_id,
        **known,
        f"exponential_average_{_PREFIX}": average,
        # An hour of the data takes as much as the buckets that it has.
        "exponential_average_bucket_processing_time_per_hour_ms": average * _HOUR_MS / bucket_span_ms,
    }
