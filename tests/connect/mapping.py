"""The connector's mapping of records to rows, asked in one JVM: cases in, rows or reasons out."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from gridwatch.containers import ColumnType, ContainerInfo
from gridwatch.java.compiler import compile_java
from gridwatch.java.connector import PLUGIN, build_connector
from gridwatch.java.jars import jars
from gridwatch.java.jre import find_java

_SOURCES = Path(__file__).with_name("java")
_TYPES = {ColumnType.TIMESTAMP_6: "TIMESTAMP_MICRO", ColumnType.TIMESTAMP_9: "TIMESTAMP_NANO"}


class Mapping:
    """A JVM with the connector's classes; use it as a context manager."""

    def __enter__(self) -> Self:
        plugin = sorted((build_connector(os.environ) / PLUGIN).glob("*.jar"))
        needed = [*plugin, *jars("kafka", os.environ)]
        classes = compile_java(_SOURCES, needed, os.environ, version=17)
        path = os.pathsep.join(map(str, [classes, *needed]))
        command = [str(find_java(os.environ)), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", path, "Mapping"]
        # What goes to standard error is slf4j's greeting.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def ask(self, records: Sequence[dict[str, Any]], **case: Any) -> list[dict[str, Any]]:
        """Return the answers to the records of one case."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(case | {"records": list(records)}) + "\n")
        self._process.stdin.flush()
        answers: list[dict[str, Any]] = json.loads(self._process.stdout.readline())
        return answers

    def play(self, *batches: dict[str, Any], reports: bool = True, **options: object) -> list[dict[str, Any]]:
        """Hand batches to a task over a writer that fails as they say, and return what each came to."""
        own = {name.replace("__", "."): str(value).lower() for name, value in options.items()}
        own = {"container.type": "COLLECTION", "row.key.fields": "id", "retry.backoff.ms": "1"} | own
        if "container.type" in own:
            own["container.type"] = own["container.type"].upper()
        return self.ask([], batches=list(batches), options=own, reports=reports)

    def rows(
        self,
        info: ContainerInfo,
        values: Sequence[bytes | None],
        *,
        keys: Sequence[bytes | None] = (),
        schemas: bool = False,
        **case: Any,
    ) -> list[Any]:
        """Return a row, a key or a reason for each record's value: tuples, or text."""
        records: list[dict[str, Any]] = [{"value": encoded(value)} for value in values]
        for record, key in zip(records, keys, strict=False):
            record["key"] = encoded(key)
        columns = [[column.name, _type(column.type), column.nullable] for column in info.columns]
        container = {"kind": info.type.value, "columns": columns, "row_key": list(info.row_key)}
        answers = self.ask(records, container=container, schemas=schemas, **case)
        key_types = [info.column(name).type for name in info.row_key]
        types = [column.type for column in info.columns]
        return [
            answer["reason"]
            if "reason" in answer
            else answer.get("converter")
            or tuple(
                map(
                    _value, key_types if "key" in answer else types, answer["key"] if "key" in answer else answer["row"]
                )
            )
            for answer in answers
        ]


def _type(kind: ColumnType) -> str:
    return _TYPES.get(kind, kind.value)


def encoded(data: bytes | None) -> str | None:
    """Return a record's key or value as cases have it."""
    return None if data is None else b64encode(data).decode()


def _value(kind: ColumnType, value: Any) -> Any:
    """Return a value as Arrow's `to_pylist` gives it, times as whole numbers of their column's unit."""
    if value is None:
        return None
    if kind.precision:
        seconds, nanos = value
        return int(seconds * 10**kind.precision + nanos // 10 ** (9 - kind.precision))
    if kind.element:
        # Bytes of an array come as base64, as those of a BLOB do.
        if kind is ColumnType.BYTE_ARRAY:
            return [byte - 256 if byte > 127 else byte for byte in b64decode(value)]
        return [_value(kind.element, one) for one in value]
    return b64decode(value) if kind is ColumnType.BLOB else value
