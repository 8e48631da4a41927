"""A backup put in the store's place, and everything that is no backup refused."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest

from gridwatch.containers.catalog import series_info
from gridwatch.containers.objects import ObjectStore
from gridwatch.containers.restore import restore_store
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import StoreError


def put(path: Path, ts_ms: int) -> None:
    with SqliteStore(path) as store:
        store.put_container(series_info("bars"))
        store.put("bars", pd.DataFrame({"ts": [ts_ms], "close": [1.0]}))


def times(path: Path) -> list[int]:
    with SqliteStore(path) as store:
        return [int(value.value) for value in store.read("bars")["ts"]]


def test_restore_brings_the_backup_back_and_keeps_what_was_there(tmp_path: Path) -> None:
    live = tmp_path / "store.db"
    put(live, 1)
    with SqliteStore(live) as store:
        store.backup(tmp_path / "backup.db")
    # The store lies in a folder of its owner's; a backup may lie anywhere.
    assert (tmp_path / "backup.db").stat().st_mode & 0o777 == 0o600
    put(live, 2)
    kept = restore_store(tmp_path / "backup.db", live)
    assert times(live) == [1]
    assert kept is not None
    assert times(kept) == [1, 2]


def test_restore_where_there_was_no_store(tmp_path: Path) -> None:
    put(tmp_path / "backup.db", 7)
    assert restore_store(tmp_path / "backup.db", tmp_path / "new" / "store.db") is None
    assert times(tmp_path / "new" / "store.db") == [7]
    assert times(tmp_path / "backup.db") == [7]


def test_a_missing_backup_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"No backup '.*gone\.db'; `gridwatch backup FILE` writes one"):
        restore_store(tmp_path / "gone.db", tmp_path / "store.db")


def test_another_file_is_refused_and_the_store_stays(tmp_path: Path) -> None:
    put(tmp_path / "store.db", 1)
    (tmp_path / "notes.txt").write_text("no store at all, only some text that is long enough to be looked at\n" * 9)
    with pytest.raises(StoreError, match="not a gridwatch store"):
        restore_store(tmp_path / "notes.txt", tmp_path / "store.db")
    assert times(tmp_path / "store.db") == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "store.db"]


def test_a_store_that_somebody_has_open_is_not_replaced(tmp_path: Path) -> None:
    live = tmp_path / "store.db"
    put(live, 1)
    with SqliteStore(live) as store:
        store.backup(tmp_path / "backup.db")
    put(live, 2)
    # Its log would be read into the restored file: the old rows would be back, or the file damaged.
    with SqliteStore(live) as held:
        held.read("bars")
        with pytest.raises(StoreError, match=r"is in use by another process; stop it \(`gridwatch down`\)"):
            restore_store(tmp_path / "backup.db", live)
    assert times(live) == [1, 2]
    restore_store(tmp_path / "backup.db", live)
    assert times(live) == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.db", "store.db", "store.db.before-restore"]


def test_what_an_earlier_restore_kept_is_not_lost(tmp_path: Path) -> None:
    live = tmp_path / "store.db"
    put(live, 1)
    with SqliteStore(live) as store:
        store.backup(tmp_path / "backup.db")
    assert restore_store(tmp_path / "backup.db", live) is not None
    put(live, 2)
    with pytest.raises(StoreError, match=r"'.*before-restore', which an earlier restore kept, would be lost; move"):
        restore_store(tmp_path / "backup.db", live)
    assert times(live) == [1, 2]
    kept = restore_store(tmp_path / "backup.db", live, force=True)
    assert kept is not None
    assert times(kept) == [1, 2]


def test_a_backup_is_taken_and_put_back_with_its_large_objects(tmp_path: Path) -> None:
    live, told = tmp_path / "live" / "store.db", []
    put(live, 1)
    data = bytes(range(256)) * (9 << 12)
    with SqliteStore(live) as store:
        ObjectStore(store).put("model.keras", data)
        store.backup(tmp_path / "backup.db", progress=lambda done, total: told.append((done, total)))
    assert told
    assert told[-1][0] == told[-1][1]
    told.clear()
    fresh = tmp_path / "fresh" / "store.db"
    assert restore_store(tmp_path / "backup.db", fresh, progress=lambda done, total: told.append((done, total))) is None
    assert told[-1][0] == told[-1][1] == (tmp_path / "backup.db").stat().st_size
    with SqliteStore(fresh) as store:
        assert ObjectStore(store).read("model.keras") == data


def test_a_backup_without_its_large_objects_is_told(tmp_path: Path) -> None:
    live = tmp_path / "live" / "store.db"
    with SqliteStore(live) as store:
        ObjectStore(store).put("model.keras", bytes(9 << 20))
        store.backup(tmp_path / "backup.db")
    alone = tmp_path / "alone" / "backup.db"
    alone.parent.mkdir()
    (tmp_path / "backup.db").rename(alone)
    fresh = tmp_path / "fresh" / "store.db"
    with pytest.raises(
        StoreError, match=r"lacks 1 of its large objects, such as [0-9a-f]{32}; they belong into '.*alone"
    ):
        restore_store(alone, fresh)
    assert not fresh.exists()
    assert restore_store(alone, fresh, force=True) is None
    assert fresh.exists()


def test_a_damaged_backup_is_refused_and_the_store_stays(tmp_path: Path) -> None:
    live = tmp_path / "store.db"
    put(live, 1)
    with SqliteStore(live) as store:
        store.put("bars", pd.DataFrame({"ts": range(20_000), "close": 1.5}))
        store.backup(tmp_path / "backup.db")
    with (tmp_path / "backup.db").open("r+b") as file:
        file.seek(5 * 16_384)
        file.write(b"\xff" * 8_192)
    with pytest.raises(StoreError, match=r"Backup '.*backup.db' cannot be restored. .* is damaged"):
        restore_store(tmp_path / "backup.db", live)
    assert len(times(live)) == 20_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.db", "store.db"]


def test_the_store_itself_is_no_backup(tmp_path: Path) -> None:
    put(tmp_path / "store.db", 1)
    with pytest.raises(StoreError, match=r"store\.db' is the store itself; name the file of a backup"):
        restore_store(tmp_path / "store.db", tmp_path / "store.db")
    with (
        SqliteStore(tmp_path / "store.db") as store,
        pytest.raises(StoreError, match="is the store itself; name a new"),
    ):
        store.backup(tmp_path / "store.db", force=True)


def test_backups_are_consistent_while_others_write(tmp_path: Path) -> None:
    live, over = tmp_path / "live" / "store.db", threading.Event()
    with SqliteStore(live) as store:
        for name in ("left", "right"):
            store.put_container(series_info(name))

        def write() -> None:
            with SqliteStore(live) as own:
                for first in range(0, 1_000_000, 500):
                    if over.is_set():
                        return
                    rows = pd.DataFrame({"ts": range(first, first + 500), "close": 1.0})
                    own.put_many({"left": rows, "right": rows})

        writer = threading.Thread(target=write)
        writer.start()
        try:
            seen = []
            for _ in range(4):
                store.backup(tmp_path / "backup.db", force=True)
                with SqliteStore(tmp_path / "backup.db") as copy:
                    left, right = (copy.read(name).num_rows for name in ("left", "right"))
                assert left == right
                seen.append(left)
        finally:
            over.set()
            writer.join()
        assert seen == sorted(seen)
        assert store.read("left").num_rows > seen[0], "rows were written meanwhile"


def test_a_backup_is_replaced_by_force_alone_and_another_file_never(tmp_path: Path) -> None:
    live = tmp_path / "live" / "store.db"
    backup = tmp_path / "backup.db"
    with SqliteStore(live) as store:
        objects = ObjectStore(store)
        objects.put("model.keras", bytes(9 << 20))
        store.backup(backup)
        [before] = (tmp_path / "backup.db.objects").iterdir()
        objects.put("model.keras", bytes(9 << 20))
        with pytest.raises(StoreError, match="exists; name a new file, or replace it with --force"):
            store.backup(backup)
        store.backup(backup, force=True)
        [after] = (tmp_path / "backup.db.objects").iterdir()
        assert after != before, "only the objects of the new backup are left"
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(StoreError, match=r"notes\.txt' is no backup of gridwatch's, and is not replaced"):
            store.backup(tmp_path / "notes.txt", force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    restore_store(backup, tmp_path / "fresh" / "store.db")


@pytest.mark.parametrize("step", ["check_copy", "link", "0", "1"])
def test_a_restore_that_is_killed_leaves_the_old_store_and_can_be_done_again(tmp_path: Path, step: str) -> None:
    live, backup = tmp_path / "store.db", tmp_path / "backup.db"
    put(live, 1)
    with SqliteStore(live) as store:
        store.backup(backup)
    put(live, 2)
    script = Path(__file__).with_name("restore_process.py")
    command = [sys.executable, str(script), step, str(backup), str(live)]
    assert subprocess.run(command, check=False).returncode == 9
    assert times(live) == [1, 2]
    # What it left behind is not taken for something else: not even a log beside its half-made file.
    (tmp_path / "store.db.part-wal").write_bytes((tmp_path / "backup.db").read_bytes())
    restore_store(backup, live, force=True)
    assert times(live) == [1]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"backup.db", "store.db", "store.db.before-restore"} | ({"store.db.kept"} & names)


def test_the_log_of_a_store_that_is_gone_is_not_read_into_the_restored_one(tmp_path: Path) -> None:
    live, backup = tmp_path / "store.db", tmp_path / "backup.db"
    put(live, 1)
    with SqliteStore(live) as store:
        store.backup(backup)
        store.put("bars", pd.DataFrame({"ts": [2], "close": [1.0]}))
        log = (tmp_path / "store.db-wal").read_bytes()
    live.unlink()
    (tmp_path / "store.db-wal").write_bytes(log)
    with pytest.raises(
        StoreError, match=r"'.*store\.db-wal' is what a store left that is gone, and may hold its newest"
    ):
        restore_store(backup, live)
    restore_store(backup, live, force=True)
    assert times(live) == [1]
