"""Rows between Arrow and the Web API's JSON, column by column; no Python loop over cells but for bytes and odd text."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gridwatch.containers.dialect.kinds import FLOATING
from gridwatch.containers.schema import ColumnType
from gridwatch.errors import StoreError

__all__ = ["PUT_BYTES", "column_types", "fitted", "put_bodies", "table_of"]

PUT_BYTES = 8 * 1024 * 1024
"""Bytes of JSON in one put; the Web API takes 20 MB, a row counted by its values, and a gateway may take less."""

_ENCODE_ROWS = 65_536
_ESCAPED = '["\\\\\x00-\x1f]'
_PRECISIONS = {None: "", "MILLISECOND": "", "MICROSECOND": "(6)", "NANOSECOND": "(9)"}


def put_bodies(tables: Mapping[str, pa.Table], bytes_max: int = PUT_BYTES) -> Iterator[bytes]:
    """Yield the bodies of puts that together carry all rows, in order, each of about `bytes_max` bytes at most.

    Args:
        tables: Container name to rows in the container's schema.
        bytes_max: More only where one row alone is longer.
    """
    # One list for each container: of two lists for the same one, the API stores only the last.
    lists: dict[str, list[bytes]] = {}
    filled = 0
    for name, table in tables.items():
        for start in range(0, table.num_rows, _ENCODE_ROWS):
            texts = _row_texts(table.slice(start, _ENCODE_ROWS))
            ends = np.cumsum(pc.binary_length(texts).to_numpy(zero_copy_only=False) + 1)
            place = 0
            while place < len(texts):
                before = int(ends[place - 1]) if place else 0
                # At least one row goes into an empty body.
                stop = int(np.searchsorted(ends, before + bytes_max - filled, side="right"))
                stop = max(stop, place + (not lists))
                if stop > place:
                    lists.setdefault(name, []).append(",".join(texts.slice(place, stop - place).to_pylist()).encode())
                    filled += int(ends[stop - 1]) - before
                    place = stop
                if place < len(texts):
                    yield _body(lists)
                    lists, filled = {}, 0
    if lists:
        yield _body(lists)


def _body(lists: Mapping[str, Sequence[bytes]]) -> bytes:
    heads = (f'{{"containerName":{json.dumps(name)},"rows":['.encode() for name in lists)
    filled = (b",".join(rows) for rows in lists.values())
    return b"[" + b",".join(head + rows + b"]}" for head, rows in zip(heads, filled, strict=True)) + b"]"


def _row_texts(table: pa.Table) -> pa.Array:
    cells = [pc.fill_null(_cell_texts(column.combine_chunks()), "null") for column in table.columns]
    joined = pc.binary_join_element_wise(*cells, ",")
    return pc.binary_join_element_wise("[", joined, "]", "")


def _cell_texts(array: pa.Array) -> pa.Array:
    """Return the JSON of each value; null stays null."""
    kind = array.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return array.cast(pa.string())
    if pa.types.is_floating(kind):
        text = array.cast(pa.string())
        # As an integer, JSON's -0 is 0.
        return pc.if_else(pc.equal(text, "-0"), "-0.0", text)
    if pa.types.is_timestamp(kind):
        return pc.binary_join_element_wise('"', pc.strftime(array, "%Y-%m-%dT%H:%M:%SZ"), '"', "")
    if pa.types.is_string(kind) and not pc.any(pc.match_substring_regex(array, _ESCAPED)).as_py():
        return pc.binary_join_element_wise('"', array, '"', "")
    if pa.types.is_binary(kind):
        texts = (None if one is None else f'"{base64.b64encode(one).decode()}"' for one in array.to_pylist())
        return pa.array(texts, pa.string())
    if pa.types.is_list(kind):
        inner = _cell_texts(array.flatten()).fill_null("null")
        pieces = pa.ListArray.from_arrays(_offsets(array), inner)
        text = pc.binary_join_element_wise("[", pc.binary_join(pieces, ","), "]", "")
        return pc.if_else(pc.is_valid(array), text, pa.scalar(None, pa.string()))
    texts = (None if one is None else json.dumps(one, ensure_ascii=False) for one in array.to_pylist())
    return pa.array(texts, pa.string())


def _offsets(array: pa.ListArray) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    return pa.array(np.concatenate(([0], np.cumsum(lengths))), pa.int32())


def column_types(columns: Sequence[Mapping[str, Any]]) -> list[tuple[str, ColumnType | None]]:
    """Return name and type of the columns of an answer; a type that SQL does not know, and NULL's, is None.

    Raises:
        StoreError: A type or precision that this client does not know.
    """
    found: list[tuple[str, ColumnType | None]] = []
    for column in columns:
        name, word = str(column.get("name", "")), str(column.get("type", ""))
        if word == "TIMESTAMP":
            word += _PRECISIONS.get(column.get("timePrecision"), "?")
        try:
            found.append((name, None if word == "UNKNOWN" else ColumnType(word)))
        except ValueError as error:
            raise StoreError(f"The Web API answered with a column {name!r} of the unknown type {word}.") from error
    return found


def table_of(columns: Sequence[tuple[str, ColumnType | None]], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Return the rows of an answer as a table.

    Args:
        columns: Name and type of each; None gives Arrow's null type.
        rows: JSON values, `len(columns)` in each row.

    Raises:
        StoreError: A value is not of its column's type.
    """
    fields = [pa.field(name, kind.arrow if kind else pa.null()) for name, kind in columns]
    cells: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    if len(cells) != len(columns):
        raise StoreError(f"The Web API answered with {len(cells)} values in a row of {len(columns)} columns.")
    arrays = []
    for (name, kind), values in zip(columns, cells, strict=True):
        try:
            arrays.append(_array(kind, values))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise StoreError(
                f"The Web API answered with a value in column {name!r} that is no {kind}: {error}."
            ) from error
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def fitted(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return an answer's rows under a container's schema, by position.

    Raises:
        StoreError: They are of another type: somebody changed the container meanwhile.
    """
    if table.schema.types != schema.types:
        raise StoreError(
            f"The Web API answered with columns of {', '.join(map(str, table.schema.types))} where "
            f"{', '.join(map(str, schema.types))} are expected; the container was changed meanwhile, run this again."
        )
    return pa.Table.from_arrays(table.columns, schema=schema)


def _array(kind: ColumnType | None, values: Sequence[Any]) -> pa.Array:
    if kind is None:
        # Arrays and geometry, which SQL does not send, look like this as well; they are never read through SQL.
        return pa.nulls(len(values))
    if kind in FLOATING:
        try:
            return pa.array(values, kind.arrow)
        except pa.ArrowException:
            # NaN and the infinities are text in JSON.
            return pa.array([float(value) if isinstance(value, str) else value for value in values], kind.arrow)
    if kind.precision:
        return pa.array(values, pa.string()).cast(kind.arrow)
    if kind is ColumnType.BLOB:
        return pa.array(
            [None if value is None else base64.b64decode(value, validate=True) for value in values], kind.arrow
        )
    if kind.element is not None:
        return _lists(kind.element, values)
    return pa.array(values, kind.arrow)


def _lists(element: ColumnType, values: Sequence[Any]) -> pa.Array:
    flat = _array(element, [one for value in values if value is not None for one in value])
    lengths = [0 if value is None else len(value) for value in values]
    offsets = pa.array(np.concatenate(([0], np.cumsum(lengths))), pa.int32())
    return pa.ListArray.from_arrays(offsets, flat, mask=pa.array([value is None for value in values]))
