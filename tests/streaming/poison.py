"""Records that are no rows, and why: one table for every way in.

The rows are for the container `info(name)`. `good(n)` and `plain(n)` are the neighbours, with and without a schema.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.streaming.envelope import connect_schema

__all__ = ["ACCEPTED", "FIRST_MS", "POISON", "Poison", "good", "info", "plain"]

FIRST_MS = 1_709_908_200_000
"""Time of `good(0)`; each next one is a minute later."""

_T = ColumnType
_COLUMNS = (
    Column("ts", _T.TIMESTAMP, nullable=False),
    Column("close", _T.DOUBLE),
    Column("ratio", _T.FLOAT),
    Column("volume", _T.LONG),
    Column("lots", _T.SHORT),
    Column("live", _T.BOOL),
    Column("note", _T.STRING),
    Column("data", _T.BLOB),
)


@dataclass(frozen=True, slots=True)
class Poison:
    """One bad record.

    Args:
        name: Of the case.
        value: What is sent.
        reason: A regular expression for the reason that gridwatch's sink gives.
        connect: The same for the connector behind JsonConverter with `schemas.enable=false`; None: as `reason`;
            `ACCEPTED`: Connect's converter hides the mistake, and it becomes a row.
        key: The record's key.
    """

    name: str
    value: bytes | None
    reason: str
    connect: str | None = None
    key: bytes = b"poison"


ACCEPTED = "(accepted)"
_CONVERTER = "(?i)serializ|JSON|convert"


def info(name: str) -> ContainerInfo:
    """Return the container that the rows are for."""
    return ContainerInfo(name, ContainerType.TIME_SERIES, _COLUMNS, ("ts",))


def row(number: int, **changes: Any) -> dict[str, Any]:
    """Return the row of a good record, as JSON has it, with changes."""
    whole: dict[str, Any] = {
        "ts": FIRST_MS + 60_000 * number,
        "close": number / 4,
        "ratio": 0.5,
        "volume": number,
        "lots": number % 100,
        "live": number % 2 == 0,
        "note": f"row {number} é",
        "data": "AAH/",
    }
    return whole | changes


def plain(number: int, **changes: Any) -> bytes:
    """Return a record without a schema."""
    return json.dumps(row(number, **changes)).encode()


def good(number: int, schema: dict[str, Any] | None = None, **changes: Any) -> bytes:
    """Return a record with its schema, or another schema."""
    return json.dumps({"schema": schema or connect_schema(info("rows")), "payload": row(number, **changes)}).encode()


def _schema(**fields: dict[str, Any] | None) -> dict[str, Any]:
    """Return the schema with fields changed, added, or taken out (None)."""
    schema = connect_schema(info("rows"))
    kept = [field for field in schema["fields"] if field["field"] not in fields]
    return schema | {
        "fields": [*kept, *({"optional": True, "field": name} | one for name, one in fields.items() if one is not None)]
    }


def _with(text: str, **changes: Any) -> bytes:
    """Return a record with `"?"` replaced by a text that Python's JSON would not write."""
    return plain(0, **changes).replace(b'"?"', text.encode())


def _renamed() -> bytes:
    changed = json.loads(good(0, _schema(close=None, last={"type": "double"})))
    changed["payload"]["last"] = changed["payload"].pop("close")
    return json.dumps(changed).encode()


def _missing(name: str) -> bytes:
    return json.dumps({field: value for field, value in row(0).items() if field != name}).encode()


