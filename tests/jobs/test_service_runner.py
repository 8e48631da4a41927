"""Datafeeds in time: when they search, failures, late rows, silence, and two processes at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gridwatch.containers import Store
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import JobsBusyError, JobsConflictError, JobsError
from gridwatch.jobs.results import Wanted
from gridwatch.jobs.service import JobsService, Runner
from gridwatch.jobs.service.messages import Messages
from gridwatch.jobs.tables import MESSAGES
from tests.jobs.backends import BACKENDS
from tests.jobs.logs import LOGS

MINUTE = 60_000
HOUR = 60 * MINUTE
SPAN = 15 * MINUTE
START = 1_708_128_000_000
JOB: dict[str, Any] = {
    "analysis_config": {"bucket_span": "15m", "detectors": [{"function": "count"}]},
    "data_description": {"time_field": "timestamp"},
    "datafeed_config": {"indices": ["logs"], "query_delay": "60s", "frequency": "5m"},
}


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


class World:
    """A store, a clock, and a service and runner over them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.service, self.runner = self.another()
        self.rows = 0

    def another(self) -> tuple[JobsService, Runner]:
        """Return what another process over the same store has."""
        service = JobsService(self.store, now_ms=self.clock)
        return service, Runner(self.store, lambda: service, now_ms=self.clock, look_s=0.01)

    def put(self, *times: int) -> None:
        self.store.put(
            LOGS.name,
            pa.table(
                {
                    "id": np.arange(self.rows, self.rows + len(times)),
                    "timestamp": pa.array(times, pa.timestamp("ms", "UTC")),
                }
            ),
        )
        self.rows += len(times)

    def start(self, job: dict[str, Any] = JOB, **bounds: int) -> None:
        self.service.put_job(job, job_id="job")
        self.service.open_job("job")
        self.service.start_datafeed("job", **bounds)

    def told(self) -> list[str]:
        return [one["message"] for one in reversed(self.service.messages.of("job"))]

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = self.service.datafeed_stats("job")["datafeeds"][0]
        return found


