"""A consistent copy of the embedded store, taken while others use it: its file, and the files of its large objects."""

from __future__ import annotations

import shutil
from pathlib import Path

import structlog

from gridwatch.containers._object_files import ObjectFiles
from gridwatch.containers._sqlite_names import quoted
from gridwatch.containers._sqlite_session import Pool, Session, flush
from gridwatch.containers.catalog import ARTIFACT_CHUNKS
from gridwatch.errors import StoreError

__all__ = ["back_up"]

log = structlog.get_logger(__name__)

_ATTEMPTS = 5
"""How often the copy starts again when a large object was stored and deleted again within it."""


def back_up(pool: Pool, files: ObjectFiles, target: Path) -> None:
    """Write a consistent copy of a store to a new file.

    Args:
        pool: Of the store.
        files: Its large objects, copied to the folder beside the new file.
        target: The new file.

    Raises:
        StoreError: It exists or cannot be written.
    """
    if target.exists():
        raise StoreError(f"Backup {str(target)!r} exists; name a new file.", path=str(target))
    if not target.parent.is_dir():
        raise StoreError(f"Backup folder {str(target.parent)!r} does not exist; make it first.", path=str(target))
    # Under another name until it is complete, so that a half copy is never taken for a backup.
    part = target.with_name(f"{target.name}.part")
    copies = ObjectFiles(target.with_name(f"{target.name}.objects"))
    fresh = not copies.folder.exists()
    try:
        missing = _copied(pool, files, copies, part)
        for _ in range(_ATTEMPTS - 1):
            before, missing = missing, _copied(pool, files, copies, part) if missing else missing
            if missing == before:
                break
        if missing:
            # They were lost before, which is no reason to be without a backup of the rest.
            log.warning("backup_without_object_files", backup=str(target), object_ids=sorted(missing))
        part.replace(target)
        flush(target.parent)
    except OSError as error:
        raise StoreError(f"Cannot write backup {str(target)!r}: {error.strerror}.", path=str(target)) from error
    finally:
        part.unlink(missing_ok=True)
        if fresh and not target.exists():
            shutil.rmtree(copies.folder, ignore_errors=True)


def _copied(pool: Pool, files: ObjectFiles, copies: ObjectFiles, part: Path) -> set[str]:
    """Copy file and objects; return the ids of objects whose file went while this was done."""
    # Before as well as after: what is deleted after the snapshot has been copied, what came before it is copied then.
    files.copy_to(copies)
    part.unlink(missing_ok=True)
    with pool.session() as session:
        session.query("VACUUM INTO ?", [str(part)])
    # SQLite leaves a vacuumed copy in the page cache; a power cut would make a backup of it that is none.
    flush(part)
    files.copy_to(copies)
    return _named(part) - set(copies.sizes())


def _named(store: Path) -> set[str]:
    """Return the ids of the objects in a store whose bytes are in files."""
    table = f"c_{ARTIFACT_CHUNKS.name}"
    session = Session(store)
    try:
        if not session.query("SELECT 1 FROM sqlite_schema WHERE name = ?", [table]).num_rows:
            return set()
        found = session.query(f"SELECT DISTINCT object_id FROM {quoted(table)} WHERE data IS NULL")
        return set(found.column(0).to_pylist())
    finally:
        session.close()
