"""What aggregations mean, worked out bucket by bucket over rows in Python."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tests.jobs.query_data import matches

Row = Mapping[str, Any]
BUCKETS = ("terms", "date_histogram", "histogram", "composite")


def flat_rows(aggs: Mapping[str, Any], rows: Sequence[Row], needed: set[str], time: str) -> list[dict[str, Any]]:
    """Return one flat row for each innermost bucket, its time first, in no order; `time` is the field of the time."""
    return [{time: row.pop(time), **row} for row in _level(aggs, rows, {}, needed | {time})]


def value_of(row: Row, field: str) -> Any:
    """Return what a row has of a field."""
    return row.get("at_timestamp" if field == "@timestamp" else field)


def _parts(agg: Mapping[str, Any]) -> tuple[str, Any, Mapping[str, Any]]:
    inner = agg.get("aggs") or agg.get("aggregations") or {}
    ((kind, body),) = ((key, body) for key, body in agg.items() if key not in ("aggs", "aggregations", "meta"))
    return kind, body, inner


def _useful(name: str, agg: Mapping[str, Any], needed: set[str]) -> bool:
    return name in needed or any(_useful(*one, needed) for one in _parts(agg)[2].items())


def _level(aggs: Mapping[str, Any], rows: Sequence[Row], above: Row, needed: set[str]) -> Iterator[dict[str, Any]]:
    pairs = dict(above)
    buckets: list[tuple[str, Any, Sequence[Row]]] = []

    def look(level: Mapping[str, Any], here: Sequence[Row]) -> None:
        for name, agg in level.items():
            kind, body, inner = _parts(agg)
            if kind == "filter":
                look(inner, [row for row in here if matches(body, row)])
            elif kind in BUCKETS:
                if _useful(name, agg, needed):
                    buckets.append((name, agg, here))
            elif name in needed and (found := _metric(kind, body, here)) is not None:
                pairs[name] = found

    look(aggs, rows)
    if not buckets:
        if rows:
            yield {**pairs, "doc_count": len(rows)}
        return
    ((name, agg, here),) = buckets
    kind, body, inner = _parts(agg)
    for key, group in _groups(name, kind, body, here).items():
        yield from _level(inner, group, {**pairs, **{one: value for one, value in key if one in needed}}, needed)


def _groups(name: str, kind: str, body: Any, rows: Sequence[Row]) -> dict[tuple[tuple[str, Any], ...], list[Row]]:
    found: dict[tuple[tuple[str, Any], ...], list[Row]] = defaultdict(list)
    sources = body["sources"] if kind == "composite" else [{name: {kind: body}}]
    for row in rows:
        key = []
        for source in sources:
            ((one, inner),) = source.items()
            ((how, what),) = inner.items()
            value = value_of(row, what["field"])
            if value is None:
                value = what.get("missing")
            key.append((f"\0{one}", _floor(value, what)) if "histogram" in how and value is not None else (one, value))
        if all(value is not None for _, value in key):
            found[tuple(key)].append(row)
    return found


def _floor(ms: int, body: Mapping[str, Any]) -> int:
    every = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000}
    told = body.get("fixed_interval") or body.get("calendar_interval") or body["interval"]
    return ms // (every[told] if isinstance(told, str) else told)


def _metric(kind: str, body: Mapping[str, Any], rows: Sequence[Row]) -> Any:
    values = [value_of(row, body["field"]) for row in rows]
    values = [body.get("missing") if value is None else value for value in values]
    values = [value for value in values if value is not None]
    if kind in ("value_count", "cardinality"):
        return len(values) if kind == "value_count" else len(set(values))
    if not values:
        return None
    if kind == "percentiles":
        return float(np.percentile(np.array(values, float), body["percents"][0]))
    total = sum(values)
    return {"max": max(values), "min": min(values), "sum": total, "avg": total / len(values)}[kind]
