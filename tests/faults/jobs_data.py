"""What the job of the fault tests reads, and the clock that its processes share."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType

SPAN = 900_000
START = 1_708_128_000_000
BUCKETS = 400
LEASE_MS = 400
EACH = 5
ORDERS = ContainerInfo(
    "orders",
    ContainerType.COLLECTION,
    (
        Column("id", ColumnType.LONG, nullable=False),
        Column("time", ColumnType.TIMESTAMP),
        Column("country", ColumnType.STRING),
        Column("price", ColumnType.DOUBLE),
    ),
    ("id",),
)
JOB: dict[str, Any] = {
    "analysis_config": {
        "bucket_span": "15m",
        "detectors": [
            {"function": "sum", "field_name": "price", "partition_field_name": "country"},
            {"function": "count"},
        ],
        "influencers": ["country"],
    },
    "data_description": {"time_field": "time"},
    "datafeed_config": {"indices": ["orders"], "chunking_config": {"mode": "manual", "time_span": "100m"}},
}


def now_ms() -> int:
    """Return a time after all rows that goes on as the machine's does, in all processes alike."""
    return START + 10 * BUCKETS * SPAN + int(time.monotonic() * 1000)


def orders(seed: int) -> pa.Table:
    """Return some thirty orders in each bucket, and ten times as many in a few."""
    chance = np.random.default_rng(seed)
    odd = chance.choice(np.arange(100, BUCKETS), 5, replace=False)
    many = chance.poisson(30, BUCKETS)
    many[odd] *= 10
    times = np.repeat(START + np.arange(BUCKETS) * SPAN, many) + chance.integers(0, SPAN, many.sum())
    return pa.table(
        {
            "id": np.arange(len(times)),
            "time": pa.array(times, pa.timestamp("ms", "UTC")),
            "country": chance.choice(["GB", "FR", "DE"], len(times)),
            "price": chance.gamma(4.0, 10.0, len(times)),
        }
    )


def posted_bucket(bucket: int) -> npt.NDArray[np.int64]:
    """Return the times of the rows of one bucket that are posted together."""
    return START + bucket * SPAN + np.arange(EACH, dtype=np.int64) * 1000
