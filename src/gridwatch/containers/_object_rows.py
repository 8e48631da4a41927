"""What the two artifact containers hold: manifests, one row an object, and chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from gridwatch.containers._object_files import FILE_CHUNK_BYTES, KeepsFiles
from gridwatch.containers.catalog import ARTIFACT_CHUNKS, ARTIFACTS
from gridwatch.containers.store import Store
from gridwatch.errors import ObjectConflictError, ObjectCorruptError, ValueRefusedError

__all__ = [
    "BATCH_CHUNKS",
    "CHUNK_BYTES",
    "FIELDS",
    "ObjectInfo",
    "ancestors",
    "check_path",
    "corrupt",
    "delete_chunk_keys",
    "delete_chunks",
    "delete_files",
    "delete_manifests",
    "find",
    "find_sound",
    "first_below",
    "infos_of",
    "list_rows",
    "refuse_conflict",
    "write_manifest",
]

CHUNK_BYTES = FILE_CHUNK_BYTES
"""A GridDB server with its default memory limit put a row of 32 MiB and could not read it back; a few MiB are safe,
and larger chunks were not faster."""

BATCH_CHUNKS = 4
"""Chunks in one call of the store, up and down: fewer calls, each of which is a commit, for 8 MiB of memory."""

_PATH_BYTES_MAX = 4096
_KEYS_MAX = 1000
FIELDS = ("path", "size", "sha256", "stored_ms", "object_id", "chunks", "manifest_sha256")
"""Columns of the manifest, in the order of ObjectInfo's attributes."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object, or an empty folder; `size` in bytes, `sha256` in hex, `stored_ms` in UTC epoch ms.

    `seal` is the digest over these values that was stored with them.
    """

    path: str
    size: int
    sha256: str
    stored_ms: int
    object_id: str
    chunks: int
    seal: str = field(default="", repr=False, compare=False)

    @property
    def is_folder(self) -> bool:
        """Whether this is the mark of an empty folder; its path ends with a slash."""
        return self.path.endswith("/")

    @property
    def is_sound(self) -> bool:
        """Whether the manifest is as it was written."""
        return self.seal == self.digest()

    def digest(self) -> str:
        """Return the sha256 over the manifest's values, so that a change of any of them is seen."""
        text = "\n".join(str(value) for value in (self.object_id, self.size, self.sha256, self.chunks, self.stored_ms))
        return hashlib.sha256(f"{text}\n{self.path}".encode()).hexdigest()


def check_path(path: str) -> str:
    """Return the path of an object, or refuse it.

    Raises:
        ValueRefusedError: It is empty, absolute, longer than 4096 bytes or no Unicode, or has an empty, '.' or '..'
            part or NUL.
    """
    if (
        "\0" in path
        or any(part in {"", ".", ".."} for part in path.split("/"))
        # A file name that is not UTF-8 comes as half of surrogate pairs.
        or any("\ud800" <= character <= "\udfff" for character in path)
        or len(path.encode()) > _PATH_BYTES_MAX
    ):
        raise ValueRefusedError(
            f"Object path {path[:200]!r} is refused; use a relative path such as models/a/model.onnx without empty "
            f"parts, '.', '..', NUL or broken Unicode, at most {_PATH_BYTES_MAX} bytes.",
            path=path,
        )
    return path


def ancestors(path: str) -> list[str]:
    """Return the folders above a path.

    >>> ancestors("a/b/c")
    ['a', 'a/b']
    """
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def find(store: Store, path: str) -> ObjectInfo | None:
    """Return what the manifest of this path says, sound or not, or None."""
    rows = store.get(ARTIFACTS.name, [path])
    return infos_of(rows)[0] if rows.num_rows else None


def find_sound(store: Store, path: str) -> ObjectInfo | None:
    """Return the object of this path, or None.

    Raises:
        ObjectCorruptError: A value of the manifest was changed.
    """
    found = find(store, path)
    if found is not None and not found.is_sound:
        raise corrupt(found, "its manifest does not match the manifest's own sha256")
    return found


def infos_of(rows: pa.Table) -> list[ObjectInfo]:
    """Return manifests as objects, sound or not."""
    return [ObjectInfo(*(row[name] for name in FIELDS)) for row in rows.select(FIELDS).to_pylist()]


