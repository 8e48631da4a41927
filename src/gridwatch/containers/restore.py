"""Put a backup of the embedded store in its place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gridwatch.containers._object_files import ObjectFiles
from gridwatch.containers._sqlite_session import flush
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import StoreError
from gridwatch.folders import make_private

__all__ = ["restore_store"]


def restore_store(backup: Path, target: Path) -> Path | None:
    """Replace the store at `target` by a backup that `SqliteStore.backup` wrote; nobody may have the store open.

    Args:
        backup: The backup; it stays as it is. The files of its large objects are in the folder beside it.
        target: The store's file, which need not exist.

    Returns:
        Where the store that was there is kept, or None when there was none.

    Raises:
        StoreError: The backup is missing or no gridwatch store, the store is in use, or the folder cannot be written.
    """
    if not backup.is_file():
        raise StoreError(f"No backup {str(backup)!r}; `gridwatch backup FILE` writes one.", path=str(backup))
    part = target.with_name(f"{target.name}.part")
    kept = target.with_name(f"{target.name}.before-restore")
    try:
        make_private(target.parent)
        shutil.copyfile(backup, part)
        # Opening checks that it is a store, and brings one of an older gridwatch up to date; the backup is not touched.
        with SqliteStore(part) as store:
            store.compact()
        flush(part)
        files = ObjectFiles(target.with_name(f"{target.name}.objects"))
        # Only added, so that at no moment the store at the target lacks one; what is left over, `fsck` collects.
        ObjectFiles.beside(backup).copy_to(files)
        if not target.exists():
            part.replace(target)
            return None
        held = ObjectFiles.beside(target)
        with SqliteStore(target) as old:
            # Rows of the write-ahead log go into the file, so that the file alone is the old store.
            old.compact()
        _refuse_in_use(target)
        # A second name for the old file first, so that at no moment there is no store at the target.
        link = target.with_name(f"{target.name}.kept")
        link.unlink(missing_ok=True)
        os.link(target, link)
        old_files = ObjectFiles(kept.with_name(f"{kept.name}.objects"))
        shutil.rmtree(old_files.folder, ignore_errors=True)
        held.copy_to(old_files, link=True)
        link.replace(kept)
        part.replace(target)
        flush(target.parent)
    except OSError as error:
        raise StoreError(f"Cannot restore {str(target)!r}: {error}.", path=str(target)) from error
    finally:
        for suffix in ("", "-wal", "-shm"):
            part.with_name(part.name + suffix).unlink(missing_ok=True)
    return kept


def _refuse_in_use(target: Path) -> None:
    """The last one to close a store removes its log; where that is left, its rows would be read into the backup."""
    log = target.with_name(f"{target.name}-wal")
    if log.exists():
        raise StoreError(
            f"Store {str(target)!r} is in use by another process; stop it (`gridwatch down`) and restore again.",
            path=str(target),
        )
