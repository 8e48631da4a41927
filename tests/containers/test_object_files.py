"""Large objects of the embedded store, whose bytes lie in files beside it."""

from __future__ import annotations

import errno
import io
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gridwatch.containers import _object_files
from gridwatch.containers._object_batch import BATCH_BYTES
from gridwatch.containers._object_files import ObjectFiles
from gridwatch.containers._sqlite_session import flush
from gridwatch.containers.catalog import ARTIFACT_CHUNKS, ARTIFACTS
from gridwatch.containers.copy import copy_store
from gridwatch.containers.objects import CHUNK_BYTES, ObjectStore
from gridwatch.containers.restore import restore_store
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import ObjectCorruptError, ObjectNotFoundError, StoreError
from tests.containers.web_api import behind, served

NOW_MS = 1_700_000_000_000
LARGE = os.urandom(BATCH_BYTES + CHUNK_BYTES + 5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "store.db") as store:
        yield store


@pytest.fixture
def objects(store: SqliteStore) -> ObjectStore:
    return ObjectStore(store, now_ms=lambda: NOW_MS)


def names(store: SqliteStore) -> list[str]:
    return list(store.files.sizes())


def null_data(store: SqliteStore) -> int:
    return len(store.sql("SELECT chunk FROM mlflow_artifact_chunks WHERE data IS NULL"))


