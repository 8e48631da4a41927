"""Records to rows: what the connector makes of a record is what the Python sink makes of it, or a reason."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.streaming.decode import Decoder
from gridwatch.streaming.times import TimeFormat
from tests.connect.mapping import Mapping
from tests.connect.sinks import envelope, field

T = ColumnType
PLAIN = ContainerInfo(
    "c",
    ContainerType.TIME_SERIES,
    (
        Column("ts", T.TIMESTAMP, nullable=False),
        Column("flag", T.BOOL),
        Column("Word", T.STRING),
        Column("i8", T.BYTE),
        Column("i16", T.SHORT),
        Column("i32", T.INTEGER),
        Column("i64", T.LONG),
        Column("f32", T.FLOAT),
        Column("f64", T.DOUBLE),
        Column("must", T.DOUBLE, nullable=False),
        Column("raw", T.BLOB),
        Column("seen", T.TIMESTAMP),
    ),
    ("ts",),
)


def python_rows(info: ContainerInfo, values: list[bytes], times: TimeFormat | None = None) -> list[Any]:
    """Return what the Python sink makes of records: tuples as `Mapping.rows` gives them, or None for a bad record."""
    decoded = Decoder(info, times).decode(values)
    rows: list[Any] = [None] * len(values)
    table = decoded.table
    columns = [
        table.column(column.name).cast("int64").to_pylist()
        if column.type.precision
        else table.column(column.name).to_pylist()
        for column in info.columns
    ]
    for place, row in zip(decoded.positions, zip(*columns, strict=True), strict=True):
        rows[place] = row
    return rows


def single(number: float) -> float:
    """Return the nearest 32-bit float, as a FLOAT column has it."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def compared(rows: list[Any]) -> list[Any]:
    """Return rows with reasons as None, and the values of FLOAT columns as such."""
    place = [column.type for column in PLAIN.columns].index(T.FLOAT)
    return [
        None
        if not isinstance(row, tuple)
        else tuple(single(value) if at == place and value is not None else value for at, value in enumerate(row))
        for row in rows
    ]


# A whole number beyond 64 bits is cut by Connect's own converter before any connector sees it.
numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, -1, 127, 128, -128, -129, 32767, 32768, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1.0, -0.0, 1e18, 9.3e18, 3.4028234663852886e38, 3.5e38, 1e308, 5e-324, 253402300799999.0]),
)
texts = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["2024-03-10T02:30:00", "2024-11-03 01:30", "2024-07-01T09:30:00.123Z", "19691231T235959Z", "AAEC", "x==="]
    ),
)
values = st.one_of(st.none(), st.booleans(), numbers, texts, st.just([1]), st.just({"a": 1}))
names = st.sampled_from([column.name for column in PLAIN.columns] + ["TS", "WORD", "other"])
free = st.dictionaries(names, values, max_size=8)
likely = st.fixed_dictionaries(
    {"ts": st.integers(0, 2**40), "must": numbers},
    optional={
        "flag": st.booleans() | st.none(),
        "word": texts | st.none(),
        "i8": st.integers(-130, 130) | st.none(),
        "i16": numbers,
        "i32": numbers | st.none(),
        "I64": numbers,
        "f32": numbers | st.none(),
        "f64": numbers | st.none(),
        "raw": texts,
        "seen": texts | numbers,
    },
)


@settings(max_examples=60, deadline=None)
@given(payloads=st.lists(free | likely, min_size=1, max_size=20))
def test_rows_without_schema_are_those_of_the_python_sink(mapping: Mapping, payloads: list[dict[str, Any]]) -> None:
    sent = [json.dumps(payload).encode() for payload in payloads]
    zone = "America/New_York"
    ours = mapping.rows(PLAIN, sent, zone=zone)
    assert compared(ours) == compared(python_rows(PLAIN, sent, TimeFormat(zone=zone))), ours


KINDS = {
    "boolean": st.booleans(),
    "string": texts,
    "int8": st.integers(-128, 127),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "bytes": st.sampled_from(["", "AAEC", "/+8="]),
}