POISON = (
    Poison("not JSON", b"2024-03-08 14:30,1.5,2", r"not JSON \(Extra data", _CONVERTER),
    Poison("half of a record", plain(0)[:40], "not JSON", _CONVERTER),
    Poison("two records in one", plain(0) + plain(1), r"not JSON \(Extra data", ACCEPTED),
    Poison("empty value", b"", r"not JSON \(Expecting value", "null|tombstone|empty|JSON"),
    Poison("tombstone", None, r"tombstone \(null value\): rows are deleted only with"),
    Poison(
        "null payload", b'{"schema": null, "payload": null}', r"tombstone \(null payload\)", "unknown field|tombstone"
    ),
    Poison("JSON null", b"null", "the row is null, not an object", "null|tombstone"),
    Poison("a list", b"[1, 2]", "the row is a list, not an object", "list|array|ARRAY"),
    Poison("a number", b"7", "the row is a number, not an object", "number|int|long"),
    Poison("not UTF-8", b'{"ts": 1, "note": "\xff\xfe"}', r"not UTF-8 \(byte 19\)", _CONVERTER),
    Poison("half a surrogate pair", _with('"\\ud800"', note="?"), "'note' holds half of a surrogate pair"),
    Poison("NUL in text", _with('"a\\u0000b"', note="?"), "NUL"),
    Poison("nested too deeply", b"[" * 100_000, "nested too deeply", "(?i)nest|depth|JSON|serializ"),
    Poison(
        "nested in a field",
        _with("[" * 500 + "]" * 500, note="?"),
        r"'note' is a list \(\[\[\[.*\.\.\.\), not STRING",
        "note",
    ),
    Poison("field of no column", plain(0, vwap=1.5), "unknown field 'vwap'; the container has ts, close, ratio"),
    Poison("key column missing", _missing("ts"), "'ts' is missing"),
    Poison("key column null", plain(0, ts=None), "'ts' is null"),
    Poison("field twice", b'{"ts": 1, "close": 1.5, "close": 2.5}', "field 'close' comes twice", ACCEPTED),
    Poison("field twice in other case", plain(0, Close=1.5), "field 'close' comes twice, in different case"),
    Poison("text for a number", plain(0, close="1.5"), r"'close' is a string \(\"1.5\"\), not DOUBLE"),
    Poison("boolean for a number", plain(0, volume=True), r"'volume' is a boolean \(true\), not LONG"),
    Poison("number for a boolean", plain(0, live=1), r"'live' is a number \(1\), not BOOL"),
    Poison("number for text", plain(0, note=1), r"'note' is a number \(1\), not STRING"),
    Poison("object for a number", plain(0, close={"value": 1}), r"'close' is an object", "close"),
    Poison("no base64", plain(0, data="?!"), r"'data' is \"\?!\", not base64"),
    Poison("fraction for a whole number", plain(0, volume=1.5), r"'volume' is a number \(1.5\), not LONG"),
    Poison("NaN", _with("NaN", close="?"), "NaN is no JSON number", f"{_CONVERTER}|NaN"),
    Poison("Infinity", _with("-Infinity", close="?"), "-Infinity is no JSON number", f"{_CONVERTER}|Infinity"),
    Poison("above a DOUBLE", _with("1e999", close="?"), "'close' is Infinity, out of range for DOUBLE", "'close' is "),
    Poison(
        "above a FLOAT",
        plain(0, ratio=3.5e38),
        r"'ratio' is 3.5e\+38, out of range for FLOAT",
        "'ratio' is .*out of range",
    ),
    Poison("above a LONG", plain(0, volume=2**63), "'volume' is 9223372036854775808, out of range for LONG"),
    Poison("below a SHORT", plain(0, lots=-32769), "'lots' is -32769, out of range for SHORT"),
    Poison("thousands of digits", _with("9" * 5000, volume="?"), "digits|out of range", "volume|number|(?i)JSON"),
    Poison("before 1970", plain(0, ts=-1), r"'ts' is -1, outside 0\.\.253402300799999 ms"),
    Poison("after 9999", plain(0, ts=253_402_300_800_000), r"'ts' is 253402300800000, outside 0\.\.253402300799999 ms"),
    Poison("text before 1970", plain(0, ts="1969-12-31T23:59:59Z"), r"'ts' is -1000, outside 0\.\.253402300799999 ms"),
    Poison(
        "text after 9999", plain(0, ts="10000-01-01T00:00:00Z"), "'ts': time '10000-01-01T00:00:00Z' does not fit ISO"
    ),
    Poison("no time", plain(0, ts="yesterday"), "'ts': time 'yesterday' does not fit ISO 8601"),
    Poison("finer than a millisecond", plain(0, ts="2024-03-08T14:30:00.0000001Z"), "finer than a millisecond"),
    Poison("29 February of no leap year", plain(0, ts="2023-02-29"), "time '2023-02-29' does not fit ISO 8601"),
    Poison(
        "schema: column added",
        good(0, _schema(vwap={"type": "double"}), vwap=1.5),
        "unknown field 'vwap'",
        "unknown field '(vwap|schema)'",
    ),
    Poison("schema: column renamed", _renamed(), "unknown field 'last'", "unknown field '(last|schema)'"),
    Poison(
        "schema: type changed",
        good(0, _schema(close={"type": "bytes"}), close="AAH/"),
        "field 'close' is of Connect type bytes, column 'close' is DOUBLE",
        "close|unknown field 'schema'",
    ),
    Poison(
        "schema: type of no name",
        good(0, _schema(close={"type": "\ud800"})),
        r"field 'close' is of Connect type .*ud800, column 'close' is DOUBLE",
        _CONVERTER,
    ),
    Poison(
        "schema: a field that is none",
        good(0, connect_schema(info("rows")) | {"fields": [5]}),
        "the schema has a field '5' that is no object",
        _CONVERTER,
    ),
    Poison("schema that is none", b'{"schema": 5, "payload": {"ts": 1}}', "the schema is a number", _CONVERTER),
    Poison("markup and escapes", plain(0, note=["\x1b[31m", "[bold]"]), r"'note' is a list \(\[\"\\u001b"),
)
