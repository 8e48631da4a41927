"""Jobs and datafeeds: many rows of 1,000 partitions, raw and aggregated by the store, and what partitions cost.

Beside them: what one would write first, pandas' groupby by bucket and partition and a rolling z-score of each
partition, on rows read by the same SQL. It keeps nothing, judges one thing and makes no records.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.job_runs import (
    DAY_MS,
    SPAN_MS,
    START_MS,
    Ran,
    alone,
    by_pandas,
    feed_job,
    job_of,
    post_rows,
    write_events,
)

ROWS = 10_000_000
PARTITIONS, ROWS_EACH = 1_000, 10_000
FEW, POSTED = 10, (100, 2_000)
POSTS = 100
DAYS = 32
GROWTH, GROWTH_BUCKETS = (1, 10, 100, 1_000, 10_000), 192
ELASTIC_KB = 48
"""Elasticsearch's estimate of the memory of one series of means."""
BASELINE = "pandas groupby, rolling z-score"

_AGGREGATIONS: dict[str, Any] = {
    "buckets": {
        "date_histogram": {"field": "ts", "fixed_interval": "15m"},
        "aggregations": {
            "ts": {"max": {"field": "ts"}},
            "host": {
                "terms": {"field": "host", "size": PARTITIONS},
                "aggregations": {"value": {"sum": {"field": "value"}}},
            },
        },
    }
}


def run() -> Iterator[Figure]:
    """Yield the figures; the notes have CPU, peak memory and where the time went."""
    with tempfile.TemporaryDirectory() as folder:
        # With fewer rows fewer partitions, so that a bucket of each holds as many as at full size.
        yield from _feeds(f"sqlite:///{Path(folder) / 'feeds.db'}", max(min(PARTITIONS, ROWS // ROWS_EACH), 1))
        yield from _feeds(f"sqlite:///{Path(folder) / 'few.db'}", max(min(FEW, ROWS // (ROWS_EACH * 100)), 1))
        yield from _growth(Path(folder))
        yield from _posts(Path(folder))


def _feeds(url: str, partitions: int) -> Iterator[Figure]:
    odd = write_events(url, "events", ROWS, partitions, DAYS * DAY_MS)
    detectors = [{"function": "sum", "field_name": "value"}, {"function": "count"}]
    end_ms = START_MS + DAYS * DAY_MS
    beside = alone(by_pandas, url, "events", True)
    yield Figure(f"{BASELINE}, {partitions:,} partitions", ROWS, "rows", beside.seconds, note=_told(beside))
    for name, aggregations in (("raw", None), ("aggregated", _AGGREGATIONS)):
        ran = alone(feed_job, url, job_of(detectors, "events", aggregations), f"bench_{name}", end_ms, odd)
        told = f"{_told(ran)}; {_beside(ran, beside)}, {ran.found['records']:,} records, {_odd_found(ran, partitions)}"
        named = f"job, {name} feed, {partitions:,} partitions"
        yield Figure(named, ROWS, "rows", ran.seconds, BASELINE, beside.seconds, note=told)


def _growth(folder: Path) -> Iterator[Figure]:
    for partitions in GROWTH:
        rows = partitions * GROWTH_BUCKETS
        if partitions > 1 and rows > ROWS:
            return
        url = f"sqlite:///{folder / f'growth_{partitions}.db'}"
        span_ms = GROWTH_BUCKETS * SPAN_MS
        odd = write_events(url, "events", rows, partitions, span_ms)
        job = job_of([{"function": "mean", "field_name": "value"}], "events", None)
        ran = alone(feed_job, url, job, "bench_growth", START_MS + span_ms, odd)
        beside = alone(by_pandas, url, "events", False)
        note = f"{_memory(ran.found, partitions)}; {_told(ran)}; {_beside(ran, beside)}"
        named = f"job, mean of {partitions:,} partitions, {GROWTH_BUCKETS} buckets"
        yield Figure(named, rows, "rows", ran.seconds, BASELINE, beside.seconds, note=note)


def _posts(folder: Path) -> Iterator[Figure]:
    for partitions in POSTED:
        url = f"sqlite:///{folder / f'posts_{partitions}.db'}"
        state, ran = (alone(post_rows, url, partitions, POSTS, journal) for journal in (False, True))
        note = f"{_each(ran)}; beside: {_each(state)}"
        named = f"job, posts of {partitions:,} rows to {partitions:,} partitions"
        yield Figure(named, POSTS, "posts", ran.seconds, "the state stored each time", state.seconds, note=note)


def _each(ran: Ran) -> str:
    return f"p50 {1000 * ran.found['p50']:.0f} ms, worst {1000 * ran.found['worst']:.0f} ms, CPU {ran.cpu_s:.1f} s"


def _memory(found: Mapping[str, Any], partitions: int) -> str:
    each = found["model_bytes"] / partitions / 1000
    stored = found["state_bytes"] / partitions / 1000
    return f"{each:.1f} kB a partition (stored {stored:.1f}; Elasticsearch estimates {ELASTIC_KB})"


def _odd_found(ran: Ran, partitions: int) -> str:
    found = ran.found["worst"]
    host = f"host-{partitions // 2:05d}.example.com"
    return f"the odd value has score {found[1]:.0f}" if found and found[0] == host else "the odd value is NOT found"


def _beside(ran: Ran, beside: Ran) -> str:
    return f"by CPU {beside.cpu_s / ran.cpu_s:.2f}x"


def _told(ran: Ran) -> str:
    split = ", ".join(f"{name} {seconds:.1f}" for name, seconds in ran.parts.items())
    return f"CPU {ran.cpu_s:.1f} s, peak {ran.peak / 2**20:,.0f} MiB; s: {split}"
