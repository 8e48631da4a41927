"""Runtime fields in queries, and mappings that are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gridwatch.containers import Store
from gridwatch.errors import JobsError
from gridwatch.jobs.fields import Fields
from gridwatch.jobs.query import compile_query
from gridwatch.jobs.runtime import with_runtime_fields
from gridwatch.jobs.sql import compose
from tests.jobs.backends import BACKENDS
from tests.jobs.query_data import INFO

FIELDS = Fields.of(INFO)


def script(source: str, kind: str = "keyword") -> dict[str, Any]:
    return {"type": kind, "script": {"source": source}}


@pytest.mark.parametrize("opened", BACKENDS)
def test_queries_read_runtime_fields_which_hide_columns_and_read_each_other(
    opened: Callable[[Path], Store], tmp_path: Path
) -> None:
    mappings = {
        "both": script("emit(doc['country'].value + '-' + doc['Gender'].value)"),
        "country": script("if (doc['geoip.country'].size() == 0) emit('??'); else emit(doc['geoip.country'].value)"),
        "count": script("emit(doc['small'].value * 2)", "long"),
        "price": {"type": "double"},
        "small": {"type": "long"},
        "day": script("emit(doc['@timestamp'].value.toInstant().toEpochMilli() / 86400000 * 86400000)", "date"),
        "paid": {"type": "keyword"},
    }
    fields = with_runtime_fields(mappings, FIELDS)
    rows = [
        {"id": "a", "geoip.country": "GB", "Gender": "M", "small": 3, "at_timestamp": 90_000_000, "paid": True},
        {"id": "b", "geoip.country": None, "Gender": "F", "small": None, "at_timestamp": None, "paid": None},
        {"id": "c", "geoip.country": "GB", "Gender": None, "small": 0, "at_timestamp": 1, "paid": False},
    ]
    queries: list[tuple[Any, list[str]]] = [
        ({"terms": {"both": ["GB-M", "??-F"]}}, ["a", "b"]),
        ({"exists": {"field": "both"}}, ["a", "b"]),
        ({"bool": {"must_not": {"prefix": {"both": "GB"}}}}, ["b", "c"]),
        ({"range": {"count": {"gt": 5}}}, ["a"]),
        ({"bool": {"must_not": {"term": {"count": 0}}}}, ["a", "b"]),
        ({"term": {"day": "1970-01-02"}}, ["a"]),
        ({"term": {"paid": {"value": "TRUE", "case_insensitive": True}}}, ["a"]),
    ]
    with opened(tmp_path) as store:
        store.put_container(INFO)
        store.put(INFO.name, pa.Table.from_pylist(rows, schema=INFO.arrow))
        for query, wanted in queries:
            where = compile_query(query, fields, now_ms=0).where
            found = compose('SELECT "id" FROM "orders" WHERE {} ORDER BY "id"', where)
            assert store.sql(found.text, found.parameters).column(0).to_pylist() == wanted, query


@pytest.mark.parametrize(
    ("mappings", "message"),
    [
        ([], r"^\[runtime_mappings\] expected an object of fields"),
        ({"x": "keyword"}, r"^\[runtime_mappings.x\] expected an object with \[type\]"),
        ({"x": {}}, r"^\[runtime_mappings.x\] \[type\] is missing; allowed: keyword, long, double, boolean, date\."),
        (
            {"x": {"type": "ip"}},
            r"^\[runtime_mappings.x.type\] the type \[ip\] of a runtime field is not supported; allowed",
        ),
        ({"x": {"type": ["long"]}}, r"the type \[\['long'\]\] of a runtime field is not supported"),
        (
            {"x": {"type": "long", "format": "y"}},
            r"^\[runtime_mappings.x\] unknown key \[format\]; allowed: type, script",
        ),
        ({"x": {"type": "long", "script": 5}}, r"^\[runtime_mappings.x.script\] expected a script"),
        ({"x": {"type": "long", "script": {"id": "s"}}}, r"script\] unknown key \[id\]; allowed: source, lang, params"),
        ({"x": {"type": "long", "script": {}}}, r"script\] \[source\] is missing or no text"),
        (
            {"x": {"type": "long", "script": {"source": "", "lang": "mustache"}}},
            r"lang\] the language \[mustache\]; allowed",
        ),
        ({"x": {"type": "long", "script": {"source": "", "params": []}}}, r"params\] expected an object of parameters"),
        ({"x": {"type": "long", "on_script_error": "fail"}}, r"on_script_error\] \[fail\]: a row.*allowed: continue"),
        ({"x": script("emit(")}, r"^\[runtime_mappings.x.script.source\] line 1, column 6: the script ends too early"),
        ({"x": script("emit(doc['x'].value)")}, r"^\[runtime_mappings.x\] runtime fields that need each other: x -> x"),
        (
            {"x": script("emit(doc['y'].value)"), "y": script("emit(doc['x'].value)")},
            r"runtime fields that need each other: x -> y -> x",
        ),
        ({f"x{n}": script(f"emit(doc['x{n + 1}'].value)") for n in range(20)}, r"runtime fields nested deeper than 8"),
        ({f"x{n}": {"type": "long"} for n in range(101)}, r"101 runtime fields; at most 100"),
        ({"geoip": {"type": "long"}}, r"\[geoip\] has no script, and no column of this name"),
        ({"price": {"type": "long"}}, r"\[price\] without a script: a column of type double is no long"),
        (
            {"x": {"type": "long", "script": {"source": "emit(params.a)", "params": {"a": [1]}}}},
            r"\[a\] is no text, number",
        ),
    ],
)
def test_mappings_that_are_wrong_are_refused_with_their_path(mappings: Any, message: str) -> None:
    with pytest.raises(JobsError, match=message) as refusal:
        with_runtime_fields(mappings, FIELDS)
    assert refusal.value.status == 400
