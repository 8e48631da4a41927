"""What a store file looks like inside: its marks, its version, the table of containers, one table a container."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from gridwatch.containers._sqlite_session import BUSY_TIMEOUT_MS, Session
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.errors import SchemaError, StoreBusyError, StoreError

__all__ = [
    "FIRST",
    "FORMAT_VERSION",
    "add_columns",
    "create",
    "decode",
    "drop",
    "names",
    "prepare",
    "quoted",
    "row_number_of",
    "stored",
    "table_of",
]

APPLICATION_ID = 0x67726477  # "grdw"
FORMAT_VERSION = 1
PAGE_BYTES = 16_384

# Numbers from 1: what brings a file of that version to the next.
_MIGRATIONS: dict[int, Callable[[Session], None]] = {}

_SQLITE_TYPES = {
    ColumnType.BOOL: "INTEGER",
    ColumnType.BYTE: "INTEGER",
    ColumnType.SHORT: "INTEGER",
    ColumnType.INTEGER: "INTEGER",
    ColumnType.LONG: "INTEGER",
    ColumnType.TIMESTAMP: "INTEGER",
    ColumnType.FLOAT: "REAL",
    ColumnType.DOUBLE: "REAL",
    ColumnType.STRING: "TEXT",
    ColumnType.BLOB: "BLOB",
}

_LITERALS = {"INTEGER": "0", "REAL": "0.5", "TEXT": "''", "BLOB": "x'00'"}
FIRST = {kind.arrow: _LITERALS[name] for kind, name in _SQLITE_TYPES.items()}
"""By Arrow type, a literal of the storage class: as first row it tells ADBC the type, whatever NULLs follow."""


def prepare(session: Session, path: Path) -> None:
    """Make an empty file a store, migrate an older store, and refuse anything else.

    Raises:
        StoreError: The file is no store, or one of a newer gridwatch.
        StoreBusyError: Another process is making it and does not finish.
    """
    deadline_s = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            _prepare(session, path)
        except StoreBusyError:
            # Changing to WAL does not wait for the busy timeout when two processes make the file at once.
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)
        else:
            return


def _number(session: Session, sql: str) -> int:
    return int(session.query(sql).column(0)[0].as_py())


def _prepare(session: Session, path: Path) -> None:
    mark = _number(session, "PRAGMA application_id")
    if mark == 0 and _number(session, "SELECT count(*) FROM sqlite_schema") == 0:
        # Both can only be set before the first table. Rows lie in the order of time, so larger pages than SQLite's
        # 4 KiB save some of a bulk write's CPU time (0 to 20%, near the noise); the log is checkpointed at 16 MiB.
        session.query(f"PRAGMA page_size = {PAGE_BYTES}")
        # Space of deleted rows can be given back later.
        session.query("PRAGMA auto_vacuum = INCREMENTAL")
        session.query("PRAGMA journal_mode = WAL")
        with session.transaction():
            if _number(session, "SELECT count(*) FROM sqlite_schema") == 0:
                session.query("CREATE TABLE gridwatch_containers (key TEXT PRIMARY KEY, info TEXT NOT NULL) STRICT")
                session.query(f"PRAGMA application_id = {APPLICATION_ID}")
                session.query(f"PRAGMA user_version = {FORMAT_VERSION}")
        mark = _number(session, "PRAGMA application_id")
    if mark != APPLICATION_ID:
        raise StoreError(
            f"{str(path)!r} is a SQLite file, but not a gridwatch store; name another file.", path=str(path)
        )
    version = _number(session, "PRAGMA user_version")
    if version > FORMAT_VERSION:
        raise StoreError(
            f"Store {str(path)!r} has format version {version}; this gridwatch knows up to {FORMAT_VERSION}. "
            "Use the newer gridwatch that made it.",
            path=str(path),
            version=version,
        )
    # A backup comes without WAL mode.
    session.query("PRAGMA journal_mode = WAL")
    if version < FORMAT_VERSION:
        _migrate(session, path)


def _migrate(session: Session, path: Path) -> None:
    with session.transaction():
        # Read again under the lock: another process may have done it meanwhile.
        for version in range(_number(session, "PRAGMA user_version"), FORMAT_VERSION):
            if version not in _MIGRATIONS:
                raise StoreError(
                    f"Store {str(path)!r} has format version {version}, which never was; restore it from a backup.",
                    path=str(path),
                    version=version,
                )
            _MIGRATIONS[version](session)
        session.query(f"PRAGMA user_version = {FORMAT_VERSION}")


def stored(session: Session, name: str) -> str | None:
    """Return the stored JSON of a container, or None."""
    found = session.query("SELECT info FROM gridwatch_containers WHERE key = ?", (name.lower(),))
    return str(found.column(0)[0].as_py()) if found.num_rows else None


def names(session: Session) -> list[str]:
    """Return all container names, sorted as GridDB sorts them, by character code."""
    found = session.query("SELECT info FROM gridwatch_containers ORDER BY key").column(0).to_pylist()
    return sorted(decode(text).name for text in found)


@functools.lru_cache(maxsize=1024)
def decode(text: str) -> ContainerInfo:
    """Return the container that stored JSON describes."""
    raw = json.loads(text)
    return ContainerInfo(
        raw["name"],
        ContainerType(raw["type"]),
        tuple(Column(name, ColumnType(kind), nullable) for name, kind, nullable in raw["columns"]),
        tuple(raw["row_key"]),
        tuple(raw["indexes"]),
    )


def _encode(info: ContainerInfo) -> str:
    return json.dumps(
        {
            "name": info.name,
            "type": info.type.value,
            "columns": [[column.name, column.type.value, column.nullable] for column in info.columns],
            "row_key": list(info.row_key),
            "indexes": list(info.indexes),
        }
    )


def quoted(name: str) -> str:
    """Return a name as a quoted SQLite identifier."""
    return '"' + name.replace('"', '""') + '"'


def table_of(info: ContainerInfo) -> str:
    """Return the quoted name of a container's table; the prefix keeps clear of SQLite's own names and ours."""
    return quoted(f"c_{info.name.lower()}")


def row_number_of(info: ContainerInfo) -> str:
    """Return SQLite's row number of a container without a row key, the order of insertion.

    Raises:
        SchemaError: The container has columns of all three names that SQLite knows it by.
    """
    taken = {column.name.lower() for column in info.columns}
    for name in ("rowid", "oid", "_rowid_"):
        if name not in taken:
            return name
    raise SchemaError(f"Container {info.name!r} without a row key cannot have columns rowid, oid and _rowid_ at once.")


def create(session: Session, info: ContainerInfo) -> None:
    """Make the table and indexes of a new container, inside the caller's transaction."""
    columns = [_column(column) for column in info.columns]
    if not info.row_key:
        row_number_of(info)
    # A single whole-number key is SQLite's own row number: rows lie in key order and need no second index.
    alone = len(info.row_key) == 1 and _SQLITE_TYPES[info.columns[0].type] == "INTEGER"
    if alone:
        columns[0] = f"{quoted(info.columns[0].name)} INTEGER PRIMARY KEY NOT NULL"
    elif info.row_key:
        columns.append(f"PRIMARY KEY ({', '.join(quoted(info.column(name).name) for name in info.row_key)})")
    session.query(f"CREATE TABLE {table_of(info)} ({', '.join(columns)}) STRICT")
    _index(session, info, info.indexes)
    _save(session, info)


