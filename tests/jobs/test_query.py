"""The query DSL on the embedded store against a plain Python reading of it, and what is refused, by name and path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Store
from gridwatch.errors import JobsError, JobsQueryError
from gridwatch.jobs.fields import Fields
from gridwatch.jobs.query import compile_query
from gridwatch.jobs.sql import compose
from tests.jobs.backends import BACKENDS
from tests.jobs.query_data import DOUBLES, FLOATS, INFO, LONGS, MOMENTS, NOW_MS, TEXTS, TIMES_MS, matches, rows

FIELDS = Fields.of(INFO)


@pytest.fixture(scope="module")
def data() -> list[dict[str, Any]]:
    return rows(150, seed=7)


@pytest.fixture(scope="module", params=BACKENDS)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, data: list[dict[str, Any]]
) -> Iterator[Store]:
    with request.param(tmp_path_factory.mktemp("query")) as found:
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
    clauses = st.lists(inner, min_size=1, max_size=3) | inner
    some = {"must": clauses, "filter": inner, "should": clauses, "must_not": clauses | st.just([])}
    asked = st.fixed_dictionaries({"should": clauses, "minimum_should_match": shares}, optional={"must_not": inner})
    return st.builds(lambda one: {"bool": one}, st.fixed_dictionaries({}, optional=some) | asked)


def one_of(first: st.SearchStrategy[Any], second: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return one of two in half the cases; `|` would count every kind of leaf as one."""
    return st.booleans().flatmap(lambda one: first if one else second)


wrapped = st.builds(lambda one: {"constant_score": {"filter": one, "boost": 2}}, leaves)
queries = compound(one_of(leaves, compound(one_of(leaves, compound(one_of(leaves, wrapped))))))


@settings(max_examples=80, deadline=None)
@given(query=leaves | compound(leaves))
def test_a_query_and_its_negation_give_the_rows_of_a_plain_reading(
    store: Store, data: list[dict[str, Any]], query: Any
) -> None:
    assert ids(store, query) == expected(data, query)
    # What SQL would answer with null is neither here nor there unless it is negated.
    negated = {"bool": {"must_not": query}}
    assert ids(store, negated) == expected(data, negated)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(query=queries)
