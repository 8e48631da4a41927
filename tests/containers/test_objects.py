"""Byte objects on every backend: whole or not at all, checked, listed by folder."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gridwatch.containers import Store, object_check
from gridwatch.containers._object_rows import BATCH_CHUNKS, list_rows
from gridwatch.containers.catalog import ARTIFACT_CHUNKS, ARTIFACTS
from gridwatch.containers.objects import CHUNK_BYTES, GRACE_MS, ObjectStore
from gridwatch.errors import (
    ObjectConflictError,
    ObjectCorruptError,
    ObjectNotFoundError,
    StoreBusyError,
    StoreError,
    ValueRefusedError,
)
from tests.containers.test_contract import BACKENDS


@pytest.fixture(params=list(BACKENDS.values()), ids=list(BACKENDS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with request.param(tmp_path) as store:
        yield store


@pytest.fixture
def objects(store: Store) -> ObjectStore:
    return ObjectStore(store, now_ms=lambda: 1_700_000_000_000)


def chunk_count(store: Store) -> int:
    return int(store.read(ARTIFACT_CHUNKS.name, columns=["chunk"]).num_rows)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_bytes_come_back(store: Store, objects: ObjectStore, size: int) -> None:
    data = bytes(i % 251 for i in range(1000)) * (size // 1000 + 1)
    info = objects.put("a/b.bin", io.BytesIO(data[:size]))
    assert (info.size, info.stored_ms, info.chunks) == (size, 1_700_000_000_000, -(-size // CHUNK_BYTES))
    assert objects.read("a/b.bin") == data[:size]
    assert objects.info("a/b.bin") == info
    assert all(len(chunk) <= CHUNK_BYTES for chunk in objects.open("a/b.bin"))
    assert chunk_count(store) == info.chunks


def test_a_new_object_replaces_the_old_one_and_its_chunks(store: Store, objects: ObjectStore) -> None:
    old = objects.put("x", bytes(2 * CHUNK_BYTES))
    new = objects.put("x", b"new")
    assert old.object_id != new.object_id
    assert objects.read("x") == b"new"
    assert chunk_count(store) == 1


class BrokenPipe:
    """Gives one batch and then fails, as a connection does; it has `read` only."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        if self.given > BATCH_CHUNKS * CHUNK_BYTES:
            raise ConnectionResetError
        self.given += size
        return bytes(size)


def test_a_put_that_fails_leaves_the_old_object_and_nothing_else(store: Store, objects: ObjectStore) -> None:
    objects.put("x", b"old")
    with pytest.raises(ConnectionResetError):
        objects.put("x", BrokenPipe())  # type: ignore[arg-type]
    assert objects.read("x") == b"old"
    assert chunk_count(store) == 1


def test_an_object_that_is_committed_outlives_an_abort(
    store: Store, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.put("x", b"old")
    writer = objects.start("x")
    writer.write(b"new")
    with monkeypatch.context() as patch:
        patch.setattr(store, "delete", lambda *_: (_ for _ in ()).throw(StoreBusyError("busy")))
        # The old chunks cannot be deleted now; the new object is there all the same.
        writer.commit()
    writer.abort()
    assert objects.read("x") == b"new"
    assert chunk_count(store) == 2
    assert objects.collect_orphans(grace_ms=-1) == 1


def test_an_object_that_was_given_up_is_not_committed(store: Store, objects: ObjectStore) -> None:
    objects.put("x", b"old")
    writer = objects.start("x")
    writer.write(b"new")
    writer.abort()
    with pytest.raises(StoreError, match="'x' was given up before its commit"):
        writer.commit()
    assert objects.read("x") == b"old"


def test_a_writer_that_died_leaves_orphans_that_are_collected_after_the_grace(store: Store) -> None:
    clock = [1_700_000_000_000]
    objects = ObjectStore(store, now_ms=lambda: clock[0])
    objects.put("kept", b"kept")
    writer = objects.start("x")
    writer.write(bytes(BATCH_CHUNKS * CHUNK_BYTES))
    # Stored by another thread.
    writer._stored()
    assert objects.collect_orphans(grace_ms=60_000) == 0
    clock[0] += 60_001
    assert objects.collect_orphans(grace_ms=60_000) == BATCH_CHUNKS
    assert objects.read("kept") == b"kept"


def test_delete(store: Store, objects: ObjectStore) -> None:
    objects.put("x", bytes(CHUNK_BYTES + 1))
    assert objects.delete("x")
    assert not objects.delete("x")
    assert chunk_count(store) == 0
    with pytest.raises(ObjectNotFoundError, match=r"^No object 'x' in the store\.$"):
        objects.open("x")


def test_a_name_is_a_file_or_a_folder(objects: ObjectStore) -> None:
    objects.put("a/b", b"1")
    with pytest.raises(
        ObjectConflictError, match=r"'a' cannot be stored: it is a folder, with 'a/b' in it. Delete that"
    ):
        objects.put("a", b"2")
    with pytest.raises(ObjectConflictError, match="'a/b/c/d' cannot be stored: 'a/b' is an object, not a folder"):
        objects.put("a/b/c/d", b"2")
    with pytest.raises(ObjectConflictError, match="'a/b/' cannot be stored: 'a/b' is an object"):
        objects.put_folder("a/b")
    assert objects.delete_tree("a") == 1
    objects.put("a", b"2")
    assert objects.read("a") == b"2"


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a")])
def test_of_an_object_and_its_folder_that_come_at_once_one_is_refused(
    store: Store, objects: ObjectStore, first: str, second: str
) -> None:
    quick, slow = objects.start(first), objects.start(second)
    quick.write(b"1")
    slow.write(b"2")
    quick.commit()
    with pytest.raises(ObjectConflictError, match=f"'{second}' cannot be stored"):
        slow.commit()
    assert ([info.path for info in objects.list()], chunk_count(store)) == ([first], 1)


def test_empty_folders(objects: ObjectStore) -> None:
    objects.put_folder("e/f")
    objects.put_folder("e/f")
    objects.put_folder("e")
    objects.put("ef", b"")
    assert [info.path for info in objects.list("e", folders=True)] == ["e/f/"]
    assert objects.list("e") == []
    assert objects.is_folder("e/f")
    assert objects.is_folder("e")
    assert not objects.is_folder("ef")
    with pytest.raises(ObjectConflictError, match="'e/f' cannot be stored: it is a folder"):
        objects.put("e/f", b"")
    objects.put("e/f/x", b"x")
    assert objects.check().broken == {}
    assert objects.delete_tree("e") == 2
    assert [info.path for info in objects.list(folders=True)] == ["ef"]


def test_many_threads(store: Store) -> None:
    objects = ObjectStore(store)
    together = threading.Barrier(4)

    def work(number: int) -> None:
        own = os.urandom(CHUNK_BYTES // 8 + number)
        together.wait()
        for turn in range(3):
            objects.put(f"own/{number}", own)
            objects.put("shared", bytes([number]) * (turn + 1))
            assert objects.read(f"own/{number}") == own
            assert len(set(objects.read("shared"))) == 1

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work, number) for number in range(4)]:
            done.result()
    assert objects.check().broken == {}
    # Of two that replace the same object at once, one may leave its chunks behind.
    objects.collect_orphans(grace_ms=-1)
    assert chunk_count(store) == 5


