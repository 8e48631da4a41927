"""Values of every kind, keys, and the containers that schemas make, as the connector's Java has them."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.streaming.times import TimeFormat
from gridwatch.streaming.tombstones import row_key
from gridwatch.streaming.values import RecordError
from tests.connect.mapping import Mapping, encoded
from tests.connect.sinks import envelope, field

T = ColumnType
TIME = ContainerInfo("c", ContainerType.TIME_SERIES, (Column("ts", T.TIMESTAMP, nullable=False),), ("ts",))


def one(name: str, kind: ColumnType, *, nullable: bool = True) -> ContainerInfo:
    """A container with the key `ts` and one more column."""
    return ContainerInfo("c", ContainerType.TIME_SERIES, (TIME.columns[0], Column(name, kind, nullable)), ("ts",))


DECIMAL: dict[str, Any] = {"name": "org.apache.kafka.connect.data.Decimal", "version": 1, "parameters": {"scale": "2"}}


def decimal(unscaled: int) -> str:
    """Return a number of hundredths as JsonConverter writes a Decimal of scale 2."""
    size = unscaled.bit_length() // 8 + 1
    return base64.b64encode(unscaled.to_bytes(size, "big", signed=True)).decode()


@pytest.mark.parametrize(
    ("kind", "declared_as", "value", "found"),
    [
        (T.DOUBLE, field("v", "bytes", **DECIMAL), decimal(12345), 123.45),
        (T.FLOAT, field("v", "bytes", **DECIMAL), decimal(-50), -0.5),
        (T.LONG, field("v", "bytes", **DECIMAL), decimal(123400), 1234),
        (T.LONG, field("v", "bytes", **DECIMAL), decimal(12345), "'v' is a number .123.45., not LONG"),
        (T.BYTE, field("v", "bytes", **DECIMAL), decimal(12800), "'v' is 128.00, out of range for BYTE"),
        (T.DOUBLE, field("v", "bytes", **DECIMAL), decimal(10**400), "'v' is 1000.*, out of range for DOUBLE"),
        (T.STRING, field("v", "bytes", **DECIMAL), decimal(10**30), "1" + "0" * 28 + ".00"),
        (T.BOOL, field("v", "bytes", **DECIMAL), decimal(100), "'v' is a number .1.00., not BOOL"),
        (T.TIMESTAMP, field("v", "bytes", **DECIMAL), decimal(100), "type org.*Decimal, the column is TIMESTAMP"),
        (T.BLOB, field("v", "bytes", **DECIMAL), decimal(100), "type org.*Decimal, column 'v' is BLOB"),
        (T.TIMESTAMP, field("v", "int32", "Date"), 19723, 1704067200000),
        (T.TIMESTAMP, field("v", "int32", "Date"), -1, "'v' is -86400000, outside 0..253402300799999 ms"),
        (T.STRING, field("v", "int32", "Date"), 19723, "2024-01-01"),
        (T.INTEGER, field("v", "int32", "Date"), 19723, 19723),
        (T.INTEGER, field("v", "int32", "Time"), 3_600_001, 3_600_001),
        (T.STRING, field("v", "int32", "Time"), 3_600_001, "01:00:00.001"),
        (T.TIMESTAMP, field("v", "int32", "Time"), 1, "'v' is a time of day .00:00:00.001., not TIMESTAMP; keep it in"),
        (T.LONG, field("v", "int64", "Timestamp"), 5, 5),
        (T.TIMESTAMP_6, field("v", "int64", "Timestamp"), 5, 5_000),
        (T.TIMESTAMP_9, field("v", "string"), "1970-01-01T00:00:01.123456789Z", 1_123_456_789),
        (T.TIMESTAMP_6, field("v", "string"), "1970-01-01T00:00:01.1234567Z", "finer than a microsecond"),
        (T.TIMESTAMP, field("v", "int64", name="io.debezium.time.MicroTimestamp"), 5, "type io.debezium.time.Micro"),
        (T.TIMESTAMP, field("v", "int32"), 5, "type int32, column 'v' is TIMESTAMP"),
        (T.DOUBLE, field("v", "struct", fields=[field("a", "int32")]), {"a": 1}, "struct, .*DOUBLE; take it apart"),
        (T.DOUBLE, field("v", "map", keys={"type": "string"}, values={"type": "int32"}), {"a": 1}, "map, .*Flatten"),
        (T.DOUBLE, field("v", "array", items={"type": "double"}), [1.0], "type array, column 'v' is DOUBLE"),
        (T.DOUBLE_ARRAY, field("v", "array", items={"type": "double"}), [1.5, -2.0], [1.5, -2.0]),
        (T.BYTE_ARRAY, field("v", "array", items={"type": "int8"}), [1, -2], [1, -2]),
        (T.STRING_ARRAY, field("v", "array", items={"type": "string"}), ["a", ""], ["a", ""]),
        (T.TIMESTAMP_ARRAY, field("v", "array", items={"type": "string"}), ["1970-01-01T00:00:01Z"], [1000]),
        (T.SHORT_ARRAY, field("v", "array", items={"type": "int32"}), [1, 40000], "'v.1.' is 40000, out of range"),
        (
            T.LONG_ARRAY,
            field("v", "array", items={"type": "int64", "optional": True}),
            [1, None],
            "'v.1.' is null; GridDB's arrays hold no nulls",
        ),
        (T.GEOMETRY, field("v", "string"), "POINT(1 2)", "POINT(1 2)"),
        (T.BLOB, field("v", "string"), "AAEC", "type string, column 'v' is BLOB"),
        (T.STRING, field("v", "string", name="io.debezium.data.Json"), "{}", "{}"),
    ],
)  # fmt: skip
def test_values_with_a_schema(
    mapping: Mapping, kind: ColumnType, declared_as: dict[str, Any], value: Any, found: Any
) -> None:
    record = envelope([field("ts", "int64", "Timestamp"), declared_as], {"ts": 1, "v": value})
    (row,) = mapping.rows(one("v", kind), [record], schemas=True)
    if isinstance(row, tuple):
        assert row == (1, found)
    else:
        assert re.search(str(found), row), row


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (T.LONG_ARRAY, [1, 2.0], [1, 2]),
        (T.LONG_ARRAY, [], []),
        (T.LONG_ARRAY, 1, "'v' is a number .1., not LONG_ARRAY"),
        (T.LONG_ARRAY, [1, [2]], "'v.1.' is a list .*, not LONG"),
        (T.BOOL_ARRAY, [True, 1], "'v.1.' is a number .1., not BOOL"),
        (T.DOUBLE, {"a": 1}, "'v' is an object .*, not DOUBLE"),
        (T.TIMESTAMP_6, 7, 7_000),
    ],
)
def test_values_without_a_schema(mapping: Mapping, kind: ColumnType, value: Any, found: Any) -> None:
    (row,) = mapping.rows(one("v", kind), [json.dumps({"ts": 1, "v": value}).encode()])
    if isinstance(row, tuple):
        assert row == (1, found)
    else:
        assert re.search(str(found), row), row


def test_unknown_fields_are_left_out_where_that_is_asked_for(mapping: Mapping) -> None:
    (row,) = mapping.rows(TIME, [b'{"ts": 1, "more": {"deep": [1]}}'], ignore=True)
    assert row == (1,)


PAIR = ContainerInfo(
    "c",
    ContainerType.COLLECTION,
    (Column("id", T.STRING, nullable=False), Column("n", T.LONG, nullable=False), Column("v", T.DOUBLE)),
    ("id", "n"),
)
WORD = ContainerInfo(
    "c", ContainerType.COLLECTION, (Column("id", T.STRING, nullable=False), Column("v", T.LONG)), ("id",)
)
KEYLESS = ContainerInfo("c", ContainerType.COLLECTION, (Column("v", T.LONG),))


@pytest.mark.parametrize(
    ("info", "key", "found"),
    [
        (TIME, b"1700000000000", (1700000000000,)),
        (TIME, b"2024-01-01T00:00:00Z", (1704067200000,)),
        (TIME, b"-5", "the record's key: 'ts' is -5, outside 0"),
        (TIME, b"noon", "the record's key: 'ts': time 'noon' does not fit ISO 8601"),
        (TIME, b'{"TS": 5}', (5,)),
        (TIME, b"[5]", (5,)),
        (TIME, b"", "the record has no key, and ts would come from it"),
        (TIME, None, "the record has no key, and ts would come from it"),
        (WORD, b"12", ("12",)),
        (WORD, b"", ("",)),
        (WORD, b"[1", ("[1",)),
        (PAIR, b'["a\\n\\u00e9", 7]', ("a\né", 7)),
        (PAIR, b'["a", "1912345678901234567"]', ("a", 1912345678901234567)),
        (
            PAIR,
            b'["a", "-9223372036854775809"]',
            "the record's key: 'n' is -9223372036854775809, out of range for LONG",
        ),
        (PAIR, b'{"N": 7, "id": "x", "more": 1}', ("x", 7)),
        (PAIR, b'["a"]', "the record's key has 1 values, but the row key is id, n"),
        (PAIR, b'{"id": "a"}', "the record's key has no field 'n'"),
        (PAIR, b'["a", 7] x', "the record's key is .*, not a JSON list of id, n"),
        (PAIR, b'["a", null]', "the record's key: 'n' is null"),
        (PAIR, b'["a", 1.5]', "the record's key: 'n' is a number .1.5., not LONG"),
        (KEYLESS, b"1", "container 'c' has no row key"),
    ],
)
def test_the_records_key_tells_which_row_is_deleted(
    mapping: Mapping, info: ContainerInfo, key: bytes | None, found: Any
) -> None:
    (row,) = mapping.rows(info, [None], keys=[key])
    if isinstance(row, tuple):
        assert row == found
        assert row_key(info, key, TimeFormat()) == found
    else:
        assert re.search(str(found), row), row
        with pytest.raises(RecordError):
            row_key(info, key, TimeFormat())


@pytest.mark.parametrize(
    ("mode", "payload", "key", "found"),
    [
        ("FILL", {"v": 1}, b'["a", 2]', ("a", 2, 1.0)),
        ("FILL", {"id": "b", "n": None, "v": 1}, b'["a", 2]', ("b", 2, 1.0)),
        ("FILL", {"id": "b", "n": 3}, None, ("b", 3, None)),
        ("FILL", {"v": 1}, None, "the record has no key, and id, n would come from it"),
        ("KEY", {"id": "b", "n": 3, "v": 1}, b'["a", 2]', ("a", 2, 1.0)),
        ("VALUE", {"v": 1}, b'["a", 2]', "'id' is missing"),
    ],
)
def test_the_row_key_comes_from_where_it_is_said(
    mapping: Mapping, mode: str, payload: dict[str, Any], key: bytes | None, found: Any
) -> None:
    (row,) = mapping.rows(PAIR, [json.dumps(payload).encode()], keys=[key], key_mode=mode)
    assert row == found if isinstance(row, tuple) else re.search(str(found), row), row


def made(mapping: Mapping, fields: list[dict[str, Any]], key: bytes | None = None, **options: Any) -> Any:
    """Return the container that a schema makes, or the reason why not."""
    own = {"kind": "TIME_SERIES", "row_key": [], "timestamp_fields": [], "decimal": "DOUBLE", "key_mode": "VALUE"}
    payload = {one["field"]: None for one in fields}
    record = {"value": encoded(envelope(fields, payload)), "key": encoded(key)}
    (answer,) = mapping.ask([record], make=own | options, schemas=True, keys="schema" if key else "string")
    return answer.get("container") or answer["reason"]


def test_a_schema_makes_a_container_with_its_key_in_front(mapping: Mapping) -> None:
    fields = [
        field("a", "int8"), field("t0", "int64", "Timestamp"), field("Ts", "int64", "Timestamp", optional=True),
        field("b", "boolean"), field("s", "string"), field("i", "int16"), field("j", "int32"), field("k", "int64"),
        field("x", "float"), field("y", "double"), field("z", "bytes"), field("d", "int32", "Date"),
        field("c", "int32", "Time"), field("m", "bytes", **DECIMAL), field("l", "array", items={"type": "string"}),
    ]  # fmt: skip
    told = made(mapping, fields)
    assert told["row_key"] == ["Ts"]
    kinds = ["TIMESTAMP", "BYTE", "TIMESTAMP", "BOOL", "STRING", "SHORT", "INTEGER", "LONG", "FLOAT", "DOUBLE", "BLOB"]
    assert [kind for _, kind, _ in told["columns"]] == [*kinds, "TIMESTAMP", "INTEGER", "DOUBLE", "STRING_ARRAY"]
    assert [nullable for _, _, nullable in told["columns"]] == [False] + [True] * 14
    assert made(mapping, fields, decimal="STRING")["columns"][13] == ["m", "STRING", True]


def test_a_schema_makes_a_collection_keyed_by_fields_of_value_or_key(mapping: Mapping) -> None:
    fields = [field("v", "double"), field("id", "string"), field("at", "string")]
    told = made(mapping, fields, kind="COLLECTION", row_key=["ID", "at"], timestamp_fields=["at"])
    assert told["columns"][:2] == [["id", "STRING", False], ["at", "TIMESTAMP", False]]
    assert told["row_key"] == ["id", "at"]
    key = json.dumps(
        {"schema": {"type": "struct", "fields": [field("site", "int32")]}, "payload": {"site": 1}}
    ).encode()
    told = made(mapping, fields, key, kind="COLLECTION", key_mode="KEY")
    assert told["columns"][0] == ["site", "INTEGER", False]
    assert told["row_key"] == ["site"]


@pytest.mark.parametrize(
    ("fields", "options", "reason"),
    [
        (
            [field("v", "double")],
            {},
            "container 'c' cannot be made: no field of the record's schema is a org.*Timestamp",
        ),
        ([field("v", "double")], {"row_key": ["v"]}, "its row key 'v' would be DOUBLE; a time series has a TIMESTAMP"),
        ([field("v", "double")], {"row_key": ["t"]}, "the record has no field 't' for its row key"),
        (
            [field("v", "double")],
            {"row_key": ["v"], "kind": "COLLECTION"},
            "would be DOUBLE; it must be STRING, INTEGER",
        ),
        ([field("v", "double")], {"kind": "COLLECTION"}, "a collection wants a row key.*; set row.key.fields"),
        (
            [field("v", "int64"), field("w", "int64")],
            {"row_key": ["v", "w"]},
            "a time series has one key column, .* v, w",
        ),
        (
            [field("v", "struct", fields=[])],
            {},
            "field 'v' is of Connect type struct, which no column can hold; take it apart .*Flatten",
        ),
        (
            [field("v", "array", items={"type": "bytes"})],
            {},
            "field 'v' is a list of Connect type bytes, which no column",
        ),
    ],
)
def test_schemas_that_make_no_container(
    mapping: Mapping, fields: list[dict[str, Any]], options: dict[str, Any], reason: str
) -> None:
    found = made(mapping, fields, **options)
    assert isinstance(found, str)
    assert re.search(reason, found), found


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("yyyy-MM-dd hh:mm:ss", "hh and KK are the clock of 12 hours, on which 00:30 and 12:30 are the same; use HH"),
        ("YYYY-MM-dd", "it does not tell year, month and day"),
        ("yyyy-mm-dd", "it does not tell year, month and day"),
        ("HH:mm:ss", "it does not tell year, month and day"),
        ("yyyy-MM-dd {", "Pattern includes reserved character"),
    ],
)
def test_patterns_that_would_lose_something_are_refused(mapping: Mapping, pattern: str, reason: str) -> None:
    (answer,) = mapping.ask([{"time": "x"}], pattern=pattern, zone="UTC")
    assert reason in answer["wrong"]


@pytest.mark.parametrize(
    ("pattern", "zone", "text", "found"),
    [
        ("yyyy-MM-dd HH:mm:ss", "America/New_York", "2024-07-01 12:30:00", 1719851400),
        ("yyyy-MM-dd hh:mm a", "UTC", "2024-07-01 12:30 am", 1719793800),
        ("d MMM uuuu HH:mm:ss.SSS", "UTC", "1 JUL 2024 00:00:00.250", 1719792000),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "America/New_York", "2024-11-03T01:30:00-04:00", 1730611800),
        ("yyyy-MM-dd HH:mm VV", "UTC", "2024-07-01 00:00 Asia/Tokyo", 1719759600),
        ("yyyy-MM-dd HH:mm", "America/New_York", "2024-03-10 02:30", "never came in America/New_York"),
        ("yyyy-MM-dd HH:mm", "America/New_York", "2024-11-03 01:30", "came twice in America/New_York"),
        ("yyyy-MM-dd HH:mm", "UTC", "2024-02-30 00:00", "does not fit the pattern 'yyyy-MM-dd HH:mm'"),
    ],
)
def test_times_by_patterns_of_every_kind(mapping: Mapping, pattern: str, zone: str, text: str, found: Any) -> None:
    (answer,) = mapping.ask([{"time": text}], pattern=pattern, zone=zone)
    assert answer["seconds"] == found if "seconds" in answer else str(found) in answer["reason"]