def test_queries_inside_each_other_give_the_rows_of_a_plain_reading(
    store: Store, data: list[dict[str, Any]], query: Any
) -> None:
    assert ids(store, query) == expected(data, query)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ([], r"^\[query\] expected an object but found \[\[\]\]"),
        ({}, r"^\[query\] expected one query but found 0 keys \(none\); allowed: bool, "),
        ({"fuzzy": {"id": "x"}}, r"^\[query.fuzzy\] the query \[fuzzy\] is unknown or not supported; use wildcard"),
        (
            {"bool": {"must": [{"match_all": {}}, {"match": {"id": "x"}}]}},
            r"^\[query.bool.must\[1\].match\] .*use term",
        ),
        ({"bool": {"musst": []}}, r"^\[query.bool.musst\] unknown key \[musst\]; allowed: must, filter, should"),
        (
            {"bool": {"should": [], "minimum_should_match": "a"}},
            r"minimum_should_match\] .*\[a\] cannot be read; allowed: 2",
        ),
        ({"bool": {"minimum_should_match": True}}, r"expected a number or a text such as 75% but found \[True\]"),
        ({"term": {"id": "x", "Gender": "y"}}, r"^\[query.term\] expected one field but found 2 \(id, Gender\)"),
        ({"term": {"id": None}}, r"^\[query.term.id\] \[value\] is missing or null"),
        (
            {"term": {"id": {"value": "x", "fuzziness": 2}}},
            r"term.id.fuzziness\] unknown key .*case_insensitive, boost",
        ),
        ({"term": {"id": {"value": "x", "boost": "high"}}}, r"term.id.boost\] expected a number but found \[high\]"),
        ({"term": {"count": "five"}}, r"^\[query.term.count\] expected a number but found \[five\]"),
        ({"term": {"ratio": 1e39}}, r"\[float\] supports only finite values, but got \[1e\+39\]"),
        ({"term": {"paid": "yes"}}, r"expected a boolean but found \[yes\]; allowed: true, false"),
        (
            {"term": {"count": {"value": 1, "case_insensitive": True}}},
            r"a term without case works on keyword fields; \[count\]",
        ),
        ({"term": {"id": "a\0b"}}, r"NUL character"),
        ({"term": {"id": "\ud800"}}, r"not Unicode"),
        ({"terms": {"id": "x"}}, r"^\[query.terms.id\] expected a list of values but found \[x\]"),
        (
            {"terms": {"id": {"index": "other", "id": "1", "path": "p"}}},
            r"terms lookup in another index is not supported",
        ),
        ({"terms": {"id": ["x"] * 10_001}}, r"10001 terms; at most 10000"),
        ({"terms": {"id": ["x", None]}}, r"^\[query.terms.id\[1\]\] expected a value but found \[None\]"),
        ({"range": {"count": {"gte": 1, "gt": 1}}}, r"both \[gt\] and \[gte\]; give one of them"),
        (
            {"range": {"count": {"from": 1}}},
            r"range.count.from\] unknown key \[from\]; allowed: gt, gte, lt, lte, format",
        ),
        (
            {"range": {"count": {"gte": 1, "time_zone": "Z"}}},
            r"time_zone\] this is for dates; the field \[count\] is of type",
        ),
        (
            {"range": {"paid": {"gte": True}}},
            r"a range of the field \[paid\], which is of type \[boolean\]; allowed: term",
        ),
        (
            {"range": {"@timestamp": {"gte": "yesterday"}}},
            r"gte\] failed to parse date field \[yesterday\] with format \[strict",
        ),
        (
            {"range": {"@timestamp": {"gte": "now-1x"}}},
            r"gte\] date math \[now-1x\] cannot be read at \[-1x\]; allowed: \+1d",
        ),
        ({"range": {"@timestamp": {"gte": "now+999999y"}}}, r"\[now\+999999y\] leads outside the years 1 to 9999"),
        (
            {"range": {"@timestamp": {"gte": 0, "format": "QQ"}}},
            r"format\] Invalid date format \[QQ\].*\[QQ\] in it is not",
        ),
        (
            {"range": {"@timestamp": {"gte": 0, "time_zone": "Mars"}}},
            r"time_zone\] unknown time zone \[Mars\]; allowed: Z",
        ),
        ({"exists": {}}, r"^\[query.exists\] exists needs \[field\]"),
        (
            {"prefix": {"count": "1"}},
            r"^\[query.prefix.count\] prefix works on keyword fields; \[count\] is of type \[long\]",
        ),
        ({"wildcard": {"id": "a" * 1001}}, r"a pattern of 1001 characters; at most 1000"),
        (
            {"regexp": {"id": "ab+"}},
            r"\[\+\] at 3 of the regular expression, after anything but \[.\]: SQL's GLOB cannot",
        ),
        ({"regexp": {"id": "a)"}}, r"has \[\)\] without its pair at 2"),
        ({"regexp": {"id": "(a"}}, r"a group of the regular expression has no \[\)\]"),
        ({"regexp": {"id": "[a"}}, r"\[\[\] at 1 of the regular expression has no end"),
        ({"regexp": {"id": "<1-5>"}}, r"\[<\] at 1 of the regular expression, which SQL's GLOB has not"),
        ({"regexp": {"id": "(a|b|c|d){9}"}}, r"stands for more than 256 patterns"),
        ({"regexp": {"id": {"value": "a", "flags": "EMPTY"}}}, r"the flags \[EMPTY\].*allowed: ALL, NONE"),
        ({"ids": {"values": ["x"] * 10_001}}, r"10001 ids; at most 10000"),
        ({"constant_score": {}}, r"constant_score needs \[filter\]"),
        ({"match_all": {"x": 1}}, r"^\[query.match_all.x\] unknown key \[x\]; allowed: boost, _name"),
    ],
)
def test_what_is_wrong_is_refused_with_its_path_and_what_is_allowed(query: Any, message: str) -> None:
    with pytest.raises(JobsQueryError, match=message) as refusal:
        compile_query(query, FIELDS, now_ms=NOW_MS)
    assert (refusal.value.status, refusal.value.type) == (400, "parsing_exception")


def test_nesting_and_clauses_have_a_bound() -> None:
    deep: dict[str, Any] = {"match_all": {}}
    for _ in range(2_000):
        deep = {"bool": {"must": deep}}
    with pytest.raises(JobsQueryError, match="a query nested deeper than 30 levels"):
        compile_query(deep, FIELDS, now_ms=NOW_MS)
    lists: list[Any] = []
    for _ in range(900):
        lists = [lists]
    with pytest.raises(JobsQueryError, match=r"^\[query.term.id\] expected a value but found \[\[\[\[\[\.\.\.\]"):
        compile_query({"term": {"id": lists}}, FIELDS, now_ms=NOW_MS)
    many = {"bool": {"should": [{"term": {"id": str(one)}} for one in range(1_100)]}}
    with pytest.raises(JobsQueryError, match="more than 1024 clauses in one query"):
        compile_query(many, FIELDS, now_ms=NOW_MS)