def add_columns(session: Session, old: ContainerInfo, new: ContainerInfo) -> None:
    """Bring a container to a schema with more columns or indexes, inside the caller's transaction."""
    for column in new.columns[len(old.columns) :]:
        session.query(f"ALTER TABLE {table_of(old)} ADD COLUMN {_column(column)}")
    _index(session, new, new.indexes[len(old.indexes) :])
    _save(session, new)


def drop(session: Session, info: ContainerInfo) -> None:
    """Drop a container's table, inside the caller's transaction."""
    session.query(f"DROP TABLE {table_of(info)}")
    session.query("DELETE FROM gridwatch_containers WHERE key = ?", (info.name.lower(),))


def _column(column: Column) -> str:
    return f"{quoted(column.name)} {_SQLITE_TYPES[column.type]}{'' if column.nullable else ' NOT NULL'}"


def _index(session: Session, info: ContainerInfo, columns: Iterable[str]) -> None:
    for name in columns:
        column = info.column(name).name
        index = quoted(f"i_{info.name.lower()}_{column.lower()}")
        session.query(f"CREATE INDEX {index} ON {table_of(info)} ({quoted(column)})")


def _save(session: Session, info: ContainerInfo) -> None:
    session.query(
        "INSERT OR REPLACE INTO gridwatch_containers (key, info) VALUES (?, ?)", (info.name.lower(), _encode(info))
    )
