"""The bytes of large objects in files beside the embedded store's own: written once, where SQLite's log takes a second.

A file is named by its object's id, so it is never written again and no two objects share one. It is on the disk before
the rows that speak of it are committed, and goes after they are deleted: a crash leaves a file that no row names, and
never a row without its file. The row of such a chunk has no data; who reads it through the store is given the file's.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa

from gridwatch.containers._sqlite_session import flush
from gridwatch.errors import StoreError
from gridwatch.folders import make_private

__all__ = ["FILE_CHUNK_BYTES", "FileWriter", "KeepsFiles", "ObjectFiles", "reserve", "whole_pages"]

FILE_CHUNK_BYTES = 2 * 1024 * 1024
"""Where the next chunk begins in a file: a part of the format, for ever."""

_ID = re.compile(r"[0-9a-f]{32}")
_PAGE_BYTES = 4096
_WRITES_AT_ONCE = 4
"""Disks take several writes at once in half the time of one after the other."""

_GROUP_ROWS = 64
"""Chunks read into one piece of memory; Arrow's offsets end at 2 GiB."""


@runtime_checkable
class KeepsFiles(Protocol):
    """A store whose large objects lie in files, and whose `put_many` is all or none."""

    files: ObjectFiles


class ObjectFiles:
    """The folder of a store's large objects; made, for its owner alone, when the first one comes.

    Args:
        folder: Where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def beside(cls, store: Path) -> ObjectFiles:
        """Return the files that belong to a store's file."""
        # As SQLite does for its log: a store that is opened through a link is the same store.
        real = Path(os.path.realpath(store))
        return cls(real.with_name(f"{real.name}.objects"))

    def path(self, object_id: str) -> Path | None:
        """Return where an object's file would be; None for what is no id, for ids come from rows that others write."""
        return self.folder / object_id if _ID.fullmatch(object_id) else None

    def start(self, object_id: str, expected: int = 0) -> FileWriter:
        """Begin the file of a new object, of which so many bytes are expected; 0 when that is not known.

        Raises:
            StoreError: It cannot be made.
        """
        with _wrapped(self.folder / object_id):
            if not self.folder.is_dir():
                make_private(self.folder)
                flush(self.folder.parent)
            return FileWriter(self.folder / object_id, expected)

    def size(self, object_id: str) -> int | None:
        """Return the bytes of an object's file, or None where there is none."""
        path = self.path(object_id)
        if path is None:
            return None
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return None

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each file by its object's id."""
        try:
            names = sorted(path.name for path in self.folder.iterdir())
        except FileNotFoundError:
            return {}
        found = {name: self.size(name) for name in names}
        # One that is deleted meanwhile is not there.
        return {name: size for name, size in found.items() if size is not None}

    def delete(self, object_id: str) -> bool:
        """Delete an object's file; return whether there was one.

        Raises:
            StoreError: It cannot be deleted.
        """
        path = self.path(object_id)
        if path is None:
            return False
        try:
            with _wrapped(path):
                path.unlink()
        except FileNotFoundError:
            return False
        return True

    def read(self, object_id: str, first: int, chunks: int) -> list[memoryview] | None:
        """Return chunks that follow each other, short or empty where the file ends, None without a file.

        Raises:
            StoreError: The file cannot be read.
        """
        path = self.path(object_id)
        if path is None:
            return None
        room = pa.allocate_buffer(chunks * FILE_CHUNK_BYTES)
        with _opened(path) as descriptor:
            if descriptor is None:
                return None
            size = _read(descriptor, first * FILE_CHUNK_BYTES, memoryview(room))
        ends = [min(place * FILE_CHUNK_BYTES, size) for place in range(chunks + 1)]
        return [memoryview(room)[start:end] for start, end in itertools.pairwise(ends)]

    def filled(self, rows: pa.Table) -> pa.Table:
        """Return rows of chunks with the bytes that lie in files, and everything else as it is.

        Args:
            rows: With columns `object_id`, `chunk` and `data`, or it is returned as it is.

        Raises:
            StoreError: A file cannot be read.
        """
        if not {"object_id", "chunk", "data"} <= set(rows.column_names) or not rows.column("data").null_count:
            return rows
        place = rows.schema.get_field_index("data")
        groups = [self._data(rows.slice(start, _GROUP_ROWS)) for start in range(0, rows.num_rows, _GROUP_ROWS)]
        return rows.set_column(place, rows.schema.field(place), pa.chunked_array(groups, rows.schema.field(place).type))

    def _data(self, rows: pa.Table) -> pa.Array:
        ids, numbers = (rows.column(name).to_pylist() for name in ("object_id", "chunk"))
        found = []
        for object_id, number, stored in zip(ids, numbers, rows.column("data"), strict=True):
            read = None if stored.is_valid or number < 0 else self.read(object_id, number, 1)
            found.append(stored.as_py() if read is None else read[0])
        return pa.array(found, pa.binary())

    def copy_to(self, other: ObjectFiles, *, link: bool = False) -> int:
        """Give another folder the files that it lacks; return how many.

        Args:
            other: The folder; made when there is a file for it.
            link: Give the file a second name where the file system can, instead of copying.

        Raises:
            OSError: One cannot be copied.
        """
        copied = 0
        for object_id in self.sizes():
            source, target = self.folder / object_id, other.folder / object_id
            if target.exists():
                continue
            make_private(other.folder)
            part = target.with_name(f"{object_id}.part")
            try:
                _copy(source, part, link=link)
                part.replace(target)
            except FileNotFoundError:
                # Deleted meanwhile; whoever needs it looks for it afterwards.
                continue
            finally:
                part.unlink(missing_ok=True)
            copied += 1
        if copied:
            flush(other.folder)
            flush(other.folder.parent)
        return copied


