"""States on the way from one to another: seen meanwhile, left after an error, and after a process that died in one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gridwatch.containers import Store
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import JobsBusyError, JobsConflictError, JobsError, JobsRequestError
from gridwatch.jobs.resources import Datafeed
from gridwatch.jobs.service import JobsService, Runner, datafeeds
from gridwatch.jobs.service.open_job import OpenJob
from gridwatch.jobs.service.states import state_path
from tests.jobs.logs import LOGS

MINUTE = 60_000
START = 1_708_128_000_000
NOW_MS = START + 360 * MINUTE
WAIT_S = 600.0
JOB: dict[str, Any] = {
    "analysis_config": {"bucket_span": "15m", "detectors": [{"function": "count"}]},
    "data_description": {"time_field": "timestamp"},
    "datafeed_config": {"indices": ["logs"], "chunking_config": {"mode": "manual", "time_span": "60m"}},
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with SqliteStore(tmp_path / "store.db") as store:
        store.put_container(LOGS)
        times = pa.array(np.arange(START, NOW_MS, MINUTE), pa.timestamp("ms", "UTC"))
        store.put("logs", pa.table({"id": np.arange(len(times)), "timestamp": times}))
        yield store


def made(store: Store) -> JobsService:
    return JobsService(store, now_ms=lambda: NOW_MS)


@pytest.fixture
def service(store: Store) -> JobsService:
    service = made(store)
    service.put_job(JOB, job_id="job")
    return service


def states(service: JobsService) -> tuple[str, str]:
    """Return what the statistics of the job and of its datafeed say."""
    (job,), (feed,) = service.job_stats("job")["jobs"], service.datafeed_stats("job")["datafeeds"]
    return job["state"], feed["state"]


def spied(monkeypatch: pytest.MonkeyPatch, on: Any, name: str, service: JobsService) -> list[tuple[str, str]]:
    """Return the states at each call of a function, which goes on as ever."""
    seen: list[tuple[str, str]] = []
    inner: Callable[..., Any] = getattr(on, name)

    def called(*args: Any, **named: Any) -> Any:
        seen.append(states(service))
        return inner(*args, **named)

    monkeypatch.setattr(on, name, called)
    return seen


def test_opening_starting_and_closing_are_seen(
    store: Store, service: JobsService, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = made(store)
    opening = spied(monkeypatch, service.running, "check", other)
    starting = spied(monkeypatch, datafeeds, "Extraction", other)
    closing = spied(monkeypatch, OpenJob, "settle", other)
    service.open_job("job")
    service.start_datafeed("job")
    service.stop_datafeeds("job")
    service.post_data("job", pd.DataFrame({"timestamp": [NOW_MS]}))
    service.close_job("job")
    assert (opening, starting, closing) == (
        [("opening", "stopped")],
        [("opened", "starting")],
        [("closing", "stopped")],
    )
    assert states(other) == ("closed", "stopped")
    service.open_job("job")
    assert service.resources.job("job").counts["processed_record_count"] == 1


def test_a_close_that_was_overtaken_does_not_close_what_was_opened_again(
    store: Store, service: JobsService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.open_job("job")
    other, settle = made(store), OpenJob.settle

    def overtaken(job: OpenJob) -> None:
        other.close_job("job")
        other.open_job("job")
        settle(job)

    monkeypatch.setattr(OpenJob, "settle", overtaken)
    with pytest.raises(JobsConflictError):
        service.close_job("job")
    assert other.resources.job("job").state == "opened"


@pytest.mark.parametrize("patience", ["waits", "in vain", "none"])
def test_a_datafeed_is_stopping_until_the_piece_at_hand_is_stored(
    store: Store, service: JobsService, patience: str
) -> None:
    service.open_job("job")
    service.start_datafeed("job")
    inside, go = threading.Event(), threading.Event()

    def progress(_at: int, _end: int) -> None:
        inside.set()
        assert go.wait(WAIT_S)

    other = made(store)
    ways: dict[str, dict[str, Any]] = {"waits": {"wait_s": WAIT_S}, "in vain": {"wait_s": 0.0}, "none": {"force": True}}
    with ThreadPoolExecutor(2) as pool:
        try:
            worker = pool.submit(service.run_datafeed, "job", progress=progress)
            assert inside.wait(WAIT_S)
            stopper = pool.submit(other.stop_datafeeds, "job", **ways[patience])
            if patience == "waits":
                _look_while_it_stops(store, other, stopper)
                go.set()
            assert [feed.state for feed in stopper.result(WAIT_S)] == ["stopped"]
            assert states(other) == ("opened", "stopped"), "at once, or after the piece"
        finally:
            go.set()
        done = worker.result(WAIT_S)
    assert (done.whole, 0 < done.rows < 360) == (False, True)
    told = [one["message"] for one in service.messages.of("job")]
    assert told.count("Datafeed [job] stopped.") == 1
    service.start_datafeed("job")
    service.run_datafeed("job")
    assert service.resources.job("job").counts["processed_record_count"] == 358 + 1


def _look_while_it_stops(store: Store, other: JobsService, stopper: Future[list[Datafeed]]) -> None:
    ends = time.monotonic() + WAIT_S
    while states(other) != ("opened", "stopping"):
        assert not stopper.done(), stopper.result()
        assert time.monotonic() < ends
        time.sleep(0.01)
    with pytest.raises(JobsConflictError, match="already been started"):
        other.start_datafeed("job")
    with pytest.raises(JobsConflictError, match="while its status is stopping"):
        other.delete_datafeed("job")
    with pytest.raises(JobsBusyError, match=r"\[job\] is stopping; try again"):
        other.run_datafeed("job", wait_s=0.0)
    (outcome,) = Runner(store, lambda: other, now_ms=lambda: NOW_MS).run_due()
    assert (outcome.done, outcome.error) == (None, "")
    assert not stopper.done()


def test_what_fails_on_its_way_is_put_back(store: Store, service: JobsService) -> None:
    service.open_job("job")
    service.start_datafeed("job")
    service.run_datafeed("job")
    service.stop_datafeeds("job", close_job=True)
    assert states(service) == ("closed", "stopped")
    store.drop_container("logs")
    service.open_job("job")
    with pytest.raises(JobsError, match=r"no such index \[logs\]"):
        service.start_datafeed("job")
    assert states(service) == ("opened", "stopped")
    service.close_job("job")
    service.running.objects.put(state_path("job"), b"no archive")
    with pytest.raises(JobsRequestError, match=r"the state of job \[job\] is damaged"):
        service.open_job("job")
    assert states(service) == ("failed", "stopped")
    service.close_job("job")
    service.reset_job("job")
    assert service.open_job("job").state == "opened"


def test_a_job_that_somebody_is_at_work_with_still_is_opened_unread(store: Store, service: JobsService) -> None:
    service.open_job("job")
    with service.running.hold("job"):
        service.resources.change_job("job", state="closed")
        assert made(store).open_job("job").state == "opened"


@pytest.mark.parametrize("then", ["the same", "back"])
@pytest.mark.parametrize("left", ["opening", "closing", "starting", "stopping"])
def test_whoever_comes_after_a_process_that_died_goes_on(
    store: Store, service: JobsService, left: Any, then: str
) -> None:
    service.open_job("job")
    on_feed = left in {"starting", "stopping"}
    if on_feed:
        service.resources.change_datafeed("job", state=left)
    else:
        service.resources.change_job("job", state=left)
    if left == "stopping" and then == "the same":
        (outcome,) = Runner(store, lambda: service, now_ms=lambda: NOW_MS).run_due()
        assert "is stopped; start it first" in outcome.error
    elif on_feed and then == "back":
        assert [feed.state for feed in service.stop_datafeeds("job")] == ["stopped"]
    elif left == "opening" and then == "the same":
        assert service.open_job("job").state == "opened"
    elif not on_feed:
        assert service.close_job("job").state == "closed"
        service.open_job("job")
    service.start_datafeed("job")
    assert states(service) == ("opened", "started")
    assert service.run_datafeed("job").rows > 300


@pytest.mark.parametrize("what", ["open", "start"])
def test_of_many_at_once_one_is_the_first(store: Store, service: JobsService, what: str) -> None:
    if what == "start":
        service.open_job("job")
    at_once = threading.Barrier(4)

    def one() -> str:
        own = made(store)
        at_once.wait(WAIT_S)
        try:
            return str((own.open_job("job") if what == "open" else own.start_datafeed("job")).state)
        except JobsConflictError:
            return "refused"

    with ThreadPoolExecutor(4) as pool:
        found = [future.result(WAIT_S) for future in [pool.submit(one) for _ in range(4)]]
    expected = ["opened"] * 4 if what == "open" else ["refused"] * 3 + ["started"]
    assert sorted(found) == expected
    assert states(service) == ("opened", "stopped" if what == "open" else "started")
