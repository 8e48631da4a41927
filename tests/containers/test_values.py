"""Values on the embedded store: arrays, geometry, finer times, GridDB's conversions in INSERT and UPDATE, row order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import SqlFailedError, SqlRefusedError, StoreError, ValueRefusedError

T = ColumnType
ARRAYS = {
    T.BOOL_ARRAY: [True, False],
    T.STRING_ARRAY: ["a", "", "é\n\"'"],
    T.BYTE_ARRAY: [-128, 127],
    T.SHORT_ARRAY: [],
    T.INTEGER_ARRAY: [1, -2],
    T.LONG_ARRAY: [-(2**63), 2**63 - 1],
    T.FLOAT_ARRAY: [0.5, float(np.float32(0.1)), float(np.finfo(np.float32).max)],
    T.DOUBLE_ARRAY: [0.1, 5e-324, 1.7976931348623157e308, -0.0],
    T.TIMESTAMP_ARRAY: [datetime(2024, 1, 1, 0, 0, 0, 123_000, UTC)],
}
KEY = Column("id", T.INTEGER, nullable=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "s.db") as store:
        yield store


def collection(store: SqliteStore, *columns: Column) -> ContainerInfo:
    return store.put_container(ContainerInfo("c", ContainerType.COLLECTION, (KEY, *columns), ("id",)))


def table(info: ContainerInfo, *rows: tuple[Any, ...]) -> pa.Table:
    cells = list(zip(*rows, strict=True))
    return pa.Table.from_arrays(
        [pa.array(list(values), field.type) for values, field in zip(cells, info.arrow, strict=True)],
        schema=info.arrow,
    )


def rows(store: SqliteStore, statement: str) -> list[list[Any]]:
    return [list(row.values()) for row in store.sql(statement).to_pylist()]


def test_arrays_and_geometry_are_put_and_got(store: SqliteStore) -> None:
    info = collection(store, *(Column(kind.value.lower(), kind) for kind in ARRAYS), Column("g", T.GEOMETRY))
    given = table(info, (1, *ARRAYS.values(), "POINT(1 -2.5)"), (2, *[None] * 10))
    assert store.put("c", given) == 2
    assert store.get("c", [2, 1]).to_pylist() == given.to_pylist()[::-1]
    assert store.read("c").schema == info.arrow
    assert store.tql("c", "select * order by id").to_pylist() == given.to_pylist()
    # SQL reads them as NULL without a type, and does not write a container that has one.
    read = store.sql("SELECT id, double_array, g IS NULL n FROM c ORDER BY id")
    assert read.to_pylist() == [{"id": key, "double_array": None, "n": True} for key in (1, 2)]
    assert pa.types.is_null(read.schema.field("double_array").type)
    for statement in ("INSERT INTO c (id) VALUES (3)", "UPDATE c SET id = id", "DELETE FROM c"):
        with pytest.raises(SqlRefusedError, match=r"\[240000\].*'bool_array' is BOOL_ARRAY"):
            store.execute(statement)
    frame = pd.DataFrame({"id": [3, 4], "double_array": [[1.5, 2.0], None]})
    assert store.put("c", frame) == 2
    assert store.get("c", [3]).column("double_array").to_pylist() == [[1.5, 2.0]]


REFUSED = {
    "null": (T.INTEGER_ARRAY, [[1], [2, None]], "row 1: value .*an element is null"),
    "not finite": (T.DOUBLE_ARRAY, [[float("inf")]], "row 0.*not finite"),
    "nul": (T.STRING_ARRAY, [["a\0b"]], "NUL character"),
    "before 1970": (T.TIMESTAMP_ARRAY, [[datetime(1969, 1, 1, tzinfo=UTC)]], "a time before 1970"),
    "too large": (T.BYTE_ARRAY, [[300]], "out of range for BYTE_ARRAY"),
    "no array": (T.BYTE_ARRAY, [3], "int64 is not BYTE_ARRAY"),
    "no point": (T.GEOMETRY, ["POINT(1,2)"], "no WKT of the form POINT"),
    "not as GridDB writes it": (T.GEOMETRY, ["POINT(1.0 2)"], "no WKT of the form POINT"),
    "before 1970 in µs": (T.TIMESTAMP_6, [-1], "outside 0..253402300799999999 µs"),
    "finer than µs": (T.TIMESTAMP_6, [pd.Timestamp("2024-01-01T00:00:00.000000001Z")], "finer than a µs"),
}


@pytest.mark.parametrize(("kind", "values", "message"), REFUSED.values(), ids=REFUSED)
def test_what_arrays_geometry_and_finer_times_refuse(
    store: SqliteStore, kind: ColumnType, values: list[Any], message: str
) -> None:
    collection(store, Column("v", kind))
    given = pa.array(values, pa.timestamp("ns", "UTC")) if isinstance(values[0], pd.Timestamp) else pa.array(values)
    with pytest.raises(ValueRefusedError, match=message):
        store.put("c", pa.table({"id": range(len(values)), "v": given}))
    assert store.read("c").num_rows == 0


def test_arrays_and_geometry_have_no_index(store: SqliteStore) -> None:
    collection(store, Column("a", T.LONG_ARRAY), Column("g", T.GEOMETRY))
    for column in ("a", "g"):
        with pytest.raises(StoreError, match=r"\[1007\].*cannot have a TREE index"):
            store.execute(f"CREATE INDEX ix ON c ({column})")


def test_finer_times(store: SqliteStore) -> None:
    store.execute("CREATE TABLE f (u TIMESTAMP(6) PRIMARY KEY, n TIMESTAMP(9), t TIMESTAMP)")
    info = store.container("f")
    assert info is not None
    assert [column.type.precision for column in info.columns] == [6, 9, 3]
    last = pd.Timestamp(2**63 - 1, tz="UTC")
    moment = datetime(2024, 1, 1, 0, 0, 0, 123_456, UTC)
    given = pa.table(
        {
            "u": pa.array([253_402_300_799_999_999, 1]).cast(pa.timestamp("us", "UTC")),
            "n": pa.array([last, None], pa.timestamp("ns", "UTC")),
            "t": pa.array([0, 1]).cast(pa.timestamp("ms", "UTC")),
        }
    )
    store.put("f", given)
    assert store.read("f").to_pylist() == given.to_pylist()[::-1]
    # Each column takes times of every precision, cut to its own.
    store.execute(
        "INSERT INTO f VALUES (TIMESTAMP_US('2024-01-01T00:00:00.123456Z'), "
        "TIMESTAMP('2024-01-01T00:00:00.123Z'), TIMESTAMP_NS('2024-01-01T00:00:00.123999999Z'))"
    )
    found = store.get("f", [moment])
    assert [found.column(name).cast(pa.int64()).to_pylist() for name in ("u", "n", "t")] == [
        [1_704_067_200_123_456],
        [1_704_067_200_123_000_000],
        [1_704_067_200_123],
    ]
    # They compare by the instant.
    equal = "SELECT COUNT(*) c FROM f WHERE n = t AND u > t AND n IN (TIMESTAMP('2024-01-01T00:00:00.123Z'))"
    assert rows(store, equal) == [[1]]
    assert rows(store, "SELECT CAST(u AS STRING) s FROM f WHERE n = t") == [["2024-01-01T00:00:00.123456Z"]]
    assert store.sql("SELECT MAX(u) m, MIN(n) k FROM f").schema.types == [
        pa.timestamp("us", "UTC"),
        pa.timestamp("ns", "UTC"),
    ]
    assert store.sql("SELECT t FROM f UNION SELECT u FROM f").schema.types == [pa.timestamp("us", "UTC")]
    assert store.delete("f", [1, 253_402_300_799_999_999]) == 2


def test_what_finer_times_refuse(store: SqliteStore) -> None:
    store.execute("CREATE TABLE f (u TIMESTAMP(6) PRIMARY KEY, n TIMESTAMP(9))")
    store.execute("INSERT INTO f VALUES (TIMESTAMP_US('9999-01-01'), NULL)")
    with pytest.raises(SqlFailedError, match="nanoseconds to the year 2262 only"):
        store.execute("UPDATE f SET n = u")
    with pytest.raises(SqlFailedError, match=r"\[305004\].*after 2262"):
        store.sql("SELECT TIMESTAMP_NS('2300-01-01T00:00:00Z')")
    with pytest.raises(SqlFailedError, match=r"\[305005\].*up to 6 decimals"):
        store.sql("SELECT TIMESTAMP_US('2024-01-01T00:00:00.123456789Z')")
    with pytest.raises(SqlRefusedError, match=r"EXTRACT of TIMESTAMP\(6\); here such times are only read"):
        store.sql("SELECT EXTRACT(YEAR, u) FROM f")
    with pytest.raises(ValueRefusedError, match="finer than a microsecond"):
        store.get("f", [pd.Timestamp("2024-01-01T00:00:00.000000001Z")])


def test_numbers_go_into_columns_as_griddb_converts_them(store: SqliteStore) -> None:
    store.execute("CREATE TABLE n (id LONG PRIMARY KEY, b BYTE, i INTEGER, l LONG, f FLOAT, d DOUBLE)")
    store.execute("INSERT INTO n VALUES (1, 127.9, -5.5, 1e18, 16777217, 3), (2, NULL, 7, 1, 1e-50, 1.5)")
    assert rows(store, "SELECT b, i, l, f, d FROM n WHERE id = 1") == [[127, -5, 10**18, 16777216.0, 3.0]]
    store.execute("INSERT INTO n (id, i, f) SELECT id + 10, d * 2.9, d / 3 FROM n")
    assert rows(store, "SELECT i, f FROM n WHERE id > 10 ORDER BY id") == [[8, 1.0], [4, 0.5]]
    store.execute("UPDATE n SET f = d / 3 + 0.1, i = d, d = i WHERE id = 2")
    assert rows(store, "SELECT i, f, d FROM n WHERE id = 2") == [[1, float(np.float32(0.6)), 7.0]]
    store.execute("INSERT INTO n (id, i) VALUES (20, (SELECT MAX(i) FROM n))")
    for statement in (
        "UPDATE n SET b = l WHERE id = 1",
        "UPDATE n SET b = d * 200 WHERE id = 1",
        "UPDATE n SET l = f * 1e30 WHERE id = 1",
        "UPDATE n SET f = 1e39",
        "UPDATE n SET f = d * 1e39 WHERE id = 1",
    ):
        with pytest.raises(StoreError, match=r"\[305004\]"):
            store.execute(statement)


def test_a_long_goes_into_a_float_column_rounded_once(store: SqliteStore) -> None:
    store.execute("CREATE TABLE n (id LONG PRIMARY KEY, f FLOAT)")
    # Half-way between two FLOATs, and one beside it: through a DOUBLE the one would be lost.
    half = (2**24 + 1) << 38
    longs = np.array([half, half + 1, half - 1, -half, -half - 1, 2**63 - 1, -(2**63), 2**53 + 1, 7], np.int64)
    store.put("n", pa.table({"id": longs}))
    store.execute("UPDATE n SET f = id")
    found = store.sql("SELECT id, f FROM n").to_pydict()
    assert found["f"] == [float(np.float32(number)) for number in np.array(found["id"], np.int64)]


def test_a_key_can_only_be_set_to_itself(store: SqliteStore) -> None:
    store.execute("CREATE TABLE k (id LONG PRIMARY KEY, v DOUBLE)")
    store.execute("INSERT INTO k VALUES (1, 1), (2, 2)")
    assert store.execute("UPDATE k SET id = id, v = 7") == 2
    assert store.execute("UPDATE k AS x SET id = 1, v = x.v + 1 WHERE x.id = 1") == 1
    assert store.execute("UPDATE OR REPLACE k SET id = 9 WHERE id = 55") == 0
    with pytest.raises(SqlFailedError, match=r"\[60049\].*cannot be changed"):
        store.execute("UPDATE k SET id = 9, v = 0")
    assert rows(store, "SELECT id, v FROM k ORDER BY id") == [[1, 8.0], [2, 7.0]]
    with pytest.raises(SqlRefusedError, match="column 'v' set twice"):
        store.execute("UPDATE k SET v = 1, V = 2")
    # GridDB takes the other name, and knows it nowhere.
    with pytest.raises(SqlRefusedError, match=r"\[240008\]"):
        store.execute("DELETE FROM k x WHERE x.id = 1")
    assert store.execute("DELETE FROM k x WHERE k.id = 1") == 1


def test_nulls_where_none_may_be(store: SqliteStore) -> None:
    store.execute("CREATE TABLE k (id LONG PRIMARY KEY, v DOUBLE NOT NULL)")
    store.execute("INSERT INTO k VALUES (1, 1)")
    for statement in (
        "INSERT INTO k VALUES (2, NULL)",
        "UPDATE k SET v = NULL",
        "UPDATE k SET v = CASE WHEN v > 5 THEN 1 END",
        "INSERT INTO k SELECT 3, CASE WHEN id > 5 THEN 1 END FROM k",
    ):
        with pytest.raises(StoreError, match=r"\[305010\]"):
            store.execute(statement)


@pytest.mark.parametrize("kind", ["LONG", "INTEGER", "TIMESTAMP", "STRING"])
def test_a_collection_keeps_the_order_of_insertion(store: SqliteStore, kind: str) -> None:
    store.execute(f"CREATE TABLE o (id {kind} PRIMARY KEY, v LONG)")
    info = store.container("o")
    assert info is not None

    def put(*numbers: int, value: int = 0) -> None:
        keys = pa.array(numbers, pa.int64()).cast(info.columns[0].type.arrow if kind != "STRING" else pa.string())
        store.put("o", pa.table({"id": keys, "v": [value] * len(numbers)}))

    put(3, 1, 2, 5, 4)
    put(1, value=9)
    store.delete("o", ["2"] if kind == "STRING" else [2])
    put(6, 2)
    order = store.tql("o", "select *").column("id")
    numbers = [int(text) for text in order.to_pylist()] if kind == "STRING" else order.cast(pa.int64()).to_pylist()
    assert numbers == [3, 1, 5, 4, 6, 2]
    assert store.sql("SELECT v FROM o WHERE v = 9").num_rows == 1


def test_a_row_of_keys_alone_is_put_again(store: SqliteStore) -> None:
    info = collection(store)
    for _ in range(2):
        store.put("c", table(info, (1,), (2,)))
    store.execute("REPLACE INTO c VALUES (1), (3)")
    assert store.read("c").num_rows == 3


def test_long_chains(store: SqliteStore) -> None:
    collection(store, Column("v", T.LONG))
    chain = " AND ".join(["v <> 5"] * 3000)
    assert store.execute(f"UPDATE c SET v = 1 WHERE {chain}") == 0  # noqa: S608
    with pytest.raises(SqlRefusedError, match="nested too deep"):
        store.execute(f"UPDATE c SET v = {'+'.join(['1'] * 3000)}")  # noqa: S608
