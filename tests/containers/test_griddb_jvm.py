"""The JVM in this process: columns through Java and back, errors, forks. No server is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.containers import jvm as jvm_module
from gridwatch.containers.griddb_columns import batches, kinds_of, listed, rows_in
from gridwatch.containers.griddb_errors import is_connection_error, translated
from gridwatch.containers.griddb_pool import Pool
from gridwatch.containers.griddb_schema import from_java, to_java
from gridwatch.containers.jvm import java_class, start_jvm
from gridwatch.containers.schema import PLAIN_TYPES
from gridwatch.errors import SchemaError, SqlFailedError, StoreBusyError, StoreError

T = ColumnType
COLUMNS = (*PLAIN_TYPES, T.TIMESTAMP_6, T.TIMESTAMP_9)
EVERYTHING = ContainerInfo(
    "everything", ContainerType.COLLECTION, tuple(Column(f"c{n}", kind) for n, kind in enumerate(COLUMNS))
)
MS_MAX = 253_402_300_799_999
VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    T.BOOL: st.booleans(),
    T.STRING: st.text(max_size=20),
    T.BYTE: st.integers(-(2**7), 2**7 - 1),
    T.SHORT: st.integers(-(2**15), 2**15 - 1),
    T.INTEGER: st.integers(-(2**31), 2**31 - 1),
    T.LONG: st.integers(-(2**63), 2**63 - 1),
    T.FLOAT: st.floats(allow_nan=False, width=32),
    T.DOUBLE: st.floats(allow_nan=False),
    T.TIMESTAMP: st.integers(0, MS_MAX),
    T.BLOB: st.binary(max_size=20),
    T.TIMESTAMP_6: st.integers(0, MS_MAX * 1000 + 999),
    T.TIMESTAMP_9: st.integers(0, 2**63 - 1),
}


@pytest.fixture(scope="module")
def pattern() -> Any:
    """An empty row of `EVERYTHING`; GridDB's client makes it without asking a server."""
    start_jvm(os.environ)
    properties = java_class("java.util.Properties")()
    properties.setProperty("notificationMember", "127.0.0.1:9")
    properties.setProperty("clusterName", "none")
    store = java_class("com.toshiba.mwcloud.gs.GridStoreFactory").getInstance().getGridStore(properties)
    return store.createRow(to_java(EVERYTHING))


def through_java(pattern: Any, table: pa.Table) -> pa.Table:
    """Make rows of a table in Java, and a table of the rows."""
    rows = java_class("java.util.ArrayList")()
    for batch in batches(table):
        rows.addAll(rows_in(batch, COLUMNS).rows(pattern))
    return listed(EVERYTHING.arrow, kinds_of(EVERYTHING), rows)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(*(st.none() | VALUES[kind] for kind in COLUMNS)), max_size=30), st.integers(0, 9))
def test_every_value_passes_through_java(pattern: Any, rows: list[tuple[Any, ...]], skipped: int) -> None:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
    arrays = [pa.array(list(column), kind.arrow) for column, kind in zip(columns, COLUMNS, strict=True)]
    # A slice begins inside a byte of Arrow's bits.
    table = pa.Table.from_arrays(arrays, schema=EVERYTHING.arrow).slice(skipped)
    assert through_java(pattern, table).equals(table)


def test_long_columns_grow_and_large_ones_are_cut(pattern: Any) -> None:
    count = 25_000
    values = {field.name: pa.nulls(count, field.type) for field in EVERYTHING.arrow}
    values |= {"c0": pa.array([n % 3 == 0 for n in range(count)]), "c1": pa.array([str(n) for n in range(count)])}
    values["c9"] = pa.array([b"x" * (n % 5) for n in range(count)], pa.binary())
    table = pa.table(values, schema=EVERYTHING.arrow)
    assert [batch.num_rows for batch in batches(table)] == [20_000, 5_000]
    assert through_java(pattern, table).equals(table)
    blobs = pa.table({"b": pa.array([b"x" * (4 << 20)] * 10)})
    assert sum(batch.num_rows for batch in batches(blobs)) == 10
    assert max(batch.nbytes for batch in batches(blobs)) <= 17 << 20


def test_a_schema_passes_through_java(pattern: Any) -> None:
    del pattern
    series = ContainerInfo(
        "bars", ContainerType.TIME_SERIES, (Column("ts", T.TIMESTAMP, nullable=False), Column("v", T.DOUBLE)), ("ts",)
    )
    assert from_java(to_java(series)) == series
    assert from_java(to_java(EVERYTHING)) == EVERYTHING
    arrays = ContainerInfo("a", ContainerType.COLLECTION, (Column("v", T.LONG_ARRAY),))
    with pytest.raises(
        SchemaError,
        match=r"Container 'a': column 'v' is a LONG_ARRAY, which .*; use the cluster's Web API \(griddb\+http",
    ):
        to_java(arrays)


