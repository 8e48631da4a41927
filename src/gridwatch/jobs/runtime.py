"""Runtime fields: `runtime_mappings` of a datafeed or transform as fields whose SQL is worked out for each row.

A runtime field hides the column of its name, and may read other runtime fields. One without a script is the column of
its name, read as another type. Where a script fails, or emits nothing, the row has no value of the field, as with
Elasticsearch's `"on_script_error": "continue"`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gridwatch.errors import JobsBodyError, JobsValueError
from gridwatch.jobs.fields import Field, Fields, FieldType
from gridwatch.jobs.painless import compile_script
from gridwatch.jobs.painless.compiler import TYPES
from gridwatch.jobs.sql import compose

__all__ = ["with_runtime_fields"]

FIELDS_MAX = 100
NESTED_MAX = 8
_KEYS = ("type", "script", "on_script_error")
_SCRIPT_KEYS = ("source", "lang", "params")


def with_runtime_fields(mappings: object, fields: Fields, *, path: str = "runtime_mappings") -> Fields:
    """Return the fields with those of `runtime_mappings` among them.

    Args:
        mappings: The JSON: name to `{"type": ..., "script": {"source": ...}}`, or to that in a list of one.
        fields: Of the container.
        path: Where the mappings stand, for messages.

    Raises:
        JobsBodyError: Its shape is wrong, or a key is unknown.
        JobsValueError: A type or option is not supported, or scripts read each other in a circle.
        JobsScriptError: A script cannot be compiled.
    """
    if not isinstance(mappings, Mapping) or not all(isinstance(name, str) for name in mappings):
        raise JobsBodyError("expected an object of fields", path=path)
    if len(mappings) > FIELDS_MAX:
        raise JobsValueError(f"{len(mappings)} runtime fields; at most {FIELDS_MAX}", path=path)
    return _Runtime(mappings, fields, path).all()


class _Scope(Fields):
    """What a script sees: the runtime fields, compiled when they are asked for, and the columns."""

    def __init__(self, runtime: _Runtime, fields: Fields) -> None:
        super().__init__(fields, fields.key)
        self._runtime = runtime

    def __getitem__(self, name: str) -> Field:
        return self._runtime.field(name) if name in self._runtime.mappings else super().__getitem__(name)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._fields, **self._runtime.mappings})

    def __contains__(self, name: object) -> bool:
        return name in self._runtime.mappings or super().__contains__(name)


class _Runtime:
    def __init__(self, mappings: Mapping[str, Any], fields: Fields, path: str) -> None:
        self.mappings = mappings
        self._fields = fields
        self._path = path
        self._done: dict[str, Field] = {}
        self._open: list[str] = []

    def all(self) -> Fields:
        return self._fields.with_runtime([self.field(name) for name in self.mappings])

    def field(self, name: str) -> Field:
        """Return one runtime field.

        Raises:
            JobsValueError: Its script needs itself.
        """
        if name not in self._done:
            if name in self._open:
                circle = " -> ".join([*self._open[self._open.index(name) :], name])
                raise JobsValueError(f"runtime fields that need each other: {circle}", path=f"{self._path}.{name}")
            if len(self._open) >= NESTED_MAX:
                raise JobsValueError(f"runtime fields nested deeper than {NESTED_MAX}", path=f"{self._path}.{name}")
            self._open.append(name)
            self._done[name] = self._made(name, f"{self._path}.{name}")
            self._open.pop()
        return self._done[name]

    def _made(self, name: str, path: str) -> Field:
        mapping = self.mappings[name]
        if isinstance(mapping, list) and len(mapping) == 1:
            mapping = mapping[0]
        if not isinstance(mapping, Mapping):
            raise JobsBodyError("expected an object with [type]", path=path)
        for key in mapping:
            if key not in _KEYS:
                raise JobsBodyError(f"unknown key [{key}]", path=path, allowed=_KEYS)
        kind = self._kind(mapping, path)
        if mapping.get("on_script_error", "continue") != "continue":
            raise JobsValueError(
                f"[{mapping['on_script_error']}]: a row whose script fails has no value of the field",
                path=f"{path}.on_script_error",
                allowed=("continue",),
            )
        if "script" not in mapping:
            return self._column(name, kind, path)
        source, params = _script(mapping["script"], f"{path}.script")
        found = compile_script(source, kind, _Scope(self, self._fields), params, path=f"{path}.script.source")
        return Field(name, kind, found)

    def _kind(self, mapping: Mapping[str, Any], path: str) -> FieldType:
        if "type" not in mapping:
            raise JobsBodyError("[type] is missing", path=path, allowed=TYPES)
        kind = mapping["type"]
        if not isinstance(kind, str) or kind not in set(TYPES):
            raise JobsValueError(
                f"the type [{kind}] of a runtime field is not supported", path=f"{path}.type", allowed=TYPES
            )
        return FieldType(kind)

    def _column(self, name: str, kind: FieldType, path: str) -> Field:
        """Return the column of a field without a script, read as its type."""
        found = self._fields.get(name)
        if found is None:
            raise JobsValueError(
                f"[{name}] has no script, and no column of this name", path=path, allowed=self._fields.near(name)
            )
        if found.type is kind or (kind is FieldType.LONG and found.type.whole):
            return Field(name, kind, found.sql)
        if kind is FieldType.DOUBLE and found.type.numeric:
            return Field(name, kind, compose("CAST({} AS DOUBLE)", found.sql))
        if kind is FieldType.KEYWORD and (found.type.whole or found.type is FieldType.BOOLEAN):
            return Field(name, kind, compose("CAST({} AS STRING)", found.sql))
        raise JobsValueError(f"[{name}] without a script: a column of type {found.type} is no {kind}", path=path)


def _script(script: object, path: str) -> tuple[str, Mapping[str, Any]]:
    if isinstance(script, str):
        return script, {}
    if not isinstance(script, Mapping):
        raise JobsBodyError("expected a script: a text, or an object with [source]", path=path)
    for key in script:
        if key not in _SCRIPT_KEYS:
            raise JobsBodyError(f"unknown key [{key}]", path=path, allowed=_SCRIPT_KEYS)
    if script.get("lang", "painless") != "painless":
        raise JobsValueError(f"the language [{script['lang']}]", path=f"{path}.lang", allowed=("painless",))
    source, params = script.get("source"), script.get("params")
    if not isinstance(source, str):
        raise JobsBodyError("[source] is missing or no text", path=path)
    if params is not None and not isinstance(params, Mapping):
        raise JobsBodyError("expected an object of parameters", path=f"{path}.params")
    return source, params or {}
