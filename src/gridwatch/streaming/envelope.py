"""Kafka Connect's JSON envelope, `{"schema": ..., "payload": ...}`: frames to records, and schemas to containers.

The schema is the same for all rows of a frame, so it is made into text once; a row costs one formatted string.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.containers._arrow import coerce
from gridwatch.errors import SchemaError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["TIMESTAMP_NAME", "connect_schema", "container_of", "encode"]

TIMESTAMP_NAME = "org.apache.kafka.connect.data.Timestamp"
"""Connect's logical type of int64 epoch ms."""

CONNECT_TYPES = {
    ColumnType.BOOL: "boolean",
    ColumnType.STRING: "string",
    ColumnType.BYTE: "int8",
    ColumnType.SHORT: "int16",
    ColumnType.INTEGER: "int32",
    ColumnType.LONG: "int64",
    ColumnType.FLOAT: "float",
    ColumnType.DOUBLE: "double",
    ColumnType.TIMESTAMP: "int64",
    ColumnType.BLOB: "bytes",
}
_COLUMN_TYPES = {name: kind for kind, name in CONNECT_TYPES.items() if kind is not ColumnType.TIMESTAMP}


def connect_schema(info: ContainerInfo) -> dict[str, Any]:
    """Return the Connect schema of a container's rows, as JsonConverter writes it.

    Raises:
        SchemaError: A column is an array, geometry or a time finer than a millisecond.
    """
    fields = []
    for column in info.columns:
        if column.type not in CONNECT_TYPES:
            raise SchemaError(f"Container {info.name!r}, column {column.name!r}: no record can hold a {column.type}.")
        field: dict[str, Any] = {"type": CONNECT_TYPES[column.type], "optional": column.nullable}
        if column.type is ColumnType.TIMESTAMP:
            field |= {"name": TIMESTAMP_NAME, "version": 1}
        fields.append(field | {"field": column.name})
    return {"type": "struct", "fields": fields, "optional": False, "name": info.name}


def container_of(topic: str, schema: dict[str, Any]) -> ContainerInfo:
    """Return the time series that records of this Connect schema make: the topic's name, the Timestamp `ts` as key.

    Without a field `ts`, the first Timestamp field is the key. The key goes first.

    Raises:
        SchemaError: The schema is no struct, has no Timestamp field, or has a type that no column can hold.
    """
    fields = schema.get("fields")
    if schema.get("type") != "struct" or not isinstance(fields, list):
        raise SchemaError(f"Topic {topic!r}: the record's schema is no struct, so no container can be made from it.")
    columns = [_column_of(topic, field) for field in fields]
    times = [column for column in columns if column.type is ColumnType.TIMESTAMP]
    key = next((column for column in times if column.name.lower() == "ts"), times[0] if times else None)
    if key is None:
        raise SchemaError(
            f"Topic {topic!r}: no field of the record's schema is a {TIMESTAMP_NAME}, so no time series can be made "
            "from it; make the container beforehand."
        )
    rest = tuple(column for column in columns if column is not key)
    first = Column(key.name, ColumnType.TIMESTAMP, nullable=False)
    return ContainerInfo(topic, ContainerType.TIME_SERIES, (first, *rest), (key.name,))


def _column_of(topic: str, field: Any) -> Column:
    kind, logical, name = (
        (field.get(part) for part in ("type", "name", "field")) if isinstance(field, dict) else [0] * 3
    )
    if not isinstance(name, str) or not isinstance(kind, str):
        raise SchemaError(f"Topic {topic!r}: the record's schema has a field without name or type: {field!r}.")
    if kind == "int64" and logical == TIMESTAMP_NAME:
        return Column(name, ColumnType.TIMESTAMP, nullable=bool(field.get("optional", False)))
    if kind not in _COLUMN_TYPES or logical is not None:
        raise SchemaError(f"Topic {topic!r}: field {name!r} is {logical or kind}, which no column can hold.")
    return Column(name, _COLUMN_TYPES[kind], nullable=bool(field.get("optional", False)))


def encode(frame: pd.DataFrame | pa.Table, info: ContainerInfo) -> tuple[list[bytes], list[bytes]]:
    """Return keys and values of the records of a frame, in its order.

    The key is the row key as text: epoch ms in decimal digits for a time series (what a StringConverter reads), so that
    all versions of one row go to one partition, in order. More than one key column makes a JSON array.

    Args:
        frame: Columns match the container's by name.
        info: The container that the rows are for.

    Raises:
        SchemaError: An unknown column.
        ValueRefusedError: NaN, infinity, or another value that a container refuses; names column, value and row.
    """
    table = coerce(info, frame)
    texts = [_texts(column.type, array) for column, array in zip(info.columns, table.columns, strict=True)]
    # No name can hold a percent sign: the container model refuses it.
    fields = ",".join(f"{_json(column.name)}:%s" for column in info.columns)
    head = json.dumps({"schema": connect_schema(info)}, separators=(",", ":"))[:-1]
    template = f'{head},"payload":{{{fields}}}}}'
    values = [(template % row).encode() for row in zip(*texts, strict=True)]
    keys = _keys(info, texts)
    return keys, values


def _keys(info: ContainerInfo, texts: list[list[Any]]) -> list[bytes]:
    if not info.row_key:
        return [b""] * len(texts[0])
    # Key columns are always the first ones.
    if len(info.row_key) == 1:
        return [
            (json.loads(text) if info.columns[0].type is ColumnType.STRING else str(text)).encode() for text in texts[0]
        ]
    return [f"[{','.join(map(str, row))}]".encode() for row in zip(*texts[: len(info.row_key)], strict=True)]


def _texts(kind: ColumnType, array: pa.ChunkedArray) -> list[Any]:
    """Return a column as things whose `str()` is JSON: numbers as they are, all else as text."""
    if kind is ColumnType.TIMESTAMP:
        array = array.cast("int64")
    values = array.to_pylist()
    if kind is ColumnType.BOOL:
        return [("null", "false", "true")[0 if value is None else 1 + value] for value in values]
    if kind is ColumnType.STRING:
        return [_json(value) for value in values]
    if kind is ColumnType.BLOB:
        return ["null" if value is None else f'"{base64.b64encode(value).decode()}"' for value in values]
    if array.null_count:
        return ["null" if value is None else value for value in values]
    return list(values)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
