"""Replays recorded answers of a GridDB server on a store and says for each case whether the store answers alike.

A case is a setup, one operation and the server's result. What the store must never do is answer differently, or answer
what GridDB refuses; it may refuse.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Store
from gridwatch.errors import GridwatchError

__all__ = [
    "AGREEING",
    "ANSWERED",
    "BOTH_REFUSE",
    "DIFFERS",
    "NOT_FINITE",
    "NO_EQUAL",
    "REFUSED",
    "SAME",
    "Outcome",
    "folder",
    "kind_of",
    "load",
    "of_table",
    "replay",
]

SAME, BOTH_REFUSE, REFUSED, DIFFERS, ANSWERED = "same", "both refuse", "refused", "differs", "answered"
NOT_FINITE, NO_EQUAL = "not finite", "no equal"
AGREEING = frozenset({SAME, BOTH_REFUSE})

# What stands for a value that is not finite, which the store does not take. When the answer is the same for each of
# them and the server's, it does not depend on the value.
_STAND_INS: tuple[float | None, ...] = (None, 12345.675, 1.7e308)
_NATIVE = frozenset({"tql", "aggregate", "range", "nearest", "interpolate", "sample"})
_QUERIES = frozenset({"SELECT", "VALUES", "WITH", "EXPLAIN", "PRAGMA"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case went; `detail` is the store's answer or refusal."""

    kind: str
    detail: str = ""


def folder() -> Path | None:
    """Return the folder of the recorded answers, or None when there is none."""
    named = os.environ.get("GRIDWATCH_TEST_ORACLE")
    path = Path(named) if named else Path(__file__).parents[3] / "shared" / "data" / "griddb_oracle"
    if named and not path.is_dir():
        raise FileNotFoundError(named)
    return path if path.is_dir() else None


def load(path: Path) -> list[dict[str, Any]]:
    """Return the recorded cases."""
    found = json.loads((path / "semantics.json").read_text())
    assert isinstance(found, list)
    return found


def replay(store: Store, case: dict[str, Any]) -> Outcome:
    """Run a case on a store that is empty, and empty it again."""
    stand_ins = _STAND_INS if _has_not_finite(case["setup"]) else _STAND_INS[:1]
    found = [_once(store, case, stand_in) for stand_in in stand_ins]
    first = found[0]
    if len({outcome.detail for outcome in found}) > 1 and not _agrees_always(found):
        return Outcome(NOT_FINITE, first.detail)
    if first.kind not in AGREEING and _has_not_finite([case["op"], case["result"]]):
        return Outcome(NOT_FINITE, first.detail)
    return first


def _agrees_always(found: list[Outcome]) -> bool:
    return all(outcome.kind in AGREEING for outcome in found)


def _has_not_finite(value: Any) -> bool:
    text = json.dumps(value)
    return re.search(r"\bNaN\b|Infinity|'[+-]?(nan|inf)'", text) is not None


def _once(store: Store, case: dict[str, Any], stand_in: float | None) -> Outcome:
    expected, op = case["result"], case["op"]
    refuses, doubtful = "error" in expected, False
    try:
        for step in case["setup"]:
            try:
                _step(store, step, stand_in)
            except GridwatchError:
                # Whether the server refused it too is not recorded.
                doubtful = True
                if not step.get("may_fail"):
                    raise
        answer = _step(store, op, stand_in)
    except GridwatchError as error:
        return Outcome(BOTH_REFUSE if refuses else REFUSED, f"{type(error).__name__}: {error}")
    finally:
        _empty(store)
    shown = repr(answer)
    if refuses:
        # Rows that the Java client cannot decode, and its own check of Java's types, are no refusals of the server.
        client = "BufferUnderflow" in expected["error"] or (expected["error_code"] == 145002 and op["kind"] == "put")
        # On a partitioned table the native client refuses what SQL does; a store does it by SQL.
        client |= (op["kind"], expected["error_code"]) in {("drop", 60153), ("range", 145003)}
        # A store's read takes bounds before 1970 as "from the first row on".
        client |= op["kind"] == "range" and expected["error_code"] == 70007
        return Outcome(NO_EQUAL if client else ANSWERED, shown)
    ordered = _is_ordered(op)
    if _canonical(expected, ordered) == _canonical(answer, ordered):
        return Outcome(SAME, shown)
    return Outcome(REFUSED if doubtful else DIFFERS, shown)