def _copy(source: Path, part: Path, *, link: bool) -> None:
    part.unlink(missing_ok=True)
    if link:
        try:
            os.link(source, part)
        except FileNotFoundError:
            raise
        except OSError:
            # Another file system, or one without links.
            pass
        else:
            return
    part.touch(mode=0o600)
    shutil.copyfile(source, part)
    flush(part)


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """Open a file for reading; None where there is none."""
    with _wrapped(path):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            yield None
            return
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _read(descriptor: int, start: int, room: memoryview) -> int:
    """Fill memory from a place in a file; return how many bytes there were."""
    size = 0
    while size < len(room):
        got = os.preadv(descriptor, [room[size:]], start + size)
        if not got:
            break
        size += got
    return size


class FileWriter:
    """Writes one object's file, several pieces at once, past the page cache where the file system can.

    Past the cache, since every byte has to reach the disk before the object is there: through it, each is copied once
    more and waits for the kernel to write it.

    Args:
        path: The file, which is made.
        expected: Its bytes, or 0.
    """

    def __init__(self, path: Path, expected: int) -> None:
        self._path = path
        self._descriptor: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        # Not with `open`: where the file system refuses, the file would be made all the same.
        self._direct = _set_direct(self._descriptor, on=True)
        if self._direct:
            # A file that grows is written by one at a time.
            reserve(self._descriptor, whole_pages(expected))
        self._threads = ThreadPoolExecutor(_WRITES_AT_ONCE, "object-file")
        # A caller may give up while another thread finishes.
        self._lock = threading.Lock()
        self._closed = False

    def write(self, start: int, pieces: list[memoryview]) -> list[Future[None]]:
        """Begin to write pieces of memory one after the other, all but the last of whole pages.

        Args:
            start: Where the first one goes in the file, at the start of a page.
            pieces: Not to be changed until all that is returned is done; the memory starts at a page.

        Raises:
            StoreError: The file was given up.
        """
        begun = []
        with self._lock:
            if self._closed:
                raise self._given_up()
            for piece in pieces:
                begun.append(self._threads.submit(self._write, start, piece))
                start += len(piece)
        return begun

    def _write(self, start: int, piece: memoryview) -> None:
        with _wrapped(self._path):
            while piece:
                if self._descriptor is None:
                    raise self._given_up()
                try:
                    written = os.pwrite(self._descriptor, piece, start)
                except OSError as error:
                    if error.errno != errno.EINVAL or not self._direct:
                        raise
                    # A file system that wants larger pages than these.
                    self._direct = _set_direct(self._descriptor, on=False)
                    continue
                start += written
                piece = piece[written:]

    def finish(self, size: int) -> None:
        """End the file after `size` bytes, and wait until it is on the disk.

        Raises:
            StoreError: It cannot be, or it was given up.
        """
        self.close()
        with self._lock, _wrapped(self._path):
            if self._descriptor is None:
                raise self._given_up()
            os.ftruncate(self._descriptor, size)
            os.fsync(self._descriptor)
            self._let_go()
            flush(self._path.parent)

    def close(self) -> None:
        """Wait for the pieces that are being written, and take no more."""
        with self._lock:
            self._closed = True
        self._threads.shutdown()

    def discard(self) -> None:
        """Delete the file, whether it is finished or not.

        Raises:
            StoreError: It cannot be deleted.
        """
        self.close()
        with self._lock, _wrapped(self._path):
            self._let_go()
            self._path.unlink(missing_ok=True)

    def _given_up(self) -> StoreError:
        return StoreError(f"Object file {str(self._path)!r} was given up.", path=str(self._path))

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def reserve(descriptor: int, size: int) -> None:
    """Have a file's place on the disk set aside, which makes writing and renaming it cheaper, if that can be."""
    if size:
        # The bytes will say what is wrong: a full disk, or a file system without this.
        with suppress(OSError):
            os.posix_fallocate(descriptor, 0, size)


def whole_pages(size: int) -> int:
    """Return the size of the pages that hold so many bytes."""
    return -(-size // _PAGE_BYTES) * _PAGE_BYTES


def _set_direct(descriptor: int, *, on: bool) -> bool:
    """Have a file written past the page cache, or not; return whether it is."""
    direct = getattr(os, "O_DIRECT", 0)
    if not direct:
        return False
    import fcntl

    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | direct if on else flags & ~direct)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return on


@contextmanager
def _wrapped(path: Path) -> Iterator[None]:
    """Turn errors of the file system into the store's; a file that is not there is left to the caller."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        hint = "free some space and run this again" if error.errno == errno.ENOSPC else "check the disk and its rights"
        raise StoreError(f"Cannot use object file {str(path)!r}: {error.strerror}; {hint}.", path=str(path)) from error
