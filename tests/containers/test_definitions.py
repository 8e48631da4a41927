"""CREATE, ALTER and DROP on the embedded store: tables, views, partitions, indexes, columns, names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Index, Partitioning
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import ContainerExistsError, ContainerNotFoundError, SchemaError, SqlRefusedError, StoreError

T = ColumnType


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "s.db") as store:
        store.execute("CREATE TABLE t (id LONG PRIMARY KEY, v DOUBLE, w STRING)")
        store.execute("INSERT INTO t VALUES (2, 2.5, 'b'), (1, 1.5, 'a')")
        yield store


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    """One store for statements that leave nothing behind."""
    with SqliteStore(tmp_path_factory.mktemp("scratch") / "s.db") as store:
        store.execute("CREATE TABLE t (id LONG PRIMARY KEY, v DOUBLE)")
        store.execute("CREATE VIEW seen AS SELECT id FROM t")
        store.execute("CREATE TABLE parts (id LONG PRIMARY KEY, v DOUBLE) PARTITION BY HASH (id) PARTITIONS 4")
        yield store


def rows(store: SqliteStore, statement: str) -> list[list[Any]]:
    return [list(row.values()) for row in store.sql(statement).to_pylist()]


def info_of(store: SqliteStore, name: str) -> ContainerInfo:
    info = store.container(name)
    assert info is not None
    return info


def test_a_view_is_read_by_sql_alone(store: SqliteStore) -> None:
    store.execute("CREATE VIEW Doubled AS SELECT id, v * 2 AS w FROM t")
    store.execute("CREATE VIEW big AS SELECT * FROM doubled WHERE w > 3")
    assert rows(store, "SELECT x.w FROM big x JOIN t ON x.id = t.id") == [[5.0]]
    assert rows(store, "SELECT big.w FROM big WHERE id IN (SELECT id FROM Doubled)") == [[5.0]]
    assert store.containers() == ["t"]
    assert store.container("doubled") is None
    assert rows(store, 'SELECT VIEW_NAME FROM "#views" ORDER BY 1') == [["Doubled"], ["big"]]
    # It is worked out when it is read.
    store.execute("ALTER TABLE t RENAME COLUMN w TO text")
    store.execute("CREATE VIEW everything AS SELECT * FROM t")
    store.execute("ALTER TABLE t ADD COLUMN more LONG")
    assert store.sql("SELECT * FROM everything").column_names == ["id", "v", "text", "more"]
    store.execute("DROP VIEW BIG")
    store.execute("DROP VIEW IF EXISTS big")
    with pytest.raises(ContainerNotFoundError, match=r"\[280005\].*'big'"):
        store.sql("SELECT * FROM big")


def test_a_view_sees_no_name_of_the_statement_that_reads_it(store: SqliteStore) -> None:
    store.execute("CREATE FORCE VIEW lost AS SELECT outside.id FROM nosuch")
    with pytest.raises(ContainerNotFoundError, match="'nosuch'"):
        store.sql("SELECT outside.id FROM t outside WHERE EXISTS (SELECT 1 FROM lost)")


def test_views_that_read_each_other_too_deep(store: SqliteStore) -> None:
    store.execute("CREATE VIEW v0 AS SELECT id FROM t")
    for number in range(10):
        store.execute(f"CREATE VIEW v{number + 1} AS SELECT id FROM v{number}")  # noqa: S608  numbers
    assert rows(store, "SELECT id FROM v9 ORDER BY id") == [[1], [2]]
    with pytest.raises(SqlRefusedError, match="views that read each other 10 deep"):
        store.sql("SELECT id FROM v10")


def test_a_view_keeps_its_name_from_containers(store: SqliteStore) -> None:
    store.execute("CREATE VIEW seen AS SELECT 1 x")
    store.execute("CREATE TABLE IF NOT EXISTS seen (id LONG)")
    with pytest.raises(ContainerExistsError, match="'seen' is a view"):
        store.put_container(ContainerInfo("SEEN", ContainerType.COLLECTION, (Column("a", T.LONG),)))
    assert store.container("seen") is None


REFUSED = {
    "CREATE VIEW seen AS SELECT 1": 280003,
    "CREATE VIEW t AS SELECT 1": 280003,
    "CREATE TABLE Seen (id LONG)": 280003,
    "CREATE VIEW x AS SELECT * FROM nosuch": 280005,
    "CREATE VIEW x AS SELECT nosuch FROM t": 240008,
    'CREATE VIEW "x y" AS SELECT 1': 1008,
    "CREATE OR REPLACE VIEW x AS SELECT 1": 240001,
    "CREATE VIEW x": 240001,
    "DROP VIEW nosuch": 280037,
    'DROP VIEW "SEEN"': 280037,
    "DROP VIEW t": 280010,
    "DROP TABLE seen": 280010,
    "INSERT INTO seen VALUES (1)": 280010,
    "UPDATE seen SET id = 1": 280010,
    "DELETE FROM seen": 280010,
    "ALTER TABLE seen ADD COLUMN x LONG": 280010,
    "CREATE INDEX ix ON seen (id)": 280010,
    "DROP TABLE nosuch": 280005,
    'DROP TABLE "T"': 280005,
    "DROP TABLE t, parts": 240001,
    "CREATE TABLE elsewhere.x (id LONG)": 280011,
    "CREATE TABLE x (id LONG PRIMARY KEY NULL)": 240001,
    "CREATE TABLE x (id LONG NULL NOT NULL)": 240001,
    "CREATE TABLE x (id LONG PRIMARY KEY PRIMARY KEY)": 240001,
    "CREATE TABLE x (v DOUBLE, id LONG PRIMARY KEY)": 280014,
    "CREATE TABLE x (a LONG, b LONG, PRIMARY KEY (b, a))": 280014,
    "CREATE TABLE x (a LONG, PRIMARY KEY (A))": 280014,
    "CREATE TABLE x (a LONG, PRIMARY KEY (zz))": 280014,
    "CREATE TABLE x (a LONG, b LONG, c LONG, PRIMARY KEY (a, c))": 60015,
    "CREATE TABLE x (a LONG, PRIMARY KEY (a), b LONG)": 240001,
    "CREATE TABLE x (a LONG,)": 240001,
    "CREATE TABLE x (a LONG, A DOUBLE)": 60015,
    "CREATE TABLE x (a DOUBLE PRIMARY KEY)": 60015,
    "CREATE TABLE x (a LONG PRIMARY KEY) USING TIMESERIES": 60015,
    "CREATE TABLE x (a TIMESTAMP(9) PRIMARY KEY) USING TIMESERIES": 60015,
    "CREATE TABLE x (a TIMESTAMP) USING TIMESERIES": 60015,
    "CREATE TABLE x (a TIMESTAMP(4))": 240001,
    "CREATE TABLE x (a LONG DEFAULT 5)": 240001,
    "CREATE TABLE x (a LONG CHECK (a > 0))": 240001,
    "CREATE TABLE x (a DATE)": 240001,
    "CREATE TABLE x (a GEOMETRY)": 240001,
    'CREATE TABLE "x@" (a LONG)': 1008,
    'CREATE TABLE "x#y" (a LONG)': 60025,
    'CREATE TABLE "x y" (a LONG)': 1008,
    'CREATE TABLE "" (a LONG)': 240001,
    "CREATE TABLE 'x' (a LONG)": 240001,
    'CREATE TABLE x ("a b" LONG)': 1008,
    "CREATE TABLE x (a LONG) USING COLLECTION": 240001,
    "CREATE USER u IDENTIFIED BY 'secret'": None,
    "ALTER TABLE t ADD COLUMN v LONG": 60015,
    "ALTER TABLE t ADD COLUMN x LONG PRIMARY KEY": 280012,
    "ALTER TABLE t ADD COLUMN a LONG, b LONG": 240001,
    "ALTER TABLE nosuch ADD COLUMN a LONG": 280005,
    "ALTER TABLE t DROP COLUMN v": 240001,
    "ALTER TABLE t RENAME TO u": 240001,
    "ALTER TABLE t RENAME COLUMN v TO id": 280016,
    "ALTER TABLE t RENAME COLUMN zz TO yy": 280016,
    "ALTER TABLE t RENAME COLUMN v TO v": 280016,
    'ALTER TABLE t RENAME COLUMN v TO "v v"': 1008,
    "CREATE INDEX ix ON t (zz)": 280008,
    'CREATE INDEX ix ON t ("V")': 280008,
    "CREATE INDEX ix ON t (id)": 1007,
    "CREATE INDEX ix ON t (v, V)": 1007,
    'CREATE INDEX "i x" ON t (v)': 1008,
    "CREATE UNIQUE INDEX ix ON t (v)": 240001,
    "DROP INDEX ix ON t": 10096,
    "DROP INDEX ix": 240001,
    "DROP INDEX IF EXISTS ix ON nosuch": 280005,
    "CREATE TABLE x (id LONG PRIMARY KEY, v DOUBLE) PARTITION BY HASH (v) PARTITIONS 4": 280013,
    "CREATE TABLE x (id LONG) PARTITION BY HASH (zz) PARTITIONS 4": 280013,
    "CREATE TABLE x (id LONG) PARTITION BY HASH (id) PARTITIONS 0": 240001,
    "CREATE TABLE x (id LONG) PARTITION BY HASH (id) PARTITIONS 1025": 280012,
    "CREATE TABLE x (id LONG) PARTITION BY RANGE (id) EVERY (1000)": 280013,
    "CREATE TABLE x (id LONG NOT NULL) PARTITION BY RANGE (id) EVERY (999)": 280012,
    "CREATE TABLE x (id BYTE NOT NULL) PARTITION BY RANGE (id) EVERY (128)": 280012,
    "CREATE TABLE x (id STRING NOT NULL) PARTITION BY RANGE (id) EVERY (9)": 280012,
    "CREATE TABLE x (id LONG NOT NULL) PARTITION BY RANGE (id) EVERY (1000, DAY)": 280012,
    "CREATE TABLE x (ts TIMESTAMP PRIMARY KEY) PARTITION BY RANGE (ts) EVERY (1)": 280012,
    "CREATE TABLE x (ts TIMESTAMP PRIMARY KEY) PARTITION BY RANGE (ts) EVERY (1, MONTH)": 240001,
    "CREATE TABLE x (a LONG, b LONG, PRIMARY KEY (a, b)) PARTITION BY RANGE (a) EVERY (3999) "
    "SUBPARTITION BY HASH (b) SUBPARTITIONS 4": 280012,
    'CREATE TABLE "x@1" (id LONG) PARTITION BY HASH (id) PARTITIONS 4': 280023,
    "CREATE TABLE x (ts TIMESTAMP PRIMARY KEY) WITH (expiration_time=9)": 280012,
    "CREATE TABLE x (id LONG PRIMARY KEY) WITH (expiration_time=9) PARTITION BY RANGE (id) EVERY (1000)": 280012,
    "CREATE TABLE x (id LONG PRIMARY KEY) WITH (expiration_type='ROW', expiration_time=9)": 280012,
    "CREATE TABLE x (ts TIMESTAMP PRIMARY KEY) WITH (expiration_time=0) PARTITION BY RANGE (ts) EVERY (1, DAY)": 240001,
    "CREATE TABLE x (ts TIMESTAMP PRIMARY KEY) WITH (expiration_time=9, expiration_time=8) "
    "PARTITION BY RANGE (ts) EVERY (1, DAY)": 240001,
    "CREATE TABLE x (ts TIMESTAMP PRIMARY KEY) WITH (expiration_time=9, expiration_time_unit='WEEK') "
    "PARTITION BY RANGE (ts) EVERY (1, DAY)": 240001,
    "CREATE TABLE x (ts TIMESTAMP PRIMARY KEY) WITH (expiration_type='X', expiration_time=9)": 240001,
    "CREATE TABLE x (ts TIMESTAMP PRIMARY KEY) USING TIMESERIES WITH (expiration_time_unit='DAY')": 240001,
    "CREATE TABLE x (ts TIMESTAMP PRIMARY KEY) WITH (data_affinity='a')": None,
    "ALTER TABLE t DROP PARTITION FOR (1)": 280012,
    "UPDATE parts SET id = 1": 240016,
}


@pytest.mark.parametrize(("statement", "code"), REFUSED.items(), ids=REFUSED)
def test_what_griddb_refuses_has_its_number(scratch: SqliteStore, statement: str, code: int | None) -> None:
    with pytest.raises(StoreError) as caught:
        scratch.execute(statement)
    assert caught.value.code == code, caught.value
    assert scratch.containers() == ["parts", "t"]


TYPES = {
    "STRING(10)": T.STRING,
    "NUMERIC(10, 2)": T.DOUBLE,
    "REAL": T.DOUBLE,
    "DOUBLE PRECISION": T.DOUBLE,
    "CHARACTER(20) VARYING": T.STRING,
    "CLOB": T.STRING,
    "LONGTEXT": T.STRING,
    "LONGBLOB": T.BLOB,
    "FLOAT8": T.FLOAT,
    "INT8": T.INTEGER,
    "INTERVAL": T.INTEGER,
    "POINT": T.INTEGER,
    "INTEGER UNIQUE": T.INTEGER,
    '"SOME INT"': T.INTEGER,
    "BIGINT AUTOINCREMENT": T.LONG,
    "TIMESTAMP WITH TIME ZONE": T.TIMESTAMP,
    "TIMESTAMP(3)": T.TIMESTAMP,
    "TIMESTAMP(6)": T.TIMESTAMP_6,
    "timestamp(9)": T.TIMESTAMP_9,
}


def test_names_of_types(store: SqliteStore) -> None:
    columns = ", ".join(f"c{number} {name}" for number, name in enumerate(TYPES))
    store.execute(f"CREATE TABLE typed ({columns})")
    assert [column.type for column in info_of(store, "typed").columns] == list(TYPES.values())


def test_words_that_are_names_without_quotes(store: SqliteStore) -> None:
    free = ["all", "close", "column", "count", "default", "end", "every", "key", "match", "max", "query", "replace"]
    free += ["row", "timestamp", "to", "with", "by", "offset", "view", "end", "hour", "partition", "range", "year"]
    names = list(dict.fromkeys(free))
    store.execute(f"CREATE TABLE words ({', '.join(f'{name} LONG' for name in names)})")
    assert [column.name for column in info_of(store, "words").columns] == names
    store.execute('CREATE TABLE [1-a.b/c=d] ("select" LONG, [order] STRING)')
    assert info_of(store, "1-a.b/c=d").columns[1].name == "order"
    # The group of nodes is a part of the name: these are two containers.
    store.execute('CREATE TABLE "t@1" (id LONG)')
    assert store.containers() == ["1-a.b/c=d", "t", "t@1", "words"]


@pytest.mark.parametrize("word", ["exists", "identified", "isnull", "role", "transaction", "xor", "over", "add"])
def test_words_that_are_no_names_without_quotes(store: SqliteStore, word: str) -> None:
    with pytest.raises(SqlRefusedError, match=rf"\[240001\].*'{word}' as a name; quote it"):
        store.execute(f"CREATE TABLE x ({word} LONG)")
    store.execute(f'CREATE TABLE x ("{word}" LONG)')


def test_columns_are_renamed_with_their_rows_and_indexes(store: SqliteStore) -> None:
    store.execute("CREATE INDEX ix ON t (v)")
    store.execute("ALTER TABLE T RENAME COLUMN v TO V")
    store.execute("ALTER TABLE t RENAME COLUMN V TO [v-2]")
    store.execute("ALTER TABLE t RENAME COLUMN id TO key")
    # GridDB takes this, and does nothing.
    store.execute("ALTER TABLE t RENAME COLUMN nosuch TO w")
    info = info_of(store, "t")
    assert ([column.name for column in info.columns], info.row_key) == (["key", "v-2", "w"], ("key",))
    assert (info.indexes, info.named_indexes) == (("v-2",), (Index(("v-2",), "ix"),))
    assert rows(store, 'SELECT key, "v-2" FROM t ORDER BY key') == [[1, 1.5], [2, 2.5]]
    store.execute("ALTER TABLE t ADD COLUMN v DOUBLE")
    store.execute("CREATE INDEX iy ON t (v)")
    assert info_of(store, "t").indexes == ("v-2", "v")


def test_columns_are_added(store: SqliteStore) -> None:
    store.execute("ALTER TABLE t ADD n LONG NOT NULL, ADD COLUMN s STRING NOT NULL, ADD u TIMESTAMP(6) NULL")
    assert rows(store, "SELECT n, s, u FROM t WHERE id = 1") == [[0, "", None]]
    with pytest.raises(SqlRefusedError, match=r"\[270006\].*'n'"):
        store.execute("INSERT INTO t (id, s) VALUES (3, 'x')")


def test_indexes_have_names(store: SqliteStore) -> None:
    store.execute("CREATE INDEX ix ON t (v DESC)")
    store.execute("CREATE INDEX iy ON t (v, w)")
    store.execute("CREATE INDEX IF NOT EXISTS IX ON t (w)")
    info = info_of(store, "t")
    assert (info.indexes, info.named_indexes) == (("v",), (Index(("v",), "ix"), Index(("v", "w"), "iy")))
    meta = "SELECT INDEX_NAME, ORDINAL_POSITION, COLUMN_NAME FROM \"#index_info\" WHERE TABLE_NAME = 't'"
    assert sorted(rows(store, meta), key=str) == [["ix", 1, "v"], ["iy", 1, "v"], ["iy", 2, "w"], [None, 1, "id"]]
    with pytest.raises(ContainerExistsError, match=r"\[10095\] Table 't' has an index 'ix'"):
        store.execute("CREATE INDEX ix ON t (w)")
    with pytest.raises(ContainerExistsError, match=r"\[1007\].*an index on v already"):
        store.execute("CREATE INDEX iz ON t (v)")
    store.execute("DROP INDEX ix ON t")
    store.execute("DROP INDEX t.IY")
    store.execute("DROP INDEX IF EXISTS ix ON t")
    assert (info_of(store, "t").indexes, info_of(store, "t").named_indexes) == ((), ())
    # Put again, what has one keeps it.
    store.put_container(replace(info, indexes=("w",), named_indexes=(Index(("w", "v"), "both"),)))
    assert (info_of(store, "t").indexes, info_of(store, "t").named_indexes) == (("w",), (Index(("w", "v"), "both"),))
    # Once, the names of these two would have been one.
    store.execute("CREATE TABLE t_w (v LONG)")
    store.execute("CREATE INDEX ix ON t_w (v)")


def test_meta_tables_tell_types_and_partitions(store: SqliteStore) -> None:
    store.execute(
        "CREATE TABLE p (ts TIMESTAMP, k LONG, n TIMESTAMP(9), PRIMARY KEY (ts, k)) "
        "WITH (expiration_time=90, expiration_time_unit='hour') "
        "PARTITION BY INTERVAL (ts) EVERY (6, HOUR) SUBPARTITION BY HASH (k) SUBPARTITIONS 3"
    )
    assert info_of(store, "p").partitioning == Partitioning("ts", 3, 6, "HOUR", "k", 90, "HOUR")
    told = rows(
        store,
        "SELECT TABLE_OPTIONAL_TYPE, PARTITION_TYPE, PARTITION_COLUMN, PARTITION_INTERVAL_VALUE, "
        "PARTITION_INTERVAL_UNIT, PARTITION_DIVISION_COUNT, SUBPARTITION_TYPE s, SUBPARTITION_COLUMN, "
        "SUBPARTITION_DIVISION_COUNT, EXPIRATION_TIME, EXPIRATION_TIME_UNIT, EXPIRATION_TYPE "
        "FROM \"#tables\" WHERE TABLE_NAME = 'p'",
    )
    assert told == [["COLLECTION", "INTERVAL", "ts", "6", "HOUR", None, "HASH", "k", 3, 90, "HOUR", "PARTITION"]]
    types = "SELECT TYPE_NAME, DECIMAL_DIGITS, CHAR_OCTET_LENGTH, NULLABLE FROM \"#columns\" WHERE TABLE_NAME = 'p'"
    assert rows(store, f"{types} ORDER BY ORDINAL_POSITION") == [
        ["TIMESTAMP", 3, 30, False],
        ["LONG", None, 2_000_000_000, False],
        ["TIMESTAMP", 9, 36, True],
    ]


def test_there_are_no_triggers(store: SqliteStore) -> None:
    triggers = store.sql('SELECT * FROM "#event_triggers"')
    assert (triggers.num_rows, triggers.num_columns) == (0, 12)


def test_a_partitioned_series_is_for_sql(store: SqliteStore) -> None:
    store.execute(
        "CREATE TABLE p (ts TIMESTAMP PRIMARY KEY, v DOUBLE) USING TIMESERIES PARTITION BY RANGE (ts) EVERY (30, DAY)"
    )
    store.execute("INSERT INTO p VALUES (TO_TIMESTAMP_MS(1), 1), (TO_TIMESTAMP_MS(9000000000), 2)")
    assert store.read("p", 1, 2).num_rows == 1
    assert store.tql("p", "select * where v = 2").num_rows == 1
    with pytest.raises(SqlRefusedError, match=r"\[151001\].*partitioned"):
        store.tql("p", "select * order by v")
    with pytest.raises(SqlRefusedError, match=r"\[145003\].*partitioned"):
        store.aggregate("p", "MAXIMUM", "v")
    with pytest.raises(SqlRefusedError, match=r"\[240016\].*partitioning column 'ts'"):
        store.execute("UPDATE p SET ts = ts")
    with pytest.raises(SqlRefusedError, match="DROP PARTITION of table 'p'; DELETE the rows of that interval"):
        store.execute("ALTER TABLE p DROP PARTITION FOR ('1970-01-01')")
    store.execute("ALTER TABLE p RENAME COLUMN ts TO at")
    again = info_of(store, "p")
    assert again.partitioning == Partitioning("at", interval=30, interval_unit="DAY")
    assert store.put_container(replace(again, partitioning=None)) == again
    with pytest.raises(ContainerExistsError, match="its partitioning is"):
        store.put_container(replace(again, partitioning=Partitioning("at", interval=1, interval_unit="DAY")))
    store.drop_container("p")
    assert store.containers() == ["t"]


def test_rows_of_an_expired_partition_are_not_seen(store: SqliteStore) -> None:
    columns = (Column("ts", T.TIMESTAMP, nullable=False), Column("v", T.DOUBLE))
    store.put_container(
        ContainerInfo(
            "short",
            ContainerType.TIME_SERIES,
            columns,
            ("ts",),
            partitioning=Partitioning("ts", interval=1, interval_unit="DAY", expiration=2),
        )
    )
    times = [datetime(2001, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)]
    assert store.put("short", pa.table({"ts": pa.array(times, pa.timestamp("ms", "UTC")), "v": [1.0, 2.0]})) == 2
    assert rows(store, "SELECT v FROM short") == [[2.0]]
    assert store.read("short").column("v").to_pylist() == [2.0]
    assert store.get("short", times).column("v").to_pylist() == [2.0]
    assert store.tql("short", "select *").column("v").to_pylist() == [2.0]
    assert store.execute("UPDATE short SET v = 5") == 1
    assert store.execute("DELETE FROM short") == 1


def test_a_partitioning_that_griddb_refuses(store: SqliteStore) -> None:
    info = ContainerInfo(
        "x", ContainerType.COLLECTION, (Column("id", T.LONG, nullable=False),), ("id",), partitioning=Partitioning("id")
    )
    with pytest.raises(SchemaError, match="'x' has neither a hash_count nor an interval"):
        store.put_container(info)
    with pytest.raises(SchemaError, match=r"\[280012\] An expiration of 'x' needs an interval of a TIMESTAMP"):
        store.put_container(replace(info, partitioning=Partitioning("id", interval=1000, expiration=1)))
    with pytest.raises(SchemaError, match=r"\[280013\] Partitioning column 'zz' of 'x' does not exist"):
        store.put_container(replace(info, partitioning=Partitioning("zz", hash_count=2)))
