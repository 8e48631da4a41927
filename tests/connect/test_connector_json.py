"""The strict converter: what fits its schema is read as Kafka's own reads it, and all else is refused with a reason."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gridwatch.java.compiler import compile_java
from gridwatch.java.connector import PLUGIN, build_connector
from gridwatch.java.jars import jars
from gridwatch.java.jre import find_java

_SOURCES = Path(__file__).with_name("java_json")
_DECIMAL = {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}}
_MOMENT = {"type": "int64", "name": "org.apache.kafka.connect.data.Timestamp", "version": 1}


class Converters:
    """A JVM with both converters."""

    def __init__(self) -> None:
        plugin = sorted((build_connector(os.environ) / PLUGIN).glob("*.jar"))
        needed = [*plugin, *jars("kafka", os.environ)]
        path = os.pathsep.join(map(str, [compile_java(_SOURCES, needed, os.environ, version=17), *needed]))
        command = [str(find_java(os.environ)), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", path, "StrictJson"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, encoding="utf-8", **pipes)

    def read(self, records: Sequence[str]) -> list[dict[str, Any]]:
        """Return what each converter makes of each record."""
        assert self.process.stdin
        assert self.process.stdout
        answers = []
        for record in records:
            self.process.stdin.write(record + "\n")
            self.process.stdin.flush()
            answers.append(json.loads(self.process.stdout.readline()))
        return answers


@pytest.fixture(scope="module")
def converters() -> Iterator[Converters]:
    made = Converters()
    yield made
    made.process.communicate(timeout=240)


def envelope(kind: dict[str, Any] | str, value: str, *, optional: bool = False) -> str:
    """Return a record with one field `v`, its value given as JSON."""
    field = {"field": "v", "optional": optional, **({"type": kind} if isinstance(kind, str) else kind)}
    schema = {"type": "struct", "fields": [field], "optional": False}
    return f'{{"schema": {json.dumps(schema)}, "payload": {{"v": {value}}}}}'


GOOD = [
    *(("int8", text) for text in ("0", "-128", "127")),
    *(("int32", text) for text in ("-2147483648", "2147483647")),
    *(("int64", text) for text in ("-9223372036854775808", "9223372036854775807")),
    *(("double", text) for text in ("0.1", "-0.0", "1e308", "5", "9007199254740993")),
    *(("float", text) for text in ("0.5", "3")),
    *(("boolean", text) for text in ("true", "false")),
    *(("string", text) for text in ('"a"', '""', '"\\"payload\\":"', '"é\\u0000"')),
    ("bytes", '"AAEC"'),
    (_MOMENT, "1700000000000"),
    (_DECIMAL, '"MDk="'),
    (_DECIMAL, "123456789012345678901234567890.12"),
    ({"type": "array", "items": {"type": "int16", "optional": True}}, "[1, null, 3]"),
    ({"type": "map", "keys": {"type": "string"}, "values": {"type": "double"}}, '{"a": 1.5}'),
    ({"type": "int32", "default": 7}, "8"),
]


@pytest.mark.parametrize(("kind", "value"), GOOD)
def test_what_fits_is_read_as_kafkas_own_converter_reads_it(
    converters: Converters, kind: dict[str, Any] | str, value: str
) -> None:
    # Twice: the second time only the row is parsed.
    for answer in converters.read([envelope(kind, value)] * 2):
        assert answer["strict"] == answer["kafka"] is not None


BAD = [
    ("double", '"much"', "field 'v' is text \"much\", but its schema says float64"),
    ("double", '{"a": 1}', "field 'v' is an object .*float64"),
    ("int64", "1.5", "field 'v' is the number 1.5, but its schema says int64"),
    ("int64", "9223372036854775808", "field 'v' is the number 9223372036854775808, but"),
    ("int64", "1e400", "but its schema says int64"),
    ("int32", "2147483648", "but its schema says int32"),
    ("int8", "128", "but its schema says int8"),
    ("int64", "true", "field 'v' is the boolean true"),
    ("string", "5", "field 'v' is the number 5, but its schema says string"),
    ("boolean", "1", "field 'v' is the number 1, but its schema says boolean"),
    ("boolean", '"true"', "but its schema says boolean"),
    ("bytes", '"*"', "which is no base64"),
    ("double", "null", "field 'v' is null, which its schema does not allow"),
    ("double", "NaN", "not JSON"),
    ("double", '1, "w": 2', "the row has a field 'w', which its schema lacks"),
    ("double", '1, "v": 2', "not JSON .*Duplicate field 'v'"),
    (_MOMENT, '"2024-01-01"', "but its schema says int64"),
    ({"type": "array", "items": {"type": "int16"}}, "[1, 70000]", r"field 'v'\[1\] is the number 70000"),
    (_DECIMAL, "1.234", "which has more than 2 decimals"),
    (_DECIMAL, "1e999999999", "which has too many digits"),
    (_DECIMAL | {"parameters": {"scale": "999999999"}}, "7", "which has too many digits"),
    ("text", "1", 'the schema has the type "text", which Connect lacks'),
]


@pytest.mark.parametrize(("kind", "value", "reason"), BAD)
def test_what_does_not_fit_is_refused(
    converters: Converters, kind: dict[str, Any] | str, value: str, reason: str
) -> None:
    # Also when the schema is known by then, so that only the row is parsed.
    records = [envelope(kind, value)] * 2
    if kind == "double":
        records.insert(0, envelope(kind, "1"))
    *_, first, second = converters.read(records)
    with pytest.raises(ValueError, match=reason):
        raise ValueError(first.get("reason", first))
    assert second.get("reason") == first.get("reason")


def test_parts_that_are_left_out_take_their_defaults(converters: Converters) -> None:
    field = {"field": "v", "type": "int32", "default": 7}
    other = {"field": "w", "type": "double", "optional": True}
    schema = {"type": "struct", "fields": [field, other]}
    [answer] = converters.read([json.dumps({"schema": schema, "payload": {}})])
    assert answer["strict"]["payload"] == {"v": 7, "w": None}


def test_records_without_schema_and_in_any_order(converters: Converters) -> None:
    schema = {"type": "struct", "fields": [{"field": "v", "type": "string"}]}
    turned = json.dumps({"payload": {"v": "x"}, "schema": schema})
    inside = json.dumps({"schema": schema | {"doc": '"payload":'}, "payload": {"v": "y"}})
    answers = converters.read([turned, turned, inside, inside, '{"v": [1, {"a": null}]}', "18446744073709551616", ""])
    read = [answer["strict"]["payload"] for answer in answers[:5]]
    assert read == [{"v": "x"}, {"v": "x"}, {"v": "y"}, {"v": "y"}, {"v": [1, {"a": None}]}]
    # Handed over as it is, not cut to 64 bits; a DOUBLE column takes it. Kafka's converter cannot write it again.
    assert "BigInteger" in answers[5]["reason"]
    assert answers[6]["reason"] == "not JSON (empty)"


def test_only_a_record_without_value_is_a_tombstone(converters: Converters) -> None:
    answers = converters.read(["null", '{"schema": null, "payload": null}'])
    assert [answer["reason"] for answer in answers] == [
        "the row is null, not an object",
        "tombstone (null payload): rows are deleted only by a record without value",
    ]
