"""Frames to Connect JSON and back: the same rows, and a reason for every record that is none."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridwatch.containers import PLAIN_TYPES, Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.containers.catalog import series_info
from gridwatch.errors import SchemaError, ValueRefusedError
from gridwatch.streaming import TimeFormat
from gridwatch.streaming.decode import Decoder
from gridwatch.streaming.envelope import TIMESTAMP_NAME, connect_schema, container_of, encode

T = ColumnType
TS = Column("ts", T.TIMESTAMP, nullable=False)
EVERY = ContainerInfo(
    "every",
    ContainerType.TIME_SERIES,
    (TS, *(Column(f"c_{kind.lower()}", kind) for kind in PLAIN_TYPES)),
    ("ts",),
)
BARS = series_info("INTRADAY_X")
TS_MAX = 253_402_300_799_999

floats32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    T.BOOL: st.booleans(),
    T.STRING: st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
    T.BYTE: st.integers(-(2**7), 2**7 - 1),
    T.SHORT: st.integers(-(2**15), 2**15 - 1),
    T.INTEGER: st.integers(-(2**31), 2**31 - 1),
    T.LONG: st.integers(-(2**63), 2**63 - 1),
    T.FLOAT: floats32,
    T.DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    T.TIMESTAMP: st.integers(0, TS_MAX),
    T.BLOB: st.binary(max_size=30),
}


@given(
    st.lists(
        st.tuples(st.integers(0, TS_MAX), *(st.none() | VALUES[column.type] for column in EVERY.columns[1:])),
        min_size=1,
        max_size=8,
    )
)
def test_every_row_comes_back_as_it_was(rows: list[tuple[Any, ...]]) -> None:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, EVERY.arrow, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=EVERY.arrow)
    keys, values = encode(table, EVERY)
    assert keys == [str(row[0]).encode() for row in rows]
    decoded = Decoder(EVERY).decode(values)
    assert decoded.rejected == []
    assert decoded.table.equals(table)
    # The same rows without a schema, as other producers send them.
    plain = [json.dumps(json.loads(value)["payload"]).encode() for value in values]
    assert Decoder(EVERY).decode(plain).table.equals(table)


@given(st.lists(st.none() | st.binary(max_size=60) | st.text(max_size=40).map(str.encode), max_size=6))
def test_bytes_of_any_kind_become_dead_letters_and_never_an_exception(values: list[bytes | None]) -> None:
    decoded = Decoder(BARS).decode(values)
    assert decoded.table.num_rows == len(decoded.positions)
    assert sorted(decoded.positions + [position for position, _ in decoded.rejected]) == list(range(len(values)))
    assert all(reason for _, reason in decoded.rejected)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(json_values, st.dictionaries(st.sampled_from(["ts", "TS", "open", "volume", "x"]), json_values), json_values)
def test_json_of_any_kind_is_a_row_or_has_a_reason(schema: Any, payload: dict[str, Any], other: Any) -> None:
    texts = [
        json.dumps(document).encode()
        for document in (payload, other, {"schema": schema, "payload": payload}, {"schema": schema, "payload": other})
    ]
    decoded = Decoder(BARS).decode(texts)
    assert len(decoded.positions) + len(decoded.rejected) == 4
    decoded.table.validate(full=True)


def _bar(**changes: Any) -> dict[str, Any]:
    return {"ts": 1_000, "open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "volume": 10} | changes


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in _bar().items() if key != name}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone (null value): rows are deleted only with GRIDWATCH_KAFKA__DELETE_ENABLED=true"),
        (
            b'{"schema": null, "payload": null}',
            "tombstone (null payload): rows are deleted only by a record without value",
        ),
        (b"", "not JSON (Expecting value: line 1 column 1 (char 0))"),
        (b"2024-07-01 09:30:00,1,2,3,4,5", "not JSON (Extra data"),
        (b"\xff{", "not UTF-8 (byte 0)"),
        (b"\xff\xfe{", "not JSON in utf-16 ("),
        (b'{"ts": 1, "open": 1, "open": 2}', "field 'open' comes twice"),
        (b'{"ts": 1, "open" : {"a": 1, "a": 2}}', "field 'a' comes twice"),
        (b"[" * 100_000, "not JSON that can be read (nested too deeply)"),
        (b"[1]", "the row is a list, not an object"),
        (b"null", "the row is null, not an object"),
        (b'{"schema": 5, "payload": {}}', "the schema is a number, not an object"),
        (b'{"ts": 1, "open": NaN}', "NaN is no JSON number and no container takes it"),
        (b'{"ts": 1, "open": -Infinity}', "-Infinity is no JSON number"),
        (_bar(open="1.5"), "'open' is a string (\"1.5\"), not DOUBLE"),
        (_bar(open=True), "'open' is a boolean (true), not DOUBLE"),
        (json.dumps(_bar()).replace("1.0", "1e999").encode(), "'open' is Infinity, out of range for DOUBLE"),
        (_bar(volume=1.5), "'volume' is a number (1.5), not LONG"),
        (_bar(volume=2**63), "'volume' is 9223372036854775808, out of range for LONG"),
        (_without("ts"), "'ts' is missing"),
        (_bar(ts=None), "'ts' is null"),
        (_bar(ts=-1), "'ts' is -1, outside 0..253402300799999 ms (1970 to 9999)"),
        (_bar(ts=[1]), "'ts' is a list ([1]), not TIMESTAMP"),
        (_bar(ts="2024-11-03T01:30:00"), "'ts': time '2024-11-03T01:30:00' came twice in America/New_York"),
        (_bar(ts="noon"), "'ts': time 'noon' does not fit ISO 8601"),
        (_bar(vwap=1.2), "unknown field 'vwap'; the container has ts, open, high, low, close, volume"),
        (_bar(Open=1.2), "field 'open' comes twice, in different case"),
    ],
)
def test_each_misfit_has_its_reason(value: Any, reason: str) -> None:
    data = json.dumps(value).encode() if isinstance(value, dict) else value
    good = json.dumps(_bar(ts=7)).encode()
    decoded = Decoder(BARS, TimeFormat(zone="America/New_York")).decode([good, data, good])
    assert decoded.positions == [0, 2]
    [(position, why)] = decoded.rejected
    assert position == 1
    assert why.startswith(reason)


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ({"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "field": "open"}, "Connect type .*Decimal"),
        (
            {"type": "int32", "name": "org.apache.kafka.connect.data.Date", "field": "ts"},
            "Connect type .*Date, column 'ts'",
        ),
        ({"type": "int32", "field": "ts"}, "Connect type int32, column 'ts' is TIMESTAMP"),
        ({"type": "bytes", "field": "open"}, "Connect type bytes, column 'open' is DOUBLE"),
        ("open", "a field 'open' that is no object"),
    ],
)
def test_a_declared_type_that_would_be_misread_is_refused(field: Any, reason: str) -> None:
    value = json.dumps({"schema": {"type": "struct", "fields": [field]}, "payload": _bar()}).encode()
    [(_, why)] = Decoder(BARS).decode([value]).rejected
    assert re.search(reason, why)


def test_names_match_without_case_and_missing_values_are_null() -> None:
    table = Decoder(BARS).decode([b'{"TS": 5, "Close": 2, "volume": 3.0}']).table
    assert table.to_pylist() == [
        {"ts": pd.Timestamp(5, unit="ms", tz="UTC"), "open": None, "high": None, "low": None, "close": 2.0, "volume": 3}
    ]


def test_text_times_are_read_with_pattern_and_zone() -> None:
    times = TimeFormat("%m/%d/%Y %H:%M", "America/New_York")
    table = Decoder(BARS, times).decode([json.dumps(_bar(ts="07/01/2024 09:30")).encode()]).table
    assert table["ts"].to_pylist() == [pd.Timestamp("2024-07-01T13:30Z")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings_that_json_knows_are_read(encoding: str) -> None:
    good = json.dumps(_bar())
    decoded = Decoder(BARS).decode([good.encode(), good.encode(encoding)])
    assert decoded.rejected == []
    assert decoded.table.slice(0, 1).equals(decoded.table.slice(1))


def test_a_changed_schema_in_the_middle_is_seen() -> None:
    frame = pd.DataFrame({"ts": [1], "open": [1.5]})
    info = series_info("s", (Column("open", T.DOUBLE),))
    [first] = encode(frame, info)[1]
    second = first.replace(b'"type":"double"', b'"type":"bytes"')
    tricky = first[:-1] + b',"payload":{"ts":2,"open":2.5}}'
    decoded = Decoder(info).decode([first, second, first, tricky, first + b" "])
    assert decoded.positions == [0, 2, 4]
    assert decoded.table["open"].to_pylist() == [1.5, 1.5, 1.5]
    assert decoded.rejected == [
        (1, "field 'open' is of Connect type bytes, column 'open' is DOUBLE"),
        (3, "field 'payload' comes twice"),
    ]


def test_the_record_is_what_jsonconverter_reads() -> None:
    keys, values = encode(pd.DataFrame({"ts": pd.to_datetime([1_000], unit="ms", utc=True), "close": [2.0]}), BARS)
    assert keys == [b"1000"]
    assert json.loads(values[0]) == {
        "schema": connect_schema(BARS),
        "payload": {"ts": 1000, "open": None, "high": None, "low": None, "close": 2.0, "volume": None},
    }
    assert connect_schema(BARS)["fields"][:2] == [
        {"type": "int64", "optional": False, "name": TIMESTAMP_NAME, "version": 1, "field": "ts"},
        {"type": "double", "optional": True, "field": "open"},
    ]


def test_keys_of_other_containers() -> None:
    text = ContainerInfo("t", ContainerType.COLLECTION, (Column("id", T.STRING, False),), ("id",))
    assert encode(pd.DataFrame({"id": ['a"b']}), text)[0] == [b'a"b']
    both = ContainerInfo("t", ContainerType.COLLECTION, (*text.columns, Column("n", T.LONG, False)), ("id", "n"))
    assert encode(pd.DataFrame({"id": ["a"], "n": [5]}), both)[0] == [b'["a",5]']
    none = ContainerInfo("t", ContainerType.COLLECTION, text.columns)
    assert encode(pd.DataFrame({"id": ["a"]}), none)[0] == [b""]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused_before_they_are_sent(value: float) -> None:
    frame = pd.DataFrame({"ts": [1, 2], "open": [1.0, value]})
    with pytest.raises(ValueRefusedError, match=r"column 'open', row 1: value (nan|inf): not finite"):
        encode(frame, BARS)


def test_a_container_is_made_from_a_schema() -> None:
    assert container_of("every", connect_schema(EVERY)) == EVERY
    late = connect_schema(BARS)
    late["fields"].append(late["fields"].pop(0) | {"field": "time"})
    info = container_of("t", late)
    assert (info.columns[0], info.row_key) == (Column("time", T.TIMESTAMP, nullable=False), ("time",))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "string"}, "schema is no struct"),
        ({"type": "struct", "fields": []}, "no field of the record's schema is a org.apache.kafka"),
        ({"type": "struct", "fields": [{"type": "int64"}]}, "a field without name or type"),
        (
            {"type": "struct", "fields": [{"type": "array", "field": "a"}]},
            "field 'a' is array, which no column can hold",
        ),
        ({"type": "struct", "fields": ["ts"]}, "a field without name or type: 'ts'"),
    ],
)
def test_a_schema_that_is_no_series_is_told(schema: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        container_of("t", schema)


def test_blobs_that_are_no_base64_are_told() -> None:
    info = series_info("b", (Column("data", T.BLOB),))
    good = base64.b64encode(b"\x00\xff").decode()
    decoded = Decoder(info).decode([json.dumps({"ts": 1, "data": good}).encode(), b'{"ts": 2, "data": "?"}'])
    assert decoded.table["data"].to_pylist() == [b"\x00\xff"]
    assert decoded.rejected == [(1, "'data' is \"?\", not base64")]


def test_half_a_surrogate_is_told() -> None:
    info = series_info("s", (Column("text", T.STRING),))
    assert (
        Decoder(info).decode([b'{"ts": 1, "text": "\\ud800"}']).rejected[0][1].startswith("'text' holds half of a surr")
    )


@pytest.mark.parametrize("kind", [T.LONG_ARRAY, T.TIMESTAMP_9, T.GEOMETRY])
def test_types_that_no_record_can_hold(kind: ColumnType) -> None:
    info = ContainerInfo("x", ContainerType.TIME_SERIES, (TS, Column("c", kind)), ("ts",))
    with pytest.raises(SchemaError, match=rf"'x', column 'c': no record can hold a {re.escape(kind)}"):
        connect_schema(info)