def list_rows(store: Store, prefix: str) -> pa.Table:
    """Return the manifests below a folder (`""` is everything), of its empty-folder mark, or of one path, sorted."""
    query = f"SELECT {', '.join(FIELDS)} FROM {ARTIFACTS.name}"
    if not prefix:
        return store.sql(f"{query} ORDER BY path")
    # '0' is the character after '/': a range by the key, where LIKE would take _ and % in names for wildcards.
    query += " WHERE path = ? OR (path >= ? AND path < ?) ORDER BY path"
    return store.sql(query, [check_path(prefix), f"{prefix}/", f"{prefix}0"])


def first_below(store: Store, folder: str) -> str | None:
    """Return the path of some object, or empty-folder mark, below a folder (`""` is everything), or None."""
    bounds = [f"{folder}/", f"{folder}0"] if folder else []
    where = "WHERE path >= ? AND path < ? " if folder else ""
    rows = store.sql(f"SELECT path FROM {ARTIFACTS.name} {where}LIMIT 1", bounds)
    return str(rows.column("path")[0].as_py()) if rows.num_rows else None


def refuse_conflict(store: Store, path: str) -> None:
    """Refuse a path that is a folder of other objects, or that is below an object.

    Raises:
        ObjectConflictError: As in a file system, a name is a file or a folder, not both.
    """
    above = store.get(ARTIFACTS.name, ancestors(path)).column("path").to_pylist() if "/" in path else []
    if above:
        raise ObjectConflictError(
            f"Object {path!r} cannot be stored: {above[0]!r} is an object, not a folder. Delete that one first, or "
            "choose another name.",
            path=path,
        )
    below = first_below(store, path)
    if below is not None:
        raise ObjectConflictError(
            f"Object {path!r} cannot be stored: it is a folder, with {below!r} in it. Delete that first, or choose "
            "another name.",
            path=path,
        )


def write_manifest(store: Store, info: ObjectInfo, chunks: pa.Table | None = None) -> None:
    """Write the row that makes an object visible; with rows of its chunks where a store writes both or none."""
    values = (info.path, info.size, info.sha256, info.stored_ms, info.object_id, info.chunks, info.digest())
    row = pa.Table.from_pylist([dict(zip(FIELDS, values, strict=True), chunk_size=CHUNK_BYTES)])
    store.put_many({ARTIFACTS.name: row} if chunks is None else {ARTIFACT_CHUNKS.name: chunks, ARTIFACTS.name: row})


def delete_chunks(store: Store, infos: Iterable[ObjectInfo]) -> int:
    """Delete the chunks of objects; return how many there were."""
    infos = list(infos)
    keys = []
    deleted = 0
    for info in infos:
        if info.is_sound:
            keys += [(info.object_id, chunk) for chunk in range(info.chunks)]
        else:
            # A manifest that was changed does not know how many there are.
            deleted += store.execute(f"DELETE FROM {ARTIFACT_CHUNKS.name} WHERE object_id = ?", [info.object_id])
    deleted += delete_chunk_keys(store, keys)
    delete_files(store, [info.object_id for info in infos])
    return deleted


def delete_files(store: Store, object_ids: Iterable[str]) -> None:
    """Delete the files of objects, of which some may have none; after the rows that speak of them."""
    if isinstance(store, KeepsFiles):
        for object_id in object_ids:
            store.files.delete(object_id)


def delete_chunk_keys(store: Store, keys: Sequence[tuple[str, int]]) -> int:
    """Delete chunks by object id and number; return how many there were."""
    batches = [keys[start : start + _KEYS_MAX] for start in range(0, len(keys), _KEYS_MAX)]
    return sum(store.delete(ARTIFACT_CHUNKS.name, batch) for batch in batches)


def delete_manifests(store: Store, paths: Sequence[str]) -> int:
    """Delete manifests; return how many there were."""
    batches = [paths[start : start + _KEYS_MAX] for start in range(0, len(paths), _KEYS_MAX)]
    return sum(store.delete(ARTIFACTS.name, batch) for batch in batches)


def corrupt(info: ObjectInfo, why: str) -> ObjectCorruptError:
    """Return the error for an object whose bytes are not the ones that were stored."""
    return ObjectCorruptError(
        f"Object {info.path!r} (id {info.object_id}) is corrupt: {why}. Store it again, or restore the store from a "
        "backup.",
        path=info.path,
    )