@pytest.mark.parametrize("more", [-1, 0, 1, 4095, CHUNK_BYTES, BATCH_BYTES, 3 * BATCH_BYTES + 4097])
def test_bytes_come_back(store: SqliteStore, objects: ObjectStore, tmp_path: Path, more: int) -> None:
    size = BATCH_BYTES + more
    data = (LARGE * 4)[:size]
    info = objects.put("m/x", io.BytesIO(data))
    assert (info.size, info.chunks) == (size, -(-size // CHUNK_BYTES))
    # Below the size of a batch the bytes are in rows.
    assert store.files.sizes() == ({info.object_id: size} if size >= BATCH_BYTES else {})
    assert null_data(store) == (info.chunks if size >= BATCH_BYTES else 0)
    assert objects.read("m/x") == data
    objects.download("m/x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == data
    assert objects.check().broken == {}
    # Whoever reads the rows is given the bytes as well.
    keys = [(info.object_id, number) for number in range(info.chunks)]
    for rows in (
        store.get(ARTIFACT_CHUNKS.name, keys),
        store.read(ARTIFACT_CHUNKS.name),
        store.sql("SELECT * FROM mlflow_artifact_chunks ORDER BY chunk"),
        store.tql(ARTIFACT_CHUNKS.name, "select * order by chunk"),
    ):
        assert b"".join(rows.column("data").to_pylist()) == data


def test_files_are_their_owners_alone(store: SqliteStore, objects: ObjectStore) -> None:
    assert not store.files.folder.exists()
    info = objects.put("x", LARGE)
    path = store.files.folder / info.object_id
    assert store.files.folder == store.path.with_name("store.db.objects")
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path)] == [0o700, 0o600]


def test_a_store_opened_through_a_link_has_the_same_files(objects: ObjectStore, tmp_path: Path) -> None:
    objects.put("x", LARGE)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.db").symlink_to(tmp_path / "store.db")
    with SqliteStore(tmp_path / "elsewhere" / "link.db") as linked:
        assert ObjectStore(linked).read("x") == LARGE


def test_replaced_and_deleted_objects_leave_no_file(store: SqliteStore, objects: ObjectStore) -> None:
    old = objects.put("m/x", LARGE)
    new = objects.put("m/x", LARGE[::-1])
    assert names(store) == [new.object_id] != [old.object_id]
    objects.put("m/x", b"small")
    assert names(store) == []
    objects.put("m/x", LARGE)
    objects.delete_tree("m")
    assert (names(store), null_data(store)) == ([], 0)


def test_an_upload_that_is_given_up_leaves_no_file(store: SqliteStore, objects: ObjectStore) -> None:
    objects.put("x", b"old")
    writer = objects.start("x")
    writer.write(LARGE)
    assert len(names(store)) == 1
    writer.abort()
    with pytest.raises(StoreError, match="'x' was given up before its commit"):
        writer.write(LARGE)
    with pytest.raises(StoreError, match="was given up"):
        writer.commit()
    assert (names(store), objects.read("x")) == ([], b"old")


def test_an_abort_in_the_middle_of_a_commit(
    store: SqliteStore, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = objects.start("x")
    writer.write(LARGE)
    finishing, aborted = threading.Event(), threading.Thread(target=writer.abort)
    truncate = os.ftruncate

    def slow(descriptor: int, size: int) -> None:
        aborted.start()
        finishing.set()
        truncate(descriptor, size)

    monkeypatch.setattr(os, "ftruncate", slow)
    # Whoever comes first decides, and both leave things as one of them would.
    try:
        writer.commit()
    except StoreError as error:
        assert "was given up" in str(error)  # noqa: PT017 - it may come through as well
    aborted.join()
    assert finishing.is_set()
    assert len(names(store)) == len(objects.list())
    assert objects.check(grace_ms=-1).orphans == []


def test_an_upload_that_died_leaves_a_file_that_is_collected(store: SqliteStore) -> None:
    clock = [NOW_MS]
    objects = ObjectStore(store, now_ms=lambda: clock[0])
    kept = objects.put("kept", LARGE)
    writer = objects.start("x")
    writer.write(LARGE)
    writer._stored()
    (upload,) = objects.check(grace_ms=60_000).uploads
    assert (upload.size, upload.begun_ms) == (BATCH_BYTES, NOW_MS)
    clock[0] += 60_001
    (orphan,) = objects.check(grace_ms=60_000).orphans
    assert objects.delete_orphans([orphan]) == BATCH_BYTES // CHUNK_BYTES
    assert (names(store), objects.read("kept")) == ([kept.object_id], LARGE)


def damaged(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_a_flipped_bit_is_told(store: SqliteStore, objects: ObjectStore, tmp_path: Path) -> None:
    info = objects.put("x", LARGE)
    damaged(store.files.folder / info.object_id, CHUNK_BYTES + 1)
    (tmp_path / "x").write_text("before")
    for read in (lambda: objects.read("x"), lambda: objects.download("x", tmp_path / "x")):
        with pytest.raises(ObjectCorruptError, match=r"'x' .* is corrupt: chunk 1 does not match its sha256"):
            read()
    assert (tmp_path / "x").read_text() == "before"


def test_a_damaged_file_is_told_without_reading(store: SqliteStore, objects: ObjectStore) -> None:
    short, gone, long, fine = (objects.put(path, LARGE) for path in ("short", "gone", "long", "fine"))
    os.truncate(store.files.folder / short.object_id, BATCH_BYTES)
    (store.files.folder / gone.object_id).unlink()
    with (store.files.folder / long.object_id).open("ab") as file:
        file.write(b"x")
    assert objects.check().broken == {
        "gone": "its file is missing",
        "long": f"its file has {len(LARGE) + 1} bytes, {len(LARGE)} were stored",
        "short": f"its file has {BATCH_BYTES} bytes, {len(LARGE)} were stored",
    }
    for path, why in (("short", "chunk 4 does not match"), ("gone", "chunk 0 of 6 is missing")):
        with pytest.raises(ObjectCorruptError, match=why):
            objects.read(path)
    with pytest.raises(ObjectCorruptError, match="chunk 5 does not match"):
        objects.read("long")
    # Broken ones can be replaced and deleted as any other.
    objects.put("short", b"new")
    assert objects.delete("gone")
    assert objects.delete("long")
    assert names(store) == [fine.object_id]
    assert objects.check().broken == {}


def test_a_row_that_was_deleted_is_told(store: SqliteStore, objects: ObjectStore) -> None:
    info = objects.put("x", LARGE)
    store.delete(ARTIFACT_CHUNKS.name, [(info.object_id, 2)])
    with pytest.raises(ObjectCorruptError, match="chunk 2 of 6 is missing"):
        objects.read("x")
    assert objects.check().broken == {"x": "chunk 2 of 6 is missing"}


@pytest.mark.parametrize("object_id", ["../secret", "/etc/hostname", "", "A" * 32, "0" * 31 + "\n"])
def test_a_row_cannot_name_a_file_elsewhere(
    store: SqliteStore, objects: ObjectStore, tmp_path: Path, object_id: str
) -> None:
    objects.put("x", LARGE)
    (tmp_path / "secret").write_bytes(b"secret")
    row = {"object_id": object_id, "chunk": 0, "data": None, "sha256": ""}
    store.put(ARTIFACT_CHUNKS.name, pa.Table.from_pylist([row]))
    found = store.get(ARTIFACT_CHUNKS.name, [(object_id, 0)])
    assert found.to_pylist() == [row]
    assert not store.files.delete(object_id)
    assert store.files.size(object_id) is None
    assert store.files.read(object_id, 0, 1) is None


def test_a_link_among_the_files_is_not_followed(store: SqliteStore, objects: ObjectStore, tmp_path: Path) -> None:
    info = objects.put("x", LARGE)
    path = store.files.folder / info.object_id
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    with pytest.raises(StoreError, match=rf"Cannot use object file '{path}': .*; check the disk and its rights"):
        objects.read("x")


@pytest.mark.parametrize("direct", [False, True], ids=["refused at once", "refused later"])
def test_file_systems_without_direct_writes(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch, direct: bool
) -> None:
    refused: list[int] = []
    write, set_direct = os.pwrite, _object_files._set_direct

    def pwrite(descriptor: int, data: memoryview, start: int) -> int:
        if direct and not refused:
            refused.append(start)
            raise OSError(errno.EINVAL, "Invalid argument")
        # Short writes happen, too.
        return write(descriptor, data[: CHUNK_BYTES // 2 if not direct else len(data)], start)

    def no_direct(descriptor: int, *, on: bool) -> bool:
        set_direct(descriptor, on=False)
        return on and direct

    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(_object_files, "_set_direct", no_direct)
    objects.put("x", LARGE)
    assert objects.read("x") == LARGE
    assert bool(refused) == direct


def test_a_full_disk_leaves_the_old_object(
    store: SqliteStore, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.put("x", b"old")

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("pwrite", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(
                StoreError, match=r"Cannot use object file .*: No space left on device; free some space"
            ):
                objects.put("x", LARGE)
        assert (objects.read("x"), names(store)) == (b"old", [])


def test_an_object_replaced_while_it_is_read(store: SqliteStore, objects: ObjectStore) -> None:
    objects.put("x", LARGE * 4)
    chunks = objects.open("x")
    next(chunks)
    objects.put("x", LARGE)
    with pytest.raises(ObjectNotFoundError, match="'x' was replaced or deleted while it was read; read it again"):
        list(chunks)
    assert objects.read("x") == LARGE
    assert len(names(store)) == 1


def test_backup_and_restore_bring_the_files_along(store: SqliteStore, objects: ObjectStore, tmp_path: Path) -> None:
    objects.put("x", LARGE)
    backup = tmp_path / "backup.db"
    store.backup(backup)
    with SqliteStore(backup) as copy:
        assert ObjectStore(copy).read("x") == LARGE
    objects.put("x", LARGE[::-1])
    objects.put("y", LARGE)
    store.close()
    kept = restore_store(backup, store.path)
    assert kept is not None
    with SqliteStore(store.path) as restored, SqliteStore(kept) as before:
        assert ObjectStore(restored).read("x") == LARGE
        assert ObjectStore(restored).check().broken == {}
        # What the store that was there had is left over here, and kept there.
        assert ObjectStore(restored).collect_orphans() == 2 * 6
        assert ObjectStore(before).read("x") == LARGE[::-1]
        assert ObjectStore(before).read("y") == LARGE
        assert len(names(restored)) == 1
    restore_store(backup, store.path, force=True)
    with SqliteStore(kept) as before:
        assert ObjectStore(before).read("x") == LARGE
        assert len(names(before)) == 1


def test_a_backup_has_what_is_stored_while_it_is_taken(
    store: SqliteStore, objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.put("x", LARGE)
    changes = iter(range(3))

    def changing(path: Path) -> None:
        flush(path)
        if path.suffix == ".part" and next(changes, None) is not None:
            # After the snapshot, which names the one before.
            objects.put("x", LARGE)
            objects.put("new", LARGE)
            objects.delete("new")

    monkeypatch.setattr("gridwatch.containers._sqlite_backup.flush", changing)
    store.backup(tmp_path / "backup.db")
    with SqliteStore(tmp_path / "backup.db") as copy:
        assert ObjectStore(copy).read("x") == LARGE
        assert ObjectStore(copy).check().broken == {}


def test_a_store_with_a_lost_file_can_be_backed_up(store: SqliteStore, objects: ObjectStore, tmp_path: Path) -> None:
    lost, _ = objects.put("lost", LARGE), objects.put("x", LARGE)
    store.files.delete(lost.object_id)
    store.backup(tmp_path / "backup.db")
    with SqliteStore(tmp_path / "backup.db") as copy:
        assert ObjectStore(copy).read("x") == LARGE
        assert ObjectStore(copy).check().broken == {"lost": "its file is missing"}


def test_a_backup_that_fails_leaves_no_files(
    store: SqliteStore, objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.put("x", LARGE)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(StoreError, match=r"Cannot write backup .*backup\.db': No space left on device"):
        store.backup(tmp_path / "backup.db")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("backup")) == []


def test_a_copy_to_another_store_puts_the_bytes_into_rows(objects: ObjectStore, tmp_path: Path) -> None:
    objects.put("x", LARGE)
    with SqliteStore(tmp_path / "other.db") as other:
        copy_store(objects.store, other)
        # The layout of all objects before there were files.
        assert (null_data(other), names(other)) == (0, [])
        held = ObjectStore(other)
        assert held.read("x") == LARGE
        assert held.check().broken == {}
        # And back: what the source has in its files is the same.
        assert all(one.copied == 0 for one in copy_store(other, objects.store))
        held.put("x", LARGE)
        assert (len(names(other)), held.read("x")) == (1, LARGE)
        assert held.check(grace_ms=-1).orphans == []


def test_over_the_web_api() -> None:
    with served() as store:
        local, remote = ObjectStore(behind()), ObjectStore(store)
        local.put("x", LARGE)
        assert remote.read("x") == LARGE
        assert remote.check().broken == {}
        server = behind()
        assert isinstance(server, SqliteStore)
        assert remote.delete("x")
        # The server's file is left to its own `fsck` and `gc`.
        assert local.collect_orphans(grace_ms=-1) == 6
        assert server.files.sizes() == {}
        remote.put("x", LARGE)
        assert (server.files.sizes(), local.read("x")) == ({}, LARGE)


def test_no_files_where_there_is_no_folder(tmp_path: Path) -> None:
    files = ObjectFiles(tmp_path / "nosuch")
    assert (files.sizes(), files.size("0" * 32), files.read("0" * 32, 0, 1)) == ({}, None, None)
    assert not files.delete("0" * 32)
    assert files.copy_to(ObjectFiles(tmp_path / "other")) == 0
    assert not (tmp_path / "other").exists()


def test_the_manifest_comes_with_its_rows_or_not_at_all(
    store: SqliteStore, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "put_many", lambda _: (_ for _ in ()).throw(StoreError("busy")))
    with pytest.raises(StoreError, match="busy"):
        objects.put("x", LARGE)
    assert (store.read(ARTIFACTS.name).num_rows, store.read(ARTIFACT_CHUNKS.name).num_rows) == (0, 0)
    # It may have been stored all the same when an error comes from so late; a file without rows is an orphan.
    assert objects.collect_orphans(grace_ms=-1) == 6