def test_an_upload_that_outlives_the_grace_is_not_committed(store: Store) -> None:
    clock = [1_700_000_000_000]
    objects = ObjectStore(store, now_ms=lambda: clock[0])
    writer = objects.start("x")
    writer.write(b"slow")
    clock[0] += GRACE_MS + 1
    with pytest.raises(StoreError, match="'x' took longer than 24 hours to upload; store it again"):
        writer.commit()
    assert objects.list() == []
    assert chunk_count(store) == 0


def test_list_keeps_to_folders(objects: ObjectStore) -> None:
    for path in ("a/x", "a/b/y", "ab/z", "a_", "A/x", "a/ü"):
        objects.put(path, b"")
    assert [info.path for info in objects.list("a")] == ["a/b/y", "a/x", "a/ü"]
    assert [info.path for info in objects.list("a/x")] == ["a/x"]
    assert len(objects.list()) == 6
    assert objects.list("nosuch") == []


def test_names(objects: ObjectStore) -> None:
    folders = ["it's", 'a "b"', "a\nb", "😀", "%_?", "back\\slash", "-- x", "long/" * 800 + "x"]
    for folder in folders:
        objects.put(f"{folder}/x", folder.encode())
    for folder in folders:
        assert [info.path for info in objects.list(folder)] == [f"{folder}/x"]
        assert objects.read(f"{folder}/x") == folder.encode()
        assert objects.delete_tree(folder) == 1
    assert objects.list() == []


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/./b", "a/..", "a\0b", "a\udc80", "a" * 4097])
def test_refused_paths(objects: ObjectStore, path: str) -> None:
    with pytest.raises(ValueRefusedError, match=r"Object path .* is refused; use a relative path"):
        objects.put(path, b"")
    with pytest.raises(ValueRefusedError, match="is refused"):
        objects.info(path)


MANIFEST = {
    "object_id": "another",
    "size": 5,
    "sha256": "0" * 64,
    "chunks": 2,
    "stored_ms": 0,
    "manifest_sha256": "0" * 64,
}


