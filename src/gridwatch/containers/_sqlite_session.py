"""Connections to one SQLite file through ADBC, the only SQLite library that gridwatch uses.

Two SQLite libraries in one process release each other's file locks, which corrupts the file; a lint contract and a
test keep every other one out. Connections are pooled, not tied to threads, so a thread that ends leaves nothing open.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import adbc_driver_manager
import adbc_driver_sqlite.dbapi as adbc
import pyarrow as pa

from gridwatch.errors import (
    ContainerNotFoundError,
    SqlFailedError,
    SqlRefusedError,
    StoreBusyError,
    StoreError,
    ValueRefusedError,
)

__all__ = ["Pool", "Session", "flush", "wrapped"]

BUSY_TIMEOUT_MS = 30_000
"""How long one statement waits for another writer; a write of a million rows holds the lock for about 2 s."""

# FULL costs one fsync a commit. NORMAL would survive kill -9 as well, but a power cut could take back rows whose
# Kafka offsets are committed or whose mail is sent, and nothing would bring them again.
_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    # A long reader lets the log grow; this gives the space back afterwards.
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA cache_size = -32768",
)
_IDLE_MAX = 8

_FOREIGN_ERRORS = (adbc_driver_manager.Error, pa.ArrowException, OSError)


class Session:
    """One connection, used by one thread at a time; statements commit by themselves outside `transaction`."""

    def __init__(self, path: Path, *, create: bool = False, write_lock: threading.Lock | None = None) -> None:
        self._path = path
        self._write_lock = write_lock or threading.Lock()
        # Without `create` a file that was deleted meanwhile is an error, not a new empty one.
        uri = f"file:{quote(str(path))}?mode={'rwc' if create else 'rw'}"
        with wrapped(path):
            self._connection = adbc.connect(uri, autocommit=True)
        try:
            for pragma in (f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}", *_PRAGMAS):
                self.query(pragma)
        except BaseException:
            self.close()
            raise

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Run one statement and return its rows; types are SQLite's: int64, double, string, binary."""
        with wrapped(self._path), self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters) or None)
            return cursor.fetch_arrow_table()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement and return the number of rows it changed."""
        self.query(sql, parameters)
        return int(self.query("SELECT changes()").column(0)[0].as_py())

    def insert(self, sql: str, rows: pa.Table) -> None:
        """Run one statement for each row of a table, bound by position without leaving Arrow."""
        with wrapped(self._path), self._connection.cursor() as cursor:
            cursor.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the write lock from the start, so that nothing inside can fail for want of it; all or nothing."""
        # Threads of one process queue here; SQLite would let them poll with growing pauses.
        if not self._write_lock.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
            raise _busy(self._path)
        try:
            self.query("BEGIN IMMEDIATE")
            try:
                yield
                self.query("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        finally:
            self._write_lock.release()

    def _roll_back(self) -> None:
        try:
            self.query("ROLLBACK")
        except StoreError:
            # SQLite has rolled back by itself (disk full, I/O error); a connection in doubt is not used again.
            self.close()

    @property
    def usable(self) -> bool:
        """Whether the connection is still open."""
        return self._connection is not None

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with wrapped(self._path):
                connection.close()


class Pool:
    """Sessions of one file, made when needed and kept for reuse."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._idle: list[Session] = []
        self._busy = 0
        self._closed = False
        self._torn = False
        _pools.add(self)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Lend a session to the caller.

        Raises:
            StoreError: The store is closed, or a fork took place while another thread was using it.
        """
        session = self._take()
        try:
            yield session
        finally:
            self._give_back(session)

    def _take(self) -> Session:
        with self._lock:
            if self._torn:
                raise StoreError(
                    f"Store {str(self._path)!r} was in use by another thread when process {os.getpid()} was forked; "
                    "open it in the new process before its threads start, or start processes by spawn."
                )
            if self._closed:
                raise StoreError(f"Store {str(self._path)!r} is closed.")
            self._busy += 1
            if self._idle:
                return self._idle.pop()
        try:
            return Session(self._path, write_lock=self._write_lock)
        except BaseException:
            with self._lock:
                self._busy -= 1
            raise

    def _give_back(self, session: Session) -> None:
        with self._lock:
            self._busy -= 1
            if session.usable and not self._closed and len(self._idle) < _IDLE_MAX:
                self._idle.append(session)
                return
        session.close()

    def close(self) -> None:
        """Close all sessions; those in use close when they are given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    # A forked child that inherits an open SQLite connection believes to hold file locks that it does not hold, and
    # can lose committed rows. So nothing open crosses a fork: idle sessions are closed before, and made again after.
    def before_fork(self) -> None:
        """Close idle sessions and hold the lock over the fork."""
        self._lock.acquire()
        idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Go on, unless a thread that does not exist here was using a session."""
        self._torn = self._busy > 0
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


_forking: list[Pool] = []
# Two threads that fork at once would mix up which pools each of them holds.
_fork_lock = threading.Lock()


def _before_fork() -> None:
    _fork_lock.acquire()
    # Another thread may make a pool meanwhile, so the ones that are held are remembered.
    _forking[:] = list(_pools)
    for pool in _forking:
        pool.before_fork()


def _after_fork_in_parent() -> None:
    for pool in _forking:
        pool.after_fork_in_parent()
    _forking.clear()
    _fork_lock.release()


def _after_fork_in_child() -> None:
    for pool in _forking:
        pool.after_fork_in_child()
    _forking.clear()
    _fork_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


def flush(path: Path) -> None:
    """Make sure that a file, or a folder's list of names, has reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def wrapped(path: Path) -> Iterator[None]:
    """Turn errors of ADBC and SQLite into errors of gridwatch that name the file and say what to do."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise ValueRefusedError(
            f"Text has half of a surrogate pair at {error.start}, which is no character."
        ) from error
    except _FOREIGN_ERRORS as error:
        raise _translated(str(error), path) from error


