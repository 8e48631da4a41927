"""Changes to a record's row, so that the container takes it: in an envelope the schema is changed with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gridwatch.streaming.decode import loads_strictly
from gridwatch.streaming.envelope import TIMESTAMP_NAME
from gridwatch.streaming.times import TimeFormat
from gridwatch.streaming.values import RecordError, json_kind

__all__ = ["Fix"]

_KINDS: dict[type, set[str]] = {
    bool: {"boolean"},
    int: {"int8", "int16", "int32", "int64", "float", "float32", "double", "float64"},
    float: {"float", "float32", "double", "float64"},
    str: {"string", "bytes"},
}
_DECLARED = {bool: "boolean", int: "int64", float: "double", str: "string"}


@dataclass(frozen=True, slots=True)
class Fix:
    """What is changed in each record, in this order: fields renamed, dropped, set, and times as text read.

    Args:
        renames: Old and new name of fields.
        drops: Fields to leave out.
        sets: Fields and their new JSON values.
        times: How the times as text in `time_fields` are written; None: they are left as they are.
        time_fields: Fields that hold times.
    """

    renames: tuple[tuple[str, str], ...] = ()
    drops: tuple[str, ...] = ()
    sets: tuple[tuple[str, Any], ...] = ()
    times: TimeFormat | None = None
    time_fields: tuple[str, ...] = ("ts",)

    def __bool__(self) -> bool:
        return bool(self.renames or self.drops or self.sets or self.times)

    def apply(self, value: bytes | None) -> bytes | None:
        """Return the record's value with the changes; one that needs none stays as it is, byte for byte.

        Raises:
            RecordError: It holds no row that could be changed, or a time that cannot be read.
        """
        if not self:
            return value
        if value is None:
            raise RecordError("a tombstone has no fields to change")
        try:
            return self._applied(value)
        except RecursionError:
            raise RecordError("it is nested too deeply to be changed") from None

    def _applied(self, value: bytes) -> bytes:
        document = loads_strictly(value)
        before = json.dumps(document)
        enveloped = isinstance(document, dict) and document.keys() == {"schema", "payload"}
        row = document["payload"] if enveloped else document
        if not isinstance(row, dict):
            raise RecordError(f"the row is {json_kind(row)}, not an object; only --edit or --from can change it")
        schema = document["schema"] if enveloped else None
        fields = schema.get("fields") if isinstance(schema, dict) else None
        self._change(row, fields if isinstance(fields, list) else None)
        after = json.dumps(document)
        return value if after == before else _written(document)

    def _change(self, row: dict[str, Any], fields: list[Any] | None) -> None:
        for old, new in self.renames:
            if old in row:
                if new in row:
                    raise RecordError(f"cannot rename {old!r}: there is a field {new!r} already")
                _rename_key(row, old, new)
                _each(fields, old, lambda field, new=new: field.update(field=new))  # type: ignore[misc]
        for name in self.drops:
            row.pop(name, None)
            if fields is not None:
                fields[:] = [field for field in fields if not _is(field, name)]
        for name, value in self.sets:
            row[name] = value
            _declare(fields, name, value)
        if self.times is not None:
            for name in self.time_fields:
                if isinstance(row.get(name), str):
                    try:
                        row[name] = self.times.parse(row[name])
                    except ValueError as error:
                        raise RecordError(f"{name!r}: {error}") from None
                    _each(fields, name, lambda field: field.update(type="int64", name=TIMESTAMP_NAME, version=1))


def _written(document: Any) -> bytes:
    """Return JSON; half of a surrogate pair stays an escape.

    Raises:
        RecordError: It holds a number that only could be read, such as 1e999.
    """
    try:
        try:
            return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:
        raise RecordError(f"a number in it cannot be written again ({error})") from None


def _rename_key(row: dict[str, Any], old: str, new: str) -> None:
    """Rename in place, so that the fields keep their order."""
    pairs = [(new if name == old else name, value) for name, value in row.items()]
    row.clear()
    row.update(pairs)


def _is(field: Any, name: str) -> bool:
    return isinstance(field, dict) and field.get("field") == name


def _each(fields: list[Any] | None, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    for field in fields or ():
        if _is(field, name):
            change(field)


def _declare(fields: list[Any] | None, name: str, value: Any) -> None:
    """Make the schema fit a value that was set: a converter refuses what is declared otherwise."""
    if fields is None:
        return
    declared = [field for field in fields if _is(field, name)]
    if value is None:
        for field in declared:
            field["optional"] = True
        return
    kind = _DECLARED.get(type(value))
    if kind is None:
        raise RecordError(f"{name!r} cannot be set to {json_kind(value)} in a record with a schema")
    if not declared:
        fields.append({"type": kind, "optional": True, "field": name})
    for field in declared:
        if field.get("type") not in _KINDS[type(value)]:
            field["type"] = kind
            # The logical type went with the old one: a time that is set as a number stays one, being int64 already.
            field.pop("name", None)
            field.pop("version", None)