@st.composite
def declared(draw: st.DrawFn) -> bytes:
    """A record with a schema: mostly the column's own type, sometimes any other."""
    own = {
        "i8": "int8",
        "i16": "int16",
        "i32": "int32",
        "i64": "int64",
        "f32": "float",
        "f64": "double",
        "raw": "bytes",
    }
    own |= {"flag": "boolean", "Word": "string", "must": "double", "seen": "string", "ts": "int64"}
    chosen = draw(st.lists(st.sampled_from(list(own)), unique=True, max_size=6))
    fields, payload = [], {}
    for name in dict.fromkeys(["ts", "must", *chosen]):
        kind = own[name] if draw(st.integers(0, 9)) else draw(st.sampled_from(list(KINDS)))
        time = kind == "int64" and (name == "ts" or draw(st.booleans()))
        fields.append(field(name, kind, "Timestamp" if time else None))
        payload[name] = draw(KINDS[kind] if name != "ts" or kind != "int64" else st.integers(-5, 2**48))
        if not draw(st.integers(0, 9)):
            payload[name] = None
    return envelope(fields, payload)


@settings(max_examples=60, deadline=None)
@given(records=st.lists(declared(), min_size=1, max_size=20))
def test_rows_with_schema_are_those_of_the_python_sink(mapping: Mapping, records: list[bytes]) -> None:
    ours = mapping.rows(PLAIN, records, schemas=True)
    assert compared(ours) == compared(python_rows(PLAIN, records)), ours


TIME = ContainerInfo("c", ContainerType.TIME_SERIES, (Column("ts", T.TIMESTAMP, nullable=False),), ("ts",))
digits = st.integers(0, 99).map(lambda number: f"{number:02}")
dates = st.one_of(
    st.tuples(st.sampled_from(["1970", "2024", "9999", "0000", "1969"]), digits, digits).map("-".join),
    st.dates().map(lambda day: day.isoformat()),
    st.dates().map(lambda day: day.isoformat().replace("-", "")),
    st.tuples(st.sampled_from(["2024-W", "2020W", "2021-W"]), digits, st.sampled_from(["", "-1", "7", "-0", "-8"])).map(
        "".join
    ),
)
clocks = st.one_of(
    st.times().map(lambda time: time.isoformat()),
    st.times().map(lambda time: time.isoformat("minutes").replace(":", "")),
    st.tuples(digits, digits, digits).map(":".join),
    st.tuples(
        st.sampled_from(["12", "1230", "12:30", "12:30:59", "123059"]),
        st.sampled_from(["", ".1", ",123", ".1230000", ".1234", ".1230001"]),
    ).map("".join),
)
offsets = st.sampled_from(
    ["", "", "Z", "z", "+01", "-0530", "+05:30", "+23:59:59", "-00:00", "+24:00", " Z", "+01:00:00.5"]
)
isos = (
    st.tuples(dates, st.sampled_from(["T", " ", "t", "_", "", "TT"]), clocks, offsets).map("".join)
    | dates
    | st.text(max_size=20)
)


@settings(max_examples=80, deadline=None)
@given(
    times=st.lists(isos, min_size=1, max_size=30), zone=st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu"])
)
def test_times_in_iso_8601_are_read_as_the_python_sink_reads_them(
    mapping: Mapping, times: list[str], zone: str
) -> None:
    sent = [json.dumps({"ts": text}).encode() for text in times]
    ours = [row if isinstance(row, tuple) else None for row in mapping.rows(TIME, sent, zone=zone)]
    assert ours == python_rows(TIME, sent, TimeFormat(zone=zone))


@settings(max_examples=20, deadline=None)
@given(moments=st.lists(st.datetimes(), min_size=1, max_size=10), zone=st.sampled_from(["UTC", "America/New_York"]))
@pytest.mark.parametrize(
    ("pattern", "written"),
    [("yyyy-MM-dd HH:mm:ss", "%Y-%m-%d %H:%M:%S"), ("dd.MM.yyyy HH:mm", "%d.%m.%Y %H:%M"), ("yyyy/MM/dd", "%Y/%m/%d")],
)
def test_times_by_a_pattern_are_read_as_the_python_sink_reads_them(
    mapping: Mapping, pattern: str, written: str, moments: list[Any], zone: str
) -> None:
    some = [moment.strftime(written) for moment in moments]
    sent = [json.dumps({"ts": text}).encode() for text in [*some, "", "2024-02-30 10:00:00", "31.02.2024 10:00"]]
    ours = [row if isinstance(row, tuple) else None for row in mapping.rows(TIME, sent, zone=zone, pattern=pattern)]
    assert ours == python_rows(TIME, sent, TimeFormat(pattern, zone))
