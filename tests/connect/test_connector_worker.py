"""The connector on a real Connect worker: into a served store over its Web API, and into GridDB through its client."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Partitioning, Store, open_store
from gridwatch.settings import load_settings
from tests.connect.conftest import Served
from tests.connect.sinks import Letter, Sinks, envelope, wait_for
from tests.connect.sinks import field as declared
from tests.containers.griddb_server import DATABASE, drop_databases, ensure_database, server_url

FIELDS = [declared("ts", "int64", "Timestamp", optional=False), declared("v", "double"), declared("name", "string")]


@dataclass
class Target:
    """A store, and connectors that write to it."""

    sinks: Sinks
    store: Store
    login: dict[str, str] = field(default_factory=dict)

    def run(self, *topics: str, **options: object) -> str:
        return self.sinks.run(*topics, **self.login, **options)

    def rows(self, name: str) -> list[tuple[Any, ...]]:
        """Return a container's rows, times as ms, by their first column."""
        info = self.store.container(name)
        assert info is not None
        table = self.store.sql(f'SELECT * FROM "{info.name}"')  # noqa: S608 - a name of the test's own
        whole = [
            table.column(place).cast("int64").to_pylist() if column.type.precision else table.column(place).to_pylist()
            for place, column in enumerate(info.columns)
        ]
        return sorted(zip(*whole, strict=True))


@pytest.fixture(params=["webapi", pytest.param("griddb", marks=pytest.mark.griddb)])
def target(request: pytest.FixtureRequest, make_sinks: Callable[[str], Sinks], served: Served) -> Iterator[Target]:
    if request.param == "webapi":
        yield Target(make_sinks(served.url), served.store)
        return
    ensure_database(DATABASE)
    settings = load_settings()
    assert settings.griddb.password is not None
    login = {
        "connection__user": settings.griddb.user,
        "connection__password": settings.griddb.password.get_secret_value(),
    }
    try:
        with open_store(server_url(), settings=settings) as store:
            yield Target(make_sinks(server_url()), store, login)
    finally:
        drop_databases()


def test_a_topic_becomes_a_time_series_and_bad_records_go_to_the_dead_letters(target: Target) -> None:
    topic = target.sinks.topic()
    good = [{"ts": 1_000 * place, "v": place / 2, "name": f"n{place}"} for place in range(20)]
    sent: list[Any] = [envelope(FIELDS, row) for row in good]
    sent[3:3] = [
        b"nonsense",
        envelope(FIELDS, {"ts": -1, "v": 1.0, "name": "early"}),
        # Only the server knows that it takes no such text.
        envelope(FIELDS, {"ts": 1_000, "v": 1.0, "name": "a\0b"}),
        None,
    ]
    sent.append(envelope([*FIELDS, declared("more", "int32")], {"ts": 1, "v": 0.0, "name": "", "more": None}))
    name = target.run(topic, batch__max__rows=7)
    target.sinks.send(topic, sent)
    target.sinks.settle(name, topic)
    assert target.rows(topic) == [(row["ts"], row["v"], row["name"]) for row in good]
    reasons = {letter.offset: letter.reason for letter in letters(target, topic, 5)}
    assert sorted(reasons) == [3, 4, 5, 6, 24]
    assert reasons[4] == "'ts' is -1, outside 0..253402300799999 ms (1970 to 9999)"
    assert topic in reasons[5]
    assert reasons[6] == "tombstone (null value): rows are deleted only with delete.enabled=true"
    assert reasons[24] == "unknown field 'more'; the container has ts, v, name"
    # What comes twice is the same row.
    target.sinks.send(topic, sent[:3])
    target.sinks.settle(name, topic)
    assert len(target.rows(topic)) == 20


def letters(target: Target, topic: str, count: int) -> list[Letter]:
    return wait_for(lambda: target.sinks.letters(topic), "dead letters", until=lambda found: len(found) >= count)


def test_deletions_and_rows_of_one_key_keep_their_order(target: Target) -> None:
    topic = target.sinks.topic()
    fields = [declared("id", "string", optional=False), declared("n", "int64", optional=False), declared("v", "double")]

    def put(word: str, number: int, value: float) -> tuple[bytes, bytes]:
        key = json.dumps([word, number]).encode()
        return key, envelope(fields, {"id": word, "n": number, "v": value})

    def drop(word: str, number: int) -> tuple[bytes, None]:
        return json.dumps([word, number]).encode(), None

    sent = [
        drop("a", 1), put("a", 1, 1.0), put("b", 1, 1.0), drop("a", 1), put("a", 1, 2.0), put("a", 2, 2.5),
        put("c", 1, 3.0), drop("c", 1), put("b", 1, 4.0), drop("never", 9), put("d'\"", -1, 5.0), put("e", 0, 6.0),
        drop("d'\"", -1), (b'["only one"]', None), (b'["e", "x"]', None),
    ]  # fmt: skip
    name = target.run(topic, container__type="COLLECTION", row__key__fields="id,n", delete__enabled=True, tasks__max=1)
    target.sinks.send(topic, [value for _, value in sent], keys=[key for key, _ in sent])
    target.sinks.settle(name, topic)
    assert target.rows(topic) == [("a", 1, 2.0), ("a", 2, 2.5), ("b", 1, 4.0), ("e", 0, 6.0)]
    assert [letter.reason for letter in letters(target, topic, 2)] == [
        "the record's key has 1 values, but the row key is id, n",
        "the record's key: 'n' is a string (\"x\"), not LONG",
    ]