@pytest.mark.parametrize(
    ("kind", "arguments", "wanted", "message", "connection"),
    [
        (
            "java.sql.SQLException",
            (
                "[75001:QF_DIVIDE_BY_ZERO] Divide by 0 on executing query (sql=\"SELECT 1/0\") (db='public')",
                None,
                75001,
            ),
            SqlFailedError,
            r"^\[75001\] SQL: Divide by 0\.$",
            False,
        ),
        (
            "com.toshiba.mwcloud.gs.GSException",
            (145028, "Failed to connect (reason=refused)"),
            StoreError,
            r"^\[145028\] GridDB at h:1 does not answer: Failed to connect \(reason=refused\)\.$",
            True,
        ),
        (
            "com.toshiba.mwcloud.gs.GSException",
            (10005, " (address=h/1.2.3.4:1, partitionId=0)"),
            StoreError,
            r"GridDB at h:1 refuses the login; check cluster and database.*GRIDWATCH_GRIDDB__PASSWORD",
            False,
        ),
        (
            "com.toshiba.mwcloud.gs.GSException",
            (
                10053,
                "Failover timed out (trialCount=5, reason=[10053:TXN_CLUSTER_NAME_INVALID] cluster name invalid "
                "(input=mine, current=theirs) (address=h/1.2.3.4:1, partitionId=0))",
            ),
            StoreError,
            r"^\[10053\] Cluster 'mine' is not what the server at h:1 calls itself: that is 'theirs'; correct the "
            r"cluster's name in the store's URL, or the address\.$",
            False,
        ),
        (
            "com.toshiba.mwcloud.gs.GSTimeoutException",
            (50000, "lock wait"),
            StoreBusyError,
            r"^\[50000\] GridDB at h:1 took too long: lock wait\.$",
            False,
        ),
        ("java.lang.IllegalStateException", ("odd",), StoreError, r"^SQL: odd\.$", False),
    ],
)
def test_java_exceptions_become_our_errors(
    pattern: Any, kind: str, arguments: tuple[Any, ...], wanted: type[StoreError], message: str, connection: bool
) -> None:
    del pattern
    with pytest.raises(StoreError, match=message) as caught, translated("h:1", "SQL"):
        raise java_class(kind)(*arguments)
    assert type(caught.value) is wanted
    assert is_connection_error(caught.value) is connection


class _Connection:
    closed = False

    def close(self) -> None:
        self.closed = True


def test_the_pool_lends_keeps_and_closes(pattern: Any) -> None:
    del pattern
    made: list[_Connection] = []

    def opened() -> _Connection:
        made.append(_Connection())
        return made[-1]

    pool = Pool(opened, lambda _: True)
    with pool.take() as first, pool.take() as second:
        assert first is not second
    with pool.take() as again:
        assert again in made
    with pytest.raises(StoreError, match="away"), pool.take() as broken:
        raise StoreError("away", connection=True)
    assert broken.closed
    with pytest.raises(ValueError, match="foreign"), pool.take() as spoilt:
        raise ValueError("foreign")
    assert spoilt.closed
    with pool.take() as lent:
        pool.close()
    assert lent.closed
    with pytest.raises(StoreError, match="The store is closed; open it again"), pool.take():
        pass


def test_a_connection_that_died_meanwhile_is_replaced(pattern: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    del pattern
    monkeypatch.setattr("gridwatch.containers.griddb_pool._FRESH_S", -1.0)
    pool = Pool(_Connection, lambda connection: connection.closed)
    with pool.take() as first:
        pass
    with pool.take() as second:
        assert second is not first
    assert first.closed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_forked_after_the_jvms_start_is_refused_at_once() -> None:
    script = Path(__file__).with_name("griddb_fork.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=240, check=True)
    said = [line for line in done.stdout.splitlines() if "jvm_started" not in line and "java_compiled" not in line]
    assert (
        "was forked from one whose JVM was running, and GridDB's client would hang in it. Start processes by spawn"
        in (said[0])
    )
    assert said[-1] == "child 3, parent 1"


def test_a_forked_process_is_refused_before_anything_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jvm_module, "_forked", True)
    pool = Pool(lambda: pytest.fail("opened"), lambda _: True)
    with pytest.raises(StoreError, match="Start processes by spawn"), pool.take():
        pass
