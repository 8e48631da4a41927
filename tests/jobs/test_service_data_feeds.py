"""What a datafeed does beside reading: long gaps step by step, no index on the time, reading ahead, its state."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Store
from gridwatch.errors import JobsRequestError, SqlFailedError
from gridwatch.jobs.bucket_rows import bucket_digest
from gridwatch.jobs.extraction import extraction
from gridwatch.jobs.extraction.ahead import ahead
from gridwatch.jobs.results import Wanted
from gridwatch.jobs.service import JobsService, feeds
from gridwatch.jobs.service.states import read_state
from tests.jobs.backends import BACKENDS

SPAN = 900_000
START = 1_708_128_000_000
COLUMNS = (
    Column("id", ColumnType.LONG, nullable=False),
    Column("ts", ColumnType.TIMESTAMP),
    Column("host", ColumnType.STRING),
)
EVENTS = ContainerInfo("my-events", ContainerType.COLLECTION, COLUMNS, ("id",))
END = START + 400 * SPAN


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with request.param(tmp_path) as store:
        store.put_container(EVENTS)
        # Fifty buckets, ninety without a row, five more, two hundred without, three more.
        buckets = np.r_[0:50, 140:145, 345:348].repeat(6)
        put(store, START + buckets * SPAN + np.tile(np.arange(6) * 60_000, 58))
        yield store


def put(store: Store, times: Any, hosts: int = 2) -> None:
    rows = {
        "id": np.arange(len(times)),
        "ts": pa.array(times, pa.timestamp("ms", "UTC")),
        "host": [f"h{number % hosts}" for number in range(len(times))],
    }
    store.put(EVENTS.name, pa.table(rows))


def made(store: Store, job_id: str, *, threads: int = 1, **bounds: int) -> JobsService:
    service = JobsService(store, now_ms=lambda: END + 86_400_000, threads=threads)
    detector = {"function": "count", "partition_field_name": "host"}
    analysis = {"bucket_span": "15m", "detectors": [detector]}
    feed = {"indices": [EVENTS.name], "datafeed_id": job_id}
    time = {"time_field": "ts"}
    service.put_job({"analysis_config": analysis, "data_description": time, "datafeed_config": feed}, job_id=job_id)
    service.open_job(job_id)
    service.start_datafeed(job_id, **bounds)
    return service


def buckets(service: JobsService, job_id: str) -> list[tuple[Any, ...]]:
    rows = service.results.find("buckets", [job_id], Wanted(size=10_000)).rows
    return [(row["ts"], row["event_count"], row["probability"]) for row in rows]


def test_gaps_are_finished_step_by_step_and_one_that_is_too_long_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made(store, "whole", end_ms=END)
    whole.run_datafeed("whole")
    monkeypatch.setattr(feeds, "_STEP_BUCKETS", 7)
    service = made(store, "steps", threads=2, end_ms=END)
    told: list[int] = []
    service.run_datafeed("steps", progress=lambda at, _end: told.append((at - START) // SPAN))
    assert buckets(service, "steps") == buckets(whole, "whole")
    assert told == sorted(told)
    assert sum(50 < at < 140 for at in told) == 12
    monkeypatch.setattr(feeds, "_GAP_BUCKETS_MAX", 100)
    service = made(store, "long", end_ms=END)
    for _ in range(2):
        with pytest.raises(
            JobsRequestError, match=r"after 2024-02-18T12:15:00Z come more than 100 buckets without a row"
        ):
            service.run_datafeed("long")
        # What lies before it is done.
        assert buckets(service, "long") == buckets(whole, "whole")[:145]
    assert service.resources.datafeed("long").failures == 2
    service.stop_datafeed("long")
    service.start_datafeed("long", start_ms=START + 345 * SPAN, end_ms=END)
    service.run_datafeed("long")
    assert [row[1] for row in buckets(service, "long")[145:148]] == [6, 6, 6]


def test_a_feed_that_is_stopped_within_a_gap_goes_on_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made(store, "whole", end_ms=END)
    whole.run_datafeed("whole")
    monkeypatch.setattr(feeds, "_STEP_BUCKETS", 7)
    service = made(store, "j", end_ms=END)
    reached: list[int] = []
    done = service.run_datafeed(
        "j",
        progress=lambda at, _end: reached.append(at),
        stopped=lambda: bool(reached and reached[-1] > START + 99 * SPAN),
    )
    assert (done.whole, done.rows) == (False, 300)
    assert START + 99 * SPAN < (done.fed_to_ms or 0) < START + 140 * SPAN
    assert service.run_datafeed("j").done
    assert buckets(service, "j") == buckets(whole, "whole")


def test_a_large_container_without_an_index_on_its_time_is_told_with_what_to_do(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "ROWS", 300)
    service = made(store, "slow", end_ms=END)
    service.run_datafeed("slow")
    [said] = [one["message"] for one in service.messages.of("slow") if "is slow" in one["message"]]
    assert said.startswith("Datafeed [slow] is slow: container [my-events] has 348 rows, and none is found by its time")
    store.execute(said.partition("make an index: ")[2])
    quick = made(store, "quick", end_ms=END)
    quick.run_datafeed("quick")
    assert not any("is slow" in one["message"] for one in quick.messages.of("quick"))
    assert buckets(quick, "quick") == buckets(service, "slow")


def test_an_error_of_a_piece_comes_where_the_piece_is_asked_for_and_closing_ends_the_reading() -> None:
    read: list[int] = []

    def pieces() -> Iterator[int]:
        for number in range(5):
            read.append(number)
            if number == 2:
                raise SqlFailedError("division by zero")
            yield number

    found = ahead(pieces())
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(SqlFailedError, match="division by zero"):
        next(found)
    assert read == [0, 1, 2]
    left = ahead(iter(range(10, 20)))
    assert next(left) == 10
    left.close()
    assert list(left) == []


def test_the_digest_of_a_bucket_is_of_its_rows_as_json_writes_them() -> None:
    frame = pd.DataFrame(
        {
            "ts": np.arange(5) + START,
            'a "{b}" é': [1.5, 1e300, 1e16, -0.0, 5e-324],
            "missing": [1.0, None, float("inf"), 2.5, 3.0],
            "host": pd.Categorical(["x", None, "日本", '"', "x"]),
            "mixed": pd.Series([True, None, 2**60, "s", 2.0], dtype=object),
        }
    )
    rows = [
        {'a "{b}" é': 1.5, "host": "x", "missing": 1, "mixed": True, "ts": START},
        {'a "{b}" é': int(1e300), "host": None, "missing": None, "mixed": None, "ts": START + 1},
        {'a "{b}" é': 10**16, "host": "日本", "missing": float("inf"), "mixed": 2**60, "ts": START + 2},
        {'a "{b}" é': 0, "host": '"', "missing": 2.5, "mixed": "s", "ts": START + 3},
        {'a "{b}" é': 5e-324, "host": "x", "missing": 3, "mixed": 2, "ts": START + 4},
    ]
    digests = sorted(hashlib.sha256(json.dumps(row).encode()).digest() for row in rows)
    assert bucket_digest(lambda _start, _end: iter([frame]), 0, 1) == (5, hashlib.sha256(b"".join(digests)).hexdigest())


def test_a_state_is_read_without_copies_of_it(store: Store) -> None:
    put(store, START + np.sort(np.tile(np.arange(0, 60), 300)) * SPAN, hosts=300)
    service = made(store, "j", end_ms=START + 60 * SPAN)
    service.run_datafeed("j")
    running, job = service.running, service.resources.job("j")
    size = running.objects.info("ml/state/j").size
    assert size > 5_000_000
    tracemalloc.start()
    try:
        state = read_state(running.objects, job.config, service.model, 1, None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert state.fed_to_ms == START + 60 * SPAN
    assert len(state.analyzer.detectors[0].series) == 300
    # The models themselves, and one page of 256 series that is on its way.
    assert peak < 2.2 * size
