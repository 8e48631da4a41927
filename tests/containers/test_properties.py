"""Puts, deletes and reads against a dict that does the same."""

from __future__ import annotations

import contextlib
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridwatch.containers import PLAIN_TYPES, Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import StoreError

T = ColumnType
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    T.BOOL: st.booleans(),
    T.STRING: TEXT,
    T.BYTE: st.integers(-(2**7), 2**7 - 1),
    T.SHORT: st.integers(-(2**15), 2**15 - 1),
    T.INTEGER: st.integers(-(2**31), 2**31 - 1),
    T.LONG: st.integers(-(2**63), 2**63 - 1),
    T.FLOAT: st.floats(width=32, allow_nan=False, allow_infinity=False),
    T.DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    T.TIMESTAMP: st.integers(0, 253_402_300_799_999),
    T.BLOB: st.binary(max_size=20),
}
SERIES = ContainerInfo(
    "series",
    ContainerType.TIME_SERIES,
    (Column("ts", T.TIMESTAMP, nullable=False), *(Column(f"c_{kind.lower()}", kind) for kind in PLAIN_TYPES)),
    ("ts",),
)
PAIRS = ContainerInfo(
    "pairs",
    ContainerType.COLLECTION,
    (Column("a", T.STRING, nullable=False), Column("b", T.LONG, nullable=False), Column("v", T.DOUBLE)),
    ("a", "b"),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with SqliteStore(tmp_path_factory.mktemp("properties") / "store.db") as store:
        yield store


def emptied(store: SqliteStore, info: ContainerInfo) -> None:
    store.drop_container(info.name)
    store.put_container(info)


def as_table(info: ContainerInfo, rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(info.columns)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, info.arrow.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=info.arrow)


def as_rows(table: pa.Table) -> list[tuple[Any, ...]]:
    plain = [
        column.cast(pa.int64()).to_pylist() if pa.types.is_timestamp(column.type) else column.to_pylist()
        for column in table.columns
    ]
    return list(zip(*plain, strict=True))


rows_of_series = st.lists(
    st.tuples(st.integers(0, 30), *(st.none() | VALUES[kind] for kind in PLAIN_TYPES)), max_size=30
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(puts=st.lists(rows_of_series, max_size=4), deleted=st.lists(st.integers(0, 30), max_size=5), ends=st.data())
def test_a_series_is_a_sorted_dict(
    store: SqliteStore, puts: list[list[tuple[Any, ...]]], deleted: list[int], ends: st.DataObject
) -> None:
    emptied(store, SERIES)
    model: dict[int, tuple[Any, ...]] = {}
    for rows in puts:
        assert store.put("series", as_table(SERIES, rows)) == len(rows)
        model.update({row[0]: row for row in rows})
    assert store.delete("series", deleted) == len(set(deleted) & set(model))
    for key in deleted:
        model.pop(key, None)
    assert as_rows(store.read("series")) == [model[key] for key in sorted(model)]
    start, end = sorted(ends.draw(st.tuples(st.integers(0, 31), st.integers(0, 31))))
    found = as_rows(store.read("series", start, end))
    assert found == [model[key] for key in sorted(model) if start <= key <= end]
    counted = store.sql("SELECT COUNT(*), MIN(c_long), MAX(c_string) FROM series")
    longs = [row[1 + PLAIN_TYPES.index(T.LONG)] for row in model.values()]
    texts = [row[1 + PLAIN_TYPES.index(T.STRING)] for row in model.values()]
    assert as_rows(counted) == [
        (
            len(model),
            min((value for value in longs if value is not None), default=None),
            max((value for value in texts if value is not None), key=str.encode, default=None),
        )
    ]


keys = st.tuples(st.sampled_from(["", "a", "A", "ü", "a/b"]), st.integers(-2, 2))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rows=st.lists(st.tuples(keys, VALUES[T.DOUBLE]), max_size=20), wanted=st.lists(keys, max_size=8))
def test_a_collection_is_a_dict(
    store: SqliteStore, rows: list[tuple[tuple[str, int], float]], wanted: list[tuple[str, int]]
) -> None:
    emptied(store, PAIRS)
    model = dict(rows)
    store.put("pairs", as_table(PAIRS, [(*key, value) for key, value in rows]))
    in_order = sorted(model, key=lambda key: (key[0].encode(), key[1]))
    assert as_rows(store.read("pairs")) == [(*key, model[key]) for key in in_order]
    assert as_rows(store.get("pairs", wanted)) == [(*key, model[key]) for key in dict.fromkeys(wanted) if key in model]


words = st.sampled_from(
    [
        *("SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "AND", "OR", "NOT", "NULL", "IN", "LIKE", "CASE"),
        *("WHEN", "THEN", "END", "UNION", "JOIN", "ON", "AS", "DISTINCT", "COUNT", "MAX", "OVER", "BETWEEN", "IS"),
        *(
            "pairs",
            "a",
            "b",
            "v",
            "(",
            ")",
            ",",
            "*",
            "=",
            "<",
            "+",
            "/",
            "1",
            "2.5",
            "'x'",
            "?",
            '"a"',
            ";",
            "--",
            "/*",
        ),
        *("INSERT INTO", "VALUES", "UPDATE", "SET", "DELETE", "CREATE TABLE", "DROP TABLE", "PRAGMA", "ATTACH", "WITH"),
    ]
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(statement=st.lists(words, max_size=12).map(" ".join) | st.text(max_size=40))
def test_no_text_gets_past_the_dialect(store: SqliteStore, statement: str) -> None:
    emptied(store, PAIRS)
    before = store.containers()
    with contextlib.suppress(StoreError):
        store.sql(statement)
    assert store.containers() == before


@settings(max_examples=100, deadline=None)
@given(text=TEXT)
def test_text_in_sql_is_only_text(store: SqliteStore, text: str) -> None:
    literal = text.replace("'", "''")
    found = store.sql(f"SELECT '{literal}' || ?, LENGTH('{literal}')", [text])
    assert [column[0].as_py() for column in found.columns] == [text + text, len(text)]
