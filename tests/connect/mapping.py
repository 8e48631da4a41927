"""The connector's mapping of records to rows, asked in one JVM: cases in, rows or reasons out."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

from gridwatch.containers import ColumnType, ContainerInfo
from tests.connect.jvm import Jvm

_TYPES = {ColumnType.TIMESTAMP_6: "TIMESTAMP_MICRO", ColumnType.TIMESTAMP_9: "TIMESTAMP_NANO"}


class Mapping(Jvm):
    """A JVM with the connector's classes; use it as a context manager."""

    sources = "java"
    main = "Mapping"

    def ask(self, records: Sequence[dict[str, Any]], **case: Any) -> list[dict[str, Any]]:
        """Return the answers to the records of one case."""
        answers: list[dict[str, Any]] = self.say(case | {"records": list(records)})
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
