"""What datafeeds read, with aggregations and without, against the same worked out in Python row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Store
from gridwatch.jobs.config import parse_datafeed, parse_job
from gridwatch.jobs.extraction import Extraction
from tests.jobs.aggregation_oracle import flat_rows, value_of
from tests.jobs.backends import BACKENDS
from tests.jobs.query_data import matches

START = 1_708_128_000_000
HOUR = 3_600_000
COLUMNS = (
    Column("id", ColumnType.LONG, nullable=False),
    Column("at_timestamp", ColumnType.TIMESTAMP),
    Column("geoip.country", ColumnType.STRING),
    Column("Gender", ColumnType.STRING),
    Column("count", ColumnType.LONG),
    Column("price", ColumnType.DOUBLE),
    Column("ratio", ColumnType.FLOAT),
    Column("paid", ColumnType.BOOL),
)
NANOS = Column("at_timestamp", ColumnType.TIMESTAMP_9)
KEY = Column("at_timestamp", ColumnType.TIMESTAMP, nullable=False)
MICROS = Column("at_timestamp", ColumnType.TIMESTAMP_6)
CONTAINERS = {
    info.name: info
    for info in (
        ContainerInfo("orders_a", ContainerType.COLLECTION, COLUMNS, ("id",)),
        ContainerInfo("orders_b", ContainerType.COLLECTION, (COLUMNS[0], NANOS, *COLUMNS[2:6]), ("id",)),
        ContainerInfo("orders_c", ContainerType.TIME_SERIES, (KEY, *COLUMNS[2:]), ("at_timestamp",)),
        ContainerInfo("orders_d", ContainerType.COLLECTION, (COLUMNS[0], MICROS, *COLUMNS[2:]), ("id",)),
    )
}
QUERIES: list[dict[str, Any]] = [
    {"match_all": {}},
    {"term": {"Gender": "MALE"}},
    {"range": {"count": {"gte": 5}}},
    {"bool": {"must_not": [{"exists": {"field": "price"}}]}},
    {"bool": {"should": [{"term": {"geoip.country": "GB"}}, {"term": {"paid": True}}]}},
    {"match_none": {}},
]
RUNTIME = {
    "country-gender": {
        "type": "keyword",
        "script": {"source": "emit(doc['geoip.country'].value + '-' + doc['Gender'].value)"},
    }
}


def made(name: str, count: int) -> list[dict[str, Any]]:
    """Return rows of a container in three clumps of time, epoch ms; about every fifth value is null."""
    rng = np.random.default_rng(sum(map(ord, name)))

    def pick(values: Sequence[Any]) -> Any:
        return None if rng.random() < 0.2 else values[int(rng.integers(0, len(values)))]

    info = CONTAINERS[name]
    rows = []
    for number in range(count):
        clump = [0, 2 * HOUR, 500 * HOUR][int(rng.integers(0, 3))]
        row = {
            "id": number,
            "at_timestamp": int(START + clump + rng.integers(0, HOUR)),
            "geoip.country": pick(["GB", "FR", "", "日本"]),
            "Gender": pick(["MALE", "FEMALE"]),
            "count": pick([-3, 0, 5, 7, 1000]),
            "price": pick([0.0, -0.0, 1.25, -7.5, 99.9]),
            "ratio": pick([0.5, -2.25]),
            "paid": pick([True, False]),
        }
        if rng.random() < 0.05 and name != "orders_c":
            row["at_timestamp"] = None
        rows.append({column.name: row[column.name] for column in info.columns})
    return rows


ROWS = {name: made(name, 120) for name in CONTAINERS}


@pytest.fixture(scope="module", params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with request.param(tmp_path_factory.mktemp("rows")) as found:
        for name, info in CONTAINERS.items():
            found.put_container(info)
            frame = pd.DataFrame(ROWS[name]).astype(object).where(lambda one: one.notna(), None)
            table = pa.Table.from_pylist(
                frame.to_dict("records"),
                schema=pa.schema(
                    [("at_timestamp", pa.timestamp("ms", "UTC"))]
                    + [field for field in info.arrow if field.name != "at_timestamp"]
                ),
            )
            found.put(name, table.select(info.arrow.names).cast(info.arrow))
        yield found


def wanted_rows(names: Sequence[str], query: Mapping[str, Any], start: int, end: int) -> list[dict[str, Any]]:
    """Return the rows that a datafeed wants, with the runtime field."""
    found = []
    for name in names:
        for row in ROWS[name]:
            country, gender = row["geoip.country"], row.get("Gender")
            when = row["at_timestamp"]
            if when is not None and start <= when < end and matches(query, row):
                found.append(
                    {**row, "country-gender": None if country is None or gender is None else f"{country}-{gender}"}
                )
    return found


def extraction(store: Store, names: Sequence[str], fields: Sequence[str], **feed: Any) -> Extraction:
    summary = feed.pop("summary", None)
    analysis: dict[str, Any] = {"bucket_span": "1h", "detectors": [{"function": "count"}], "influencers": list(fields)}
    if summary:
        analysis["summary_count_field_name"] = summary
    job = parse_job({"analysis_config": analysis, "data_description": {"time_field": "@timestamp"}}, job_id="j")
    body = {"indices": list(names), "runtime_mappings": RUNTIME, "scroll_size": 10_000, **feed}
    return Extraction(store, job, parse_datafeed(body, job_id="j"), now_ms=START)


def same(found: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]) -> None:
    """Compare rows in any order, numbers up to rounding."""

    def key(row: Mapping[str, Any]) -> list[tuple[str, str]]:
        return sorted(
            (name, f"{value + 0.0:.6e}" if isinstance(value, float | int) else repr(value))
            for name, value in row.items()
        )

    assert sorted(map(key, found)) == sorted(map(key, expected))


def rows_of(frames: Sequence[pd.DataFrame]) -> list[dict[str, Any]]:
    """Return the rows of frames without what is missing, after looking at their order."""
    times = [int(when) for frame in frames for when in frame["@timestamp"]]
    assert times == sorted(times)
    return [
        {str(name): value for name, value in row.items() if not pd.isna(value)}
        for frame in frames
        for row in frame.to_dict("records")
    ]


names = st.lists(st.sampled_from(sorted(CONTAINERS)), min_size=1, max_size=3, unique=True)
spans = st.one_of(
    st.just((START, START + 502 * HOUR)),
    st.tuples(st.integers(START, START + HOUR), st.integers(START, START + 502 * HOUR)).map(
        lambda two: (min(two), max(two))
    ),
)
chunks = st.sampled_from([None, {"mode": "off"}, {"mode": "manual", "time_span": "30m"}])


@settings(
    max_examples=18,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(names=names, query=st.sampled_from(QUERIES), span=spans, chunking=chunks, data=st.data())
def test_rows_come_as_they_are(
    store: Store, names: list[str], query: Any, span: tuple[int, int], chunking: Any, data: st.DataObject
) -> None:
    there = {column.name for name in names for column in CONTAINERS[name].columns} | {"country-gender"}
    fields = data.draw(st.lists(st.sampled_from(sorted(there - {"at_timestamp"})), max_size=4, unique=True))
    found = extraction(store, names, fields, query=query, chunking_config=chunking)
    expected = [
        {"@timestamp": row["at_timestamp"], **{name: row[name] for name in fields if row.get(name) is not None}}
        for row in wanted_rows(names, query, *span)
    ]
    frames = list(found.frames(*span))
    same(rows_of(frames), expected)
    same(found.preview(*span), expected)
    assert found.count(*span) == len(expected)
    ends = [frame["@timestamp"].iloc[[0, -1]].tolist() for frame in frames]
    assert all(before[1] < after[0] for before, after in pairwise(ends))


METRICS = st.one_of(
    st.builds(
        lambda kind, field, missing: {kind: {"field": field, **({"missing": 2.5} if missing else {})}},
        st.sampled_from(["max", "min", "avg", "sum"]),
        st.sampled_from(["count", "price"]),
        st.booleans(),
    ),
    st.builds(
        lambda kind, field: {kind: {"field": field}},
        st.sampled_from(["value_count", "cardinality"]),
        st.sampled_from(["count", "price", "geoip.country", "country-gender"]),
    ),
    st.builds(
        lambda field, percent: {"percentiles": {"field": field, "percents": [percent]}},
        st.sampled_from(["count", "price"]),
        st.sampled_from([0, 25, 50, 95.5, 100]),
    ),
)


@st.composite
def levels(draw: st.DrawFn, depth: int, number: list[int]) -> dict[str, Any]:
    """Return what is inside a bucket: metrics, some in filters, and terms."""
    found: dict[str, Any] = {}

    def name() -> str:
        number[0] += 1
        return f"a{number[0]}"

    for _ in range(draw(st.integers(1, 4))):
        metric = {name(): draw(METRICS)}
        if draw(st.booleans()):
            metric = {name(): {"filter": draw(st.sampled_from(QUERIES)), "aggs": metric}}
        found.update(metric)
    if depth and draw(st.booleans()):
        body: dict[str, Any] = {"field": draw(st.sampled_from(["geoip.country", "count", "country-gender"]))}
        if body["field"] != "count" and draw(st.booleans()):
            body["missing"] = "none"
        inner = {name(): {"terms": body, "aggs": draw(levels(depth - 1, number))}}
        if draw(st.booleans()):
            inner = {name(): {"filter": draw(st.sampled_from(QUERIES)), "aggs": inner}}
        found.update(inner)
    return found


@st.composite
def aggregations(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
    """Return aggregations, and how many names a1, a2, ... they have."""
    number = [0]
    inner = {"@timestamp": {"max": {"field": "@timestamp"}}, **draw(levels(2, number))}
    histogram: dict[str, Any] = {
        "date_histogram": {"field": "@timestamp", "fixed_interval": draw(st.sampled_from(["1m", "15m", "1h"]))}
    }
    if draw(st.booleans()):
        sources: list[dict[str, Any]] = [{"when": histogram}]
        for _ in range(draw(st.integers(0, 2))):
            number[0] += 1
            sources.insert(
                draw(st.integers(0, 1)),
                {f"a{number[0]}": {"terms": {"field": draw(st.sampled_from(["geoip.country", "count"]))}}},
            )
        return {"b": {"composite": {"sources": sources, "size": 10_000}, "aggs": inner}}, number[0]
    if draw(st.booleans()):
        histogram = {"histogram": {"field": "@timestamp", "interval": 300_000}}
    found: dict[str, Any] = {"b": {**histogram, "aggs": inner}}
    for _ in range(draw(st.integers(0, 2))):
        number[0] += 1
        around = (
            {"terms": {"field": "geoip.country"}} if draw(st.booleans()) else {"filter": draw(st.sampled_from(QUERIES))}
        )
        found = {f"a{number[0]}": {**around, "aggs": found}}
    return found, number[0]


def names_in(aggs: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that can be fields."""
    for name, agg in aggs.items():
        inner = agg.get("aggs", {})
        if "filter" not in agg and not {"date_histogram", "histogram"} & set(agg) and "composite" not in agg:
            yield name
        if "composite" in agg:
            yield from (one for source in agg["composite"]["sources"] for one in source if one != "when")
        yield from names_in(inner)


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(names=names, query=st.sampled_from(QUERIES), span=spans, chunking=chunks, aggs=aggregations(), data=st.data())
def test_aggregated_rows_are_those_of_every_bucket(
    store: Store, names: list[str], query: Any, span: tuple[int, int], chunking: Any, aggs: Any, data: st.DataObject
) -> None:
    tree, _ = aggs
    known = sorted(set(names_in(tree)) - {"@timestamp"})
    fields = [name for name in known if data.draw(st.integers(0, 3))]
    expected = flat_rows(tree, wanted_rows(names, query, *span), set(fields), "@timestamp")
    for here in (True, False):
        # Whoever groups the rows: the store, or gridwatch.
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(store, "groups_by_sorting", here)
            found = extraction(
                store, names, fields, query=query, chunking_config=chunking, aggs=tree, summary="doc_count"
            )
        same(rows_of(list(found.frames(*span))), expected)
    if chunking is None:
        # That reads all of them once more.
        assert found.count(*span) == sum(row["doc_count"] for row in expected)
    assert value_of({"at_timestamp": 1}, "@timestamp") == 1