_OWN_CODE = re.compile(r"bad JSON path: '\[(\d+)\] (.*)'", re.DOTALL)
_UNOPENED = "cannot be opened or made; check that its folder exists and that this user may write there"
_FULL = "the disk is full; free some space and run this again, nothing was half written"
_READ_ONLY = "the disk is read-only; mount it so that it can be written to, and run this again"
_HINTS = {
    "database or disk is full": _FULL,
    "readonly database": "the file or its folder is read-only; give this user the right to write there",
    "unable to open database": _UNOPENED,
    # What ADBC says when the file cannot be opened at all, whatever the reason.
    "failed to open": _UNOPENED,
    "file is not a database": "is not a gridwatch store; name another file",
    "malformed": "is damaged; restore it from a backup (docs/containers.md)",
    "disk I/O error": "reading or writing the disk failed; check the disk and its free space",
}


# SQLite says one of these as well when the disk is full or read-only, depending on which of its files it was at.
_OF_DISKS = {"readonly database", "unable to open database", "failed to open", "disk I/O error"}
_FREE_MIN_BYTES = 256 << 10


def _of_disk(path: Path) -> str | None:
    """Return what is wrong with the disk that a store lies on, None for nothing that shows."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return None
    if found.f_flag & os.ST_RDONLY:
        return _READ_ONLY
    return _FULL if found.f_bavail * found.f_frsize < _FREE_MIN_BYTES else None


def _busy(path: Path) -> StoreBusyError:
    return StoreBusyError(
        f"Store {str(path)!r} was locked by another writer for {BUSY_TIMEOUT_MS / 1000:g} s; nothing was written. Run "
        "this again, and look for a process that hangs in a write.",
        path=str(path),
    )


def _translated(text: str, path: Path) -> StoreError:
    name = repr(str(path))
    own = _OWN_CODE.search(text)
    if own:
        # Number 0 stands for what GridDB answers and this store refuses.
        code = int(own.group(1))
        return SqlFailedError(own.group(2), code=code) if code else SqlRefusedError(own.group(2))
    # ADBC adds the statement: ours, not the caller's.
    text = text.partition("\nquery:")[0]
    if "is locked" in text:
        return _busy(path)
    for sign, hint in _HINTS.items():
        if sign in text:
            said = _of_disk(path) if sign in _OF_DISKS else None
            return StoreError(f"Store {name}: {said or hint}.", path=str(path), unusable=True)
    if "integer overflow" in text:
        return SqlFailedError("An integer left the range of LONG.", code=75000)
    if "no such table" in text:
        return ContainerNotFoundError(f"A container was dropped from store {name} meanwhile.", path=str(path))
    constraint = re.search(r"(UNIQUE|NOT NULL|CHECK|PRIMARY KEY) constraint failed: (.*)|cannot store .*", text)
    if constraint:
        codes = {"UNIQUE": 60154, "PRIMARY KEY": 60154, "NOT NULL": 305010}
        return ValueRefusedError(f"Store {name}: {constraint.group()}.", code=codes.get(constraint.group(1)))
    return StoreError(f"Store {name}: {text}.", path=str(path))
