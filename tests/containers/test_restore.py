"""A backup put in the store's place, and everything that is no backup refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gridwatch.containers.catalog import series_info
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
