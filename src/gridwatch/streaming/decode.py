"""Records to Arrow columns of a container; each record that does not fit is told apart, with its reason.

Most records of a topic are right and look alike, so a batch is first tried whole, column by column; only when that
fails is each row looked at by itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import pyarrow as pa

from gridwatch.containers import TIMESTAMP_MS_MAX, Column, ColumnType, ContainerInfo
from gridwatch.streaming.columnar import ColumnReader
from gridwatch.streaming.envelope import CONNECT_TYPES, TIMESTAMP_NAME
from gridwatch.streaming.times import TimeFormat
from gridwatch.streaming.values import FLOAT_MAX, MISSING, RecordError, json_kind, value_of

__all__ = ["Decoded", "Decoder", "loads_strictly", "parse_record"]

_CLOSER_LOOK = 64
"""Most records that are looked at one by one because one of them needs it."""

_T = ColumnType
_FAST_TYPES: dict[ColumnType, set[type]] = {
    _T.BOOL: {bool},
    _T.STRING: {str},
    _T.BYTE: {int},
    _T.SHORT: {int},
    _T.INTEGER: {int},
    _T.LONG: {int},
    _T.FLOAT: {float, int},
    _T.DOUBLE: {float, int},
    _T.TIMESTAMP: {int},
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a batch came to.

    Args:
        table: The rows, with the container's Arrow schema.
        positions: Position in the batch of each row of the table.
        rejected: Position in the batch and reason of each record that is no row.
    """

    table: pa.Table
    positions: list[int]
    rejected: list[tuple[int, str]]


def _refuse_constant(name: str) -> Any:
    raise RecordError(f"{name} is no JSON number and no container takes it")


def _refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        twin = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
        raise RecordError(f"field {twin[:60]!r} comes twice")
    return names


_JSON = json.JSONDecoder(parse_constant=_refuse_constant)
_STRICT_JSON = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_refuse_twins)


def loads_strictly(data: bytes) -> Any:
    """Parse JSON in which no field may come twice.

    Raises:
        RecordError: It is not UTF-8, not JSON, too deep, or holds NaN, Infinity or a field twice.
    """
    return _loads(data, _STRICT_JSON)


def _loads(data: bytes, decoder: json.JSONDecoder = _JSON) -> Any:
    """Parse JSON.

    Raises:
        RecordError: It is not UTF-8, not JSON, too deep, or holds NaN or Infinity.
    """
    try:
        return decoder.decode(data.decode())
    except ValueError as error:
        encoding = json.detect_encoding(data)
        if encoding != "utf-8":
            return _loads_otherwise(data, decoder, encoding)
        if isinstance(error, UnicodeDecodeError):
            raise RecordError(f"not UTF-8 (byte {error.start})") from None
        raise RecordError(f"not JSON ({error})") from None
    except RecursionError:
        raise RecordError("not JSON that can be read (nested too deeply)") from None


def _loads_otherwise(data: bytes, decoder: json.JSONDecoder, encoding: str) -> Any:
    """Parse JSON with a byte order mark, or in UTF-16 or UTF-32, which Connect's converter takes as well."""
    try:
        return decoder.decode(data.decode(encoding))
    except ValueError as error:
        raise RecordError(f"not JSON in {encoding} ({error})") from None
    except RecursionError:
        raise RecordError("not JSON that can be read (nested too deeply)") from None


def _loads_row(data: bytes) -> Any:
    """Parse JSON as `loads_strictly`, which costs twice as much, where a field can come twice at all."""
    parsed = _loads(data)
    # Each field has a colon. Only with more of them, in text or inside of objects, may one hide another.
    return parsed if isinstance(parsed, dict) and data.count(b":") == len(parsed) else loads_strictly(data)


