"""Transforms over a store: the summary is what a plain computation gives, once, in steps, and after a death."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import JobsConflictError, JobsError, JobsExistsError, JobsNotFoundError, JobsValueError
from gridwatch.jobs.transform import TransformService

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


def put_events(store: SqliteStore, frame: pd.DataFrame, name: str = "events") -> None:
    columns = {}
    for field in EVENTS.arrow:
        values = [None if value is None or value != value else value for value in frame[field.name].tolist()]
        columns[field.name] = pa.array(values, pa.int64() if pa.types.is_timestamp(field.type) else field.type)
        columns[field.name] = columns[field.name].cast(field.type)
    store.put(name, pa.table(columns))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "store.db") as store:
        store.put_container(EVENTS)
        yield store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(store: SqliteStore, clock: Clock) -> TransformService:
    return TransformService(store, now_ms=clock)


def body(**changes: Any) -> dict[str, Any]:
    return {"source": {"index": "events"}, "dest": {"index": "hourly"}, "pivot": SEED_PIVOT, **changes}


def counts(frame: pd.DataFrame) -> dict[tuple[str, int], int]:
    known = frame.dropna(subset=["event.action"])
    hours = known["at_timestamp"] // HOUR * HOUR
    return dict(Counter(zip(known["event.action"].tolist(), hours.tolist(), strict=True)))


def written(store: SqliteStore, name: str = "hourly") -> dict[tuple[str, int], int]:
    rows = store.read(name).to_pylist()
    return {(row["event.action"], int(row["at_timestamp"].timestamp() * 1000)): row["event.count"] for row in rows}


def test_the_preview_of_the_seeds_pivot_has_the_seeds_shape(service: TransformService, store: SqliteStore) -> None:
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


def test_a_batch_run_writes_what_a_plain_count_gives_and_stops(service: TransformService, store: SqliteStore) -> None:
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


def test_what_the_state_does_not_allow_is_refused(service: TransformService, store: SqliteStore) -> None:
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
