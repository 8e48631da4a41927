"""What a store file looks like inside: its marks, its version, the table of containers, one table a container."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from gridwatch.containers._sqlite_names import (
    order_of,
    quoted,
    readable,
    row_number_of,
    table_of,
    unexpired,
    upsert,
)
from gridwatch.containers._sqlite_session import BUSY_TIMEOUT_MS, Session
from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType, Index, Partitioning, View
from gridwatch.errors import StoreBusyError, StoreError

__all__ = [
    "APPLICATION_ID",
    "FIRST",
    "FORMAT_VERSION",
    "change",
    "create",
    "create_view",
    "decode",
    "drop",
    "drop_view",
    "free_pages",
    "index_columns",
    "names",
    "order_of",
    "prepare",
    "quoted",
    "readable",
    "rename_column",
    "row_number_of",
    "stored",
    "stored_view",
    "table_of",
    "unexpired",
    "upsert",
]

APPLICATION_ID = 0x67726477  # "grdw"
FORMAT_VERSION = 3
PAGE_BYTES = 16_384

_VIEWS = "CREATE TABLE gridwatch_views (key TEXT PRIMARY KEY, name TEXT NOT NULL, query TEXT NOT NULL) STRICT"


def _add_views(session: Session) -> None:
    session.query(_VIEWS)


def _keep_large_objects_in_files(_session: Session) -> None:
    """Nothing to be changed: what is in rows stays there. The number keeps those away that do not look for files."""


# Numbers from 1: what brings a file of that version to the next.
_MIGRATIONS: dict[int, Callable[[Session], None]] = {1: _add_views, 2: _keep_large_objects_in_files}

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
    ColumnType.TIMESTAMP_6: "INTEGER",
    ColumnType.TIMESTAMP_9: "INTEGER",
    ColumnType.GEOMETRY: "TEXT",
}
# An array is kept as JSON.
_SQLITE_TYPES |= {kind: "TEXT" for kind in ColumnType if kind.element}

_EMPTY = {"INTEGER": "0", "REAL": "0.0", "TEXT": "''", "BLOB": "x''"}
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


def free_pages(session: Session) -> int:
    """Return how many pages of the file hold nothing any more."""
    return _number(session, "PRAGMA freelist_count")


def _prepare(session: Session, path: Path) -> None:
    # In this order: another process may make the store meanwhile, and tables without the mark look like a foreign file.
    empty = _number(session, "SELECT count(*) FROM sqlite_schema") == 0
    mark = _number(session, "PRAGMA application_id")
    if mark == 0 and empty:
        # Both can only be set before the first table. Rows lie in the order of time, so larger pages than SQLite's
        # 4 KiB save some of a bulk write's CPU time (0 to 20%, near the noise); the log is checkpointed at 16 MiB.
        session.query(f"PRAGMA page_size = {PAGE_BYTES}")
        # Space of deleted rows can be given back later.
        session.query("PRAGMA auto_vacuum = INCREMENTAL")
        session.query("PRAGMA journal_mode = WAL")
        with session.transaction():
            if _number(session, "SELECT count(*) FROM sqlite_schema") == 0:
                session.query("CREATE TABLE gridwatch_containers (key TEXT PRIMARY KEY, info TEXT NOT NULL) STRICT")
                session.query(_VIEWS)
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
        tuple(Index(tuple(columns), name) for columns, name in raw.get("named_indexes", [])),
        Partitioning(**raw["partitioning"]) if raw.get("partitioning") else None,
    )


def _encode(info: ContainerInfo) -> str:
    return json.dumps(
        {
            "name": info.name,
            "type": info.type.value,
            "columns": [[column.name, column.type.value, column.nullable] for column in info.columns],
            "row_key": list(info.row_key),
            "indexes": list(info.indexes),
            "named_indexes": [[list(index.columns), index.name] for index in info.named_indexes],
            "partitioning": asdict(info.partitioning) if info.partitioning else None,
        }
    )


def create(session: Session, info: ContainerInfo) -> None:
    """Make the table and indexes of a new container, inside the caller's transaction."""
    columns = [_column(column) for column in info.columns]
    if info.type is ContainerType.TIME_SERIES:
        # The time is SQLite's own row number: rows lie in its order and need no second index.
        columns[0] = f"{quoted(info.columns[0].name)} INTEGER PRIMARY KEY NOT NULL"
    else:
        row_number_of(info)
    if info.row_key and info.type is ContainerType.COLLECTION:
        if len(info.row_key) == 1 and _SQLITE_TYPES[info.columns[0].type] == "INTEGER":
            # INT, not INTEGER: a key that is not the row number, which is the order of insertion.
            columns[0] = f"{quoted(info.columns[0].name)} INT NOT NULL"
        columns.append(f"PRIMARY KEY ({', '.join(quoted(info.column(name).name) for name in info.row_key)})")
    session.query(f"CREATE TABLE {table_of(info)} ({', '.join(columns)}) STRICT")
    for index in index_columns(info):
        _index(session, info, index)
    _save(session, info)