def parse_record(value: bytes | None) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return schema (None without one) and payload of a record's value: an envelope or a plain JSON object.

    Raises:
        RecordError: It is a tombstone, no JSON, or no object.
    """
    if value is None:
        raise RecordError("tombstone (null value): rows are deleted only with GRIDWATCH_KAFKA__DELETE_ENABLED=true")
    parsed = _loads_row(value)
    schema = None
    if isinstance(parsed, dict) and parsed.keys() == {"schema", "payload"}:
        schema, parsed = parsed["schema"], parsed["payload"]
        if parsed is None:
            raise RecordError("tombstone (null payload): rows are deleted only by a record without value")
    if not isinstance(parsed, dict):
        raise RecordError(f"the row is {json_kind(parsed)}, not an object")
    if schema is not None and not isinstance(schema, dict):
        raise RecordError(f"the schema is {json_kind(schema)}, not an object")
    return schema, parsed


class Decoder:
    """Turns the records of one topic into rows of one container.

    Args:
        info: The container.
        times: How times that come as text are written.
    """

    def __init__(self, info: ContainerInfo, times: TimeFormat | None = None) -> None:
        self.info = info
        self._times = times or TimeFormat()
        self._names = tuple(column.name for column in info.columns)
        self._by_lower = {name.lower(): name for name in self._names}
        # A single name makes itemgetter return the value itself; `_rows` wants tuples.
        get = itemgetter(*self._names)
        self._get: Callable[[dict[str, Any]], tuple[Any, ...]] = (
            get if len(self._names) > 1 else lambda row: (get(row),)
        )
        self._prefix = b""
        self._columns = ColumnReader(info)
        # A row of these two columns looks like an envelope, and is taken for one.
        self._plain = not {"schema", "payload"} <= set(self._names)

    def decode(self, values: Sequence[bytes | None]) -> Decoded:
        """Return the rows of a batch of record values, in order, and the records that are no rows. Never raises."""
        table = self._at_once(values)
        if table is not None:
            return Decoded(table, list(range(len(values))), [])
        if len(values) <= _CLOSER_LOOK:
            return self._one_by_one(values)
        # A few bad records must not cost all others their way at once.
        middle = len(values) // 2
        first, second = self.decode(values[:middle]), self.decode(values[middle:])
        return Decoded(
            pa.concat_tables([first.table, second.table]),
            first.positions + [middle + position for position in second.positions],
            first.rejected + [(middle + position, reason) for position, reason in second.rejected],
        )

    def _at_once(self, values: Sequence[bytes | None]) -> pa.Table | None:
        """Return all rows, or None when they are not all alike or any of them needs a closer look."""
        first = next(iter(values), None)
        if first is None:
            return None
        if (self._prefix or self._enveloped(first)) and first.startswith(self._prefix):
            begin, end = len(self._prefix), -1
        elif self._plain:
            begin, end = 0, None
        else:
            return None
        head, tail = first[:begin] + b"{", b"}}" if begin else b"}"
        rows = [
            value[begin:end]
            for value in values
            if value is not None and value.startswith(head) and value.endswith(tail)
        ]
        return self._columns.read(rows) if len(rows) == len(values) else None

    def _enveloped(self, value: bytes) -> bool:
        """Tell whether a record has a schema that is accepted, which is then remembered."""
        try:
            self._payload(value)
        except RecordError:
            return False
        return bool(self._prefix)

    def _one_by_one(self, values: Sequence[bytes | None]) -> Decoded:
        rejected: list[tuple[int, str]] = []
        payloads: list[dict[str, Any]] = []
        positions: list[int] = []
        for position, value in enumerate(values):
            try:
                payloads.append(self._payload(value))
                positions.append(position)
            except RecordError as error:
                rejected.append((position, str(error)))
        table = self._whole(payloads)
        if table is None:
            table, positions, bad = self._row_by_row(payloads, positions)
            rejected = sorted(rejected + bad)
        return Decoded(table, positions, rejected)

    def _payload(self, value: bytes | None) -> dict[str, Any]:
        prefix = self._prefix
        if prefix and value is not None and value.startswith(prefix) and value.endswith(b"}"):
            # The schema is the one that was accepted before, byte for byte: only the payload is to be read.
            try:
                payload = _loads_row(value[len(prefix) : -1])
            except RecordError:
                payload = None
            if isinstance(payload, dict):
                return payload
        schema, payload = parse_record(value)
        if schema is not None:
            self._check_schema(schema)
            self._remember(value or b"", schema, payload)
        return payload

    def _remember(self, value: bytes, schema: dict[str, Any], payload: dict[str, Any]) -> None:
        """Keep the bytes before the payload, if they are an envelope's beginning and nothing else."""
        prefix, found, rest = value.partition(b'"payload":')
        try:
            if (
                found
                and _loads(rest[:-1]) == payload
                and _loads(prefix + b'"payload":0}') == {"schema": schema, "payload": 0}
            ):
                self._prefix = prefix + found + rest[: len(rest) - len(rest.lstrip(b" "))]
        except RecordError:
            return

    def _check_schema(self, schema: dict[str, Any]) -> None:
        """Refuse declared types whose values would be taken for something else.

        Raises:
            RecordError: Names the field, its type and the column's.
        """
        fields = schema.get("fields")
        for field in fields if isinstance(fields, list) else ():
            if not isinstance(field, dict):
                raise RecordError(f"the schema has a field {str(field)[:60]!r} that is no object")
            name, kind, logical = (field.get(part) for part in ("field", "type", "name"))
            column = self._by_lower.get(str(name).lower())
            if column is None:
                continue
            target = self.info.column(column).type
            known = kind in CONNECT_TYPES.values() and logical in (None, TIMESTAMP_NAME)
            times = target is _T.TIMESTAMP and kind not in ("int64", "string")
            if not known or times or (kind == "bytes") != (target is _T.BLOB):
                declared = str(logical or kind)[:60]
                raise RecordError(f"field {name!r} is of Connect type {declared}, column {column!r} is {target}")

    def _whole(self, payloads: list[dict[str, Any]]) -> pa.Table | None:
        """Return all rows at once, or None when any of them needs a closer look."""
        count = len(self._names)
        try:
            rows = [self._get(payload) for payload in payloads]
        except KeyError:
            return None
        if any(len(payload) != count for payload in payloads):
            return None
        arrays = []
        for column, values in zip(self.info.columns, zip(*rows, strict=True) if rows else [()] * count, strict=True):
            array = _fast_array(column, values)
            if array is None:
                return None
            arrays.append(array)
        return pa.Table.from_arrays(arrays, schema=self.info.arrow)

    def _row_by_row(
        self, payloads: list[dict[str, Any]], positions: list[int]
    ) -> tuple[pa.Table, list[int], list[tuple[int, str]]]:
        kept: list[tuple[Any, ...]] = []
        places: list[int] = []
        bad: list[tuple[int, str]] = []
        for position, payload in zip(positions, payloads, strict=True):
            try:
                kept.append(self._row(payload))
                places.append(position)
            except RecordError as error:
                bad.append((position, str(error)))
        columns = zip(*kept, strict=True) if kept else [()] * len(self._names)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self.info.arrow, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self.info.arrow), places, bad

    def _row(self, payload: dict[str, Any]) -> tuple[Any, ...]:
        """Return one row's values in column order.

        Raises:
            RecordError: A field is unknown, missing or does not fit.
        """
        given: dict[str, Any] = {}
        for field, value in payload.items():
            name = self._by_lower.get(field.lower())
            if name is None:
                raise RecordError(f"unknown field {field[:60]!r}; the container has {', '.join(self._names)}")
            if name in given:
                raise RecordError(f"field {name!r} comes twice, in different case")
            given[name] = value
        return tuple(value_of(column, given.get(column.name, MISSING), self._times) for column in self.info.columns)


