"""Put a backup of the embedded store in its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gridwatch.containers._object_files import ObjectFiles
from gridwatch.containers._sqlite_backup import check_copy, is_store, large_objects
from gridwatch.containers._sqlite_session import flush
from gridwatch.containers.sqlite import SqliteStore
from gridwatch.errors import StoreError
from gridwatch.folders import make_private

__all__ = ["restore_store"]

_PIECE_BYTES = 8 << 20
_SUFFIXES = ("", "-wal", "-shm")
"""Of a store's file and those that SQLite keeps beside it."""

Progress = Callable[[int, int | None], None]


def restore_store(backup: Path, target: Path, *, force: bool = False, progress: Progress | None = None) -> Path | None:
    """Replace the store at `target` by a backup that `SqliteStore.backup` wrote; nobody may have the store open.

    Args:
        backup: The backup; it stays as it is. The files of its large objects are in the folder beside it.
        target: The store's file, which need not exist.
        force: Go on although large objects of the backup are missing, and lose the store that the restore before this
            one has kept, or the log of a store that is gone.
        progress: Told the bytes of the file that are copied, of how many.

    Returns:
        Where the store that was there is kept, or None when there was none.

    Raises:
        StoreError: The backup is missing, damaged, without its large objects or no gridwatch store, the store is in
            use, a kept one would be lost, or the folder cannot be written. The store at the target is as it was.
    """
    if not backup.is_file():
        raise StoreError(f"No backup {str(backup)!r}; `gridwatch backup FILE` writes one.", path=str(backup))
    part = target.with_name(f"{target.name}.part")
    kept = target.with_name(f"{target.name}.before-restore")
    _check(backup, target, kept, force=force)
    try:
        make_private(target.parent)
        # A log that a restore left behind which was killed would be read into the new file.
        for suffix in _SUFFIXES:
            part.with_name(part.name + suffix).unlink(missing_ok=True)
        _copy(backup, part, progress)
        _bring_up(part, backup)
        files = ObjectFiles(target.with_name(f"{target.name}.objects"))
        _check_objects(part, backup, files, force=force)
        flush(part)
        # Only added, so that at no moment the store at the target lacks one; what is left over, `fsck` collects.
        ObjectFiles.beside(backup).copy_to(files)
        if not target.exists():
            for suffix in _SUFFIXES[1:]:
                target.with_name(target.name + suffix).unlink(missing_ok=True)
            part.replace(target)
            flush(target.parent)
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
        for suffix in _SUFFIXES:
            # A disk that lets nothing be deleted has let nothing be made; its first error is the one to be told.
            with suppress(OSError):
                part.with_name(part.name + suffix).unlink(missing_ok=True)
    return kept


def _check(backup: Path, target: Path, kept: Path, *, force: bool) -> None:
    if os.path.realpath(backup) == os.path.realpath(target):
        raise StoreError(f"Backup {str(backup)!r} is the store itself; name the file of a backup.", path=str(backup))
    if not is_store(backup):
        raise StoreError(f"{str(backup)!r} is not a gridwatch store; name the file of a backup.", path=str(backup))
    if kept.exists() and target.exists() and not force:
        raise StoreError(
            f"{str(kept)!r}, which an earlier restore kept, would be lost; move it away, or let it go with --force.",
            path=str(kept),
        )

    log = target.with_name(f"{target.name}-wal")
    if log.exists() and not target.exists() and not force:
        raise StoreError(
            f"{str(log)!r} is what a store left that is gone, and may hold its newest rows; move it away, or let it go "
            "with --force.",
            path=str(log),
        )


def _copy(backup: Path, part: Path, progress: Progress | None) -> None:
    done, total = 0, backup.stat().st_size
    with backup.open("rb") as source, part.open("wb") as copy:
        while piece := source.read(_PIECE_BYTES):
            copy.write(piece)
            done += len(piece)
            if progress:
                progress(done, total)


def _bring_up(part: Path, backup: Path) -> None:
    """Open the copy, which checks that it is a store and brings one of an older gridwatch up to date; then read it."""
    try:
        with SqliteStore(part) as store:
            store.compact()
        check_copy(part)
    except StoreError as error:
        raise StoreError(f"Backup {str(backup)!r} cannot be restored. {error}", path=str(backup)) from error


def _check_objects(part: Path, backup: Path, there: ObjectFiles, *, force: bool) -> None:
    """Refuse a backup that was taken elsewhere without the folder of its large objects."""
    beside = ObjectFiles.beside(backup)
    missing = large_objects(part) - set(beside.sizes()) - set(there.sizes())
    if missing and not force:
        raise StoreError(
            f"Backup {str(backup)!r} lacks {len(missing)} of its large objects, such as {min(missing)}; they "
            f"belong into {str(beside.folder)!r}. Bring that folder as well, or go without them with --force.",
            path=str(backup),
            missing=sorted(missing),
        )


def _refuse_in_use(target: Path) -> None:
    """The last one to close a store removes its log; where that is left, its rows would be read into the backup."""
    log = target.with_name(f"{target.name}-wal")
    if log.exists():
        raise StoreError(
            f"Store {str(target)!r} is in use by another process; stop it (`gridwatch down`) and restore again.",
            path=str(target),
        )