@pytest.fixture(params=BACKENDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with request.param(tmp_path) as store:
        store.put_container(LOGS)
        world = World(store, Clock(START + 6 * HOUR))
        world.put(*range(START, START + 6 * HOUR, MINUTE))
        yield world


def test_a_look_back_comes_at_once_and_then_each_search_at_its_time(world: World) -> None:
    assert world.runner.due() == []
    world.start()
    assert world.stats()["running_state"] == {"real_time_configured": True, "real_time_running": False}
    (done,) = world.runner.run_due()
    assert (done.error, done.done and done.done.rows) == ("", 359)
    assert world.stats()["running_state"]["real_time_running"]
    # Searches are a minute, the query_delay, after whole multiples of five.
    for minutes, due in ((0, []), (0.99, []), (1, ["job"])):
        world.clock.now_ms = START + 6 * HOUR + int(minutes * MINUTE)
        assert world.runner.due() == due
    world.put(*range(START + 6 * HOUR, START + 7 * HOUR, MINUTE))
    (done,) = world.runner.run_due()
    assert done.done is not None
    assert (done.done.rows, done.done.fed_to_ms) == (1, START + 6 * HOUR)
    assert world.runner.due() == []
    world.clock.now_ms += 5 * MINUTE
    (done,) = world.runner.run_due()
    assert done.done is not None
    assert done.done.rows == 5
    assert world.told() == [
        "Job created.", "Job opened.", "Datafeed [job] started and goes on in real time.",
        "Datafeed [job] has caught up; real time begins.",
    ]  # fmt: skip


def test_a_feed_with_an_end_stops_there_and_its_job_closes(world: World) -> None:
    world.start(end_ms=START + 6 * HOUR + 2 * MINUTE)
    world.runner.run_due()
    assert world.stats()["state"] == "started"
    world.clock.now_ms = START + 6 * HOUR + 3 * MINUTE
    assert world.runner.due() == ["job"], "at its end, before the next multiple of the frequency"
    world.runner.run_due()
    assert world.stats()["state"] == "stopped"
    assert world.service.resources.job("job").state == "closed"
    assert world.told()[-2:] == ["Datafeed [job] stopped.", "Job closed: its datafeed has come to its end."]


def test_a_job_whose_rows_have_no_values_is_told_so(world: World) -> None:
    world.store.put_container(
        ContainerInfo("named", LOGS.type, (*LOGS.columns, Column("host", ColumnType.STRING)), ("id",))
    )
    when = pa.array([START, START + HOUR], pa.timestamp("ms", "UTC"))
    world.store.put("named", pa.table({"id": [1, 2], "timestamp": when, "host": ["a", "b"]}))
    analysis = {"bucket_span": "15m", "detectors": [{"function": "mean", "field_name": "host"}]}
    world.start({**JOB, "analysis_config": analysis, "datafeed_config": {"indices": ["named"]}})
    world.service.run_datafeed("job")
    assert [one for one in world.told() if one.startswith("None of the 2 rows of datafeed [job] has a value")]


def test_whoever_sees_a_job_closed_at_its_end_sees_its_feed_stopped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start(end_ms=START + 5 * HOUR)
    resources, seen = world.service.resources, []
    change = resources.change_job

    def changed(job_id: str, **changes: Any) -> Any:
        if "state" in changes:
            seen.append((changes["state"], resources.datafeed("job").state))
        return change(job_id, **changes)

    monkeypatch.setattr(resources, "change_job", changed)
    world.service.run_datafeed("job")
    assert seen == [("closing", "started"), ("closed", "stopped")]


@pytest.mark.parametrize("feed", ["started", "stopped"])
def test_a_job_whose_process_died_while_it_closed_is_closed(world: World, feed: Any) -> None:
    world.start()
    world.service.resources.change_job("job", state="closing")
    if feed == "started":
        world.runner.run_due()
    else:
        world.service.stop_datafeed("job")
        with pytest.raises(JobsConflictError, match=r"state is \[closing\]; close it first"):
            world.service.open_job("job")
        world.service.close_job("job")
    assert (world.service.resources.job("job").state, world.stats()["state"]) == ("closed", "stopped")


def test_a_failure_is_told_once_shown_in_the_stats_and_tried_again(world: World) -> None:
    world.start()
    world.runner.run_due()
    before = world.service.resources.job("job").counts["processed_record_count"]
    world.store.drop_container(LOGS.name)
    for _ in range(3):
        world.clock.now_ms += 5 * MINUTE
        (outcome,) = world.runner.run_due()
        assert "no such index [logs]" in outcome.error
    stats = world.stats()
    assert stats["last_error"]["failures"] == 3
    assert stats["last_error"]["since"] == START + 6 * HOUR + 5 * MINUTE
    assert "no such index [logs]" in stats["assignment_explanation"]
    failures = [message for message in world.told() if "cannot read its rows and tries again" in message]
    assert len(failures) == 1
    world.store.put_container(LOGS)
    world.put(START + 6 * HOUR + MINUTE)
    world.clock.now_ms += 5 * MINUTE
    world.runner.run_due()
    assert world.service.resources.job("job").counts["processed_record_count"] == before + 1
    assert "last_error" not in world.stats()
    assert world.told()[-1] == "Datafeed [job] reads its rows again, after 3 searches that failed."


def test_after_a_day_of_failures_the_feed_stops_with_a_reason_and_its_job_stays_open(world: World) -> None:
    world.start()
    world.runner.run_due()
    world.store.drop_container(LOGS.name)
    for hours in (1, 24, 25):
        world.clock.now_ms = START + (6 + hours) * HOUR
        world.runner.run_due()
    stats = world.stats()
    assert stats["state"] == "stopped"
    assert "every search since 2024-02-17T07:00:00Z failed, 3 in a row; the last: " in stats["assignment_explanation"]
    assert world.service.resources.job("job").state == "opened"
    assert world.runner.due() == []


def test_rows_that_come_late_are_told_of_once_and_not_analysed(world: World) -> None:
    world.start()
    world.runner.run_due()
    world.put(START + 5 * HOUR + 1, START + 5 * HOUR + 2, START + 5 * HOUR + 30 * MINUTE + 1)
    for minutes in range(15, 75, 15):
        world.clock.now_ms = START + 6 * HOUR + (minutes + 1) * MINUTE
        world.runner.run_due()
    late = [message for message in world.told() if "missed" in message]
    assert len(late) == 1
    assert "missed 3 rows of 2 buckets from 2024-02-17T05:00:00Z to 2024-02-17T05:30:00Z" in late[0]
    assert "longer query_delay than 60s" in late[0]
    world.put(START + 6 * HOUR + 1)
    world.clock.now_ms += 15 * MINUTE
    world.runner.run_due()
    assert "missed 1 rows of the bucket at 2024-02-17T06:00:00Z" in world.told()[-1]


def test_late_rows_that_cannot_be_looked_for_stop_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from gridwatch.jobs.service import passes

    def failing(*_: object) -> dict[int, int]:
        raise JobsError("too many buckets")

    monkeypatch.setattr(passes, "late_rows", failing)
    world.start()
    for _ in range(3):
        assert [one.error for one in world.runner.run_due()] == [""]
        world.clock.now_ms += 16 * MINUTE
    assert [one for one in world.told() if "could not be looked for: too many buckets" in one]
    assert world.stats()["state"] == "started"


@pytest.mark.parametrize(("most", "state"), [(3, "stopped"), (None, "started")])
def test_a_feed_that_never_saw_a_row_stops_where_that_is_asked(world: World, most: int | None, state: str) -> None:
    feed = {**JOB["datafeed_config"], "query": {"match_none": {}}}
    world.start({**JOB, "datafeed_config": {**feed, **({"max_empty_searches": most} if most else {})}})
    for _ in range(12):
        world.runner.run_due()
        world.clock.now_ms += 5 * MINUTE
    assert world.stats()["state"] == state
    assert world.service.resources.job("job").state == ("closed" if most else "opened")
    if most:
        assert "3 searches in real time found no rows, nor did any before" in world.stats()["assignment_explanation"]
    else:
        assert "Datafeed [job] has found no rows in its last 10 searches." in world.told()


def test_one_process_searches_at_a_time_and_a_pass_that_is_done_is_not_done_again(world: World) -> None:
    world.start()
    service, runner = world.another()
    with world.service.running.hold("job"):
        assert runner.run_due()[0].done is None
        with pytest.raises(JobsBusyError, match=r"Job \[job\] is at work in another process"):
            service.run_datafeed("job", wait_s=0.0)
        assert world.stats()["timing_stats"]["search_count"] == 0
    assert runner.due() == world.runner.due() == ["job"]
    assert runner.run_one("job").done is not None
    assert world.runner.due() == []


def test_a_feed_whose_job_is_not_open_is_stopped(world: World) -> None:
    world.start()
    world.service.resources.change_job("job", state="closed")
    assert "its job [job] is closed" in world.runner.run_due()[0].error
    assert world.stats()["state"] == "stopped"
    with pytest.raises(JobsConflictError, match="is stopped; start it first"):
        world.service.run_datafeed("job")


def test_a_defect_is_a_failure_like_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    world.start()
    monkeypatch.setattr(world.service, "run_datafeed", broken)
    assert world.runner.run_due()[0].error == "RuntimeError('a defect')"
    assert world.stats()["last_error"]["failures"] == 1
    assert world.runner.due() == []


def test_it_runs_in_a_thread_until_it_is_told_to_end_and_goes_on_after_a_restart(world: World) -> None:
    world.start()

    def until(rows: int) -> None:
        ends = time.monotonic() + 60
        while world.service.resources.job("job").counts.get("processed_record_count") != rows:
            assert time.monotonic() < ends
            time.sleep(0.01)

    for rows in (359, 364):
        stop = threading.Event()
        thread = threading.Thread(target=world.another()[1].run, args=(stop,))
        thread.start()
        until(rows)
        stop.set()
        thread.join(60)
        assert not thread.is_alive()
        world.put(*range(START + 6 * HOUR + MINUTE, START + 6 * HOUR + 5 * MINUTE, MINUTE))
        world.clock.now_ms += 6 * MINUTE


def test_a_stop_ends_a_look_back_after_a_piece_and_the_next_start_goes_on_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = {**JOB["datafeed_config"], "chunking_config": {"mode": "manual", "time_span": "30m"}}
    world.start({**JOB, "datafeed_config": feed})
    seen: list[int] = []

    def progress(at_ms: int, _: int) -> None:
        seen.append(at_ms)
        if len(seen) == 2:
            world.service.stop_datafeed("job")

    done = world.service.run_datafeed("job", progress=progress)
    assert (done.rows, done.whole) == (60, False)
    world.service.start_datafeed("job")
    assert world.service.run_datafeed("job").rows == 359 - 60
    assert world.service.resources.job("job").counts["processed_record_count"] == 359


def test_a_feed_that_is_changed_while_it_runs_goes_on_from_where_it_was(world: World) -> None:
    feed = {**JOB["datafeed_config"], "chunking_config": {"mode": "manual", "time_span": "30m"}}
    world.start({**JOB, "datafeed_config": feed})
    later = {"range": {"timestamp": {"gte": START + 3 * HOUR, "format": "epoch_millis"}}}

    def progress(_: int, __: int) -> None:
        if world.service.resources.datafeed("job").config.query != later:
            world.another()[0].update_datafeed("job", {"query": later, "frequency": "10m"}, running=True)

    done = world.service.run_datafeed("job", progress=progress)
    assert (done.rows, done.whole) == (30, False)
    assert world.runner.due() == ["job"], "a look-back goes on at once"
    assert world.service.run_datafeed("job").rows == 359 - 180
    assert world.service.resources.job("job").counts["processed_record_count"] == 359 - 150
    # In real time, a change puts the next search where its frequency says.
    world.clock.now_ms += 2 * MINUTE
    world.runner.run_due()
    world.clock.now_ms += MINUTE
    assert world.runner.due() == []
    world.service.update_datafeed("job", {"frequency": "2m"}, running=True)
    assert world.runner.due() == []
    world.clock.now_ms += 2 * MINUTE
    assert world.runner.due() == ["job"]
    assert world.told()[-1] == "Datafeed [job] changed while it runs, and goes on: frequency."
    with pytest.raises(JobsError, match=r"no such index \[elsewhere\]"):
        world.service.update_datafeed("job", {"indices": ["elsewhere"]}, running=True)
    with pytest.raises(JobsConflictError, match="while its status is started"):
        world.service.update_datafeed("job", {"frequency": "5m"})
    assert world.stats()["state"] == "started"


def test_a_damaged_state_fails_the_job_which_can_be_closed_and_reset(world: World) -> None:
    from gridwatch.jobs.service.states import state_path

    world.start()
    world.runner.run_due()
    world.service.running.objects.put(state_path("job"), b"no archive")
    world.clock.now_ms += 6 * MINUTE
    assert "is damaged" in world.another()[1].run_due()[0].error
    (job,) = world.service.job_stats("job")["jobs"]
    assert job["state"] == "failed"
    assert "reset the job" in job["assignment_explanation"]
    world.service.close_job("job", force=True)
    world.service.reset_job("job")
    world.service.open_job("job")
    world.service.start_datafeed("job")
    assert world.runner.run_due()[0].error == ""


def test_one_job_that_cannot_be_closed_keeps_no_other_open(world: World) -> None:
    from gridwatch.jobs.service.states import state_path

    world.start()
    world.runner.run_due()
    service, _ = world.another()
    service.stop_datafeed("job")
    service.running.objects.put(state_path("job"), b"no archive")
    for name in ("a", "z"):
        service.put_job({**JOB, "datafeed_config": {"indices": ["logs"], "datafeed_id": name}}, job_id=name)
        service.open_job(name)
    service.start_datafeed("z")
    with pytest.raises(JobsConflictError, match=r"job \[z\] while its datafeed \[z\] is started"):
        service.close_jobs("_all")
    assert {job.state for job in service.resources.jobs()} == {"opened"}, "what Elasticsearch refuses as a whole"
    with pytest.raises(
        JobsConflictError, match=r"Closed 2 of 3 jobs, but not \[job\]: the state of job \[job\] is damag"
    ):
        service.stop_datafeeds("_all", close_job=True)
    assert [job.state for job in service.resources.jobs()] == ["closed", "failed", "closed"]
    service.close_jobs("_all")
    assert {job.state for job in service.resources.jobs()} == {"closed"}


def test_messages_of_one_instant_come_in_the_order_in_which_they_were_said(world: World) -> None:
    said = [f"message {number}" for number in (3, 1, 4, 1, 5, 9, 2, 6)]
    for place, text in enumerate(said):
        # Processes in turn.
        messages = world.service.messages if place % 2 else world.another()[0].messages
        messages.say("other", "info", text, about=place)
    assert [one["message"] for one in reversed(world.service.messages.of("other"))] == said
    assert [one["message"] for one in world.service.messages.of("other", newest=2)] == ["message 6", "message 2"]


def test_messages_of_a_store_of_an_earlier_gridwatch_are_read(tmp_path: Path) -> None:
    columns = tuple(column for column in MESSAGES.columns if column.name != "said")
    with SqliteStore(tmp_path / "old.db") as store:
        store.put_container(replace(MESSAGES, columns=columns))
        row = {"id": "a", "job_id": "job", "ts": 1, "level": "info", "message": "Job created."}
        store.put(MESSAGES.name, pa.Table.from_pylist([row], schema=replace(MESSAGES, columns=columns).arrow))
        for make in (False, True):
            messages = Messages(store, now_ms=lambda: 1, make=make)
            assert [one["message"] for one in messages.of("job")] == ["Job created."]
        messages.say("job", "info", "Job opened.")
        assert {one["message"] for one in messages.of("job")} == {"Job created.", "Job opened."}


def test_results_are_kept_as_long_as_the_job_says(world: World) -> None:
    world.put(*range(START - 30 * HOUR, START, 5 * MINUTE))
    world.start({**JOB, "results_retention_days": 10**12})
    world.runner.run_due()
    assert world.service.buckets("job", Wanted(interim=False))["count"] > 24 * 4 + 1
    world.service.update_job("job", {"results_retention_days": 1})
    world.service.run_datafeed("job")
    found = world.service.buckets("job", Wanted(interim=False))
    newest = START + 6 * HOUR - SPAN - SPAN
    assert found["buckets"][0]["timestamp"] == newest - 24 * HOUR
    assert found["count"] == 24 * 4 + 1