def index_columns(info: ContainerInfo) -> list[tuple[str, ...]]:
    """Return the columns of each index."""
    single = {(name.lower(),) for name in info.indexes}
    more = [index.columns for index in info.named_indexes if tuple(map(str.lower, index.columns)) not in single]
    return [*((name,) for name in info.indexes), *more]


def change(session: Session, old: ContainerInfo, new: ContainerInfo) -> None:
    """Bring a container to a schema with more columns at the end or other indexes, inside the caller's transaction."""
    for column in new.columns[len(old.columns) :]:
        default = "" if column.nullable else f" DEFAULT {_EMPTY[_SQLITE_TYPES[column.type]]}"
        session.query(f"ALTER TABLE {table_of(old)} ADD COLUMN {_column(column)}{default}")
    before, after = ({tuple(map(str.lower, index)): index for index in index_columns(info)} for info in (old, new))
    for key, index in before.items():
        if key not in after:
            _drop_index(session, old, index)
    for key, index in after.items():
        if key not in before:
            _index(session, new, index)
    _save(session, new)


def rename_column(session: Session, old: ContainerInfo, new: ContainerInfo) -> None:
    """Give columns other names, inside the caller's transaction; indexes are named by columns and made anew."""
    for index in index_columns(old):
        _drop_index(session, old, index)
    for before, after in zip(old.columns, new.columns, strict=True):
        if before.name != after.name:
            session.query(f"ALTER TABLE {table_of(old)} RENAME COLUMN {quoted(before.name)} TO {quoted(after.name)}")
    for index in index_columns(new):
        _index(session, new, index)
    _save(session, new)


def drop(session: Session, info: ContainerInfo) -> None:
    """Drop a container's table, inside the caller's transaction."""
    session.query(f"DROP TABLE {table_of(info)}")
    session.query("DELETE FROM gridwatch_containers WHERE key = ?", (info.name.lower(),))


def _column(column: Column) -> str:
    return f"{quoted(column.name)} {_SQLITE_TYPES[column.type]}{'' if column.nullable else ' NOT NULL'}"


def _index(session: Session, info: ContainerInfo, columns: Sequence[str]) -> None:
    names = [info.column(name).name for name in columns]
    session.query(
        f"CREATE INDEX {quoted(_index_name(info, names))} ON {table_of(info)} ({', '.join(map(quoted, names))})"
    )


def _index_name(info: ContainerInfo, columns: Sequence[str]) -> str:
    # No name of a container or column holds a comma.
    return ",".join(["i", info.name.lower(), *(name.lower() for name in columns)])


def _drop_index(session: Session, info: ContainerInfo, columns: Sequence[str]) -> None:
    # Format version 1 joined the names with '_', which may be the name of another container's index.
    names = [_index_name(info, columns), f"i_{info.name.lower()}_{columns[0].lower()}"]
    found = session.query(
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? AND name IN (?, ?)",
        (f"c_{info.name.lower()}", *names),
    )
    for name in found.column(0).to_pylist():
        session.query(f"DROP INDEX {quoted(name)}")


def _save(session: Session, info: ContainerInfo) -> None:
    session.query(
        "INSERT OR REPLACE INTO gridwatch_containers (key, info) VALUES (?, ?)", (info.name.lower(), _encode(info))
    )


def stored_view(session: Session, name: str) -> View | None:
    """Return the view of this name, compared without case, or None."""
    found = session.query("SELECT name, query FROM gridwatch_views WHERE key = ?", (name.lower(),))
    return View(*(column[0].as_py() for column in found.columns)) if found.num_rows else None


def create_view(session: Session, view: View) -> None:
    """Keep a new view."""
    session.query(
        "INSERT INTO gridwatch_views (key, name, query) VALUES (?, ?, ?)", (view.name.lower(), view.name, view.select)
    )


def drop_view(session: Session, view: View) -> None:
    """Forget a view."""
    session.query("DELETE FROM gridwatch_views WHERE key = ?", (view.name.lower(),))
