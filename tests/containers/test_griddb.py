"""What only a GridDB server can show: threads, restarts, databases, partitions, processes. `-m griddb` runs them."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gridwatch.alerts.deliveries import revive
from gridwatch.alerts.receipts import Receipt, Receipts
from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Store, open_store
from gridwatch.containers.catalog import DELIVERIES, LEASES, anomaly_info
from gridwatch.containers.griddb import GridDBStore
from gridwatch.containers.lease import Lease
from gridwatch.containers.schema import Index, Partitioning
from gridwatch.errors import RangeTooLargeError, SchemaError, SqlRefusedError, StoreError, ValueRefusedError
from gridwatch.settings import load_settings
from tests.containers.griddb_server import DATABASE, ensure_database, griddb, needs_server, server_url

pytestmark = pytest.mark.griddb

T = ColumnType
BARS = ContainerInfo(
    "bars",
    ContainerType.TIME_SERIES,
    (Column("ts", T.TIMESTAMP, nullable=False), Column("v", T.DOUBLE), Column("s", T.STRING)),
    ("ts",),
)
DAY_MS = 86_400_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with griddb(tmp_path) as store:
        yield store


def rows(*times_ms: int, text: str | None = "x") -> pa.Table:
    return pa.table(
        {
            "ts": pa.array(times_ms, pa.timestamp("ms", "UTC")),
            "v": pa.array([ms / 1000 for ms in times_ms]),
            "s": pa.array([text] * len(times_ms), pa.string()),
        }
    )


def test_many_threads_share_one_store(store: Store) -> None:
    store.put_container(BARS)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                ms = (number * 100 + turn) * 1000
                store.put("bars", rows(ms, text=f"t{number}"))
                assert store.get("bars", [ms]).num_rows == 1
                found = store.sql("SELECT COUNT(*) n FROM bars WHERE s = ?", [f"t{number}"])
                assert found.column("n")[0].as_py() == turn + 1
        except BaseException as error:  # noqa: BLE001 - told by the thread that started it
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.read("bars").num_rows == 160


def test_one_of_many_gets_the_lease_and_one_the_delivery(store: Store) -> None:
    """UPDATE ... WHERE has several winners here (see `Store.atomic_updates`); leases and claims have one."""
    store.put_container(LEASES)
    store.put_container(DELIVERIES)
    store.put(DELIVERIES.name, pa.table({"id": ["d"], "status": ["pending"], "attempts": [0], "last_ms": [1]}))
    together = threading.Barrier(4)

    def attempt(number: int) -> list[tuple[bool, bool]]:
        now_ms = 1_000_000
        lease = Lease(store, "job", clock=lambda: now_ms, lasts_ms=1000)
        receipts = Receipts(store)
        found = []
        for _ in range(8):
            row = receipts.read("d")
            assert row is not None
            together.wait(30)
            found.append((lease.hold(), receipts.claim(row, now_ms=now_ms) is not None))
            together.wait(30)
            now_ms += 100_000
        return found

    with ThreadPoolExecutor(4) as pool:
        for turn, outcome in enumerate(zip(*pool.map(attempt, range(4)), strict=True)):
            assert sum(held for held, _ in outcome) <= 1, turn
            assert sum(claimed for _, claimed in outcome) <= 1, turn
    row = Receipts(store).read("d")
    assert row is not None
    assert row.attempts >= 4
    assert store.get(LEASES.name, ["job"]).num_rows == 1


def test_a_late_receipt_is_not_undone_by_a_claim_or_a_revival(store: Store) -> None:
    store.put_container(LEASES)
    store.put_container(DELIVERIES)
    receipts = Receipts(store)
    changes: list[tuple[str, Callable[[Receipt], object]]] = [
        ("sending", lambda row: receipts.claim(row, now_ms=100_000)),
        ("dead", lambda _: revive(store, now_ms=100_000)),
    ]
    with ThreadPoolExecutor(2) as pool:
        for turn in range(20):
            status, change = changes[turn % 2]
            first = {"id": ["d"], "status": [status], "attempts": [1], "last_ms": [1]}
            store.put(DELIVERIES.name, pa.table(first))
            row = receipts.read("d")
            assert row is not None
            late = pool.submit(receipts.finish, replace(row, status="sent", last_ms=100_000))
            pool.submit(change, row).result()
            late.result()
            found = receipts.read("d")
            assert found is not None
            assert found.status == "sent", turn


def test_several_databases_do_not_see_each_other(store: Store) -> None:
    other_database = f"{DATABASE}_2"
    ensure_database(other_database)
    store.put_container(BARS)
    store.put("bars", rows(1000))
    with open_store(server_url(other_database), settings=load_settings()) as other:
        for name in other.containers():
            other.drop_container(name)
        assert other.container("bars") is None
        other.put_container(BARS)
        other.put("bars", rows(1000, 2000))
        assert other.sql("SELECT * FROM bars").num_rows == 2
        other.drop_container("bars")
    assert store.read("bars").num_rows == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/{cluster}/nosuch_database", r"\[10005\] GridDB at .* refuses the login.*; check cluster and database"),
        (
            "/nosuch_cluster/public",
            r"\[10053\] Cluster 'nosuch_cluster' is not what the server at .* calls itself: that is '[^']+';",
        ),
    ],
)
def test_a_wrong_database_or_cluster_is_told_within_seconds(path: str, message: str) -> None:
    good = server_url()
    head, cluster = good.split("/")[2], good.split("/")[3]
    query = good.partition("?")[2]
    began = time.monotonic()
    with pytest.raises(StoreError, match=message):
        open_store(f"griddb://{head}{path.format(cluster=cluster)}?{query}".rstrip("?"), settings=load_settings())
    assert time.monotonic() - began < 60


def test_a_wrong_password_is_told_and_not_shown() -> None:
    settings = load_settings()
    wrong = settings.model_copy(update={"griddb": settings.griddb.model_copy(update={"password": _secret("wr0ng")})})
    with pytest.raises(StoreError, match=r"refuses the login.*GRIDWATCH_GRIDDB__PASSWORD") as caught:
        open_store(server_url(), settings=wrong)
    assert "wr0ng" not in str(caught.value)


def _secret(text: str) -> Any:
    from pydantic import SecretStr

    return SecretStr(text)


PARTITIONED = ContainerInfo(
    "by_month",
    ContainerType.TIME_SERIES,
    BARS.columns,
    ("ts",),
    ("v",),
    partitioning=Partitioning("ts", interval=30, interval_unit="DAY", expiration=3650, expiration_unit="DAY"),
)
HASHED = ContainerInfo(
    "by_hash",
    ContainerType.COLLECTION,
    (Column("id", T.LONG, nullable=False), Column("at", T.TIMESTAMP, nullable=False), Column("data", T.BLOB)),
    ("id", "at"),
    partitioning=Partitioning("at", hash_count=3, interval=1, interval_unit="DAY", sub_column="id"),
)


def test_partitioned_tables_are_containers_like_others(store: Store) -> None:
    now_ms = int(time.time() * 1000) // DAY_MS * DAY_MS
    for info in (PARTITIONED, HASHED):
        assert store.put_container(info) == info
        assert store.put_container(info) == info
        assert store.container(info.name) == info
    times = [now_ms - day * 20 * DAY_MS for day in range(10)]
    assert store.put("by_month", rows(*times)) == 10
    found = store.read("by_month")
    assert found.schema == PARTITIONED.arrow
    assert found.column("ts").cast(pa.int64()).to_pylist() == sorted(times)
    assert store.read("by_month", times[3], times[1]).num_rows == 3
    with pytest.raises(RangeTooLargeError, match="'by_month' has more than 9 rows"):
        store.read("by_month", rows_max=9)
    assert store.get("by_month", times[:2]).num_rows == 2
    assert store.delete("by_month", [times[0], 5]) == 1
    assert store.tql("by_month", "select * where v > 0").num_rows == 9
    with pytest.raises(SqlRefusedError, match=r"\[145003\].*'by_month' is partitioned"):
        store.aggregate("by_month", "COUNT")
    many = pa.table({"id": range(30_000), "at": [now_ms] * 30_000, "data": [b"x"] * 30_000})
    assert store.put("by_hash", many) == 30_000
    key = datetime.fromtimestamp(now_ms // 1000, UTC)
    assert store.get("by_hash", [(7, key)]).column("data")[0].as_py() == b"x"
    assert store.sql('SELECT COUNT(*) n FROM "by_hash"').column("n")[0].as_py() == 30_000
    store.drop_container("by_hash")
    needs_server(store, (5, 0), "ADD COLUMN on a partitioned table")
    more = ContainerInfo("BY_MONTH", PARTITIONED.type, (*BARS.columns, Column("w", T.LONG)), ("ts",))
    assert store.put_container(more, modifiable=True).partitioning == PARTITIONED.partitioning
    store.drop_container("by_month")
    assert store.containers() == []


def test_expired_parts_are_gone(store: Store) -> None:
    now_ms = int(time.time() * 1000)
    short = Partitioning("ts", interval=1, interval_unit="DAY", expiration=1, expiration_unit="DAY")
    store.put_container(ContainerInfo("short", BARS.type, BARS.columns, ("ts",), partitioning=short))
    store.put("short", rows(now_ms, now_ms - 10 * DAY_MS))
    assert store.read("short").column("ts").cast(pa.int64()).to_pylist() == [now_ms]


def test_views_and_named_indexes(store: Store) -> None:
    indexed = ContainerInfo(
        "bars", BARS.type, BARS.columns, BARS.row_key, named_indexes=(Index(("v", "s"), "by_v"), Index(("s",)))
    )
    store.put_container(indexed)
    found = store.container("bars")
    assert found is not None
    assert Index(("v", "s"), "by_v") in found.named_indexes
    assert found.indexes == ("s",)
    store.execute("CREATE VIEW look AS SELECT v FROM bars")
    assert store.containers() == ["bars"]
    assert store.container("look") is None
    store.drop_container("look")
    store.put("bars", rows(1000))
    assert store.sql("SELECT * FROM look").to_pydict() == {"v": [1.0]}
    store.execute("DROP VIEW look")


def test_rows_from_before_a_first_string_column_are_read(store: Store) -> None:
    plain = ContainerInfo("grown", BARS.type, BARS.columns[:2], ("ts",))
    store.put_container(plain)
    store.put("grown", rows(1000, 2000).drop_columns(["s"]))
    store.put_container(ContainerInfo("grown", BARS.type, BARS.columns, ("ts",)), modifiable=True)
    store.put("grown", rows(3000))
    assert store.read("grown", columns=["s", "v"]).to_pydict() == {"s": [None, None, "x"], "v": [1.0, 2.0, 3.0]}
    assert store.get("grown", [2000, 9, 1000]).to_pydict()["v"] == [2.0, 1.0]


@pytest.mark.parametrize("kind", [T.TIMESTAMP, T.TIMESTAMP_6, T.TIMESTAMP_9])
def test_old_rows_are_found_by_times_of_every_precision(store: Store, kind: ColumnType) -> None:
    if kind is not T.TIMESTAMP:
        needs_server(store, (5, 0), f"{kind}")
    columns = (Column("n", T.LONG, nullable=False), Column("at", kind, nullable=False))
    store.put_container(ContainerInfo("grown", ContainerType.COLLECTION, columns, ("n", "at")))
    assert kind.precision is not None
    unit = 10**kind.precision
    times = [1_700_000_000 * unit + step for step in range(3)]
    store.put("grown", pa.table({"n": [1, 2, 3], "at": pa.array(times, pa.int64()).cast(kind.arrow)}))
    store.put_container(
        ContainerInfo("grown", ContainerType.COLLECTION, (*columns, Column("s", T.STRING)), ("n", "at")),
        modifiable=True,
    )
    keys = [(3, times[2]), (1, times[1]), (1, times[0])]
    assert store.get("grown", keys).to_pydict()["n"] == [3, 1]


def test_a_large_put_is_one_transaction(store: Store) -> None:
    store.put_container(BARS)
    count = 45_000
    ready, done = threading.Event(), threading.Event()
    seen: set[int] = set()

    def watch() -> None:
        ready.set()
        while not done.is_set():
            seen.add(store.sql("SELECT COUNT(*) n FROM bars").column("n")[0].as_py())

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        ready.wait(10)
        store.put("bars", rows(*range(count)))
        done.set()
        watching.result()
    assert seen <= {0, count}
    assert store.read("bars").num_rows == count


def test_a_series_is_read_page_by_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridwatch.containers.griddb._PAGE", 7)
    store.put_container(BARS)
    store.put("bars", rows(*range(0, 21_000, 1000)))
    assert store.read("bars", columns=["v"]).to_pydict() == {"v": [float(n) for n in range(21)]}
    assert store.read("bars", 3000, 13_000, columns=["v", "ts"]).column("v").to_pylist() == list(range(3, 14))
    assert store.read("bars", rows_max=21).schema == BARS.arrow
    for most in (20, 13, 6):
        with pytest.raises(RangeTooLargeError, match=f"more than {most} rows"):
            store.read("bars", rows_max=most)


def test_more_than_the_server_holds_in_memory_is_read(store: Store) -> None:
    blobs = ContainerInfo(
        "blobs", ContainerType.COLLECTION, (Column("n", T.LONG, nullable=False), Column("data", T.BLOB)), ("n",)
    )
    store.put_container(blobs)
    size, count = 4 << 20, 40
    for number in range(count):
        store.put("blobs", pa.table({"n": [number], "data": [bytes([number]) * size]}))
    for found in (store.get("blobs", list(range(count))), store.read("blobs")):
        assert found.column("n").to_pylist() == list(range(count))
        for number, data in enumerate(found.column("data")):
            assert data.as_buffer().to_pybytes() == bytes([number]) * size


def _spawned(url: str, answer: Any) -> None:
    with open_store(url, settings=load_settings()) as store:
        answer.put(store.read("bars").num_rows)


def test_spawned_processes_work(store: Store) -> None:
    store.put_container(BARS)
    store.put("bars", rows(1000, 2000))
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    child = context.Process(target=_spawned, args=(server_url(), answer))
    child.start()
    assert answer.get(timeout=60) == 2
    child.join(30)
    assert child.exitcode == 0


def test_a_forked_child_is_told_at_once(store: Store) -> None:
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            store.containers()
        except StoreError as error:
            os.write(write_end, str(error).encode())
        store.close()
        os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    with os.fdopen(read_end, "rb") as told:
        assert b"GridDB's client would hang in it" in told.read()
    assert store.containers() == []


def test_a_restart_of_the_server_is_survived(store: Store) -> None:
    command = os.environ.get("GRIDWATCH_TEST_GRIDDB_RESTART")
    if not command:
        pytest.skip("GRIDWATCH_TEST_GRIDDB_RESTART names no command that restarts the server")
    store.put_container(BARS)
    store.put("bars", rows(1000))
    assert store.sql("SELECT * FROM bars").num_rows == 1
    subprocess.run(shlex.split(command), check=True, timeout=120, capture_output=True)
    # What reads is asked anew; what changes something is checked before it is sent.
    assert store.sql("SELECT * FROM bars").num_rows == 1
    assert store.read("bars").num_rows == 1
    assert store.execute("UPDATE bars SET v = 5.0") == 1
    assert store.put("bars", rows(2000)) == 1
    assert store.read("bars").to_pydict()["v"] == [5.0, 2.0]


class _Taker(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.taken.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))  # type: ignore[attr-defined]
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_triggers_are_those_of_4x(store: Store) -> None:
    assert isinstance(store, GridDBStore)
    info = store.put_container(anomaly_info("X"))
    key = "0123456789abcdef" * 2
    with ThreadingHTTPServer(("127.0.0.1", 0), _Taker) as server:
        server.taken = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/trigger/s3cret"
        with pytest.raises(SchemaError, match="call http:// URLs with a path") as caught:
            store.put_trigger(info.name, "t", "https://h/s3cret", ["id"])
        assert "s3cret" not in str(caught.value)
        refused = None
        try:
            store.put_trigger(info.name, "t", url, ["id"])
        except SqlRefusedError as error:
            refused = error
        if refused is not None:
            assert (refused.code, store.triggers(info.name)) == (1007, {})
            assert "s3cret" not in str(refused)
        else:
            assert store.triggers(info.name) == {"t": url}
            store.put(info.name, pa.table({"id": [key]}))
            # A length byte in front, and the last character gone.
            body = f'{{ "container":"ANOMALY_X", "event":"put", "row":{{ "id":"A{key[:-1]}" }} }}'
            assert server.taken == [("/trigger/s3cret", body.encode())]  # type: ignore[attr-defined]
            store.drop_trigger(info.name, "t")
            assert store.triggers(info.name) == {}
        store.drop_trigger(info.name, "none")
        server.shutdown()


def test_text_that_java_or_python_cannot_say_is_refused_by_name(store: Store) -> None:
    store.put_container(BARS)
    with pytest.raises(
        SchemaError, match="Container 'a\U0001f600': a name holds a character that GridDB does not take"
    ):
        store.container("a\U0001f600")
    with pytest.raises(ValueRefusedError, match="text has half of a surrogate pair at 8, which is no character"):
        store.sql("SELECT '\ud800' x")
    with pytest.raises(ValueRefusedError, match="text has half of a surrogate pair at 20, which is no character"):
        store.tql("bars", "select * where s = '\ud800'")
    assert store.sql("SELECT 'a\U0001f600' x").column("x").to_pylist() == ["a\U0001f600"]