def _empty(store: Store) -> None:
    for name in store.containers():
        store.drop_container(name)
    for name in store.sql('SELECT VIEW_NAME FROM "#views"').column(0).to_pylist():
        store.execute(f'DROP VIEW "{name}"')


def _is_ordered(op: dict[str, Any]) -> bool:
    if op["kind"] in _NATIVE:
        return True
    text = re.sub(r"(OVER|GROUP)\s*\([^()]*\)", "", op.get("text", "").upper())
    return "ORDER BY" in text


def _step(store: Store, step: dict[str, Any], stand_in: float | None) -> dict[str, Any]:
    kind = step["kind"]
    if kind in _NATIVE:
        from tests.oracle.native import answer

        return answer(store, step)
    return _STEPS[kind](store, step, stand_in)


def _missing(what: str) -> GridwatchError:
    return GridwatchError(f"the store has no {what}")


def _create(store: Store, step: dict[str, Any], stand_in: float | None) -> dict[str, Any]:
    keys = step.get("row_key_columns", [0] if step["row_key"] else [])
    columns = []
    for number, (name, word, *rest) in enumerate(step["columns"]):
        try:
            kind = ColumnType(word)
        except ValueError as error:
            raise _missing(f"type {word}") from error
        nullable = rest[0] == "NULL" if rest else number not in keys
        columns.append(Column(name, kind, nullable=nullable))
    row_key = tuple(columns[number].name for number in keys)
    info = ContainerInfo(step["container"], ContainerType(step["type"]), tuple(columns), row_key)
    store.put_container(info, modifiable=step.get("modifiable", False))
    return {"ok": True}


def _info_of(store: Store, name: str) -> ContainerInfo:
    info = store.container(name)
    if info is None:
        raise _missing(f"container {name}")
    return info


def _put(store: Store, step: dict[str, Any], stand_in: float | None) -> dict[str, Any]:
    info = _info_of(store, step["container"])
    cells = list(zip(*step["rows"], strict=True)) if step["rows"] else [()] * len(info.columns)
    arrays = [_array(column, values, stand_in) for column, values in zip(info.columns, cells, strict=True)]
    rows = pa.table(arrays, names=[column.name for column in info.columns])
    names = [info.column(name).name for name in info.row_key]
    keys = [tuple(row.values()) for row in rows.select(names).to_pylist()] if names else []
    before = 0
    if names and not any(value is None for key in keys for value in key):
        before = store.get(info.name, keys if len(names) > 1 else [key[0] for key in keys]).num_rows
    store.put(step["container"], rows)
    return {"value": bool(before)}


def _array(column: Column, values: tuple[Any, ...], stand_in: float | None) -> pa.Array:
    plain = [_value(value, column.type.value, stand_in) for value in values]
    mixed = any(isinstance(value, dict) and "as" in value for value in values)
    try:
        if pa.types.is_timestamp(column.type.arrow):
            return pa.array(plain, pa.int64()).cast(column.type.arrow)
        return pa.array(plain) if mixed else pa.array(plain, column.type.arrow)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array(plain)


def _value(value: Any, kind: str, stand_in: float | None) -> Any:
    if isinstance(value, dict) and "repeat" in value:
        text = str(value["repeat"]) * int(value["times"])
        return text.encode() if kind == "BLOB" else text
    if isinstance(value, dict):
        value = value["v"]
    if kind in {"DOUBLE", "FLOAT"} and isinstance(value, str) and value in _NAMES:
        if stand_in is None or kind == "DOUBLE" or stand_in < 1e38:
            return -stand_in if stand_in is not None and value.startswith("-") else stand_in
        return 3e38
    return base64.b64decode(value) if kind == "BLOB" and isinstance(value, str) else value


def _parameters(given: list[list[Any]]) -> list[Any]:
    found: list[Any] = []
    for kind, value in given:
        if kind == "TIMESTAMP" and isinstance(value, int):
            try:
                found.append(_EPOCH + timedelta(milliseconds=value))
            except OverflowError as error:
                raise _missing("time after 9999") from error
        elif kind in {"DOUBLE", "FLOAT"} and value in _NAMES:
            found.append(_NAMES[value])
        else:
            found.append(_value(value, kind, None))
    return found


def _sql(store: Store, step: dict[str, Any], stand_in: float | None) -> dict[str, Any]:
    parameters = _parameters(step.get("params", []))
    if step["text"].split(None, 1)[0].upper() in _QUERIES:
        return of_table(store.sql(step["text"], parameters))
    return {"count": store.execute(step["text"], parameters)}


