"""The query DSL on the embedded store against a plain Python reading of it, and what is refused, by name and path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridwatch.containers import Store, open_store
from gridwatch.jobs.fields import Fields
from gridwatch.jobs.query import compile_query
from gridwatch.jobs.sql import compose
from tests.jobs.query_data import DOUBLES, FLOATS, INFO, LONGS, MOMENTS, NOW_MS, TEXTS, TIMES_MS, matches, rows

FIELDS = Fields.of(INFO)


@pytest.fixture(scope="module")
def data() -> list[dict[str, Any]]:
    return rows(150, seed=7)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, data: list[dict[str, Any]]) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('query')}/s.db") as found:
        found.put_container(INFO)
        found.put(INFO.name, pa.Table.from_pylist(data, schema=INFO.arrow))
        yield found


def ids(store: Store, query: Any) -> set[str]:
    found = compose('SELECT "id" FROM "orders" WHERE {}', compile_query(query, FIELDS, now_ms=NOW_MS).where)
    return set(store.sql(found.text, found.parameters).column(0).to_pylist())


def expected(data: list[dict[str, Any]], query: Any) -> set[str]:
    return {row["id"] for row in data if matches(query, row)}


texts = st.sampled_from(TEXTS)
short = st.text(alphabet="GBgb*?[]^%_\\aAöÖ日🙂 -", max_size=5)
numbers = st.sampled_from([*LONGS, *DOUBLES[:6], *FLOATS, 1.5, "5", "5.0", "7.5", 10**30, -(10**30), "1e3"])
dates = st.sampled_from([*TIMES_MS, *MOMENTS])
keywords = st.sampled_from(["geoip.country", "Gender", "id", "nothing"])
plain_regexps = st.sampled_from(
    [
        "G.*",
        ".*",
        "GB|FR",
        "(GB|gb)(-.+)?",
        "[A-Z]{2}",
        "[^G]b?",
        "a[*]b",
        r"a\?b",
        "..",
        ".{2,3}",
        "g?",
        ".+-(FE)?MALE",
        "[]^]",
    ]
)


def bounds(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    low = st.one_of(st.just({}), st.builds(lambda k, v: {k: v}, st.sampled_from(["gt", "gte"]), values))
    high = st.one_of(st.just({}), st.builds(lambda k, v: {k: v}, st.sampled_from(["lt", "lte"]), values))
    return st.builds(lambda a, b: a | b, low, high)


def of(kind: str, names: st.SearchStrategy[str], inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda name, content: {kind: {name: content}}, names, inner)


number_names = st.sampled_from(["count", "small", "price", "ratio"])
single = st.sampled_from(["ratio"])
any_case = st.builds(lambda v, c: {"value": v, "case_insensitive": c}, texts | short, st.booleans())
leaves = st.one_of(
    st.just({"match_all": {}}),
    st.just({"match_none": {}}),
    of("term", keywords, texts | any_case),
    of("term", number_names, numbers),
    of("term", st.just("paid"), st.sampled_from([True, False, "true", "false"])),
    of("term", st.just("@timestamp"), dates),
    of("terms", keywords, st.lists(texts, max_size=4)),
    of("terms", st.sampled_from(["count", "price"]), st.lists(numbers, max_size=4)),
    of("terms", st.just("@timestamp"), st.lists(dates, max_size=3)),
    of("range", st.sampled_from(["count", "small", "price"]), bounds(numbers)),
    of("range", st.just("@timestamp"), bounds(dates)),
    of("range", keywords, bounds(texts)),
    of("prefix", keywords, texts | short | any_case),
    of("wildcard", keywords, short | any_case),
    of("regexp", keywords, plain_regexps),
    st.builds(
        lambda name: {"exists": {"field": name}}, st.sampled_from(["geoip", "price", "@timestamp", "id", "nothing"])
    ),
    st.builds(
        lambda one: {"ids": {"values": one}}, st.lists(st.sampled_from(["Row 0", "row 1", "row 2", "x"]), max_size=3)
    ),
)
shares = st.sampled_from([0, 1, 2, 3, -1, "2", "-1", "50%", "-25%", "75%", "100%", "1<50%", "2<-25% 3<-2", "9<3"])


def compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    clauses = st.lists(inner, max_size=3) | inner
    parts = st.fixed_dictionaries(
        {},
        optional={
            "must": clauses,
            "filter": clauses,
            "should": clauses,
            "must_not": clauses,
            "minimum_should_match": shares,
        },
    )
    return st.builds(lambda one: {"bool": one}, parts) | st.builds(
        lambda one: {"constant_score": {"filter": one}}, inner
    )


queries = st.recursive(leaves, compound, max_leaves=8)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(query=queries)
def test_a_query_gives_the_rows_that_a_plain_reading_gives(
    store: Store, data: list[dict[str, Any]], query: Any
) -> None:
    assert ids(store, query) == expected(data, query)
