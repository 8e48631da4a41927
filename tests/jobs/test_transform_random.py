"""Random pivots over random rows of two containers: what comes out is what a plain reading of each row gives."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.errors import JobsError
from gridwatch.jobs.transform import TransformService, parse_transform
from tests.jobs.backends import BACKENDS

DAY = 86_400_000
START = 1_709_164_800_000
"""2024-02-29."""
COLUMNS = (
    Column("id", ColumnType.LONG, nullable=False),
    Column("at_timestamp", ColumnType.TIMESTAMP),
    Column("who", ColumnType.STRING),
    Column("big", ColumnType.LONG),
    Column("took", ColumnType.DOUBLE),
    Column("ok", ColumnType.BOOL),
)
FIELDS = ("@timestamp", "who", "big", "took", "ok")
NAMES = itertools.count()

times = st.integers(START, START + 500 * DAY) | st.integers(START, START + 2 * DAY)
rows = st.tuples(
    st.none() | times,
    st.none() | st.sampled_from(["a", "A", "b", ""]),
    st.none() | st.sampled_from([0, 1, 2**53 + 1, -(2**60)]),
    st.none() | st.sampled_from([0.0, -0.0, 0.5, -2.25, 1e10]),
    st.none() | st.booleans(),
)
tables = st.lists(rows, max_size=25)
calendars = st.sampled_from(["1m", "hour", "1d", "week", "1M", "quarter", "year"])
zones = st.sampled_from([{}, {"time_zone": "+09:00"}, {"time_zone": "-03:30"}])
histograms = st.one_of(
    st.builds(lambda every, zone: {"calendar_interval": every, **zone}, calendars, zones),
    st.builds(
        lambda every, zone, offset: {"fixed_interval": every, **zone, **offset},
        st.sampled_from(["90m", "36h", "1d", "777s"]),
        zones,
        st.sampled_from([{}, {"offset": "+6h"}, {"offset": "-1h"}]),
    ),
)
missing = st.sampled_from([{}, {"missing_bucket": True}])
groups = st.fixed_dictionaries(
    {},
    optional={
        "when": st.builds(
            lambda part, more: {"date_histogram": {"field": "@timestamp", **part, **more}}, histograms, missing
        ),
        "at": missing.map(lambda more: {"terms": {"field": "@timestamp", **more}}),
        "who": missing.map(lambda more: {"terms": {"field": "who", **more}}),
        "took": missing.map(lambda more: {"terms": {"field": "took", **more}}),
        "ok": missing.map(lambda more: {"terms": {"field": "ok", **more}}),
    },
).filter(bool)
MEASURES: dict[str, dict[str, Any]] = {
    "rows": {"value_count": {"field": "@timestamp"}},
    "m.sum": {"sum": {"field": "took"}},
    "m.avg": {"avg": {"field": "took", "missing": 4.0}},
    "m.max": {"max": {"field": "big"}},
    "m.last": {"max": {"field": "@timestamp"}},
    "m.min": {"min": {"field": "took"}},
    "m.who": {"cardinality": {"field": "who"}},
    "half": {"filter": {"range": {"took": {"gt": 0}}}},
    "some": {"filter": {"term": {"who": "a"}}, "aggs": {"tooks": {"cardinality": {"field": "took"}}}},
}
measures = st.sets(st.sampled_from(sorted(MEASURES)), min_size=1).map(
    lambda names: {one: MEASURES[one] for one in names}
)


@pytest.fixture(scope="module", params=BACKENDS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TransformService]:
    with request.param(tmp_path_factory.mktemp("random")) as store:
        yield TransformService(store, now_ms=lambda: START + 1000 * DAY)


def put(service: TransformService, name: str, content: list[tuple[Any, ...]]) -> None:
    service.store.put_container(ContainerInfo(name, ContainerType.COLLECTION, COLUMNS, ("id",)))
    kinds = [column.type.arrow for column in COLUMNS[1:]]
    columns = [pa.array([row[place] for row in content], kind) for place, kind in enumerate(kinds)]
    if content:
        names = [column.name for column in COLUMNS]
        service.store.put(name, pa.table([pa.array(range(len(content)), pa.int64()), *columns], names))


def begins(ms: int, body: dict[str, Any]) -> int:
    """Return when the bucket of an instant begins, by the calendar of datetime."""
    text = body.get("time_zone", "+00:00")
    sign = -1 if text[0] == "-" else 1
    zone = timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[4:6])))
    offset = {"+6h": 6, "-1h": -1, None: 0}[body.get("offset")] * 3_600_000
    shift = int(zone.utcoffset(None).total_seconds() * 1000) - offset
    if "fixed_interval" in body:
        every = {"90m": 5_400_000, "36h": 129_600_000, "1d": DAY, "777s": 777_000}[body["fixed_interval"]]
        return (ms + shift) // every * every - shift
    local = datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone).replace(microsecond=0)
    kind = body["calendar_interval"]
    local = local.replace(second=0)
    if kind != "1m":
        local = local.replace(minute=0)
    if kind not in {"1m", "hour"}:
        local = local.replace(hour=0)
    if kind == "week":
        local -= timedelta(days=local.weekday())
    if kind in {"1M", "quarter", "year"}:
        month = {"1M": local.month, "quarter": (local.month - 1) // 3 * 3 + 1, "year": 1}[kind]
        local = local.replace(day=1, month=month)
    return round(local.timestamp() * 1000)


def expected(content: list[dict[str, Any]], pivot: dict[str, Any]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the groups, row by row."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in content:
        key = []
        for one in pivot["group_by"].values():
            ((kind, options),) = one.items()
            value = row[options["field"]]
            if value is None and not options.get("missing_bucket"):
                break
            key.append(begins(value, options) if kind == "date_histogram" and value is not None else value)
        else:
            found[tuple(key)].append(row)
    return {
        key: {name: measured(name, body, some) for name, body in pivot["aggregations"].items()}
        for key, some in found.items()
    }


def measured(name: str, body: dict[str, Any], some: list[dict[str, Any]]) -> Any:
    if name == "half":
        return sum(row["took"] is not None and row["took"] > 0 for row in some)
    if name == "some":
        return len({row["took"] for row in some if row["who"] == "a" and row["took"] is not None})
    ((kind, options),) = body.items()
    values = [row[options["field"]] if row[options["field"]] is not None else options.get("missing") for row in some]
    values = [value for value in values if value is not None]
    if kind in {"value_count", "cardinality"}:
        return len(values if kind == "value_count" else set(values))
    if kind == "sum":
        return math.fsum(values)
    if not values:
        return None
    return math.fsum(values) / len(values) if kind == "avg" else max(values) if kind == "max" else min(values)


def plain(value: Any) -> Any:
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(first=tables, second=st.none() | tables, group_by=groups, aggregations=measures)
def test_a_pivot_gives_what_a_plain_reading_of_each_row_gives(
    service: TransformService, first: Any, second: Any, group_by: Any, aggregations: Any
) -> None:
    number = next(NAMES)
    put(service, f"one{number}", first)
    if second is not None:
        put(service, f"two{number}", second)
    pivot = {"group_by": group_by, "aggregations": aggregations}
    body = {"source": {"index": f"*{number}"}, "dest": {"index": "out"}, "pivot": pivot}
    body["source"] = {"index": [f"one{number}", *([] if second is None else [f"two{number}"])]}
    name = f"t{number}"
    service.put(body, transform_id=name)
    service.start(name)
    done = service.run(name)
    out = service.store.read("out").to_pylist()
    service.delete(name, delete_dest_index=True)
    content = [dict(zip(FIELDS, row, strict=True)) for row in (*first, *(second or []))]
    wanted = expected(content, pivot)
    assert done.written == len(out) == len(wanted)
    for row in out:
        key = tuple(plain(row[group]) for group in group_by)
        for measure, value in wanted[key].items():
            given = plain(row["some.tooks" if measure == "some" else measure])
            assert given == (pytest.approx(value) if measure in {"m.sum", "m.avg"} else value), (key, measure)


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["@timestamp", "1h"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=4)
            | st.sampled_from(
                ["terms", "date_histogram", "field", "sum", "filter", "aggs", "fixed_interval", "index", "time"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
places = st.sampled_from(
    [
        "source",
        "dest",
        "pivot",
        "sync",
        "settings",
        "frequency",
        "description",
        "group_by",
        "aggregations",
        "_meta",
        "x",
    ]
)


@settings(max_examples=80, deadline=None)
@given(place=places, content=junk)
def test_whatever_the_body_it_is_taken_or_told(place: str, content: Any) -> None:
    pivot: dict[str, Any] = {
        "group_by": {"who": {"terms": {"field": "who"}}},
        "aggregations": {"rows": {"value_count": {"field": "who"}}},
    }
    body: dict[str, Any] = {"source": {"index": "a"}, "dest": {"index": "b"}, "pivot": pivot}
    (pivot if place in pivot else body)[place] = content
    try:
        config = parse_transform(body, transform_id="any")
    except JobsError:
        return
    assert parse_transform(config.to_json()).to_json() == config.to_json()
