"""The way of whole batches gives exactly what the way of single records gives."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.streaming.columnar import ColumnReader
from gridwatch.streaming.decode import Decoded, Decoder
from gridwatch.streaming.envelope import connect_schema

_T = ColumnType
KINDS = (_T.BOOL, _T.STRING, _T.BYTE, _T.SHORT, _T.INTEGER, _T.LONG, _T.FLOAT, _T.DOUBLE, _T.TIMESTAMP)
INFO = ContainerInfo(
    "T",
    ContainerType.TIME_SERIES,
    (Column("ts", _T.TIMESTAMP, nullable=False), *(Column(kind.name.lower(), kind) for kind in KINDS)),
    ("ts",),
)
SCHEMA = json.dumps(connect_schema(INFO))

NUMBERS = (
    "0 -0 -0.0 -0e1 1 -1 127 128 -129 32768 2147483648 9007199254740993 9223372036854775807 9223372036854775808 "
    "0.1 1.0 5e3 1e-400 1e39 3.4028234663852886e38 3.4028235677973366e38 1e308 1e309 -1e999 1.7976931348623159e308 "
    "NaN -NaN nan Infinity -Infinity Inf 01 1. .5 +1 253402300799999 253402300800000 123456789012345678901234567890 "
    "0.30000000000000004 16777217 0x1 1_0 -"
)
TEXTS = (
    *('""', '"a"', '"2024-03-10T09:30:00Z"', r'"\u00e9\n"', r'"\ud800"', r'"\ud83d\ude00"', '"é"', r'"\u0000"'),
    *(r'"\/"', '"1"', '"}\\n{"', '"\n"', '"\t"', '"a:b"', '"-0"', "'a'", '"NaN"'),
)
VALUES = (*NUMBERS.split(), *TEXTS, "null", "true", "false", "True", "[]", "{}", '{"a":1}', "[1", "", "/**/1")
values = st.sampled_from(VALUES)


@st.composite
def rows(draw: st.DrawFn) -> str:
    """A JSON object that is a row in most cases, and nearly one in the others."""
    fields = {"ts": str(draw(st.integers(0, 10**12)))}
    for kind in draw(st.lists(st.sampled_from(KINDS), unique=True, max_size=9)):
        fields[kind.name.lower()] = draw(st.sampled_from(_GOOD[kind]))
    for name in draw(st.lists(st.sampled_from([*fields, "TS", "Double", "other"]), max_size=1)):
        fields[name] = draw(values)
    pairs = [f'"{name}":{value}' for name, value in fields.items()]
    if draw(st.integers(0, 9)) == 0:
        pairs.append(draw(st.sampled_from(pairs)))
    between = draw(st.sampled_from([",", ", ", ",", ",\n", ",", "},{"]))
    return draw(st.sampled_from(["", "", "", "", " "])) + "{" + between.join(pairs) + "}"


_GOOD: dict[ColumnType, list[str]] = {
    _T.BOOL: ["true", "false", "null"],
    _T.STRING: ['""', '"é"', r'"\ud83d\ude00"', '"a:b"', "null"],
    _T.BYTE: ["-128", "127"],
    _T.SHORT: ["0", "-32768"],
    _T.INTEGER: ["2147483647", "null"],
    _T.LONG: ["-9223372036854775808", "9007199254740993"],
    _T.FLOAT: ["0.1", "16777217", "1e-46", "null", "-1.5"],
    _T.DOUBLE: ["0.30000000000000004", "9007199254740993", "-0.0", "1e-400", "7", "12345678901234567890123"],
    _T.TIMESTAMP: ["0", "253402300799999", "null"],
}


def _slow(batch: list[bytes | None]) -> Decoded:
    return Decoder(INFO)._one_by_one(batch)


def _same(batch: list[bytes | None]) -> None:
    fast, slow = Decoder(INFO).decode(batch), _slow(batch)
    assert fast.positions == slow.positions
    assert fast.rejected == slow.rejected
    # As bytes, so that 0.0 and -0.0 are two.
    assert _bytes(fast.table) == _bytes(slow.table)


def _bytes(table: pa.Table) -> list[Any]:
    assert table.schema == INFO.arrow
    return [[repr(value) for value in column.to_pylist()] for column in table.columns]


@pytest.mark.parametrize("kind", KINDS)
def test_each_value_is_read_alike(kind: ColumnType) -> None:
    for value in VALUES:
        _same([f'{{"ts":1,"{kind.name.lower()}":{value}}}'.encode()])
        _same([f'{{"schema":{SCHEMA},"payload":{{"{kind.name.lower()}":{value},"ts":1}}}}'.encode()])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(rows(), st.sampled_from(["envelope", "envelope", "envelope", "plain"])), max_size=6))
@example([('{"ts":1}\n{"ts":2}', "plain"), ('{"ts":3}', "plain")])
@example([('{"ts":1,"double":-0}', "envelope"), ('{"ts":2,"double":-0.5}', "envelope")])
@example([('{"ts":1,"string":"\xff"}', "plain")])
def test_a_batch_is_read_as_its_records_are(drawn: list[tuple[str, str]]) -> None:
    texts = [f'{{"schema":{SCHEMA},"payload":{row}}}' if kind == "envelope" else row for row, kind in drawn]
    _same([text.encode("latin-1" if "\xff" in text else "utf-8") for text in texts])


@pytest.mark.parametrize("colon", [":", ": "])
def test_right_records_go_the_way_of_whole_batches(colon: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    genuine = ColumnReader.read

    def count(self: ColumnReader, rows: Any) -> pa.Table | None:
        table = genuine(self, rows)
        read.append(-1 if table is None else table.num_rows)
        return table

    monkeypatch.setattr(ColumnReader, "read", count)
    values: list[bytes | None] = [
        f'{{"schema":{SCHEMA},"payload"{colon}{{"ts":{ms},"double":{ms / 7},"string":"é"}}}}'.encode()
        for ms in range(1000)
    ]
    decoder = Decoder(INFO)
    assert decoder.decode(values).table.num_rows == 1000
    assert read == [1000]
    # One bad record costs its neighbours no more than their way together.
    decoded = decoder.decode([*values[:500], b"{", *values[501:]])
    assert decoded.rejected[0][0] == 500
    assert (len(decoded.rejected), decoded.table.num_rows) == (1, 999)
    assert sum(rows for rows in read[1:] if rows > 0) >= 900
    _same([*values[:70], None, *values[:3]])


def test_a_row_of_schema_and_payload_is_an_envelope_either_way() -> None:
    columns = (Column("schema", _T.STRING, nullable=False), Column("payload", _T.STRING))
    info = ContainerInfo("T", ContainerType.COLLECTION, columns, ("schema",))
    batch: list[bytes | None] = [b'{"schema":"a","payload":"b"}']
    assert Decoder(info).decode(batch).rejected == Decoder(info)._one_by_one(batch).rejected != []