def test_columns_are_added_where_that_is_allowed(target: Target) -> None:
    topic = target.sinks.topic()
    name = target.run(topic, auto__evolve=True)
    target.sinks.send(topic, [envelope(FIELDS[:2], {"ts": 1, "v": 1.0})])
    target.sinks.settle(name, topic)
    more = [*FIELDS[:2], declared("w", "int32", optional=False)]
    sent = [envelope(more, {"ts": 2, "v": 2.0, "w": 7}), envelope(FIELDS, {"ts": 3, "v": 3.0, "name": "x"})]
    target.sinks.send(topic, [*sent, {"schema": None, "payload": {"ts": 4, "w": 1}}])
    target.sinks.settle(name, topic)
    assert target.rows(topic) == [(1, 1.0, None), (2, 2.0, 7), (4, None, 1)]
    (letter,) = letters(target, topic, 1)
    assert letter.reason == (
        f"field 'name' would be the first STRING column of container '{topic}', whose older rows GridDB's native "
        "client could not read any more; make the container anew"
    )


def test_two_tasks_make_one_container_and_fill_it(target: Target) -> None:
    topic = target.sinks.topic(partitions=2)
    for partition in (0, 1):
        rows = [{"ts": 2 * place + partition, "v": float(partition), "name": "x"} for place in range(500)]
        target.sinks.send(topic, [envelope(FIELDS, row) for row in rows], partition=partition)
    name = target.run(topic, tasks__max=2, consumer__override__max__poll__records=100)
    target.sinks.settle(name, topic)
    assert target.rows(topic) == [(place, float(place % 2), "x") for place in range(1000)]
    assert target.sinks.letters(topic) == []


def test_one_topic_feeds_many_containers_by_a_field(target: Target) -> None:
    topic = target.sinks.topic()
    prefix = topic.replace("_", "")
    known = f"{prefix}-known"
    columns = (Column("ts", ColumnType.TIMESTAMP, nullable=False), Column("v", ColumnType.DOUBLE))
    target.store.put_container(ContainerInfo(known, ContainerType.TIME_SERIES, columns, ("ts",)))
    fields = [*FIELDS[:2], declared("site", "string")]
    sites = ["known", "KNOWN", "a b", None, "known"]
    sent = [envelope(fields, {"ts": place, "v": 1.0 * place, "site": site}) for place, site in enumerate(sites)]
    name = target.run(topic, container__name__format=f"{prefix}-${{field:site}}")
    target.sinks.send(topic, sent)
    target.sinks.settle(name, topic)
    assert target.rows(known) == [(0, 0.0), (1, 1.0), (4, 4.0)]
    reasons = [letter.reason for letter in letters(target, topic, 2)]
    assert reasons[0].startswith("GridDB takes no ' ' in a container's name, and 'a b' has one; set container.name.san")
    assert reasons[1].startswith("field 'site', which ")
    assert reasons[1].endswith(" makes the container's name from, is null")


def test_containers_are_made_partitioned_with_expiry(target: Target) -> None:
    topic = target.sinks.topic()
    name = target.run(topic, partition__interval=30, expiration__time=3650, delete__enabled=True)
    now = 1_760_000_000_000
    target.sinks.send(topic, [envelope(FIELDS, {"ts": now + place, "v": 1.0, "name": "x"}) for place in range(50)])
    target.sinks.settle(name, topic)
    assert len(target.rows(topic)) == 50
    target.sinks.send(topic, [None, None], keys=[str(now + 7).encode(), str(now + 99).encode()])
    target.sinks.settle(name, topic)
    assert [row[0] - now for row in target.rows(topic)] == [place for place in range(50) if place != 7]
    info = target.store.container(topic)
    assert info is not None
    assert info.partitioning == Partitioning("ts", interval=30, interval_unit="DAY", expiration=3650)


