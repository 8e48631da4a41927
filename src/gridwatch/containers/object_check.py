"""What is wrong with the objects of a store, found without reading their bytes; and what a crash left, collected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from gridwatch.containers._object_files import KeepsFiles
from gridwatch.containers._object_rows import (
    CHUNK_BYTES,
    ObjectInfo,
    ancestors,
    delete_chunk_keys,
    delete_files,
    find,
    infos_of,
    list_rows,
)
from gridwatch.containers._object_writer import GRACE_MS
from gridwatch.containers.catalog import ARTIFACT_CHUNKS
from gridwatch.containers.store import Store

__all__ = ["Findings", "Orphan", "check_objects", "delete_orphans"]

log = structlog.get_logger(__name__)

_Sizes = dict[int, "int | None"]
"""Bytes of chunks by number; None for those in a file."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """Chunks that no manifest names.

    Attributes:
        object_id: The upload they belong to.
        chunks: Their numbers.
        size: Their bytes.
        begun_ms: When the upload began, UTC epoch ms; 0 when the id does not tell.
    """

    object_id: str
    chunks: tuple[int, ...]
    size: int
    begun_ms: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What `check_objects` found.

    Attributes:
        objects: Manifests that were looked at.
        size: Bytes that they name.
        broken: Path of each object that cannot be read, with the reason.
        orphans: Chunks without a manifest whose upload began before the grace.
        uploads: Chunks without a manifest that may belong to an upload that is going on.
    """

    objects: int
    size: int
    broken: dict[str, str] = field(default_factory=dict)
    orphans: list[Orphan] = field(default_factory=list)
    uploads: list[Orphan] = field(default_factory=list)


def check_objects(store: Store, *, now_ms: Callable[[], int], grace_ms: int = GRACE_MS) -> Findings:
    """Compare manifests and chunks by number and size; for the bytes themselves, read the objects.

    Args:
        store: Where the objects are; others may go on using it.
        now_ms: The clock, UTC epoch ms.
        grace_ms: Longer than any upload takes from its first chunk to its commit.
    """
    # The files and chunks first: what is committed in between has its manifest, and is not taken for an orphan.
    files = store.files.sizes() if isinstance(store, KeepsFiles) else {}
    chunks = _chunk_sizes(store)
    infos = infos_of(list_rows(store, ""))
    broken = _broken(store, infos, chunks)
    known = {info.object_id for info in infos}
    youngest_ms = now_ms() - grace_ms
    for object_id, size in files.items():
        # A file without rows: its upload did not come to its end.
        chunks.setdefault(object_id, dict.fromkeys(range(-(-size // CHUNK_BYTES))))
    left = [
        Orphan(object_id, tuple(sorted(sizes)), _bytes_of(sizes) + files.get(object_id, 0), _begun_ms(object_id))
        for object_id, sizes in sorted(chunks.items())
        if object_id not in known
    ]
    return Findings(
        sum(not info.is_folder for info in infos),
        sum(info.size or 0 for info in infos),
        broken,
        [orphan for orphan in left if orphan.begun_ms < youngest_ms],
        [orphan for orphan in left if orphan.begun_ms >= youngest_ms],
    )


def delete_orphans(store: Store, orphans: Sequence[Orphan]) -> int:
    """Delete chunks that `check_objects` found to belong to no object; return how many it found."""
    for orphan in orphans:
        delete_chunk_keys(store, [(orphan.object_id, chunk) for chunk in orphan.chunks])
    delete_files(store, [orphan.object_id for orphan in orphans])
    chunks = sum(len(orphan.chunks) for orphan in orphans)
    log.info("orphan_chunks_deleted", store=store.url, chunks=chunks)
    return chunks


def _chunk_sizes(store: Store, object_id: str | None = None) -> dict[str, _Sizes]:
    """Return the bytes of each chunk, by object id (of one or all) and number; the store counts, none are read here."""
    query = f"SELECT object_id, chunk, LENGTH(data) AS size FROM {ARTIFACT_CHUNKS.name}"
    rows = store.sql(query) if object_id is None else store.sql(f"{query} WHERE object_id = ?", [object_id])
    found: dict[str, _Sizes] = {}
    for object_id, chunk, size in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        found.setdefault(object_id, {})[chunk] = size
    return found


def _bytes_of(sizes: _Sizes) -> int:
    return sum(size or 0 for size in sizes.values())


def _broken(store: Store, infos: list[ObjectInfo], chunks: dict[str, _Sizes]) -> dict[str, str]:
    """Return the path of each object that cannot be read, with the reason."""
    paths = {info.path for info in infos}
    broken = {}
    for info in infos:
        why = _wrong(store, info, chunks.get(info.object_id, {}))
        if why:
            # Committed since the chunks were listed: they are there now.
            why = _wrong(store, info, _chunk_sizes(store, info.object_id).get(info.object_id, {}))
        above = next((folder for folder in ancestors(info.path.rstrip("/")) if folder in paths), None)
        if why is None and (above or (info.is_folder and info.path.rstrip("/") in paths)):
            why = f"{above or info.path.rstrip('/')!r} is an object as well as its folder"
        # Replaced or deleted meanwhile: no fault. Asked last, for chunks go only after their manifest.
        if why and find(store, info.path) == info:
            broken[info.path] = why
    return broken


def _wrong(store: Store, info: ObjectInfo, sizes: _Sizes) -> str | None:
    if not info.is_sound:
        return "its manifest does not match the manifest's own sha256"
    missing = sorted(set(range(info.chunks)) - set(sizes))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"chunk {missing[0]}{more} of {info.chunks} is missing"
    for number in range(info.chunks):
        expected = min(CHUNK_BYTES, info.size - number * CHUNK_BYTES)
        if sizes[number] not in {expected, None}:
            return f"chunk {number} has {sizes[number]} bytes, {expected} were stored"
    if None in sizes.values() and isinstance(store, KeepsFiles):
        # Over the Web API it cannot be seen what the server has in its files.
        size = store.files.size(info.object_id)
        if size != info.size:
            return "its file is missing" if size is None else f"its file has {size} bytes, {info.size} were stored"
    extra = sorted(set(sizes) - set(range(info.chunks)))
    return f"chunk {extra[0]} is there, but the object has only {info.chunks}" if extra else None


def _begun_ms(object_id: str) -> int:
    try:
        return int(object_id[:12], 16)
    except ValueError:
        return 0
