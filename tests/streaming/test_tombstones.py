"""Records without a value: dead letters, or the end of a row where that is allowed."""

from __future__ import annotations

import json
import re

import pytest

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Store
from gridwatch.containers.catalog import series_info
from gridwatch.settings import Settings
from gridwatch.streaming import Producer, TimeFormat, drain, read_dead_letters
from gridwatch.streaming.tombstones import row_key
from gridwatch.streaming.values import RecordError

T = ColumnType
SERIES = series_info("s")
TEXT = ContainerInfo("t", ContainerType.COLLECTION, (Column("id", T.STRING, False),), ("id",))
BOTH = ContainerInfo("b", ContainerType.COLLECTION, (*TEXT.columns, Column("n", T.LONG, False)), ("id", "n"))
NONE = ContainerInfo("n", ContainerType.COLLECTION, TEXT.columns)


@pytest.mark.parametrize(
    ("info", "key", "values"),
    [
        (SERIES, b"1700000000000", (1_700_000_000_000,)),
        (SERIES, b"2024-07-01 09:30", (1_719_840_600_000,)),
        (SERIES, b'{"TS": 5}', (5,)),
        (SERIES, b"[5]", (5,)),
        (TEXT, b"[5]", ("[5]",)),
        (TEXT, b"", ("",)),
        (BOTH, b'["a", 5]', ("a", 5)),
        (BOTH, b'{"n": "5", "id": "a"}', ("a", 5)),
    ],
)
def test_a_key_tells_the_row(info: ContainerInfo, key: bytes, values: tuple[object, ...]) -> None:
    assert row_key(info, key, TimeFormat(zone="America/New_York")) == values


@pytest.mark.parametrize(
    ("info", "key", "reason"),
    [
        (NONE, b"a", "container 'n' has no row key"),
        (SERIES, None, "the record has no key, and ts would come from it"),
        (SERIES, b"", "the record has no key, and ts would come from it"),
        (SERIES, b"\xff", "the record's key is not UTF-8 (byte 0)"),
        (SERIES, b"soon", "the record's key: 'ts': time 'soon' does not fit ISO 8601"),
        (SERIES, b"-5", "the record's key: 'ts' is -5, outside 0.."),
        (BOTH, b"a", "the record's key is 'a', not a JSON list of id, n"),
        (BOTH, b"7", "the record's key is a number, but the row key is id, n"),
        (BOTH, b'["a"]', "the record's key has 1 values, but the row key is id, n"),
        (BOTH, b'{"id": "a"}', "the record's key has no field 'n'"),
        (BOTH, b'["a", null]', "the record's key: 'n' is null"),
    ],
)
def test_a_key_that_tells_none_has_its_reason(info: ContainerInfo, key: bytes | None, reason: str) -> None:
    with pytest.raises(RecordError, match=f"^{re.escape(reason)}"):
        row_key(info, key, TimeFormat())


def test_tombstones_delete_in_the_order_of_the_topic(
    settings: Settings, bootstrap: str, store: Store, topic: str
) -> None:
    store.put_container(series_info(topic))
    allowed = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"delete_enabled": True})})

    def send(*records: tuple[int, float | None]) -> None:
        with Producer(settings, bootstrap) as producer:
            producer.ensure_topics([topic])
            for ms, close in records:
                value = None if close is None else json.dumps({"ts": ms, "close": close}).encode()
                producer.repeat(topic, value, key=str(ms).encode(), headers=[])

    # Before there is a row, after one, between two, and before one that is none itself.
    send(
        (1, None),
        (1, 1.5),
        (2, 2.5),
        (2, None),
        (3, 3.5),
        (3, None),
        (3, 3.75),
        (4, 4.5),
        (4, None),
        (4, 1e400),
        (-1, None),
    )
    report = drain(allowed, bootstrap, store, [topic], timeout_s=60)
    assert (report.rows, report.dead_letters) == (9, 2)
    assert store.read(topic)["close"].to_pylist() == [1.5, 3.75]
    send((1, None), (9, None))
    assert drain(allowed, bootstrap, store, [topic], timeout_s=60).rows == 2
    assert store.read(topic)["close"].to_pylist() == [3.75]
    # Without leave they are dead letters, and rows stay.
    send((3, None))
    assert drain(settings, bootstrap, store, [topic], timeout_s=60).dead_letters == 1
    assert store.read(topic).num_rows == 1
    reasons = [letter.reason for letter in read_dead_letters(settings, bootstrap, topic)]
    assert reasons == [
        "Infinity is no JSON number and no container takes it",
        "the record's key: 'ts' is -1, outside 0..253402300799999 ms (1970 to 9999)",
        "tombstone (null value): rows are deleted only with GRIDWATCH_KAFKA__DELETE_ENABLED=true",
    ]


def test_a_bad_schema_does_not_take_its_neighbours_with_it(
    settings: Settings, bootstrap: str, store: Store, topic: str
) -> None:
    from tests.streaming import poison

    bad = b'{"schema": {"type": "struct", "fields": [{"type": "int64", "field": "n"}]}, "payload": {"n": 1}}'
    with Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic])
        for value in (poison.plain(0), bad, poison.good(1)):
            producer.repeat(topic, value, key=b"k", headers=[])
    report = drain(settings, bootstrap, store, [topic], timeout_s=60)
    # The first has no schema, and finds the container that the third has made.
    assert (report.rows, report.dead_letters) == (2, 1)
    [letter] = read_dead_letters(settings, bootstrap, topic)
    assert (letter.offset, letter.reason[:19]) == (1, "unknown field 'n'; ")
