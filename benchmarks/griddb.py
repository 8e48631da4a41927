"""A GridDB cluster against what one would write with JayDeBeApi: upsert rows, read them back.

Only where GRIDWATCH_TEST_GRIDDB_URL names a server; user and password come from the settings.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.figure import Figure, compare
from benchmarks.store import minute_bars
from gridwatch.containers import Store, open_store
from gridwatch.containers.catalog import series_info
from gridwatch.settings import load_settings

if TYPE_CHECKING:
    import pandas as pd

ROWS = 50_000
BATCH = 1000
NAME = "gridwatch_benchmark"


def run() -> Iterator[Figure]:
    """Yield the figures for writing and reading, none without a server."""
    url = os.environ.get("GRIDWATCH_TEST_GRIDDB_URL")
    if not url:
        print("griddb: left out, GRIDWATCH_TEST_GRIDDB_URL names no server", file=sys.stderr)
        return
    with open_store(url, settings=load_settings()) as store:
        store.drop_container(NAME)
        store.put_container(series_info(NAME))
        try:
            yield from _compared(store, url, minute_bars(ROWS))
        finally:
            store.drop_container(NAME)


def _compared(store: Store, url: str, frame: pd.DataFrame) -> Iterator[Figure]:
    connection = _connect(url)
    cursor = connection.cursor()
    rows = _jdbc_rows(frame)

    def write_plain() -> None:
        # GridDB takes no more than 1000 rows in one batch.
        for start in range(0, len(rows), BATCH):
            cursor.executemany(f"INSERT OR REPLACE INTO {NAME} VALUES (?, ?, ?, ?, ?, ?)", rows[start : start + BATCH])

    def read_plain() -> Sequence[Any]:
        cursor.execute(f"SELECT * FROM {NAME} ORDER BY ts")
        found: Sequence[Any] = cursor.fetchall()
        return found

    ours_s, plain_s = compare(lambda: store.put(NAME, frame), write_plain)
    yield Figure("griddb write", ROWS, "rows", ours_s, "jaydebeapi executemany", plain_s, aim=50)
    ours_s, plain_s = compare(lambda: store.read(NAME), read_plain)
    equal = store.read(NAME).column("close").to_pylist() == [row[4] for row in read_plain()]
    yield Figure(
        "griddb read", ROWS, "rows", ours_s, "jaydebeapi fetchall", plain_s, aim=30, note=f"equal values: {equal}"
    )
    connection.close()


def _connect(url: str) -> Any:
    import jaydebeapi

    from gridwatch.containers.griddb_address import Cluster

    cluster, login = Cluster.from_url(url), load_settings().griddb
    assert login.password is not None
    properties = cluster.sql_properties() | {"user": login.user, "password": login.password.get_secret_value()}
    return jaydebeapi.connect("com.toshiba.mwcloud.gs.sql.Driver", cluster.sql_url(), properties)


def _jdbc_rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Rows as JayDeBeApi wants them, made before the clock runs: a TIMESTAMP is an object of Java's."""
    from gridwatch.containers.jvm import java_class

    timestamp = java_class("java.sql.Timestamp")
    times = [timestamp(ms) for ms in frame["ts"].astype("int64").tolist()]
    others = [frame[name].tolist() for name in frame.columns[1:]]
    return list(zip(times, *others, strict=True))
