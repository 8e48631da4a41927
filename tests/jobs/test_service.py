"""The life of jobs and datafeeds over a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gridwatch.containers import Store
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.errors import (
    JobsBodyError,
    JobsConflictError,
    JobsError,
    JobsExistsError,
    JobsNotFoundError,
    JobsRequestError,
    JobsValueError,
)
from gridwatch.jobs.resources import Datafeed
from gridwatch.jobs.results import Page, Wanted
from gridwatch.jobs.service import JobsService
from tests.jobs.backends import BACKENDS

MINUTE = 60_000
HOUR = 60 * MINUTE
START = 1_708_128_000_000
LOGS = ContainerInfo(
    "kibana_sample_data_logs",
    ContainerType.COLLECTION,
    (
        Column("id", ColumnType.LONG, nullable=False),
        Column("timestamp", ColumnType.TIMESTAMP),
        Column("bytes", ColumnType.LONG),
        Column("geo.src", ColumnType.STRING),
    ),
    ("id",),
)
EVENT_RATE: dict[str, Any] = {
    "analysis_config": {"bucket_span": "15m", "detectors": [{"function": "count"}], "influencers": []},
    "data_description": {"time_field": "timestamp"},
    "analysis_limits": {"model_memory_limit": "11MB"},
    "datafeed_config": {
        "indices": ["kibana_sample_data_logs"],
        "query": {"bool": {"must": [{"match_all": {}}]}},
        "datafeed_id": "datafeed-event_rate_logs",
    },
}
FEED = "datafeed-event_rate_logs"


def times(days: int = 7, seed: int = 1) -> np.ndarray[Any, Any]:
    """Return when logs were written: some eight in a quarter of an hour, and 200 in one of them."""
    rng = np.random.default_rng(seed)
    usual = rng.integers(0, days * 24 * HOUR, days * 24 * 32)
    burst = rng.integers(0, 15 * MINUTE, 200) + (days * 24 - 30) * HOUR
    return np.sort(np.concatenate([usual, burst])) + START


def put_logs(store: Store, when: np.ndarray[Any, Any], first: int = 0) -> None:
    rng = np.random.default_rng(first)
    rows = {
        "id": np.arange(first, first + len(when)),
        "timestamp": pa.array(when, pa.timestamp("ms", "UTC")),
        "bytes": rng.integers(0, 9999, len(when)),
        "geo.src": rng.choice(["US", "CN", "IN"], len(when)),
    }
    store.put(LOGS.name, pa.table(rows))


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ms = START

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with request.param(tmp_path) as store:
        store.put_container(LOGS)
        put_logs(store, times())
        yield store


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now_ms = START + 7 * 24 * HOUR + MINUTE
    return clock


@pytest.fixture
def service(store: Store, clock: Clock) -> JobsService:
    service = JobsService(store, now_ms=clock)
    service.put_job(EVENT_RATE, job_id="event_rate_logs")
    return service


def started(service: JobsService, **bounds: int) -> Datafeed:
    service.open_job("event_rate_logs")
    return service.start_datafeed(FEED, **bounds)


def records(service: JobsService) -> Page:
    wanted = Wanted(sort="record_score", descending=True, size=10_000)
    return service.results.find("records", ["event_rate_logs"], wanted)


def test_the_preview_is_what_the_job_sees(service: JobsService) -> None:
    expected = [{"timestamp": int(when)} for when in times()[:1000]]
    assert service.preview_datafeed(FEED) == expected


def test_a_burst_is_found_and_told(service: JobsService, store: Store) -> None:
    started(service)
    done = service.run_datafeed(FEED)
    assert (done.rows, done.done) == (len(times()), False)
    worst = records(service).rows[0]
    burst = START + (7 * 24 - 30) * HOUR
    assert int(worst["ts"].timestamp() * 1000) == burst
    assert worst["record_score"] > 75.0
    assert [row["ts"].timestamp() * 1000 for row in store.read("ANOMALY_event_rate_logs").to_pylist()] == [burst]
    assert service.resources.job("event_rate_logs").counts["processed_record_count"] == len(times())


def test_what_comes_in_pieces_gives_what_comes_at_once(service: JobsService, clock: Clock) -> None:
    end = START + 7 * 24 * HOUR
    clock.now_ms = end + HOUR
    started(service, end_ms=end)
    service.run_datafeed(FEED)
    whole = records(service)
    assert service.resources.job("event_rate_logs").state == "closed"
    service.reset_job("event_rate_logs")
    assert records(service).count == 0
    started(service, end_ms=end)
    for hours in (1, 30, 31, 100, 7 * 24 + 1):
        clock.now_ms = START + hours * HOUR
        # Each time as another process, that knows only what is stored.
        JobsService(service.store, now_ms=clock).run_datafeed(FEED)
    assert records(service) == whole
    assert service.resources.datafeed(FEED).state == "stopped"


def test_nothing_is_read_twice_or_skipped_when_rows_go_on_coming(service: JobsService, clock: Clock) -> None:
    started(service)
    service.run_datafeed(FEED)
    later = START + 7 * 24 * HOUR + np.arange(0, 2 * HOUR, 7 * MINUTE)
    put_logs(service.store, later, first=1_000_000)
    clock.now_ms += 3 * HOUR
    assert service.run_datafeed(FEED).rows == len(later)
    assert service.run_datafeed(FEED).rows == 0
    buckets = service.results.find("buckets", ["event_rate_logs"], Wanted(size=10_000, interim=False)).rows
    assert sum(bucket["event_count"] for bucket in buckets) == len(times()) + len(later)
    starts = [int(bucket["ts"].timestamp() * 1000) for bucket in buckets]
    assert starts == list(range(starts[0], starts[-1] + 1, 15 * MINUTE))


def test_an_open_bucket_has_interim_results_until_it_is_complete(service: JobsService, clock: Clock) -> None:
    started(service)
    service.run_datafeed(FEED)
    put_logs(service.store, START + 7 * 24 * HOUR + np.arange(0, MINUTE, 100), first=1_000_000)
    clock.now_ms += 5 * MINUTE
    service.run_datafeed(FEED)
    interim = [row for row in records(service).rows if row["is_interim"]]
    assert [int(row["ts"].timestamp() * 1000) for row in interim] == [START + 7 * 24 * HOUR]
    clock.now_ms += 15 * MINUTE
    service.run_datafeed(FEED)
    assert not [row for row in records(service).rows if row["is_interim"]]
    assert len([row for row in records(service).rows if row["ts"] == interim[0]["ts"]]) == 1


def test_rows_that_are_posted_are_analysed_and_kept(service: JobsService, clock: Clock) -> None:
    import pandas as pd

    service.open_job("event_rate_logs")
    frame = pd.DataFrame({"timestamp": times()})
    for start in range(0, len(frame), 2000):
        other = JobsService(service.store, now_ms=clock)
        other.post_data("event_rate_logs", frame.iloc[start : start + 2000])
    assert service.resources.job("event_rate_logs").counts["processed_record_count"] == len(frame)
    assert records(service).rows[0]["record_score"] > 75.0


def test_a_job_and_its_datafeed_are_both_made_or_neither(service: JobsService) -> None:
    with pytest.raises(JobsExistsError, match="datafeed-event_rate_logs"):
        service.put_job(EVENT_RATE, job_id="other")
    with pytest.raises(JobsNotFoundError, match="No known job with id 'other'"):
        service.resources.job("other")
    with pytest.raises(JobsExistsError, match="The Id is already used"):
        service.put_job(EVENT_RATE, job_id="event_rate_logs")
    with pytest.raises(JobsConflictError, match=r"already exists for job \[event_rate_logs\]"):
        service.put_datafeed({"indices": ["a"], "job_id": "event_rate_logs"}, datafeed_id="second")


@pytest.mark.parametrize(
    ("feed", "says"),
    [
        ({"query": {"match": {"bytes": 1}}}, r"\[query.match\] the query \[match\] is unknown or not supported"),
        ({"query": {"range": {"bytes": {"gt": "many"}}}}, r"\[query.range.bytes.gt\] expected a number"),
        ({"runtime_mappings": {"a": {"type": "ip"}}}, r"\[runtime_mappings.a.type\] the type \[ip\]"),
        (
            {"runtime_mappings": {"a": {"type": "keyword", "script": "emit('x'"}}},
            r"\[runtime_mappings.a.script.source\] line 1",
        ),
        ({"indices": ["nowhere"], "query": {"match": {"bytes": 1}}}, r"\[query.match\] the query \[match\]"),
    ],
)
def test_what_can_never_be_read_is_refused_when_it_is_made(
    service: JobsService, feed: dict[str, Any], says: str
) -> None:
    config = {**EVENT_RATE["datafeed_config"], "datafeed_id": "other", **feed}
    with pytest.raises(JobsError, match=says):
        service.put_job({**EVENT_RATE, "datafeed_config": config}, job_id="other")
    with pytest.raises(JobsError, match=says):
        service.validate_job({**EVENT_RATE, "job_id": "other", "datafeed_config": config})
    with pytest.raises(JobsError, match=says):
        service.update_datafeed(FEED, feed)
    service.put_job({**EVENT_RATE, "datafeed_config": None}, job_id="other")
    with pytest.raises(JobsError, match=says):
        service.put_datafeed({**config, "job_id": "other"})
    assert [one.id for one in service.resources.datafeeds()] == [FEED]


def test_a_container_that_comes_later_stops_no_datafeed_from_being_made(service: JobsService) -> None:
    config = {
        "indices": ["later"],
        "query": {"term": {"a": 1}},
        "runtime_mappings": {"b": {"type": "keyword", "script": "emit(doc['a'].value)"}},
    }
    service.put_job({**EVENT_RATE, "datafeed_config": config}, job_id="other")
    assert service.resources.datafeed("other").config.indices == ["later"]


def test_a_container_that_is_not_there_is_passed_over_where_that_is_asked(service: JobsService) -> None:
    config = {"indices": [LOGS.name, "nowhere"], "indices_options": {"ignore_unavailable": True}}
    job = {**EVENT_RATE, "job_id": "other"}
    del job["datafeed_config"]
    assert service.preview_datafeed(datafeed=config, job=job)
    with pytest.raises(JobsNotFoundError, match=r"no such index \[nowhere\]"):
        service.preview_datafeed(datafeed={**config, "indices_options": {"ignore_unavailable": False}}, job=job)
    with pytest.raises(JobsBodyError, match=r"\[indices_options.ignore\] unknown key \[ignore\]"):
        service.put_job({**job, "datafeed_config": {**config, "indices_options": {"ignore": True}}})


def test_a_config_that_fits_in_no_row_is_refused_with_its_size(service: JobsService) -> None:
    feed = {"indices": [LOGS.name], "query": {"terms": {"host": [f"host-{number}" for number in range(5000)]}}}
    with pytest.raises(JobsValueError, match=r"JSON of datafeed \[other\] takes \d\d,\d{3} bytes; at most 31,744 fit"):
        service.put_job({**EVENT_RATE, "datafeed_config": feed}, job_id="other")
    long = {**EVENT_RATE, "datafeed_config": None, "description": "é" * 6000}
    with pytest.raises(JobsValueError, match=r"JSON of job \[other\] takes 36,\d{3} bytes"):
        service.put_job(long, job_id="other")
    with pytest.raises(JobsValueError, match="fit into its row"):
        service.update_job("event_rate_logs", {"description": "é" * 6000})
    assert [job.id for job in service.resources.jobs()] == ["event_rate_logs"]


def test_a_group_may_not_have_the_name_of_a_job(service: JobsService) -> None:
    with pytest.raises(JobsExistsError, match=r"share one name space; \[event_rate_logs\] is a job"):
        service.put_job({**EVENT_RATE, "datafeed_config": None, "groups": ["event_rate_logs"]}, job_id="other")
    assert [job.id for job in service.resources.jobs()] == ["event_rate_logs"]


def test_what_the_state_does_not_allow_is_refused(service: JobsService) -> None:
    with pytest.raises(JobsConflictError, match=r"job \[event_rate_logs\] is closed; open it first"):
        service.start_datafeed(FEED)
    started(service)
    with pytest.raises(JobsConflictError, match="already been started"):
        service.start_datafeed(FEED)
    with pytest.raises(JobsConflictError, match=r"datafeed \[datafeed-event_rate_logs\] is started; stop that first"):
        service.close_job("event_rate_logs")
    with pytest.raises(JobsConflictError, match="while its status is started"):
        service.delete_datafeed(FEED)
    with pytest.raises(JobsConflictError, match="because the job is opened"):
        service.delete_job("event_rate_logs")
    with pytest.raises(JobsConflictError, match="only reset a job when it is closed"):
        service.reset_job("event_rate_logs")
    service.stop_datafeed(FEED)
    with pytest.raises(JobsConflictError, match="is stopped; start it first"):
        service.run_datafeed(FEED)
    service.close_job("event_rate_logs")
    service.delete_job("event_rate_logs")
    assert not service.resources.jobs()
    assert not service.resources.datafeeds()


def test_a_start_after_the_end_is_refused_and_a_later_start_skips_time(service: JobsService) -> None:
    service.open_job("event_rate_logs")
    with pytest.raises(JobsValueError, match=r"\[start\] invalid \[start\]"):
        service.start_datafeed(FEED, start_ms=START + 1, end_ms=START + 1)
    service.start_datafeed(FEED, end_ms=START + 24 * HOUR)
    service.run_datafeed(FEED)
    service.open_job("event_rate_logs")
    service.start_datafeed(FEED, start_ms=START + 48 * HOUR, end_ms=START + 72 * HOUR)
    service.run_datafeed(FEED)
    buckets = service.results.find("buckets", ["event_rate_logs"], Wanted(size=10_000)).rows
    days = {int(bucket["ts"].timestamp() * 1000 - START) // (24 * HOUR) for bucket in buckets}
    assert days == {0, 2}


def test_a_container_that_is_not_there_is_told_at_the_start(service: JobsService) -> None:
    service.store.drop_container(LOGS.name)
    service.open_job("event_rate_logs")
    with pytest.raises(JobsNotFoundError, match=r"no such index \[kibana_sample_data_logs\]"):
        service.start_datafeed(FEED)
    assert service.resources.datafeed(FEED).state == "stopped"


def test_a_preview_takes_an_id_or_configs(service: JobsService) -> None:
    feed = {"indices": [LOGS.name], "query": {"term": {"geo.src": "US"}}}
    job = {
        "analysis_config": {"detectors": [{"function": "mean", "field_name": "bytes", "by_field_name": "geo.src"}]},
        "data_description": {"time_field": "timestamp"},
    }
    rows = service.preview_datafeed(datafeed=feed, job=job)
    assert len(rows) == 1000
    assert list(rows[0]) == ["timestamp", "bytes", "geo.src"]
    assert {row["geo.src"] for row in rows} == {"US"}
    assert service.preview_datafeed(job={**job, "datafeed_config": feed}) == rows
    with pytest.raises(JobsRequestError, match="not both"):
        service.preview_datafeed(FEED, datafeed=feed)
    with pytest.raises(JobsRequestError, match=r"or one \[datafeed_config\]"):
        service.preview_datafeed(job=job)
    with pytest.raises(JobsValueError, match="has the field 'byte', did you mean 'bytes'"):
        service.preview_datafeed(
            datafeed=feed, job={**job, "analysis_config": {"detectors": [{"function": "min", "field_name": "byte"}]}}
        )
