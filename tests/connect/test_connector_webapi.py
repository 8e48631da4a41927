"""Records through a real Connect worker into a store behind its Web API."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from gridwatch.containers import ColumnType, ContainerType, Store
from gridwatch.streaming.connect import ConnectWorker
from gridwatch.streaming.connect_files import served_url
from tests.connect.conftest import Served
from tests.connect.gateway import Answer, Asked, gateway
from tests.connect.sinks import Sinks, envelope, field, wait_for

MakeSinks = Callable[[str], Sinks]

T0_MS = 1_704_067_200_000
T0 = datetime(2024, 1, 1, tzinfo=UTC)
BARS = [field("ts", "int64", "Timestamp", optional=False), field("v", "double")]


def bars(first: int, count: int) -> list[bytes]:
    return [envelope(BARS, {"ts": T0_MS + 1000 * place, "v": place / 4}) for place in range(first, first + count)]


def read(store: Store, name: str) -> list[float]:
    return list(store.read(name).column("v").to_pylist())


def test_values_of_every_type_arrive_as_they_were(sinks: Sinks, store: Store) -> None:
    fields = [
        BARS[0], field("flag", "boolean"), field("word", "string"), field("i8", "int8"), field("i16", "int16"),
        field("i32", "int32"), field("i64", "int64"), field("f32", "float"), field("f64", "double"),
        field("raw", "bytes"), field("day", "int32", "Date"), field("seen", "int64", "Timestamp"),
    ]  # fmt: skip
    full = {
        "ts": T0_MS, "flag": True, "word": 'Käse "€"\n\U0001f600', "i8": -128, "i16": -32768, "i32": 2**31 - 1,
        "i64": -(2**63), "f32": 1.1, "f64": 1e300, "raw": base64.b64encode(bytes(range(256))).decode(),
        "day": 19723, "seen": T0_MS + 1,
    }  # fmt: skip
    nothing = dict.fromkeys(full) | {"ts": T0_MS + 1000}
    topic = sinks.topic()
    name = sinks.run(topic)
    sinks.send(topic, [envelope(fields, full), envelope(fields, nothing)])
    sinks.settle(name, topic)
    first, second = store.read(topic).to_pylist()
    assert first.pop("f32") == pytest.approx(1.1)
    want = full | {"ts": T0, "raw": bytes(range(256)), "day": T0, "seen": T0 + timedelta(milliseconds=1)}
    del want["f32"]
    assert first == want
    assert {column for column, value in second.items() if value is not None} == {"ts"}
    info = store.container(topic)
    assert info is not None
    assert (info.type, info.row_key) == (ContainerType.TIME_SERIES, ("ts",))
    assert info.column("raw").type is ColumnType.BLOB


def test_a_container_that_others_change_and_make_anew_gets_its_rows(sinks: Sinks, store: Store) -> None:
    topic = sinks.topic()
    name = sinks.run(topic)
    sinks.send(topic, bars(0, 3))
    sinks.settle(name, topic)
    store.execute(f'ALTER TABLE "{topic}" ADD COLUMN note LONG')
    sinks.send(topic, bars(3, 3))
    sinks.settle(name, topic)
    assert read(store, topic) == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]
    # Made anew with its columns in another order: rows are arrays, so old ones would fit by accident or not at all.
    store.drop_container(topic)
    store.execute(f'CREATE TABLE "{topic}" (ts TIMESTAMP PRIMARY KEY, note LONG, V DOUBLE) USING TIMESERIES')
    sinks.send(topic, bars(6, 2))
    sinks.settle(name, topic)
    assert store.read(topic).select(["note", "V"]).to_pylist() == [{"note": None, "V": 1.5}, {"note": None, "V": 1.75}]
    assert sinks.letters(topic) == []


def test_tombstones_delete_by_keys_of_any_text(sinks: Sinks, store: Store) -> None:
    topic = sinks.topic()
    keys = ["plain", "it's", 'a "b"', "two\nlines", "Käse"]
    fields = [field("id", "string", optional=False), field("v", "double")]
    options = {"container__type": "COLLECTION", "row__key__fields": "id", "delete__enabled": True}
    name = sinks.run(topic, **options, row__key__source="key")
    rows = [envelope(fields, {"id": key, "v": 1.0}) for key in keys]
    sinks.send(topic, rows, keys=[key.encode() for key in keys])
    sinks.settle(name, topic)
    every = f'SELECT id FROM "{topic}"'  # noqa: S608  # a name of our own
    assert sorted(row["id"] for row in store.sql(every).to_pylist()) == sorted(keys)
    gone = [*keys[1:], "never there"]
    sinks.send(topic, [None] * len(gone), keys=[key.encode() for key in gone])
    sinks.settle(name, topic)
    assert store.sql(every).to_pylist() == [{"id": "plain"}]
    assert sinks.letters(topic) == []


def test_partitions_and_expiry_are_those_of_the_options(sinks: Sinks, store: Store) -> None:
    topic = sinks.topic()
    how = {"partition__interval": 30, "partition__interval__unit": "DAY", "expiration__time": 90}
    name = sinks.run(topic, **how)
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    sinks.send(topic, [envelope(BARS, {"ts": now_ms, "v": 1.0})])
    sinks.settle(name, topic)
    info = store.container(topic)
    assert info is not None
    assert info.partitioning is not None
    assert (info.partitioning.interval, info.partitioning.interval_unit) == (30, "DAY")
    assert (info.partitioning.expiration, info.partitioning.expiration_unit) == (90, "DAY")


def test_rows_wait_while_the_server_is_away(make_sinks: MakeSinks, own_served: Served) -> None:
    sinks = make_sinks(own_served.url)
    topic = sinks.topic()
    name = sinks.run(topic, retry__backoff__ms=50, retry__backoff__max__ms=200)
    sinks.send(topic, bars(0, 100))
    sinks.settle(name, topic)
    own_served.stop()
    sinks.send(topic, bars(100, 100))
    log = sinks.worker.log_file
    failed = f"{{id={name}-0}} RetriableException"
    wait_for(lambda: failed in log.read_text(encoding="utf-8"), "a failed try")
    assert sinks.committed(name, topic) == {0: 100}
    own_served.start()
    sinks.settle(name, topic)
    assert read(own_served.store, topic) == [place / 4 for place in range(200)]
    assert sinks.letters(topic) == []


def test_a_gateway_that_refuses_large_requests_and_breaks_down_loses_nothing(
    make_sinks: MakeSinks, own_served: Served
) -> None:
    troubles = iter([Answer(503, b"", {"Retry-After": "1"}), Answer(0), Answer(502, b"<html>Bad Gateway</html>")])
    sizes: list[int] = []

    def fault(asked: Asked) -> Answer | None:
        if not asked.path.endswith("/containers/rows"):
            return None
        if len(asked.body) > 20_000:
            return Answer(413, b"<html>Request Entity Too Large</html>")
        if (trouble := next(troubles, None)) is not None:
            return trouble
        sizes.append(len(asked.body))
        return None

    fields = [BARS[0], field("v", "double"), field("note", "string")]
    rows = [{"ts": T0_MS + place, "v": place / 4, "note": "n" * 100} for place in range(2000)]
    large = {"ts": T0_MS + 5000, "v": 0.0, "note": "x" * 25_000}
    with gateway(own_served.base, fault) as between:
        sinks = make_sinks(served_url(between.base, "gridwatch"))
        topic = sinks.topic()
        name = sinks.run(topic, retry__backoff__ms=50)
        sinks.send(topic, [envelope(fields, row) for row in [*rows[:1000], large, *rows[1000:]]])
        sinks.settle(name, topic)
        (letter,) = sinks.letters(topic)
    assert read(own_served.store, topic) == [place / 4 for place in range(2000)]
    assert next(troubles, None) is None
    assert len(sizes) > 10
    assert letter.offset == 1000
    assert "refuses a request of this size" in letter.reason


def test_a_wrong_password_fails_the_task_and_is_shown_nowhere(
    sinks: Sinks, store: Store, worker: ConnectWorker
) -> None:
    topic = sinks.topic()
    secret = "s3cret-never-shown"
    name = sinks.run(topic, connection__user="admin", connection__password=secret)
    sinks.send(topic, bars(0, 2))
    trace = sinks.failure(name)
    assert "refuses the login" in trace
    assert "check connection.user and connection.password" in trace
    assert secret not in trace
    assert secret not in worker.log_file.read_text(encoding="utf-8")
    status = sinks.api.status(name)
    assert status is not None
    assert "refuses the login" in status.failed[0].reason
    assert sinks.committed(name, topic) == {}, "nothing is lost: the records are there for the next start"
    assert store.container(topic) is None
    assert sinks.letters(topic) == [], "no record is to blame"
