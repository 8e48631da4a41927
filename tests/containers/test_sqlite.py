"""The store file: many processes at once, sudden death, forks, damage, versions, backups, one SQLite library."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import gridwatch
from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Store, open_store
from gridwatch.containers import _sqlite_format as layout
from gridwatch.containers import _sqlite_session as sessions
from gridwatch.containers._sqlite_session import Session
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import ConfigError, ContainerNotFoundError, StoreBusyError, StoreError, ValueRefusedError

WRITER = Path(__file__).with_name("writer_process.py")
T = ColumnType
SHARED = ContainerInfo(
    "shared",
    ContainerType.TIME_SERIES,
    (Column("ts", T.TIMESTAMP, nullable=False), Column("v", T.DOUBLE), Column("n", T.LONG)),
    ("ts",),
)
LAST = ContainerInfo(
    "last", ContainerType.COLLECTION, (Column("name", T.STRING, nullable=False), Column("batch", T.LONG)), ("name",)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(path) as store:
        store.put_container(SHARED)
        store.put_container(LAST)
        yield store


def start_writer(path: Path, number: int, seconds: float, rows: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WRITER), str(path), str(number), str(seconds), str(rows)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rows_of(number: int) -> pa.Table:
    return pa.table({"ts": pa.array([number], pa.timestamp("ms", "UTC")), "v": [float(number)], "n": [number]})


def check_integrity(path: Path) -> None:
    session = Session(path)
    assert session.query("PRAGMA integrity_check").column(0).to_pylist() == ["ok"]
    session.close()


def four_writers(store: SqliteStore, seconds: float, rows: int) -> None:
    writers = [start_writer(store.path, number, seconds, rows) for number in range(4)]
    batches = []
    for writer in writers:
        out, err = writer.communicate(timeout=seconds + 240)
        assert writer.returncode == 0, err
        batches.append(out.split()[1:])
    counted = store.sql("SELECT v, COUNT(*) n FROM shared GROUP BY v ORDER BY v").to_pydict()["n"]
    assert counted == [len(lines) * rows for lines in batches]
    assert all(batches), "a writer starved"
    check_integrity(store.path)


def test_four_processes_write_at_once(store: SqliteStore) -> None:
    four_writers(store, seconds=5, rows=200)


@pytest.mark.slow
def test_four_processes_write_at_once_for_a_minute(store: SqliteStore) -> None:
    four_writers(store, seconds=60, rows=1000)


def test_processes_that_make_the_same_store_at_once(path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", f"from gridwatch.containers import open_store as o; o('sqlite:///{path}')"]
        )
        for _ in range(4)
    ]
    assert [writer.wait(timeout=240) for writer in writers] == [0] * 4


@pytest.mark.parametrize("place", [1, 2])
def test_a_store_that_another_makes_meanwhile_is_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    number, asked = layout._number, 0

    def another_makes_it(session: Session, sql: str) -> int:
        nonlocal asked
        found = number(session, sql)
        asked += 1
        if asked == place:
            SqliteStore(path).close()
        return found

    monkeypatch.setattr(layout, "_number", another_makes_it)
    with SqliteStore(path) as store:
        assert store.containers() == []


@pytest.mark.parametrize("delay_ms", [15, 60, 130])
def test_a_killed_writer_leaves_whole_batches_only(store: SqliteStore, delay_ms: int) -> None:
    rows = 50_000
    writer = start_writer(store.path, 0, 60, rows)
    assert writer.stdout is not None
    assert writer.stderr is not None
    for _ in range(2):
        writer.stdout.readline()
    # Past the first committed batch, somewhere inside a later one.
    time.sleep(delay_ms / 1000)
    writer.send_signal(signal.SIGKILL)
    committed = [0, *map(int, writer.stdout.read().split())]
    writer.stderr.close()
    writer.stdout.close()
    writer.wait(timeout=240)
    counted = store.sql("SELECT n, COUNT(*) c FROM shared GROUP BY n ORDER BY n").to_pydict()
    assert set(counted["c"]) == {rows}
    assert set(committed) <= set(counted["n"])
    check_integrity(store.path)
    assert store.put("shared", rows_of(0)) == 1


def test_threads_share_a_store(store: SqliteStore) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for batch in range(20):
                store.put("shared", rows_of(number * 100 + batch))
                store.read("shared")
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.read("shared").num_rows == 160


def in_child(store: SqliteStore) -> int:
    """Fork; in the child use the store; return the child's exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store.put("shared", rows_of(2))
            status = 0 if store.read("shared").num_rows >= 2 else 2
        except StoreError as error:
            status = 3 if "was forked" in str(error) else 4
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# Python 3.12 warns of a fork among threads; this is the test that it is safe.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_carries_no_open_connection_over(store: SqliteStore) -> None:
    store.put("shared", rows_of(1))
    assert in_child(store) == 0
    assert store.read("shared").num_rows == 2
    check_integrity(store.path)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_another_thread_uses_the_store_is_told(store: SqliteStore) -> None:
    with store._pool.session():
        assert in_child(store) == 3
    store.put("shared", rows_of(1))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_threads_that_fork_at_once(tmp_path: Path) -> None:
    stores = [SqliteStore(tmp_path / f"{number}.db") for number in range(3)]

    def work() -> None:
        for _ in range(30):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)

    # Daemons: where they wait for each other for ever, the test fails and does not hang.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    for store in stores:
        assert store.containers() == []
        store.close()