def _sql_batch(store: Store, step: dict[str, Any], stand_in: float | None) -> dict[str, Any]:
    return {"counts": [store.execute(step["text"], _parameters(given)) for given in step["params"]]}


def _key(store: Store, step: dict[str, Any]) -> Any:
    kind = _info_of(store, step["container"]).columns[0].type.value
    found = _value(step["key"], kind, None)
    return tuple(found) if isinstance(found, list) else found


def _get(store: Store, step: dict[str, Any], stand_in: float | None) -> dict[str, Any]:
    return of_table(store.get(step["container"], [_key(store, step)]))


def _delete(store: Store, step: dict[str, Any], stand_in: float | None) -> dict[str, Any]:
    return {"value": bool(store.delete(step["container"], [_key(store, step)]))}


def _drop(store: Store, step: dict[str, Any], stand_in: float | None) -> dict[str, Any]:
    store.drop_container(step["container"])
    return {"ok": True}


def _exists(store: Store, step: dict[str, Any], stand_in: float | None) -> dict[str, Any]:
    return {"value": store.container(step["container"]) is not None}


def _index(store: Store, step: dict[str, Any], stand_in: float | None) -> dict[str, Any]:
    if step["type"] != "TREE":
        raise _missing(f"index of type {step['type']}")
    info = _info_of(store, step["container"])
    store.put_container(replace(info, indexes=(*info.indexes, step["column"])))
    return {"ok": True}


def _info(store: Store, step: dict[str, Any], stand_in: float | None) -> dict[str, Any]:
    info = store.container(step["container"])
    if info is None:
        return {"value": None}
    keys = {name.lower() for name in info.row_key}
    columns = [[c.name, c.type.value, "NULL" if c.nullable else "NOT NULL"] for c in info.columns]
    places = [number for number, column in enumerate(info.columns) if column.name.lower() in keys]
    return {
        "value": {
            "container": info.name,
            "type": info.type.value,
            "row_key_columns": places,
            "columns": columns,
            "indexes": sorted(info.indexes),
        }
    }


def _multi_get(store: Store, step: dict[str, Any], stand_in: float | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, wanted in step["containers"].items():
        if store.container(name) is None:
            found[name] = None
            continue
        # A range of keys that are whole numbers is the keys themselves.
        keys = wanted.get("keys") or list(range(wanted["start"], wanted["finish"] + 1))
        found[name] = of_table(store.get(name, keys))["rows"]
    return {"value": found}


_STEPS: dict[str, Callable[[Store, dict[str, Any], float | None], dict[str, Any]]] = {
    "create": _create,
    "delete": _delete,
    "drop": _drop,
    "exists": _exists,
    "get": _get,
    "index": _index,
    "info": _info,
    "multi_get": _multi_get,
    "put": _put,
    "sql": _sql,
    "sql_batch": _sql_batch,
}


def kind_of(arrow: pa.DataType) -> str:
    """Return the recorded name of an Arrow type."""
    if pa.types.is_null(arrow):
        return "UNKNOWN"
    return next(kind.value for kind in ColumnType if kind.arrow == arrow)


def of_table(table: pa.Table) -> dict[str, Any]:
    """Return a table as the recorded form of rows."""
    columns = [
        (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
        for column in table.columns
    ]
    names = [[field.name, kind_of(field.type)] for field in table.schema]
    return {"columns": names, "rows": [list(row) for row in zip(*columns, strict=True)]}


def _canonical(result: dict[str, Any], ordered: bool) -> str:
    """Return a result in a form that compares equal where two results are the same."""
    plain = {key: _plain(value) for key, value in result.items()}
    if "rows" in plain and not ordered:
        plain["rows"] = sorted(plain["rows"], key=repr)
    if isinstance(plain.get("value"), dict) and "indexes" in plain["value"]:
        # Only which columns are indexed: the store has one kind of index, and no names of them.
        plain["value"].pop("indexes")
    return json.dumps(plain, sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        # As text, so that -0.0 is not 0.0 and 1.0 is not 1.
        return f"float {value:.12g}"
    if isinstance(value, bytes | str):
        raw = value if isinstance(value, bytes) else value.encode()
        if len(raw) > 1000:
            return {"length": len(value), "sha256": hashlib.sha256(raw).hexdigest()}
        return base64.b64encode(raw).decode() if isinstance(value, bytes) else value
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
