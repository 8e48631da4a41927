"""Byte objects: whole or not at all, checked, bounded in memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from gridwatch.containers import Store, open_store
from gridwatch.containers._object_rows import BATCH_CHUNKS
from gridwatch.containers.catalog import ARTIFACT_CHUNKS, ARTIFACTS
from gridwatch.containers.objects import CHUNK_BYTES, ObjectStore
from gridwatch.errors import ObjectCorruptError, ObjectNotFoundError, StoreBusyError, StoreError, ValueRefusedError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
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
    with pytest.raises(ObjectNotFoundError, match="No object 'x' in store 'sqlite:///"):
        objects.open("x")


def test_list_keeps_to_folders(objects: ObjectStore) -> None:
    for path in ("a/x", "a/b/y", "ab/z", "a_", "A/x", "a/ü"):
        objects.put(path, b"")
    assert [info.path for info in objects.list("a")] == ["a/b/y", "a/x", "a/ü"]
    assert [info.path for info in objects.list("a/x")] == ["a/x"]
    assert len(objects.list()) == 6
    assert objects.list("nosuch") == []


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/./b", "a/..", "a\0b", "a\udc80", "a" * 4097])
def test_refused_paths(objects: ObjectStore, path: str) -> None:
    with pytest.raises(ValueRefusedError, match=r"Object path .* is refused; use a relative path"):
        objects.put(path, b"")
    with pytest.raises(ValueRefusedError, match="is refused"):
        objects.info(path)


def chunk_row(objects: ObjectStore, path: str, data: bytes, sha256: str | None = None) -> pa.Table:
    rows = objects.store.get(ARTIFACT_CHUNKS.name, [(objects.info(path).object_id, 0)]).to_pylist()
    return pa.Table.from_pylist([{**rows[0], "data": data, **({"sha256": sha256} if sha256 else {})}])


def test_changed_bytes_are_told(store: Store, objects: ObjectStore) -> None:
    objects.put("models/a", b"good")
    store.put(ARTIFACT_CHUNKS.name, chunk_row(objects, "models/a", b"evil"))
    with pytest.raises(ObjectCorruptError, match=r"'models/a' \(id .*\) is corrupt: chunk 0 does not match its sha256"):
        objects.read("models/a")
    evil = hashlib.sha256(b"evil").hexdigest()
    store.put(ARTIFACT_CHUNKS.name, chunk_row(objects, "models/a", b"evil", evil))
    with pytest.raises(ObjectCorruptError, match="4 bytes do not match the sha256 of 4 bytes that were stored"):
        objects.read("models/a")


def test_a_missing_chunk_is_told(store: Store, objects: ObjectStore) -> None:
    info = objects.put("models/a", bytes(CHUNK_BYTES + 1))
    store.delete(ARTIFACT_CHUNKS.name, [(info.object_id, 1)])
    with pytest.raises(ObjectCorruptError, match="chunk 1 of 2 is missing"):
        objects.read("models/a")


def test_an_object_replaced_while_it_is_read(store: Store, objects: ObjectStore) -> None:
    # Of three batches the first is given out, and the second may be on its way.
    objects.put("x", bytes(3 * BATCH_CHUNKS * CHUNK_BYTES))
    chunks = objects.open("x")
    next(chunks)
    objects.put("x", b"new")
    with pytest.raises(ObjectNotFoundError, match="'x' was replaced or deleted while it was read; read it again"):
        list(chunks)


def test_the_manifest_is_a_row_that_sql_can_see(store: Store, objects: ObjectStore) -> None:
    objects.put("x", b"abc")
    row = store.get(ARTIFACTS.name, ["x"]).to_pylist()[0]
    assert (row["size"], row["chunks"], row["chunk_size"]) == (3, 1, CHUNK_BYTES)