def test_without_tolerance_the_task_fails_and_says_where_and_why(target: Target) -> None:
    topic = target.sinks.topic()
    none = {"errors__tolerance": "none", "errors__deadletterqueue__topic__name": None}
    name = target.run(topic, **none)
    target.sinks.send(topic, [envelope(FIELDS, {"ts": 1, "v": 1.0, "name": "x"}), envelope(FIELDS, {"ts": -1})])
    assert (
        f"Bad record {topic}-0-1: 'ts' is -1, outside 0..253402300799999 ms (1970 to 9999) (with errors.tolerance=all, "
        "such records go to the dead letters)"
    ) in target.sinks.failure(name)


@pytest.mark.griddb
def test_a_wrong_password_fails_the_task_and_stands_nowhere(make_sinks: Callable[[str], Sinks]) -> None:
    sinks = make_sinks(os.environ["GRIDWATCH_TEST_GRIDDB_URL"])
    topic = sinks.topic()
    name = sinks.run(topic, connection__user="admin", connection__password="not-the-one")
    sinks.send(topic, [envelope(FIELDS, {"ts": 1})])
    trace = sinks.failure(name)
    assert "refuses the login (invalid user name or password" in trace
    assert "; check connection.user, connection.password, and cluster and database in connection.url" in trace
    assert "not-the-one" not in trace + sinks.worker.log_file.read_text()


def test_wrong_options_are_told_by_their_names(sinks: Sinks) -> None:
    given = {"name": "n"} | sinks.config(
        "t",
        connection__url="griddb://h:99999/c/d",
        container__name__format="${tpoic}",
        container__type="TABLE",
        row__key__fields="a,A",
        timestamp__pattern="yyyy-MM-dd hh:mm",
        timestamp__zone="Mars",
        batch__max__rows=0,
        retries__max="many",
    )
    told = {wrong.key: wrong.messages[0] for wrong in sinks.api.validate(given).wrong}
    assert told == {
        "connection.url": "connection.url griddb://h:99999/c/d is wrong: 'h:99999' is no host:port (GridDB takes IPv4 "
        "addresses and names).",
        "container.name.format": "container.name.format is '${tpoic}': ${tpoic} is unknown; there are ${topic} and "
        "${field:NAME}.",
        "container.type": "container.type is 'TABLE'; use TIME_SERIES, COLLECTION.",
        "row.key.fields": "row.key.fields names 'A' twice.",
        "timestamp.pattern": "timestamp.pattern is 'yyyy-MM-dd hh:mm': hh and KK are the clock of 12 hours, on which "
        "00:30 and 12:30 are the same; use HH, or add a.",
        "timestamp.zone": "timestamp.zone is 'Mars', which is no time zone; use one such as America/New_York or UTC.",
        "batch.max.rows": "batch.max.rows is 0; use 1 to 100000.",
        "retries.max": told["retries.max"],
    }
    assert "retries.max" in told["retries.max"]


def test_options_that_are_null_have_their_defaults(sinks: Sinks) -> None:
    empty: dict[str, Any] = {"timestamp.zone": None, "timestamp.pattern": None, "partition.column": None}
    assert sinks.api.validate({"name": "n"} | sinks.config("t") | empty).wrong == ()


@pytest.mark.parametrize(
    ("options", "key", "message"),
    [
        (
            {"connection.url": "griddb://admin:s3cret@h:1/c/d"},
            "connection.url",
            "carries a user or password; set connection.user and connection.password instead",
        ),
        ({"connection.url": "griddb://h:1/c/d"}, "connection.password", "is missing; griddb:// always wants a login"),
        (
            {"connection.url": "griddb:///c/d?provider=http://u:s3cret@h/m.json"},
            "connection.url",
            "carries a user or password",
        ),
        ({"row.key.fields": "a,b"}, "row.key.fields", "names a, b; a time series has one key column"),
        (
            {"row.key.fields": "ts", "partition.interval": 1, "partition.column": "v"},
            "partition.column",
            "is v, which is none of row.key.fields; GridDB partitions by key columns only",
        ),
        ({"expiration.time": 3}, "expiration.time", "wants partition.interval: GridDB drops whole partitions"),
        ({"partition.column": "ts"}, "partition.column", "wants partition.interval or partition.hash.count"),
        ({"partition.hash.column": "ts"}, "partition.hash.column", "goes with both partition.interval and"),
        (
            {"delete.enabled": "true", "container.name.format": "${field:site}"},
            "delete.enabled",
            "does not go with ${field:...} in container.name.format",
        ),
    ],
)
def test_options_that_contradict_each_other_are_told(
    sinks: Sinks, options: dict[str, object], key: str, message: str
) -> None:
    told = {
        wrong.key: wrong.messages[0] for wrong in sinks.api.validate({"name": "n"} | sinks.config("t", **options)).wrong
    }
    assert message in told[key]
    assert "s3cret" not in str(told)
