"""What `benchmarks.jobs` measures, each in a process of its own: a datafeed and its job, and the same by pandas.

A process tells its peak of memory, and whose peak it is, for nothing else has run in it.
"""

from __future__ import annotations

import functools
import logging
import multiprocessing
import os
import resource
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import structlog

from gridwatch.containers import open_store
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType

SPAN_MS = 900_000
START_MS = 1_704_067_200_000
DAY_MS = 86_400_000
ROLLING = 672
"""Buckets of a week: what the z-score of the comparison looks back on."""
WARM = 40
BATCH = 500_000
_WITHIN: dict[str, frozenset[str | None]] = {"SQL": frozenset({None, "frame"})}
"""Parts that count within some others alone: results and the state are written by SQL too."""


@dataclass(frozen=True)
class Ran:
    """What one process did.

    Args:
        seconds: From the start of the work to its end, the start of the process and the reading of code left out.
        cpu_s: The process' CPU in that time, all threads.
        peak: Most memory that it had at once, bytes.
        parts: Seconds by part of the work.
        found: What it found, by name.
    """

    seconds: float
    cpu_s: float
    peak: int
    parts: dict[str, float]
    found: dict[str, Any]


def alone(work: Callable[..., Ran], *arguments: object) -> Ran:
    """Run work in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_quiet) as pool:
        return pool.submit(work, *arguments).result()


def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


class Parts:
    """Splits time among parts of the work by wrapping functions; a part within a part counts for itself alone.

    At its end as a context manager the functions are as they were.

    Attributes:
        seconds: By part, of the thread that made this.
        ahead: By part, of other threads, which are at work at the same time.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.ahead: defaultdict[str, float] = defaultdict(float)
        self._own = threading.get_ident()
        self._local = threading.local()
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def wrap(self, part: str, owner: object, *names: str) -> None:
        """Have the time of functions of a class or module count for `part` from now on."""
        for name in names:
            plain = vars(owner)[name]
            timed = self._timed(part, getattr(owner, name))
            self._undo.callback(setattr, owner, name, plain)
            setattr(owner, name, staticmethod(timed) if isinstance(plain, classmethod) else timed)

    def _timed(self, part: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(plain)
        def timed(*arguments: Any, **named: Any) -> Any:
            inside = self._inside()
            outer = inside[-1] if inside else None
            if outer == part or outer not in _WITHIN.get(part, {outer}):
                return plain(*arguments, **named)
            self._turn()
            inside.append(part)
            try:
                return plain(*arguments, **named)
            finally:
                self._turn()
                inside.pop()

        return timed

    def _inside(self) -> list[str]:
        """Return the parts that this thread is in."""
        if not hasattr(self._local, "inside"):
            self._local.inside = []
        found: list[str] = self._local.inside
        return found

    def _turn(self) -> None:
        now, inside = time.perf_counter(), self._inside()
        if inside:
            counted = self.seconds if threading.get_ident() == self._own else self.ahead
            counted[inside[-1]] += now - self._local.since
        self._local.since = now


def write_events(url: str, name: str, rows: int, partitions: int, span_ms: int, *, seed: int = 5) -> int:
    """Write a time series of events of many hosts, and return where one of them is odd: the start of its bucket.

    Args:
        url: Store.
        name: Container: `ts`, `host`, `value`.
        rows: How many, spread evenly over `span_ms`; their times differ.
        partitions: Hosts.
        span_ms: From the first row to the last.
        seed: Of the values.
    """
    random = np.random.default_rng(seed)
    every = max(span_ms // rows, 1)
    hosts = np.array([f"host-{place:05d}.example.com" for place in range(partitions)], object)
    odd = START_MS + (span_ms * 3 // 4) // SPAN_MS * SPAN_MS
    columns = (
        Column("ts", ColumnType.TIMESTAMP, nullable=False),
        Column("host", ColumnType.STRING),
        Column("value", ColumnType.DOUBLE),
    )
    with open_store(url) as store:
        store.put_container(ContainerInfo(name, ContainerType.TIME_SERIES, columns, ("ts",)))
        for first in range(0, rows, BATCH):
            place = np.arange(first, min(first + BATCH, rows))
            times = START_MS + every * place + random.integers(0, every, len(place))
            # In turns where there are few rows for each, so that none is left out of a bucket by chance.
            which = (
                place % partitions
                if every > SPAN_MS // (2 * partitions)
                else random.integers(0, partitions, len(place))
            )
            value = (2.0 + np.sin(times / DAY_MS * 2 * np.pi)) * random.gamma(4.0, 5.0, len(place))
            value[(times // SPAN_MS * SPAN_MS == odd) & (which == partitions // 2)] *= 30.0
            ts = pd.to_datetime(times, unit="ms", utc=True).astype("datetime64[ms, UTC]")
            store.put(name, pd.DataFrame({"ts": ts, "host": hosts[which], "value": value}))
    return odd


def job_of(detectors: list[dict[str, Any]], container: str, aggregations: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the JSON of a job with its datafeed, by partition `host` and a quarter of an hour."""
    split = [{**detector, "partition_field_name": "host"} for detector in detectors]
    analysis: dict[str, Any] = {"bucket_span": "15m", "detectors": split, "influencers": []}
    feed: dict[str, Any] = {"indices": [container], "query": {"match_all": {}}}
    if aggregations is not None:
        analysis["summary_count_field_name"] = "doc_count"
        feed["aggregations"] = aggregations
    return {
        "analysis_config": analysis,
        "data_description": {"time_field": "ts"},
        "analysis_limits": {"model_memory_limit": "8gb"},
        "datafeed_config": feed,
    }


def feed_job(url: str, job: Mapping[str, Any], job_id: str, end_ms: int, odd: int) -> Ran:
    """Run a job over all rows before `end_ms`, from the datafeed's start to its end; `odd` is a bucket to look at."""
    from gridwatch.jobs.results import Wanted
    from gridwatch.jobs.service import JobsService

    _ready()
    with _wrapped() as parts, open_store(url) as store:
        service = JobsService(store, now_ms=lambda: end_ms + DAY_MS, threads=os.cpu_count() or 1)
        service.put_job(dict(job), job_id=job_id)
        service.open_job(job_id)
        [feed] = [one for one in service.resources.datafeeds("*") if one.config.job_id == job_id]
        service.start_datafeed(feed.id, end_ms=end_ms)
        begin, cpu_s = time.perf_counter(), time.process_time()
        done = service.run_datafeed(feed.id)
        seconds, cpu_s = time.perf_counter() - begin, time.process_time() - cpu_s
        there = Wanted(start_ms=odd, end_ms=odd + SPAN_MS, sort="record_score", descending=True, size=1)
        worst = service.results.find("records", [job_id], there).rows
        size = service.resources.job(job_id).size
        state = service.running.objects.info(f"ml/state/{job_id}").size
    found = {
        "rows": done.rows, "buckets": done.buckets, "records": done.records,
        "worst": (worst[0]["partition_value"], worst[0]["record_score"]) if worst else None,
        "model_bytes": int(size["model_bytes"]), "state_bytes": state,
    }  # fmt: skip
    split = {**parts.seconds, "rest": seconds - sum(parts.seconds.values())}
    split |= {f"{name} ahead": spent for name, spent in parts.ahead.items()}
    return Ran(seconds, cpu_s, _peak(), split, found)


def post_rows(url: str, partitions: int, posts: int, journal: bool) -> Ran:
    """Post rows to an open job, one of each partition a post, a quarter of an hour each.

    Args:
        url: Store.
        partitions: Of the job.
        posts: How many are timed, after as many that are not.
        journal: Whether posts are kept in the journal; else each stores the state.
    """
    from gridwatch.jobs.service import JobsService, open_job

    _ready()
    if not journal:
        open_job._COST_MAX = 0
    with open_store(url) as store:
        service = JobsService(store, now_ms=lambda: START_MS, threads=os.cpu_count() or 1)
        job_id = f"posted_{partitions}_{'journal' if journal else 'state'}"
        job = job_of([{"function": "mean", "field_name": "value"}], "events", None)
        service.put_job({**job, "datafeed_config": None}, job_id=job_id)
        service.open_job(job_id)
        hosts = np.array([f"host-{place:05d}.example.com" for place in range(partitions)], object)
        random = np.random.default_rng(5)
        took, cpu_s = [], 0.0
        for number in range(2 * posts):
            times = np.full(partitions, START_MS + number * SPAN_MS)
            frame = pd.DataFrame({"ts": times, "host": hosts, "value": random.gamma(4.0, 5.0, partitions)})
            begin, cpu = time.perf_counter(), time.process_time()
            service.post_data(job_id, frame)
            took.append(time.perf_counter() - begin)
            cpu_s += (time.process_time() - cpu) * (number >= posts)
    took = took[posts:]
    return Ran(sum(took), cpu_s, _peak(), {}, {"p50": float(np.median(took)), "worst": max(took)})


def by_pandas(url: str, container: str, sums: bool) -> Ran:
    """Do by pandas what one would write first: rows to buckets by partition, and a rolling z-score of each.

    Args:
        url: Store.
        container: `ts`, `host`, `value`.
        sums: Sums and counts; else means.
    """
    with open_store(url) as store:
        begin, cpu_s = time.perf_counter(), time.process_time()
        frame = store.sql(f'SELECT ts, host, value FROM "{container}" ORDER BY ts').to_pandas()
        read_s = time.perf_counter() - begin
        grouped = frame.groupby([frame["ts"].dt.floor("15min"), "host"])["value"]
        odd = {}
        for name in ("sum", "count") if sums else ("mean",):
            wide = grouped.agg(name).unstack()
            wide = wide.fillna(0.0) if sums else wide
            rolled = wide.rolling(ROLLING, min_periods=WARM)
            score = (wide - rolled.mean().shift()) / rolled.std().shift()
            odd[name] = int((score.abs() > 4.0).to_numpy().sum())
        seconds, cpu_s = time.perf_counter() - begin, time.process_time() - cpu_s
    return Ran(seconds, cpu_s, _peak(), {"SQL": read_s, "pandas": seconds - read_s}, odd)


def _ready() -> None:
    """Load the machine code: a service that runs for weeks does so once."""
    from gridwatch.detectors.online.bank import Bank
    from gridwatch.jobs.analysis.models import BUCKETS

    Bank(BUCKETS, 1).update(np.arange(3, dtype=np.int64), np.ones((1, 3)))


def _wrapped() -> Parts:
    from gridwatch.containers.sqlite import SqliteStore
    from gridwatch.jobs.analysis import analyzer, detector, models, rows, series
    from gridwatch.jobs.extraction import aggregated, plain
    from gridwatch.jobs.results import ResultRows
    from gridwatch.jobs.service import open_job

    parts = Parts()
    parts.wrap("SQL", SqliteStore, "sql")
    parts.wrap("frame", plain.PlainRows, "read")
    parts.wrap("frame", aggregated.AggregatedRows, "read")
    parts.wrap("frame", rows.Rows, "of", "take", "joined")
    parts.wrap("reduction", series.SeriesIndex, "places")
    parts.wrap("reduction", detector.RunningDetector, "_values")
    parts.wrap("models", models.Models, "update")
    parts.wrap("results", detector.RunningDetector, "_found")
    parts.wrap("results", analyzer.Analyzer, "_results")
    parts.wrap("results", ResultRows, "write", "drop_interim")
    parts.wrap("results", open_job, "write_anomalies")
    parts.wrap("state", open_job.OpenJob, "commit", "note")
    return parts


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
