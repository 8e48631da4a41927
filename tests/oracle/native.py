"""Runs recorded TQL and time-series operations on a store; `semantics` replays the rest of a case."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from gridwatch.containers import Store

__all__ = ["answer"]


def answer(store: Store, step: dict[str, Any]) -> dict[str, Any]:
    """Run one step of kind tql, aggregate, range, nearest, interpolate or sample; return it in the recorded form."""
    name, kind = step["container"], step["kind"]
    if kind == "tql":
        return _of_table(store.tql(name, step["text"]))
    if kind == "aggregate":
        return _aggregate(store, step)
    if kind == "nearest":
        return _of_table(store.nearest(name, step["time"], step["operator"]))
    if kind == "interpolate":
        return _of_table(store.interpolate(name, step["time"], step["column"]))
    if kind == "sample":
        given = (step["start"], step["end"], step["interval"], step["unit"], step["columns"], step["mode"])
        return _of_table(store.sample(name, *given))
    return _range(store, step)


def _range(store: Store, step: dict[str, Any]) -> dict[str, Any]:
    start, end = step["start"], step["end"]
    if start is not None and end is not None and 0 <= end < start:
        # A store calls a reversed range an error of its caller; the Java client finds nothing.
        table = store.read(step["container"], 0, 0).slice(0, 0)
    else:
        table = store.read(step["container"], start, end)
    if step.get("order") == "DESCENDING":
        table = table.take(pa.array(range(table.num_rows - 1, -1, -1), pa.int64()))
    return _of_table(table)


def _aggregate(store: Store, step: dict[str, Any]) -> dict[str, Any]:
    value = store.aggregate(step["container"], step["function"], step["column"], step["start"], step["end"])
    if value is None:
        return {"value": None}
    if isinstance(value, int | float):
        return {"value": float(value), "type": "DOUBLE"}
    return {"value": int(value.timestamp() * 1000), "type": "TIMESTAMP"}


def _of_table(table: pa.Table) -> dict[str, Any]:
    from tests.oracle.semantics import of_table

    found = of_table(table)
    if table.schema.names != ["aggregationResult"]:
        return found
    if pa.types.is_timestamp(table.schema.field(0).type):
        # The recorded client asked for milliseconds of any time.
        return of_table(table.cast(pa.schema([("aggregationResult", pa.timestamp("ms", tz="UTC"))]), safe=False))
    # The Java client gives any number as a DOUBLE and tells no more of the result.
    return {"columns": [["aggregationResult", "DOUBLE"]], "rows": [[float(value)] for [value] in found["rows"]]}
