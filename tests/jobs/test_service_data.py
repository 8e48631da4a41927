"""Rows that are posted: kept in a journal until a state has them, whoever goes on and whatever dies in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gridwatch.containers import Store
from gridwatch.errors import JobsBusyError, JobsRequestError, ObjectNotFoundError, StoreError
from gridwatch.jobs.results import Wanted
from gridwatch.jobs.service import JobsService, open_job
from gridwatch.jobs.service.states import state_path
from tests.jobs.backends import BACKENDS

SPAN = 900_000
START = 1_708_128_000_000
BUCKETS = 150
JOB: dict[str, Any] = {
    "analysis_config": {
        "bucket_span": "15m",
        "detectors": [
            {"function": "mean", "field_name": "load", "partition_field_name": "host"},
            {"function": "distinct_count", "field_name": "load"},
        ],
        "influencers": ["host"],
    },
    "data_description": {"time_field": "ts", "time_format": "epoch_ms"},
}


class Clock:
    now_ms = START + BUCKETS * SPAN

    def __call__(self) -> int:
        return self.now_ms


def rows() -> pd.DataFrame:
    """Return rows of two hosts, some without a host or a number, one of them odd near the end."""
    random = np.random.default_rng(7)
    count = BUCKETS * 8
    load = random.gamma(4.0, 5.0, count).round(1).astype(object)
    load[random.random(count) < 0.05] = None
    load[-40] = "900.5"
    host = random.choice(np.array(["a", "b", None], object), count, p=[0.5, 0.4, 0.1])
    host[-40] = "a"
    times = START + np.sort(random.integers(0, BUCKETS * SPAN, count))
    return pd.DataFrame({"ts": times, "load": load, "host": host})


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with request.param(tmp_path) as store:
        yield store


def opened(store: Store, job_id: str = "j") -> JobsService:
    service = JobsService(store, now_ms=Clock())
    service.put_job(JOB, job_id=job_id)
    service.open_job(job_id)
    return service


def state_id(service: JobsService) -> str:
    try:
        return service.running.objects.info(state_path("j")).object_id
    except ObjectNotFoundError:
        return ""


def posts(service: JobsService) -> int:
    return int((service.store.read("ml_posted").to_pandas()["job_id"] == "j").sum())


def told(service: JobsService, job_id: str = "j") -> dict[str, Any]:
    """Return all results and counts of a job, without what names it and how long it took."""
    found = {
        # Those of one bucket come in the order of their ids, which the job's name is a part of.
        kind: sorted(
            (
                {name: value for name, value in row.items() if name not in {"id", "job_id", "processing_ms"}}
                for row in service.results.find(kind, [job_id], Wanted(size=10_000)).rows
            ),
            key=repr,
        )
        for kind in ("buckets", "records", "influencers")
    }
    counts = service.resources.job(job_id).counts
    return {**found, "counts": {name: value for name, value in counts.items() if isinstance(value, int)}}


def test_posts_wait_in_the_journal_and_give_what_one_post_of_all_gives(store: Store) -> None:
    whole, service = opened(store, "whole"), opened(store)
    whole.post_data("whole", rows(), invalid_dates=14)
    expected = told(whole, "whole")
    assert max(row["record_score"] for row in expected["records"]) > 50.0
    frames = [part for _, part in rows().groupby(np.arange(len(rows())) // 90)]
    other = JobsService(store, now_ms=Clock())
    for number, frame in enumerate(frames):
        # Each has to see the posts of the other.
        (other if number % 3 == 2 else service).post_data("j", frame, invalid_dates=1)
        assert (state_id(service), posts(service)) == ("", number + 1)
    assert told(service) == expected
    service.close_job("j")
    assert state_id(service) != ""
    assert posts(service) == 0
    service.open_job("j")
    JobsService(store, now_ms=Clock()).flush_job("j", advance_time_ms=START + (BUCKETS + 2) * SPAN)
    whole.flush_job("whole", advance_time_ms=START + (BUCKETS + 2) * SPAN)
    assert told(service) == told(whole, "whole")


def test_a_state_is_stored_when_its_posts_would_take_long_to_repeat(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = opened(store)
    monkeypatch.setattr(open_job, "_COST_MAX", 3 * open_job._ENTRY_COST)
    frames = [part for _, part in rows().groupby(np.arange(len(rows())) // 250)]
    seen = []
    for frame in frames:
        service.post_data("j", frame)
        seen.append(posts(service))
    assert seen == [1, 2, 0, 1, 2]
    monkeypatch.setattr(open_job, "_ENTRY_BYTES_MAX", 100)
    service.post_data("j", pd.DataFrame({"ts": [START + BUCKETS * SPAN], "load": [1.0], "host": ["a"]}))
    assert posts(service) == 0


def test_a_post_of_a_known_key_does_nothing_however_late_it_comes_again(store: Store) -> None:
    service = opened(store)
    first, second = rows()[:500], rows()[500:]
    for key, frame in (("one", first), ("one", first), ("two", second)):
        service.post_data("j", frame, key=key)
    expected = told(service)
    assert expected["counts"]["processed_record_count"] == len(rows())
    # In the journal, and in the state that follows.
    for _ in range(2):
        again = JobsService(store, now_ms=Clock())
        assert again.post_data("j", first, key="one").counts == service.resources.job("j").counts
        again.flush_job("j", advance_time_ms=START)
        assert posts(service) == 0
    assert told(service)["records"] == expected["records"]
    service.post_data("j", second[:0], key="three")


def test_what_a_state_has_is_not_taken_again_when_its_posts_could_not_be_deleted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = opened(store)
    service.post_data("j", rows()[:500])

    def fail(*_: object, **__: object) -> None:
        raise StoreError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(service.running.journal, "drop", fail)
        with pytest.raises(StoreError, match="the disk is gone"):
            service.flush_job("j", advance_time_ms=START)
    assert (posts(service), state_id(service) != "") == (1, True)
    again = JobsService(store, now_ms=Clock())
    again.post_data("j", rows()[500:])
    assert told(again)["counts"]["processed_record_count"] == len(rows())
    assert posts(service) == 1
    again.close_job("j")
    again.reset_job("j")
    assert (posts(service), state_id(service)) == (0, "")


def test_posts_are_forgotten_with_their_job(store: Store) -> None:
    service = opened(store)
    service.post_data("j", rows())
    service.delete_job("j", force=True)
    assert posts(service) == 0
    service.put_job(JOB, job_id="j")
    service.open_job("j")
    service.post_data("j", rows()[:10])
    assert service.resources.job("j").counts["processed_record_count"] == 10


def test_a_post_is_not_acknowledged_by_a_process_that_lost_the_job_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = opened(store)
    add = service.running.journal.add

    def late(*given: Any) -> None:
        add(*given)
        store.execute("UPDATE leases SET holder = 'another', until_ms = ? WHERE name = 'job:j'", [2**60])
        monkeypatch.setattr(service.running._leases["j"], "_renew_ms", 0)

    monkeypatch.setattr(service.running.journal, "add", late)
    with pytest.raises(JobsBusyError, match=r"Job \[j\] was taken over by another process"):
        service.post_data("j", rows())


def test_posts_that_are_damaged_in_the_store_fail_the_job(store: Store) -> None:
    service = opened(store)
    service.post_data("j", rows())
    table = store.read("ml_posted").to_pandas()
    store.put("ml_posted", table.assign(rows=[b"no rows"]))
    other = JobsService(store, now_ms=Clock())
    with pytest.raises(JobsRequestError, match=r"rows posted to job \[j\] are damaged in the store"):
        other.post_data("j", rows())
    job = other.resources.job("j")
    assert (job.state, "reset the job" in (job.reason or "")) == ("failed", True)
