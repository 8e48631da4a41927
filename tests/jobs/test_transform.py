"""Transforms over a store: the summary is what a plain computation gives, once, in steps, and after a death."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Store
from gridwatch.containers.lease import Lease
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import (
    JobsBusyError,
    JobsConflictError,
    JobsError,
    JobsExistsError,
    JobsNotFoundError,
    JobsRequestError,
    JobsValueError,
    StoreBusyError,
)
from gridwatch.jobs.transform import TransformService
from gridwatch.jobs.transform.runner import TransformRunner
from tests.jobs.backends import BACKENDS

HOUR = 3_600_000
START = 1_713_139_200_000
"""2024-04-15, a Monday."""
SEED_PIVOT: dict[str, Any] = {
    "group_by": {
        "event.action": {"terms": {"field": "event.action"}},
        "@timestamp": {"date_histogram": {"field": "@timestamp", "calendar_interval": "1h"}},
    },
    "aggregations": {"event.count": {"value_count": {"field": "@timestamp"}}},
}
EVENTS = ContainerInfo(
    "events",
    ContainerType.COLLECTION,
    (
        Column("id", ColumnType.LONG, nullable=False),
        Column("at_timestamp", ColumnType.TIMESTAMP),
        Column("event.action", ColumnType.STRING),
        Column("user.name", ColumnType.STRING),
        Column("bytes", ColumnType.LONG),
        Column("took", ColumnType.DOUBLE),
        Column("ok", ColumnType.BOOL),
        Column("event.ingested", ColumnType.TIMESTAMP),
    ),
    ("id",),
)


DEEP = "String a = doc['event.action'].value; " + "".join(f"if (a == '{n}') emit('{n}'); else " for n in range(40))
"""A script that is right, and too deep as SQL."""


class Clock:
    """A clock that is set by hand."""

    now_ms = START + 100 * HOUR

    def __call__(self) -> int:
        return self.now_ms


def events(count: int = 4000, hours: int = 72, seed: int = 7) -> pd.DataFrame:
    """Return events in the order of time, some fields of which are missing."""
    rng = np.random.default_rng(seed)
    when = np.sort(rng.integers(0, hours * HOUR, count)) + START

    def some(values: Any) -> Any:
        return np.where(rng.random(count) < 0.1, None, values)

    return pd.DataFrame(
        {
            "id": np.arange(count),
            "at_timestamp": when,
            "event.action": some(rng.choice(["logged-in", "logged-off", "deleted"], count)),
            "user.name": some(rng.choice(list("abcdefgh"), count)),
            "bytes": some(rng.integers(0, 2**55, count)),
            "took": some(rng.normal(size=count)),
            "ok": some(rng.random(count) < 0.5),
            "event.ingested": when + rng.integers(0, 3 * HOUR, count),
        }
    )


def put_events(store: Store, frame: pd.DataFrame, name: str = "events") -> None:
    columns = {}
    for field in EVENTS.arrow:
        values = [None if value is None or value != value else value for value in frame[field.name].tolist()]
        columns[field.name] = pa.array(values, pa.int64() if pa.types.is_timestamp(field.type) else field.type)
        columns[field.name] = columns[field.name].cast(field.type)
    store.put(name, pa.table(columns))


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with request.param(tmp_path) as store:
        store.put_container(EVENTS)
        yield store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(store: Store, clock: Clock) -> TransformService:
    return TransformService(store, now_ms=clock)


def body(**changes: Any) -> dict[str, Any]:
    return {"source": {"index": "events"}, "dest": {"index": "hourly"}, "pivot": SEED_PIVOT, **changes}


def counts(frame: pd.DataFrame) -> dict[tuple[str, int], int]:
    known = frame.dropna(subset=["event.action"])
    hours = known["at_timestamp"] // HOUR * HOUR
    return dict(Counter(zip(known["event.action"].tolist(), hours.tolist(), strict=True)))


def written(store: Store, name: str = "hourly") -> dict[tuple[str, int], int]:
    rows = store.read(name).to_pylist()
    return {(row["event.action"], int(row["at_timestamp"].timestamp() * 1000)): row["event.count"] for row in rows}


def test_the_preview_of_the_seeds_pivot_has_the_seeds_shape(service: TransformService, store: Store) -> None:
    frame = events(3)
    frame["event.action"] = ["logged-off", "logged-off", None]
    frame["at_timestamp"] = [1_713_160_800_000, 1_713_164_399_999, 1_713_160_800_000]
    put_events(store, frame)
    found = service.preview({"source": {"index": "events"}, "pivot": SEED_PIVOT})
    assert found["preview"] == [
        {"@timestamp": "2024-04-15T06:00:00.000Z", "event": {"count": 2, "action": "logged-off"}}
    ]
    assert found["generated_dest_index"]["mappings"]["properties"]["@timestamp"] == {"type": "date"}
    assert store.container("unused-transform-preview-index") is None


def test_a_batch_run_writes_what_a_plain_count_gives_and_stops(service: TransformService, store: Store) -> None:
    frame = events()
    put_events(store, frame)
    service.put(body(), transform_id="hourly_events")
    service.start("hourly_events")
    done = service.run("hourly_events")
    assert (done.read, done.written, done.done) == (frame["event.action"].notna().sum(), len(counts(frame)), True)
    assert written(store) == counts(frame)
    info = store.container("hourly")
    assert info is not None
    assert info.row_key == ("event.action", "at_timestamp")
    [stats] = service.stats("hourly_events")
    assert (stats["state"], stats["checkpointing"]["last"]["checkpoint"]) == ("stopped", 1)
    assert service.preview(transform_id="hourly_events")["preview"][0]["event"]["action"] == "deleted"


def test_what_the_state_does_not_allow_is_refused(service: TransformService, store: Store) -> None:
    put_events(store, events(10))
    service.put(body(), transform_id="one")
    with pytest.raises(JobsExistsError, match=r"Transform with id \[one\] already exists"):
        service.put(body(), transform_id="one")
    with pytest.raises(JobsNotFoundError, match=r"Transform with id \[two\] could not be found"):
        service.start("two")
    with pytest.raises(JobsConflictError, match=r"\[one\] is stopped; start it first"):
        service.run("one")
    service.start("one")
    with pytest.raises(JobsConflictError, match=r"Cannot start transform \[one\] as it is already started"):
        service.start("one")
    with pytest.raises(JobsConflictError, match=r"Cannot delete transform \[one\] as the task is running"):
        service.delete("one")
    service.stop("one")
    service.delete("one", delete_dest_index=True)
    assert service.transforms.find() == []
    assert store.container("hourly") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pivott": {}}, r"\[pivott\] unknown field \[pivott\], did you mean \[pivot\]"),
        ({"latest": {}}, r"\[latest\] is not supported; give a \[pivot\]"),
        ({"retention_policy": {"time": {}}}, r"\[retention_policy\] is not supported; GridDB drops old rows"),
        ({"frequency": "2h"}, r"\[frequency\] has to be at least 1s and at most 1h, got '2h'"),
        ({"settings": {"max_page_search_size": 5}}, r"\[settings.max_page_search_size\] 5 is out of bounds: 10 to"),
        ({"dest": {"index": "events"}}, r"Destination index \[events\] is included in source expression \[events\]"),
        ({"sync": {"time": {"field": "took"}}}, r"\[sync.time.field\] container 'events' has no TIMESTAMP 'took'"),
        ({"source": {"index": "eventz"}}, r"no such index \[eventz\]"),
        ({"source": {"index": "events", "query": {"fuzzy": {}}}}, r"\[source.query.fuzzy\]"),
    ],
)
def test_a_wrong_body_is_told(service: TransformService, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(JobsError, match=message):
        service.put(body(**changes), transform_id="wrong")


def test_a_wrong_field_is_told_with_the_one_that_is_meant(service: TransformService) -> None:
    pivot = {**SEED_PIVOT, "aggregations": {"most": {"max": {"field": "byte"}}}}
    with pytest.raises(JobsValueError, match=r"\[pivot.aggregations.most.max.field\].*'byte', did you mean 'bytes'"):
        service.put(body(pivot=pivot), transform_id="wrong")


def continuous(field: str = "@timestamp", delay: str = "1h", **changes: Any) -> dict[str, Any]:
    return body(sync={"time": {"field": field, "delay": delay}}, **changes)


def test_a_continuous_one_goes_on_bucket_by_bucket(service: TransformService, store: Store, clock: Clock) -> None:
    frame = events()
    service.put(continuous(), transform_id="on")
    service.start("on")
    have = 0
    for hours in (1, 2, 30, 31, 74):
        clock.now_ms = START + hours * HOUR + 600_000
        # What there is by then: rows come up to an hour late.
        come = frame[(frame["event.ingested"] % HOUR) + frame["at_timestamp"] < clock.now_ms]
        put_events(store, come)
        done = service.run("on")
        assert not done.done
        whole = frame[frame["at_timestamp"] < (START + (hours - 1) * HOUR)]
        assert written(store) == counts(whole)
        assert done.read == whole["event.action"].notna().sum() - have
        have += done.read
    assert written(store) == counts(frame)
    [stats] = service.stats("on")
    assert stats["checkpointing"]["last"]["time_upper_bound_millis"] == START + 73 * HOUR
    assert stats["stats"]["documents_processed"] == have


def test_without_alignment_an_open_bucket_is_written_and_replaced(
    service: TransformService, store: Store, clock: Clock
) -> None:
    frame = events(500, hours=4)
    put_events(store, frame)
    service.put(continuous(delay="0s", settings={"align_checkpoints": False}), transform_id="on")
    service.start("on")
    for minutes in (30, 45, 100, 240):
        clock.now_ms = START + minutes * 60_000
        service.run("on")
        assert written(store) == counts(frame[frame["at_timestamp"] < clock.now_ms])


@pytest.mark.parametrize("pivot", ["time", "terms"])
def test_rows_that_come_late_are_counted_by_their_time_of_arrival(
    service: TransformService, store: Store, clock: Clock, pivot: str
) -> None:
    frame = events(1500)
    groups = dict(SEED_PIVOT["group_by"])
    if pivot == "terms":
        del groups["@timestamp"]
    given = {**SEED_PIVOT, "group_by": groups}
    service.put(continuous("event.ingested", "0s", pivot=given), transform_id="on")
    service.start("on")
    for hours in (5, 40, 41, 42, 80):
        clock.now_ms = START + hours * HOUR
        come = frame[frame["event.ingested"] < clock.now_ms]
        put_events(store, come)
        before = store.read("hourly").to_pylist()
        done = service.run("on")
        if pivot == "time":
            assert written(store) == counts(come)
            # Hours that no new row belongs to are left alone.
            assert done.written < 60 or hours in {40, 80}
        else:
            found = {row["event.action"]: row["event.count"] for row in store.read("hourly").to_pylist()}
            assert found == come["event.action"].value_counts().to_dict()
        assert len(store.read("hourly").to_pylist()) >= len(before)
    assert service.run("on").written == 0


def test_many_changed_stretches_are_put_together(service: TransformService, store: Store, clock: Clock) -> None:
    hours = np.arange(0, 400, 3)
    frame = events(len(hours))
    frame["at_timestamp"] = START + hours * HOUR
    frame["event.ingested"] = START
    service.put(continuous("event.ingested", "0s"), transform_id="on")
    clock.now_ms = START + HOUR
    put_events(store, frame)
    service.start("on")
    service.run("on")
    late = frame.assign(id=frame["id"] + 1000, **{"event.ingested": START + 2 * HOUR})
    put_events(store, late)
    clock.now_ms = START + 3 * HOUR
    assert service.run("on").written == len(counts(frame))
    assert written(store) == {key: 2 * count for key, count in counts(frame).items()}


class DeathError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("where", ["before the first row", "before the checkpoint"])
def test_a_death_at_any_moment_neither_loses_nor_doubles(
    service: TransformService, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    frame = events()
    put_events(store, frame)
    service.put(continuous(), transform_id="on")
    service.start("on")
    clock.now_ms = START + 30 * HOUR
    service.run("on")
    clock.now_ms = START + 60 * HOUR

    def dies(*_: object, **__: object) -> None:
        raise DeathError

    with monkeypatch.context() as patched:
        if where == "before the first row":
            patched.setattr(store, "put", dies)
        else:
            patched.setattr(service.transforms, "change", dies)
        with pytest.raises(DeathError):
            service.run("on")
    done = TransformService(store, now_ms=clock).run("on")
    assert done.checkpoint == 2
    assert written(store) == counts(frame[frame["at_timestamp"] < START + 59 * HOUR])


def test_what_is_due_runs_and_one_that_fails_stops_no_other(
    service: TransformService, store: Store, clock: Clock
) -> None:
    frame = events()
    put_events(store, frame)
    store.put_container(replace(EVENTS, name="gone"))
    service.put(continuous(source={"index": "gone"}, dest={"index": "other"}), transform_id="bad")
    service.put(continuous(frequency="10m"), transform_id="on")
    service.put(body(dest={"index": "once"}), transform_id="once")
    for name in ("bad", "on", "once"):
        service.start(name)
    store.drop_container("gone")
    clock.now_ms = START + 50 * HOUR
    ran = {one.transform_id: one for one in service.run_due(clock.now_ms)}
    assert "no such index [gone]" in ran["bad"].error
    assert ran["on"].written == len(counts(frame[frame["at_timestamp"] < START + 49 * HOUR]))
    assert ran["once"].done
    assert service.run_due(clock.now_ms + 599_000) == []
    clock.now_ms += 600_000
    assert [one.transform_id for one in service.run_due(clock.now_ms)] == ["on"]
    bad = service.stats("bad")[0]
    assert (bad["state"], bad["health"]["status"]) == ("failed", "red")
    assert bad["reason"].startswith("no such index [gone]")
    with pytest.raises(JobsConflictError, match=r"Unable to start transform \[bad\] as it is in a failed state"):
        service.start("bad")
    with pytest.raises(JobsConflictError, match=r"Unable to stop transform \[bad\] as it is in a failed state"):
        service.stop("bad")
    assert [one.state for one in service.stop("*", force=True)] == ["stopped"] * 3


def test_a_store_that_fails_is_tried_again_as_often_as_told(
    service: TransformService, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_events(store, events(100))
    service.put(continuous(settings={"num_failure_retries": 1}), transform_id="on")
    service.start("on")

    def busy(*_: object, **__: object) -> None:
        raise StoreBusyError("The store is busy.")

    with monkeypatch.context() as patched:
        patched.setattr(store, "put", lambda name, rows: busy() if name == "hourly" else None)
        assert service.run_due()[0].error == "The store is busy."
        assert service.stats()[0]["health"]["status"] == "yellow"
    clock.now_ms += 60_000
    assert service.run_due()[0].error == ""
    assert service.stats()[0]["health"] == {"status": "green"}


def test_a_stop_holds_after_the_piece_at_hand_and_a_start_goes_on(
    service: TransformService, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridwatch.jobs.transform.work._ROWS", 500)
    frame = events()
    put_events(store, frame)
    service.put(body(), transform_id="once")
    service.start("once")

    def stop(*_: int) -> None:
        service.stop("once")

    done = service.run("once", progress=stop)
    assert not done.done
    assert 0 < done.read < 1500
    service.start("once")
    seen: list[tuple[int, int]] = []
    assert service.run("once", progress=lambda read, wrote: seen.append((read, wrote))).done
    assert len(seen) >= 8
    assert written(store) == counts(frame)


def test_groups_that_cut_no_time_are_worked_out_in_parts_and_cut_short_between_two(
    service: TransformService, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = events()
    frame.loc[::50, "event.ingested"] = None
    store.put_container(replace(EVENTS, name="indexed", indexes=("event.ingested",)))
    put_events(store, frame, "indexed")
    pivot = {
        "group_by": {"user": {"terms": {"field": "user.name", "missing_bucket": True}}},
        "aggregations": {
            "rows": {"value_count": {"field": "id"}},
            "users": {"cardinality": {"field": "event.action"}},
            "most": {"max": {"field": "bytes"}},
            "mean": {"avg": {"field": "id"}},
        },
    }
    whole = body(source={"index": "indexed"}, dest={"index": "whole"}, pivot=pivot)
    service.put(whole, transform_id="whole")
    service.start("whole")
    service.run("whole")
    monkeypatch.setattr("gridwatch.jobs.transform.work._ROWS", 500)
    service.put({**whole, "dest": {"index": "parts"}}, transform_id="parts")
    service.start("parts")
    asked = []
    ask = store.sql

    def counted(*words: Any, **more: Any) -> pa.Table:
        asked.append(words)
        if len(asked) == 5:
            service.stop("parts")
        return ask(*words, **more)

    with monkeypatch.context() as patched:
        patched.setattr(store, "sql", counted)
        assert not service.run("parts").done
        assert len(asked) == 5, "the question after the stop is not asked any more"
        service.start("parts")
        assert service.run_one("parts", stopped=lambda: len(asked) > 8).written == 0
        assert service.run_one("parts").done
    assert len(asked) > 20
    key = [("user", "ascending")]
    assert store.read("parts").sort_by(key).to_pylist() == store.read("whole").sort_by(key).to_pylist()


def test_a_long_one_keeps_no_other_waiting_and_ends_with_the_runner(
    service: TransformService, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = events(100)
    put_events(store, frame)
    store.put_container(replace(EVENTS, name="many"))
    put_events(store, frame, "many")
    for name in ("long", "short"):
        service.put(
            body(source={"index": "many" if name == "long" else "events"}, dest={"index": name}), transform_id=name
        )
        service.start(name)
    let, asked, ask = threading.Event(), threading.Event(), store.sql

    def slow(statement: str, *more: Any, **named: Any) -> pa.Table:
        if '"many"' in statement:
            asked.set()
            assert let.wait(60)
        return ask(statement, *more, **named)

    monkeypatch.setattr(store, "sql", slow)
    stop = threading.Event()
    thread = threading.Thread(target=TransformRunner(lambda: service, look_s=0.01).run, args=(stop,))
    thread.start()
    ends = time.monotonic() + 60
    while service.transforms.get("short").state != "stopped" or not asked.is_set():
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert service.transforms.get("long").state == "started"
    stop.set()
    let.set()
    thread.join(60)
    assert not thread.is_alive()
    assert written(store, "short") == counts(frame)
    assert service.run("long").done


def test_a_defect_is_a_failure_like_others(
    service: TransformService, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_events(store, events(10))
    service.put(body(), transform_id="once")
    service.start("once")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("gridwatch.jobs.transform.runs.Work", broken)
    assert service.run_due()[0].error == "RuntimeError('a defect')"
    assert service.stats("once")[0]["health"]["issues"][0]["details"] == "RuntimeError('a defect')"
    assert service.due() == [], "it is tried again at its next turn, not at once"


def test_only_a_container_that_a_transform_has_made_is_dropped_with_it(service: TransformService, store: Store) -> None:
    put_events(store, events(10))
    for name in ("first", "second"):
        service.put(body(), transform_id=name)
        service.start(name)
        service.run(name)
    told = r"Cannot delete the container 'hourly' with transform \[second\], which has not made it: it was there before"
    with pytest.raises(JobsConflictError, match=told):
        service.delete("second", delete_dest_index=True)
    service.reset("second")
    assert store.container("hourly") is not None
    service.delete("second")
    service.put(
        body(dest={"index": "events"}, source={"index": "hourly"}), transform_id="others", defer_validation=True
    )
    with pytest.raises(JobsConflictError, match="the container 'events'"):
        service.delete("others", delete_dest_index=True)
    service.put(body(dest={"index": "never"}), transform_id="never")
    service.delete("never", delete_dest_index=True)
    service.delete("first", delete_dest_index=True)
    assert store.container("hourly") is None
    assert store.container("events") is not None


def test_what_a_get_has_answered_can_be_put_again(service: TransformService, store: Store, clock: Clock) -> None:
    put_events(store, events(10))
    service.put({**body(), "create_time": 5, "version": "8.15.0"}, transform_id="one")
    answered = service.transforms.get("one").config.to_json()
    assert (answered["create_time"], "version" in answered) == (clock.now_ms, False)
    clock.now_ms += 1
    service.delete("one")
    assert service.put(answered).config.to_json() == {**answered, "create_time": clock.now_ms}


def test_another_process_at_work_is_told(service: TransformService, store: Store, clock: Clock) -> None:
    put_events(store, events(10))
    service.put(body(), transform_id="once")
    service.start("once")
    other = Lease(store, "transform:once", clock=clock, lasts_ms=60_000)
    assert other.hold()
    with pytest.raises(JobsBusyError, match=r"\[once\] is at work in another process"):
        service.run("once")
    other.release()
    assert service.run("once").done


def test_an_update_changes_what_it_may_and_keeps_the_rest(service: TransformService, store: Store) -> None:
    put_events(store, events(10))
    service.put(continuous(settings={"docs_per_second": 5.0}), transform_id="on")
    changed = service.update("on", {"frequency": "5m", "settings": {"max_page_search_size": 100}, "description": "d"})
    told = changed.config.to_json()
    assert (told["frequency"], told["description"], told["pivot"]) == ("5m", "d", SEED_PIVOT)
    assert told["settings"] == {"docs_per_second": 5.0, "max_page_search_size": 100}
    with pytest.raises(
        JobsError, match=r"\[pivot\] unknown field \[pivot\]: an update does not change it; allowed: desc"
    ):
        service.update("on", {"pivot": SEED_PIVOT})
    with pytest.raises(
        JobsValueError, match=r"\[sync\] Cannot change the current sync configuration of transform \[on\]"
    ):
        service.update("on", {"sync": None})


def test_from_an_instant_on_and_back_to_the_beginning(service: TransformService, store: Store, clock: Clock) -> None:
    frame = events()
    put_events(store, frame)
    service.put(continuous(), transform_id="on")
    service.start("on", from_ms=START + 24 * HOUR)
    service.run("on")
    assert written(store) == counts(frame[frame["at_timestamp"] >= START + 24 * HOUR])
    service.stop("on")
    with pytest.raises(JobsValueError, match=r"\[from\] the transform has been started before; reset it first"):
        service.start("on", from_ms=START)
    service.reset("on")
    assert store.container("hourly") is None
    service.start("on")
    service.run("on")
    assert written(store) == counts(frame)


def test_what_was_before_the_start_never_counts(service: TransformService, store: Store, clock: Clock) -> None:
    frame = events()
    put_events(store, frame)
    groups = {"event.action": SEED_PIVOT["group_by"]["event.action"]}
    service.put(continuous(pivot={**SEED_PIVOT, "group_by": groups}, delay="0s"), transform_id="on")
    service.start("on", from_ms=START + 24 * HOUR)
    for hours in (40, 80):
        clock.now_ms = START + hours * HOUR
        service.run("on")
    later = frame[frame["at_timestamp"] >= START + 24 * HOUR]
    found = {row["event.action"]: row["event.count"] for row in store.read("hourly").to_pylist()}
    assert found == later["event.action"].value_counts().to_dict()


def test_a_container_that_is_there_has_to_fit(service: TransformService, store: Store) -> None:
    put_events(store, events(10))
    key = Column("id", ColumnType.LONG, nullable=False)
    store.put_container(ContainerInfo("hourly", ContainerType.COLLECTION, (key,), ("id",)))
    service.put(body(), transform_id="one")
    with pytest.raises(
        JobsValueError, match=r"\[dest.index\].*has for the field 'event.action'.*of type none, needed is"
    ):
        service.start("one")
    others = (Column("event.action", ColumnType.STRING), Column("at_timestamp", ColumnType.TIMESTAMP))
    columns = (key, *others, Column("event.count", ColumnType.LONG))
    store.put_container(ContainerInfo("third", ContainerType.COLLECTION, columns, ("id",)))
    service.put(body(dest={"index": "third"}), transform_id="two")
    with pytest.raises(JobsValueError, match=r"is there already with the row key \['id'\], needed is \['event.action'"):
        service.start("two")


def test_runtime_fields_a_query_and_missing_groups(service: TransformService, store: Store) -> None:
    frame = events(800)
    put_events(store, frame)
    source = {
        "index": "events",
        "query": {"exists": {"field": "took"}},
        "runtime_mappings": {"first": {"type": "keyword", "script": "emit(doc['user.name'].value + '!')"}},
    }
    pivot = {
        "group_by": {"who": {"terms": {"field": "first", "missing_bucket": True}}},
        "aggregations": {"n": {"value_count": {"field": "took"}}, "users": {"cardinality": {"field": "user.name"}}},
    }
    service.put(body(source=source, pivot=pivot), transform_id="by_user")
    service.start("by_user")
    service.run("by_user")
    rows = store.read("hourly").to_pylist()
    info = store.container("hourly")
    assert info is not None
    assert info.row_key == ("_id",)
    there = frame[[value is not None and value == value for value in frame["took"]]]
    wanted = Counter(None if name is None or name != name else f"{name}!" for name in there["user.name"])
    assert {row["who"]: row["n"] for row in rows} == dict(wanted)
    assert {row["who"]: row["users"] for row in rows} == {who: int(who is not None) for who in wanted}
    # What is missing is left out of a document, and the key is nobody's field.
    assert {"n": wanted[None], "users": 0} in service.preview(transform_id="by_user")["preview"]


def test_a_script_that_is_too_deep_for_sql_is_told_as_a_wrong_transform(
    service: TransformService, store: Store
) -> None:
    if not isinstance(store, SqliteStore):
        pytest.skip("GridDB takes deeper expressions")
    put_events(store, events(10))
    mapping = {"deep": {"type": "keyword", "script": {"source": f"{DEEP} emit('other')"}}}
    source = {"index": "events", "runtime_mappings": mapping}
    pivot = {**SEED_PIVOT, "group_by": {"deep": {"terms": {"field": "deep"}}}}
    told = r"become SQL that the store refuses: .*nested too deep\. Fewer clauses, branches of scripts"
    with pytest.raises(JobsRequestError, match=told):
        service.preview(body(source=source, pivot=pivot))
    service.put(body(source=source, pivot=pivot), transform_id="deep")
    service.start("deep")
    assert "nested too deep" in service.run_due()[0].error
    # Tried again, it would be as deep.
    assert service.transforms.get("deep").state == "failed"


def test_a_name_that_griddb_refuses_is_told(service: TransformService, store: Store) -> None:
    put_events(store, events(10))
    service.put(body(dest={"index": "by the hour"}), transform_id="one")
    with pytest.raises(JobsValueError, match=r"\[dest.index\] the container 'by the hour' cannot be made: "):
        service.start("one")
    assert service.transforms.get("one").state == "stopped"
    service.delete("one", delete_dest_index=True)
