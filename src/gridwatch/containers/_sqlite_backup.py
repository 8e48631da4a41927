"""A consistent copy of the embedded store, taken while others use it: its file, and the files of its large objects."""

from __future__ import annotations

import os
import shutil
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from gridwatch.containers._object_files import ObjectFiles
from gridwatch.containers._sqlite_format import APPLICATION_ID
from gridwatch.containers._sqlite_names import quoted
from gridwatch.containers._sqlite_session import Pool, Session, flush
from gridwatch.containers.catalog import ARTIFACT_CHUNKS
from gridwatch.errors import StoreError

__all__ = ["Progress", "back_up", "check_copy", "is_store", "large_objects"]

log = structlog.get_logger(__name__)

Progress = Callable[[int, int | None], None]

_ATTEMPTS = 5
"""How often the copy starts again when a large object was stored and deleted again within it."""

_LOOK_S = 0.2


def back_up(
    pool: Pool, files: ObjectFiles, store: Path, target: Path, *, force: bool = False, progress: Progress | None = None
) -> None:
    """Write a consistent copy of a store to a new file, and look whether it is sound.

    Args:
        pool: Of the store.
        files: Its large objects, copied to the folder beside the new file.
        store: Its file.
        target: The new file.
        force: Replace a backup that is there, in the moment when the new one is whole.
        progress: Told the bytes that are written, of how many.

    Raises:
        StoreError: It exists or cannot be written, or what was written is not sound.
    """
    _check_target(store, target, force=force)
    # Under another name until it is complete, so that a half copy is never taken for a backup.
    part = target.with_name(f"{target.name}.part")
    copies = ObjectFiles(target.with_name(f"{target.name}.objects"))
    fresh = not copies.folder.exists()
    try:
        missing = _copied(pool, files, copies, part, progress)
        for _ in range(_ATTEMPTS - 1):
            before, missing = missing, _copied(pool, files, copies, part, progress) if missing else missing
            if missing == before:
                break
        if missing:
            # They were lost before, which is no reason to be without a backup of the rest.
            log.warning("backup_without_object_files", backup=str(target), object_ids=sorted(missing))
        check_copy(part)
        named = large_objects(part)
        part.replace(target)
        flush(target.parent)
        # What only the backup before this one named.
        for left in set(copies.sizes()) - named:
            copies.delete(left)
    except OSError as error:
        raise StoreError(f"Cannot write backup {str(target)!r}: {error.strerror}.", path=str(target)) from error
    finally:
        # A disk that lets nothing be deleted has let nothing be made; its first error is the one to be told.
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if fresh and not target.exists():
            shutil.rmtree(copies.folder, ignore_errors=True)


def _check_target(store: Path, target: Path, *, force: bool) -> None:
    if not target.parent.is_dir():
        raise StoreError(f"Backup folder {str(target.parent)!r} does not exist; make it first.", path=str(target))
    if not target.exists():
        return
    if os.path.realpath(store) == os.path.realpath(target):
        raise StoreError(f"Backup {str(target)!r} is the store itself; name a new file.", path=str(target))
    if not force:
        raise StoreError(
            f"Backup {str(target)!r} exists; name a new file, or replace it with --force.", path=str(target)
        )
    if not is_store(target):
        raise StoreError(
            f"{str(target)!r} is no backup of gridwatch's, and is not replaced; name a new file.", path=str(target)
        )


def is_store(path: Path) -> bool:
    """Tell whether a file begins as a gridwatch store does, without opening it as one."""
    with path.open("rb") as file:
        head = file.read(100)
    # SQLite's file format: a magic string, and the application's number in the bytes 68 to 71.
    return head.startswith(b"SQLite format 3\0") and head[68:72] == struct.pack(">I", APPLICATION_ID)


def check_copy(path: Path) -> None:
    """Read a whole store file, which nobody else uses, and look whether its pages are sound.

    Raises:
        StoreError: They are not.
    """
    session = Session(path)
    try:
        said = session.query("PRAGMA quick_check(1)").column(0)[0].as_py()
    finally:
        session.close()
    if said != "ok":
        raise StoreError(f"Store {str(path)!r} is damaged ({said}); restore it from a backup.", path=str(path))


def _copied(pool: Pool, files: ObjectFiles, copies: ObjectFiles, part: Path, progress: Progress | None) -> set[str]:
    """Copy file and objects; return the ids of objects whose file went while this was done."""
    # Before as well as after: what is deleted after the snapshot has been copied, what came before it is copied then.
    files.copy_to(copies)
    part.unlink(missing_ok=True)
    # SQLite takes an empty file too: so the copy is its owner's alone, as the store is in its folder.
    part.touch(mode=0o600)
    with pool.session() as session, _watched(session, part, progress):
        session.query("VACUUM INTO ?", [str(part)])
    # SQLite leaves a vacuumed copy in the page cache; a power cut would make a backup of it that is none.
    flush(part)
    files.copy_to(copies)
    return large_objects(part) - set(copies.sizes())


@contextmanager
def _watched(session: Session, part: Path, progress: Progress | None) -> Iterator[None]:
    """Tell how large a file has become that SQLite writes, which says nothing of it by itself."""
    if progress is None:
        yield
        return
    pages, free, size = (
        int(session.query(f"PRAGMA {name}").column(0)[0].as_py())
        for name in ("page_count", "freelist_count", "page_size")
    )
    total, over = (pages - free) * size, threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_S):
            progress(min(part.stat().st_size if part.exists() else 0, total), total)

    looking = threading.Thread(target=look, name="backup-progress", daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()
    progress(total, total)


def large_objects(store: Path) -> set[str]:
    """Return the ids of the objects in a store, which nobody else uses, whose bytes are in files."""
    table = f"c_{ARTIFACT_CHUNKS.name}"
    session = Session(store)
    try:
        if not session.query("SELECT 1 FROM sqlite_schema WHERE name = ?", [table]).num_rows:
            return set()
        found = session.query(f"SELECT DISTINCT object_id FROM {quoted(table)} WHERE data IS NULL")
        return set(found.column(0).to_pylist())
    finally:
        session.close()