def _fast_array(column: Column, values: tuple[Any, ...]) -> pa.Array | None:
    """Return a column whose values all have the plain JSON type and fit, or None."""
    allowed = _FAST_TYPES.get(column.type)
    if allowed is None:
        return None
    kinds = set(map(type, values))
    if type(None) in kinds:
        if not column.nullable:
            return None
        kinds.discard(type(None))
    if not kinds <= allowed:
        return None
    if len(kinds) == 2:
        # Whole numbers among the floats: Arrow refuses those above 2**53, which JSON's numbers may be.
        try:
            values = tuple(None if value is None else float(value) for value in values)
        except OverflowError:
            return None
    if kinds and column.type in {_T.TIMESTAMP, _T.FLOAT, _T.DOUBLE} and not _in_range(column, values):
        return None
    try:
        return pa.array(values, column.type.arrow)
    except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError):
        return None


def _in_range(column: Column, values: tuple[Any, ...]) -> bool:
    present = [value for value in values if value is not None]
    if column.type is _T.TIMESTAMP:
        return bool(min(present) >= 0 and max(present) <= TIMESTAMP_MS_MAX)
    limit = FLOAT_MAX if column.type is _T.FLOAT else math.inf
    # NaN cannot come out of JSON here; infinity can, from a number such as 1e999.
    return bool(max(present) <= limit and min(present) >= -limit and math.inf not in (max(present), -min(present)))