def test_names_that_no_field_has_are_told_and_match_nothing(store: Store) -> None:
    query = {"bool": {"must_not": [{"term": {"geoip.Country": "GB"}}]}}
    found = compile_query(query, FIELDS, now_ms=NOW_MS)
    assert (found.unmapped, found.fields) == (("geoip.Country",), ())
    assert FIELDS.near("geoip.Country") == ["geoip.country"]
    assert len(ids(store, query)) == 150


def test_values_are_parameters_and_never_text() -> None:
    evil = "\"; DROP TABLE orders; --'"
    kinds = [
        {"term": {"id": evil}},
        {"wildcard": {"id": evil + "*"}},
        {"terms": {"id": [evil]}},
        {"prefix": {"id": evil}},
    ]
    for query in [*kinds, {"range": {"id": {"gte": evil}}}, {"ids": {"values": [evil]}}]:
        found = compile_query(query, FIELDS, now_ms=NOW_MS)
        assert "DROP" not in found.where.text
        assert any(evil in str(one) for one in found.where.parameters)


@pytest.mark.parametrize("case_insensitive", [False, True])
def test_a_regexp_without_case_fits_both(store: Store, data: list[dict[str, Any]], case_insensitive: bool) -> None:
    query = {"regexp": {"geoip.country": {"value": "gb(-m.*)?", "case_insensitive": case_insensitive}}}
    wanted = {"gb", "Gb", "GB", "GB-MALE"} if case_insensitive else {"gb"}
    assert ids(store, query) == {row["id"] for row in data if row["geoip.country"] in wanted}


@pytest.mark.parametrize("opened", BACKENDS)
def test_rows_of_a_time_series_have_their_time_as_id(opened: Callable[[Path], Store], tmp_path: Path) -> None:
    columns = (Column("ts", ColumnType.TIMESTAMP, nullable=False), Column("v", ColumnType.DOUBLE))
    series = ContainerInfo("series", ContainerType.TIME_SERIES, columns, ("ts",))
    with opened(tmp_path) as store:
        store.put_container(series)
        store.put("series", pa.table({"ts": [1_000, 2_000, 86_400_000], "v": [1.0, 2.0, 3.0]}))
        for wanted, count in [(["2000", "3000"], 1), (["1970-01-02", 1000], 2), ([], 0), (["-5"], 0)]:
            where = compile_query({"ids": {"values": wanted}}, Fields.of(series), now_ms=NOW_MS).where
            found = compose('SELECT COUNT(*) AS n FROM "series" WHERE {}', where)
            assert store.sql(found.text, found.parameters).column(0).to_pylist() == [count]
    none = Fields.of(ContainerInfo("log", ContainerType.COLLECTION, columns))
    with pytest.raises(JobsQueryError, match="ids need a container with one row key column; this one has 0"):
        compile_query({"ids": {"values": ["1"]}}, none, now_ms=NOW_MS)


words = st.sampled_from(
    [
        *(
            "bool",
            "must",
            "should",
            "must_not",
            "minimum_should_match",
            "term",
            "terms",
            "range",
            "exists",
            "prefix",
            "ids",
        ),
        *(
            "wildcard",
            "regexp",
            "value",
            "values",
            "field",
            "gte",
            "lt",
            "format",
            "time_zone",
            "boost",
            "_name",
            "flags",
        ),
        *("id", "count", "price", "ratio", "paid", "@timestamp", "geoip.country", "case_insensitive", "filter"),
    ]
)
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["now/d", "id", "2<5%"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | words, inner, max_size=3),
    max_leaves=12,
)
odd_leaves = st.builds(
    lambda kind, name, content: {kind: {name: content}},
    st.sampled_from(["term", "terms", "range", "prefix", "wildcard", "regexp", "ids", "exists", "bool"]),
    words,
    junk | st.dictionaries(st.sampled_from(["value", "gte", "lt", "format", "time_zone", "flags"]), junk, max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(query=junk | odd_leaves | st.builds(lambda one: {"bool": {"must_not": [one]}}, odd_leaves))
def test_junk_is_refused_or_runs(store: Store, query: Any) -> None:
    path = "query"
    try:
        ids(store, query)
    except JobsError as error:
        path = error.path
    assert path.startswith("query")
