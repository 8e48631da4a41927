"""Jobs whose processes die at any moment: nothing is analysed twice or left out, what was acknowledged is kept."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gridwatch.containers.sqlite import SqliteStore
from gridwatch.jobs.results import Wanted
from gridwatch.jobs.service import JobsService
from tests.faults.jobs_data import BUCKETS, EACH, JOB, ORDERS, SPAN, START, now_ms, orders

SCRIPT = Path(__file__).parent / "jobs_process.py"
KILLS = 4
POSTED = 25
# What says when, by which state and how fast a record was found, not what it is.
CIRCUMSTANCES = ("detected_ms", "scored_ms", "model_sha256", "processing_ms")


class Workers:
    """Processes that are made and killed."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])}
        self._script = subprocess.Popen(
            [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._answer() == "ready"

    def make(self, *order: object) -> int:
        return int(self._ask(" ".join(map(str, order))))

    def wait(self, pid: int) -> int:
        """Return the status of a worker that is over."""
        return int(self._ask(f"wait {pid}"))

    def kill(self, pid: int) -> bool:
        """Kill a worker; tell whether it was at work still."""
        os.kill(pid, signal.SIGKILL)
        return os.WTERMSIG(self.wait(pid)) == signal.SIGKILL

    def close(self) -> None:
        assert self._script.stdin is not None
        assert self._script.stdout is not None
        self._script.stdin.close()
        self._script.wait(60)
        self._script.stdout.close()

    def _ask(self, order: str) -> str:
        assert self._script.stdin is not None
        self._script.stdin.write(f"{order}\n")
        self._script.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._script.stdout is not None
        answer = self._script.stdout.readline().strip()
        assert answer, "the harness's script died"
        return answer


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """Makes workers; they die, it stays."""
    with contextlib.closing(Workers()) as workers:
        yield workers


@pytest.fixture
def path(tmp_path: Path, seed: int) -> Path:
    """A store with a job, its rows and a started datafeed."""
    path = tmp_path / "store.db"
    with made(path, seed):
        pass
    return path


@contextlib.contextmanager
def made(path: Path, seed: int) -> Iterator[JobsService]:
    with SqliteStore(path) as store:
        store.put_container(ORDERS)
        store.put(ORDERS.name, orders(seed))
        service = JobsService(store, now_ms=now_ms)
        service.put_job(JOB, job_id="orders")
        service.open_job("orders")
        service.start_datafeed("orders", end_ms=START + BUCKETS * SPAN)
        yield service


def results(store: SqliteStore) -> dict[str, Any]:
    names = ("ml_buckets", "ml_records", "ml_influencers", "ANOMALY_orders")
    return {
        name: [
            {key: value for key, value in row.items() if key not in CIRCUMSTANCES}
            for row in store.read(name).to_pylist()
        ]
        for name in names
    }


def test_results_are_those_of_a_run_that_nobody_disturbed(
    workers: Workers, path: Path, tmp_path: Path, seed: int
) -> None:
    print(f"GRIDWATCH_TEST_FAULTS_SEED={seed}")
    with made(tmp_path / "undisturbed.db", seed) as service:
        service.run_datafeed("orders")
        expected = results(service.store)  # type: ignore[arg-type]
        counts = service.resources.job("orders").counts
    assert len(expected["ml_buckets"]) == BUCKETS
    assert expected["ANOMALY_orders"]
    chance = random.Random(seed)
    killed, order = 0, ("run", f"sqlite:///{path}")
    two = [workers.make(*order), workers.make(*order)]
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.05, 0.5))
        victim = two.pop(chance.randrange(2))
        killed += workers.kill(victim)
        two.append(workers.make(*order))
    assert [workers.wait(pid) for pid in two] == [0, 0]
    assert killed >= 2
    with SqliteStore(path) as store:
        service = JobsService(store, now_ms=now_ms)
        assert results(store) == expected
        for name in ("processed_record_count", "bucket_count", "latest_bucket_timestamp"):
            assert service.resources.job("orders").counts[name] == counts[name]
        assert (service.resources.job("orders").state, service.resources.datafeed("orders").state) == (
            "closed",
            "stopped",
        )


def test_a_death_in_a_state_on_the_way_is_gone_on_from(workers: Workers, path: Path, seed: int) -> None:
    def until(wanted: tuple[str, str]) -> None:
        ends = time.monotonic() + 60
        while (service.resources.job("orders").state, service.resources.datafeed("orders").state) != wanted:
            assert time.monotonic() < ends
            time.sleep(0.02)

    url = f"sqlite:///{path}"
    with SqliteStore(path) as store:
        service = JobsService(store, now_ms=now_ms)
        for feed in ("stopping", "starting"):
            hanging = workers.make("hang", feed, url)
            until(("opened", feed))
            assert workers.kill(hanging)
            until(("opened", feed))
            if feed == "starting":
                service.start_datafeed("orders", end_ms=START + BUCKETS * SPAN)
            # Whoever runs datafeeds looks after one that was stopping, too.
            assert workers.wait(workers.make("run", url)) == 0
        until(("closed", "stopped"))
        hanging = workers.make("hang", "opening", url)
        until(("opening", "stopped"))
        assert workers.kill(hanging)
        assert service.open_job("orders").state == "opened"
        assert service.resources.job("orders").counts["bucket_count"] == BUCKETS


def test_posted_rows_that_were_acknowledged_are_kept_and_counted_once(
    workers: Workers, path: Path, tmp_path: Path, seed: int
) -> None:
    print(f"GRIDWATCH_TEST_FAULTS_SEED={seed}")
    with SqliteStore(path) as store:
        service = JobsService(store, now_ms=now_ms)
        service.put_job({**JOB, "datafeed_config": None}, job_id="posted")
        service.open_job("posted")
    chance = random.Random(seed)
    order = ("post", f"sqlite:///{path}", tmp_path / "acknowledged", POSTED)
    for _ in range(KILLS):
        pid = workers.make(*order)
        time.sleep(chance.uniform(0.05, 0.5))
        workers.kill(pid)
    assert workers.wait(workers.make(*order)) == 0
    with SqliteStore(path) as store:
        service = JobsService(store, now_ms=now_ms)
        service.flush_job("posted", advance_time_ms=START + POSTED * SPAN)
        page = service.results.find("buckets", ["posted"], Wanted(size=1000))
        # A death between the write and its acknowledgement makes the poster post the bucket again, under the same key.
        assert {row["event_count"] for row in page.rows} == {EACH}
        assert page.count == POSTED