@pytest.mark.parametrize("column", [*MANIFEST, "path"])
def test_a_changed_manifest_is_told(store: Store, objects: ObjectStore, column: str) -> None:
    objects.put("models/a", b"good")
    row = store.get(ARTIFACTS.name, ["models/a"]).to_pylist()[0]
    path = "models/b" if column == "path" else "models/a"
    if column == "path":
        store.delete(ARTIFACTS.name, ["models/a"])
        row["path"] = path
    else:
        row[column] = None if column == "sha256" else MANIFEST[column]
    store.put(ARTIFACTS.name, pa.Table.from_pylist([row]))
    with pytest.raises(ObjectCorruptError, match=f"'{path}'.* its manifest does not match the manifest's own sha256"):
        objects.read(path)
    assert list(objects.check().broken) == [path]
    # Whatever it says, it can be replaced and deleted.
    objects.put(path, b"new")
    assert objects.read(path) == b"new"
    assert objects.check().broken == {}


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("data", b"evil", "chunk 0 does not match its sha256"),
        ("data", None, "chunk 0 (does not match its sha256|of 1 is missing)"),
        ("sha256", "0" * 64, "chunk 0 does not match its sha256"),
        ("chunk", 7, "chunk 0 of 1 is missing"),
        ("object_id", "another", "chunk 0 of 1 is missing"),
    ],
)
def test_a_changed_chunk_is_told(store: Store, objects: ObjectStore, column: str, value: object, why: str) -> None:
    key = (objects.put("models/a", b"good").object_id, 0)
    row = store.get(ARTIFACT_CHUNKS.name, [key]).to_pylist()[0]
    store.delete(ARTIFACT_CHUNKS.name, [key])
    store.put(ARTIFACT_CHUNKS.name, pa.Table.from_pylist([row | {column: value}]))
    with pytest.raises(ObjectCorruptError, match=rf"'models/a' \(id .*\) is corrupt: {why}"):
        objects.read("models/a")


def test_bytes_changed_together_with_the_chunks_digest_are_told(store: Store, objects: ObjectStore) -> None:
    info = objects.put("models/a", b"good")
    row = store.get(ARTIFACT_CHUNKS.name, [(info.object_id, 0)]).to_pylist()[0]
    evil = {"data": b"evil", "sha256": hashlib.sha256(b"evil").hexdigest()}
    store.put(ARTIFACT_CHUNKS.name, pa.Table.from_pylist([row | evil]))
    with pytest.raises(ObjectCorruptError, match="4 bytes do not match the sha256 of 4 bytes that were stored"):
        objects.read("models/a")


def test_a_corrupt_object_is_not_downloaded(store: Store, objects: ObjectStore, tmp_path: Path) -> None:
    info = objects.put("models/a", bytes(CHUNK_BYTES + 1))
    target = tmp_path / "a"
    target.write_text("before")
    store.delete(ARTIFACT_CHUNKS.name, [(info.object_id, 1)])
    with pytest.raises(ObjectCorruptError, match="chunk 1 of 2 is missing"):
        objects.download("models/a", target)
    assert target.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".part"] == []


def test_check_finds_what_is_wrong_without_reading(store: Store, objects: ObjectStore) -> None:
    objects.put("sound", bytes(CHUNK_BYTES + 1))
    missing, short, extra = (objects.put(f"broken/{name}", bytes(CHUNK_BYTES + 1)) for name in ("a", "b", "c"))
    store.delete(ARTIFACT_CHUNKS.name, [(missing.object_id, 0)])
    for info, number in ((short, 1), (extra, 2)):
        row = {"object_id": info.object_id, "chunk": number, "data": b"ab", "sha256": ""}
        store.put(ARTIFACT_CHUNKS.name, pa.Table.from_pylist([row]))
    # Two uploads at once can get there.
    objects.put("clash/x", b"")
    store.put(ARTIFACTS.name, store.get(ARTIFACTS.name, ["sound"]).set_column(0, "path", pa.array(["clash"])))
    found = objects.check()
    assert (found.objects, found.orphans) == (6, [])
    assert found.broken.pop("clash") == "its manifest does not match the manifest's own sha256"
    assert found.broken == {
        "broken/a": "chunk 0 of 2 is missing",
        "broken/b": "chunk 1 has 2 bytes, 1 were stored",
        "broken/c": "chunk 2 is there, but the object has only 2",
        "clash/x": "'clash' is an object as well as its folder",
    }


def test_check_does_not_blame_what_is_committed_meanwhile(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def after_a_commit(*arguments: Any) -> pa.Table:
        objects.put("new", b"new")
        return list_rows(*arguments)

    monkeypatch.setattr(object_check, "list_rows", after_a_commit)
    found = objects.check()
    assert (found.objects, found.broken) == (1, {})


def test_a_missing_chunk_is_told(store: Store, objects: ObjectStore) -> None:
    info = objects.put("models/a", bytes(CHUNK_BYTES + 1))
    store.delete(ARTIFACT_CHUNKS.name, [(info.object_id, 1)])
    with pytest.raises(ObjectCorruptError, match="chunk 1 of 2 is missing"):
        objects.read("models/a")


def test_an_object_replaced_while_it_is_read(store: Store, objects: ObjectStore) -> None:
    # The first batch is given out, and the next two may be on their way.
    objects.put("x", bytes(5 * BATCH_CHUNKS * CHUNK_BYTES))
    chunks = objects.open("x")
    next(chunks)
    objects.put("x", b"new")
    with pytest.raises(ObjectNotFoundError, match="'x' was replaced or deleted while it was read; read it again"):
        list(chunks)


def test_the_manifest_is_a_row_that_sql_can_see(store: Store, objects: ObjectStore) -> None:
    objects.put("x", b"abc")
    row = store.get(ARTIFACTS.name, ["x"]).to_pylist()[0]
    assert (row["size"], row["chunks"], row["chunk_size"]) == (3, 1, CHUNK_BYTES)