def test_a_lock_that_is_held_too_long(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "BUSY_TIMEOUT_MS", 50)
    other = Session(store.path)
    with SqliteStore(store.path) as waiting:
        with other.transaction(), pytest.raises(StoreBusyError, match=r"locked by another writer.*nothing was written"):
            waiting.put("shared", rows_of(1))
        assert waiting.put("shared", rows_of(1)) == 1
    other.close()


def test_a_closed_store_says_so(path: Path) -> None:
    store = SqliteStore(path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match=r"Store '.*store\.db' is closed"):
        store.containers()


def test_a_store_that_is_not_closed_leaves_no_warning(path: Path) -> None:
    SqliteStore(path).containers()
    assert SqliteStore(path).containers() == []


def test_no_file_stays_open(path: Path) -> None:
    with SqliteStore(path) as store:
        store.containers()
        assert any(str(path) in name for name in open_files())
    assert not any(str(path) in name for name in open_files())


def open_files() -> list[str]:
    return [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]


def test_files_that_are_no_store(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("not a database " * 100)
    with pytest.raises(StoreError, match="is not a gridwatch store; name another file"):
        SqliteStore(text)
    foreign = tmp_path / "foreign.db"
    session = Session(foreign, create=True)
    session.query("CREATE TABLE x (a)")
    session.close()
    with pytest.raises(StoreError, match="is a SQLite file, but not a gridwatch store"):
        SqliteStore(foreign)


def test_a_store_of_a_newer_gridwatch(path: Path) -> None:
    SqliteStore(path).close()
    session = Session(path)
    session.query("PRAGMA user_version = 99")
    session.close()
    with pytest.raises(
        StoreError, match=rf"has format version 99; this gridwatch knows up to {layout.FORMAT_VERSION}.*Use the newer"
    ):
        SqliteStore(path)


@pytest.fixture
def newer_format(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A store of format 2 with a row, under a gridwatch of format 4; the list tells which migrations ran."""
    with SqliteStore(path) as old:
        old.put_container(SHARED)
        old.put("shared", rows_of(7))
    ran: list[str] = []

    def to_4(session: Session) -> None:
        ran.append("to 4")
        session.query("CREATE TABLE gridwatch_notes (note TEXT) STRICT")

    def to_5(session: Session) -> None:
        ran.append("to 5")
        session.query("INSERT INTO gridwatch_notes VALUES ('of format 5')")

    monkeypatch.setattr(layout, "FORMAT_VERSION", 5)
    monkeypatch.setattr(layout, "_MIGRATIONS", {3: to_4, 4: to_5})
    return ran


def version_of(path: Path) -> int:
    session = Session(path)
    version = session.query("PRAGMA user_version").column(0)[0].as_py()
    session.close()
    return int(version)


def test_a_store_of_an_older_gridwatch_is_brought_up_to_date_once(path: Path, newer_format: list[str]) -> None:
    with SqliteStore(path) as store:
        assert store.read("shared").to_pylist() == rows_of(7).to_pylist()
    assert newer_format == ["to 4", "to 5"]
    assert version_of(path) == 5
    with SqliteStore(path) as again:
        assert again.read("shared").to_pylist() == rows_of(7).to_pylist()
    assert newer_format == ["to 4", "to 5"]
    check_integrity(path)


@pytest.mark.usefixtures("newer_format")
def test_a_migration_that_fails_leaves_the_older_store_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrations = dict(layout._MIGRATIONS)

    def broken(session: Session) -> None:
        raise StoreError("out of luck")

    monkeypatch.setitem(layout._MIGRATIONS, 4, broken)
    with pytest.raises(StoreError, match="out of luck"):
        SqliteStore(path)
    assert version_of(path) == 3
    # What the first of the two did is undone, so it can be done again.
    monkeypatch.setattr(layout, "_MIGRATIONS", migrations)
    with SqliteStore(path) as store:
        assert store.read("shared").to_pylist() == rows_of(7).to_pylist()
    assert version_of(path) == 5


def test_a_store_of_format_1_goes_on(path: Path) -> None:
    """Without views, with a whole-number key as SQLite's row number, an index named as it was then."""
    with SqliteStore(path) as store:
        store.put_container(SHARED)
    columns = '[["id", "LONG", false], ["v", "DOUBLE", true]]'
    info = f'{{"name": "Old", "type": "COLLECTION", "columns": {columns}, "row_key": ["id"], "indexes": ["v"]}}'
    session = Session(path)
    session.query("DROP TABLE gridwatch_views")
    session.query('CREATE TABLE "c_old" ("id" INTEGER PRIMARY KEY NOT NULL, "v" REAL) STRICT')
    session.query('CREATE INDEX "i_old_v" ON "c_old" ("v")')
    session.query("INSERT INTO gridwatch_containers (key, info) VALUES ('old', ?)", (info,))
    session.query('INSERT INTO "c_old" VALUES (7, 0.5), (2, 1.5)')
    session.query("PRAGMA user_version = 1")
    session.close()
    with SqliteStore(path) as store:
        assert store.put("old", pa.table({"id": [7, 9], "v": [2.5, 3.5]})) == 2
        assert store.sql("SELECT id, v FROM Old ORDER BY id").to_pydict() == {"id": [2, 7, 9], "v": [1.5, 2.5, 3.5]}
        store.execute("ALTER TABLE old RENAME COLUMN v TO w")
        store.execute("CREATE VIEW big AS SELECT id FROM old WHERE w > 2")
        assert store.sql("SELECT * FROM big ORDER BY id").to_pydict() == {"id": [7, 9]}
        assert store.containers() == ["Old", "shared"]
    assert version_of(path) == layout.FORMAT_VERSION
    check_integrity(path)


def test_two_that_open_an_older_store_at_once_migrate_it_once(path: Path, newer_format: list[str]) -> None:
    first = layout._MIGRATIONS[3]

    def slow(session: Session) -> None:
        first(session)
        time.sleep(0.2)

    layout._MIGRATIONS[3] = slow
    threads = [threading.Thread(target=lambda: SqliteStore(path).close()) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert newer_format == ["to 4", "to 5"]
    assert version_of(path) == 5


def test_a_version_that_never_was_is_told(path: Path) -> None:
    SqliteStore(path).close()
    session = Session(path)
    session.query("PRAGMA user_version = 0")
    session.close()
    with pytest.raises(StoreError, match="has format version 0, which never was; restore it from a backup"):
        SqliteStore(path)


def test_a_damaged_store(store: SqliteStore) -> None:
    store.put("shared", pa.table({"ts": pa.array(range(20_000), pa.timestamp("ms", "UTC"))}))
    store.compact()
    store.close()
    size = store.path.stat().st_size
    with store.path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * 8192)
    with SqliteStore(store.path) as damaged, pytest.raises(StoreError, match="is damaged; restore it from a backup"):
        damaged.read("shared")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"Cannot make the folder of store '.*'"):
        SqliteStore(tmp_path / "file" / "store.db")
    with pytest.raises(StoreError, match="cannot be opened or made; check that its folder exists"):
        SqliteStore(tmp_path)


def test_a_full_disk(store: SqliteStore) -> None:
    pages = store._pool
    with pages.session() as session:
        # SQLite's own limit raises the same error as a full disk.
        session.query("PRAGMA max_page_count = 20")
    with pytest.raises(StoreError, match="the disk is full; free some space and run this again"):
        store.put("shared", pa.table({"ts": pa.array(range(100_000), pa.timestamp("ms", "UTC"))}))
    assert store.read("shared").num_rows == 0


def test_a_file_that_was_deleted_is_not_made_anew(store: SqliteStore) -> None:
    store.close()
    with SqliteStore(store.path) as again:
        again.containers()
        sessions._before_fork()
        sessions._after_fork_in_parent()
        for file in store.path.parent.iterdir():
            file.unlink()
        with pytest.raises(StoreError, match="cannot be opened"):
            again.containers()


def test_a_backup_is_a_store(store: SqliteStore, tmp_path: Path) -> None:
    store.put("shared", rows_of(1))
    store.backup(tmp_path / "backup.db")
    with pytest.raises(StoreError, match="exists; name a new file"):
        store.backup(tmp_path / "backup.db")
    with pytest.raises(StoreError, match=r"Backup folder .* does not exist"):
        store.backup(tmp_path / "nosuch" / "backup.db")
    with SqliteStore(tmp_path / "backup.db") as copy:
        assert copy.read("shared") == store.read("shared")


def test_a_backup_that_fails_leaves_nothing(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_disk(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gridwatch.containers._sqlite_backup.flush", no_disk)
    with pytest.raises(StoreError, match=r"Cannot write backup '.*backup\.db': No space left on device"):
        store.backup(tmp_path / "backup.db")
    assert not list(tmp_path.glob("backup*"))


def test_a_new_store_has_large_pages_and_an_old_one_keeps_its_own(store: SqliteStore, tmp_path: Path) -> None:
    session = Session(store.path)
    assert session.query("PRAGMA page_size").column(0).to_pylist() == [layout.PAGE_BYTES]
    session.query("PRAGMA page_size = 4096")
    session.query("VACUUM INTO ?", [str(tmp_path / "old.db")])
    session.close()
    with SqliteStore(tmp_path / "old.db") as old:
        old.put("shared", rows_of(1))
        assert old.read("shared").to_pylist() == rows_of(1).to_pylist()
    session = Session(tmp_path / "old.db")
    assert session.query("PRAGMA page_size").column(0).to_pylist() == [4096]
    session.close()


def test_the_log_stays_bounded(store: SqliteStore) -> None:
    log = store.path.with_name(f"{store.path.name}-wal")
    for batch in range(40):
        times = pa.array(range(batch * 50_000, (batch + 1) * 50_000), pa.timestamp("ms", "UTC"))
        store.put("shared", pa.table({"ts": times, "v": [0.5] * 50_000}))
    assert log.stat().st_size < 48 << 20


def test_space_is_given_back(store: SqliteStore) -> None:
    store.put("shared", pa.table({"ts": pa.array(range(100_000), pa.timestamp("ms", "UTC")), "v": [0.5] * 100_000}))
    store.compact()
    before = store.path.stat().st_size
    store.execute("DELETE FROM shared")
    store.compact()
    assert store.path.stat().st_size < before / 10


def test_a_container_dropped_by_another_store(store: SqliteStore, path: Path) -> None:
    with SqliteStore(path) as other:
        other.drop_container("shared")
        other.put_container(ContainerInfo("shared", ContainerType.COLLECTION, (Column("s", T.STRING),)))
    assert store.put("shared", pa.table({"s": ["x"]})) == 1
    store.drop_container("shared")
    with pytest.raises(ContainerNotFoundError):
        store.put("shared", pa.table({"s": ["x"]}))


def test_text_that_is_not_unicode_is_refused(store: SqliteStore) -> None:
    for ask in (
        store.container,
        store.drop_container,
        lambda half: store.tql("last", f"select * where name = '{half}'"),
    ):
        with pytest.raises(ValueRefusedError, match="half of a surrogate pair"):
            ask("\ud800")


def test_a_failure_does_not_show_the_stores_own_sql(path: Path, store: SqliteStore) -> None:
    session = Session(path)
    with pytest.raises(StoreError, match="no such column: nope") as caught:
        session.query("SELECT 0, nope")
    assert "SELECT" not in str(caught.value)
    session.close()


def test_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store("sqlite:///sub/a b%20?.db") as store:
        assert isinstance(store, Store)
        assert (tmp_path / "sub" / "a b%20?.db").exists()
    for url in ("sqlite:///", "sqlite://host/x", "sqlite:///:memory:"):
        with pytest.raises(ConfigError, match="names no file"):
            open_store(url)
    with pytest.raises(ConfigError, match=r"sqlite://\*\*\*@host") as caught:
        open_store("sqlite://me:secret@host/x")
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="No store backend for 'oracle'"):
        open_store("oracle:///x")


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_one_sqlite_library_only() -> None:
    source = Path(gridwatch.__file__).parent
    plugins = source.parent.parent / "mlflow_plugins"
    for file in [*source.rglob("*.py"), *plugins.rglob("*.py")]:
        found = {name.split(".")[0] for name in _imports(ast.parse(file.read_text(encoding="utf-8")))}
        assert not found & {"sqlite3", "apsw", "pysqlite3", "aiosqlite", "duckdb"}, f"{file} opens SQLite otherwise"


def test_the_store_itself_loads_no_other_sqlite_library(path: Path) -> None:
    opened = f"from gridwatch.containers import open_store; open_store('sqlite:///{path}').close()"
    code = f"import sys; {opened}; assert 'sqlite3' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)
