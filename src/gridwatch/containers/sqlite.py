"""The embedded container store: GridDB's container model on one SQLite file in WAL mode, many processes at once."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import structlog
from typing_extensions import override

from gridwatch.containers import _sqlite_format as layout
from gridwatch.containers import dialect
from gridwatch.containers._arrow import coerce, storable
from gridwatch.containers._keys import key_batches
from gridwatch.containers._object_files import ObjectFiles
from gridwatch.containers._rules import check_answer, check_count, check_info, check_range, merged
from gridwatch.containers._sqlite_backup import back_up
from gridwatch.containers._sqlite_definitions import define, lookup_of
from gridwatch.containers._sqlite_series import SeriesOperations, selected
from gridwatch.containers._sqlite_session import Pool, Session
from gridwatch.containers.catalog import ARTIFACT_CHUNKS
from gridwatch.containers.schema import ContainerInfo
from gridwatch.containers.store import ROWS_MAX
from gridwatch.errors import (
    ConfigError,
    ContainerExistsError,
    ContainerNotFoundError,
    SqlRefusedError,
    StoreError,
)
from gridwatch.folders import make_private

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SqliteStore"]

log = structlog.get_logger(__name__)

_VACUUM_PAGES = 2_048
"""Pages of 16 KiB given back at a time: 32 MiB."""

_ATTEMPTS = 5
"""How often a put starts again when another process changes the container's schema under it."""


class SqliteStore(SeriesOperations):
    """A store in one file; see `Store` for what each method promises.

    Args:
        path: The file; it and its folder are made when missing.

    Raises:
        StoreError: The file cannot be opened, is no gridwatch store, or comes from a newer gridwatch.
    """

    atomic_updates = True
    groups_by_sorting = True

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()
        self.url = f"sqlite:///{self.path}"
        self.files = ObjectFiles.beside(self.path)
        try:
            make_private(self.path.parent)
        except OSError as error:
            raise StoreError(
                f"Cannot make the folder of store {str(self.path)!r}: {error.strerror}.", path=str(self.path)
            ) from error
        first = Session(self.path, create=True)
        try:
            layout.prepare(first, self.path)
        finally:
            first.close()
        self._pool = Pool(self.path)
        # Also closes a store that is only dropped, which ADBC would warn about.
        self._finalizer = weakref.finalize(self, self._pool.close)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Open the store at `sqlite:///relative/path` or `sqlite:////absolute/path`.

        Raises:
            ConfigError: The URL names no file.
        """
        prefix, path = url[:10], url[10:]
        if prefix != "sqlite:///" or not path.strip("/") or path == ":memory:":
            raise ConfigError(f"Store URL {url!r} names no file; use sqlite:///path/to/store.db.", url=url)
        return cls(path)

    def put_container(self, info: ContainerInfo, *, modifiable: bool = False) -> ContainerInfo:
        """Make the container or check it; see `Store.put_container`."""
        check_info(info)
        with self._pool.session() as session:
            text = layout.stored(session, info.name)
            if text is not None:
                old = layout.decode(text)
                new = merged(old, info, modifiable=modifiable)
                # The usual case, nothing to do, needs no write lock.
                if (new, new.indexes, new.named_indexes) == (old, old.indexes, old.named_indexes):
                    return old
            with session.transaction():
                text = layout.stored(session, info.name)
                if text is None:
                    view = layout.stored_view(session, info.name)
                    if view is not None:
                        raise ContainerExistsError(f"{view.name!r} is a view.", code=60149, container=info.name)
                    layout.create(session, info)
                    return info
                old = layout.decode(text)
                new = merged(old, info, modifiable=modifiable)
                layout.change(session, old, new)
                return new

    def container(self, name: str) -> ContainerInfo | None:
        """Return the container, or None."""
        with self._pool.session() as session:
            text = layout.stored(session, name)
        return layout.decode(text) if text is not None else None

    def containers(self) -> list[str]:
        """Return all container names, sorted."""
        with self._pool.session() as session:
            return layout.names(session)

    def drop_container(self, name: str) -> None:
        """Drop the container, if there is one."""
        with self._pool.session() as session, session.transaction():
            text = layout.stored(session, name)
            if text is not None:
                layout.drop(session, layout.decode(text))

    def put(self, name: str, rows: pa.Table | pd.DataFrame) -> int:
        """Upsert rows; see `Store.put`."""
        return self.put_many({name: rows})

    def put_many(self, rows: Mapping[str, pa.Table | pd.DataFrame]) -> int:
        """Upsert rows into several containers, all or none."""
        with self._pool.session() as session:
            for _ in range(_ATTEMPTS):
                schemas = {name: self._stored(session, name) for name in rows}
                # Values are checked before the lock is taken, so that a long check holds nobody up.
                tables = {name: coerce(layout.decode(schemas[name]), table) for name, table in rows.items()}
                if self._insert(session, schemas, tables):
                    return sum(table.num_rows for table in tables.values())
        raise StoreError(f"The schema of {', '.join(rows)} kept changing while rows were put; run this again.")

    def _insert(self, session: Session, schemas: Mapping[str, str], tables: Mapping[str, pa.Table]) -> bool:
        filled = {name: table for name, table in tables.items() if table.num_rows}
        if not filled:
            return True
        with session.transaction():
            if any(layout.stored(session, name) != schemas[name] for name in filled):
                return False
            for name, table in filled.items():
                info = layout.decode(schemas[name])
                marks = ", ".join("?" * table.num_columns)
                statement = layout.upsert(info, table.column_names, f"VALUES ({marks})")
                session.insert(statement, storable(table))
        return True

    def get(self, name: str, keys: Sequence[Any]) -> pa.Table:
        """Return the rows with these keys, in their order."""
        with self._pool.session() as session:
            info = self._info(session, name)
            fields = [f"json_extract(value, '$[{i}]') AS k{i}" for i in range(len(info.row_key))]
            on = " AND ".join(f"c.{layout.quoted(column)} = k.k{i}" for i, column in enumerate(info.row_key))
            columns = ", ".join(f"c.{layout.quoted(column.name)}" for column in info.columns)
            # CROSS JOIN keeps SQLite to this order of loops: one look-up by key for each key, in their order. An ORDER
            # BY would put every row through a sorter, which slows blobs down tenfold.
            sql = (
                f"SELECT {columns} FROM (SELECT {', '.join(fields)} FROM json_each(?)) AS k "
                f"CROSS JOIN {layout.readable(info)} AS c ON {on} LIMIT {ROWS_MAX}"
            )
            parts = [selected(session, info.arrow, sql, [batch]) for batch in key_batches(info, keys)]
        rows = pa.concat_tables(parts) if parts else info.arrow.empty_table()
        return self._filled(info.name, rows)

    def _filled(self, text: str, rows: pa.Table) -> pa.Table:
        """Return rows with the bytes of large objects, which lie in files, where the text names their container."""
        return self.files.filled(rows) if ARTIFACT_CHUNKS.name in text.lower() else rows

    def delete(self, name: str, keys: Sequence[Any]) -> int:
        """Delete the rows with these keys; return how many there were."""
        with self._pool.session() as session:
            info = self._info(session, name)
            fields = ", ".join(f"json_extract(value, '$[{i}]')" for i in range(len(info.row_key)))
            columns = ", ".join(layout.quoted(column) for column in info.row_key)
            sql = f"DELETE FROM {layout.table_of(info)} WHERE ({columns}) IN (SELECT {fields} FROM json_each(?))"
            batches = list(key_batches(info, keys))
            with session.transaction():
                return sum(session.execute(sql, [batch]) for batch in batches)

    def read(
        self,
        name: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        *,
        columns: Sequence[str] | None = None,
        rows_max: int = ROWS_MAX,
    ) -> pa.Table:
        """Return a time series' rows of an inclusive range, oldest first; see `Store.read`."""
        with self._pool.session() as session:
            info = self._info(session, name)
            chosen = [info.column(column) for column in columns] if columns is not None else list(info.columns)
            schema = ContainerInfo(info.name, info.type, tuple(chosen)).arrow
            where, parameters = self._range(info, start_ms, end_ms)
            order = ", ".join(layout.quoted(column) for column in info.row_key) or layout.row_number_of(info)
            # One row past the bound tells "exactly full" from "cut short" without a COUNT query.
            sql = (
                f"SELECT {', '.join(layout.quoted(column.name) for column in chosen)} FROM {layout.readable(info)}"
                f"{where} ORDER BY {order} LIMIT {rows_max + 1}"
            )
            rows = selected(session, schema, sql, parameters)
        check_count(info, rows, rows_max)
        return self._filled(info.name, rows)

    @staticmethod
    def _range(info: ContainerInfo, start_ms: int | None, end_ms: int | None) -> tuple[str, list[int]]:
        check_range(info, start_ms, end_ms)
        bounds = [(">=", start_ms), ("<=", end_ms)]
        given = [(sign, bound) for sign, bound in bounds if bound is not None]
        key = layout.quoted(info.columns[0].name)
        where = " AND ".join(f"{key} {sign} ?" for sign, _ in given)
        return (f" WHERE {where}" if where else ""), [bound for _, bound in given]

    def _stored(self, session: Session, name: str) -> str:
        text = layout.stored(session, name)
        if text is None:
            raise ContainerNotFoundError(f"No container {name!r} in store {str(self.path)!r}.", container=name)
        return text

    def _info(self, session: Session, name: str) -> ContainerInfo:
        return layout.decode(self._stored(session, name))

    def sql(self, statement: str, parameters: Sequence[Any] = (), *, rows_max: int = ROWS_MAX) -> pa.Table:
        """Run one SELECT in GridDB's SQL; see `Store.sql`."""
        with self._pool.session() as session:
            query = dialect.compile_query(statement, parameters, lookup_of(session))
            # A NULL without a type comes as a column of Arrow's null type.
            kinds = [kind.arrow if kind else pa.int64() for _, kind in query.columns]
            schema = pa.schema([pa.field(name, kind) for (name, _), kind in zip(query.columns, kinds, strict=True)])
            sql = f"SELECT * FROM ({query.sql}) LIMIT {rows_max + 1}"
            rows = selected(session, schema, sql, query.parameters)
        check_answer(rows.num_rows, rows_max)
        for position, (name, kind) in enumerate(query.columns):
            if kind is None:
                rows = rows.set_column(position, pa.field(name, pa.null()), pa.nulls(rows.num_rows))
        return self._filled(statement, rows)

    @override
    def tql(self, name: str, statement: str, *, rows_max: int = ROWS_MAX) -> pa.Table:
        """Run one TQL SELECT against one container; see `Store.tql`."""
        return self._filled(name, super().tql(name, statement, rows_max=rows_max))

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement that changes something; see `Store.execute`."""
        if dialect.verb_of(statement) in {"CREATE", "DROP", "ALTER"}:
            if parameters:
                raise SqlRefusedError("SQL refused: parameters of CREATE, DROP or ALTER.")
            with self._pool.session() as session, session.transaction():
                define(session, dialect.read_definition(statement))
            return 0
        with self._pool.session() as session, session.transaction():
            change = dialect.compile_change(statement, parameters, lookup_of(session))
            return session.execute(change.sql, change.parameters)

    def compact(self) -> None:
        """Give the space of deleted rows back to the file system; safe while others read and write.

        Piece by piece, so that nobody waits long for the lock; who writes meanwhile may use some of the space again.
        """
        with self._pool.session() as session:
            free = layout.free_pages(session)
            while free:
                session.query(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
                before, free = free, layout.free_pages(session)
                if free >= before:
                    break
            session.query("PRAGMA wal_checkpoint(TRUNCATE)")

    def backup(
        self, path: Path | str, *, force: bool = False, progress: Callable[[int, int | None], None] | None = None
    ) -> None:
        """Write a consistent copy of the store to a new file, while others go on reading and writing.

        The files of large objects go to the folder beside it, `PATH.objects`. The copy is read once, to see that it is
        sound.

        Args:
            path: The new file.
            force: Replace a backup that is there, in the moment when the new one is whole.
            progress: Told the bytes that are written, of how many.

        Raises:
            StoreError: The file exists or cannot be written, or what was written is not sound.
        """
        target = Path(path).absolute()
        back_up(self._pool, self.files, self.path, target, force=force, progress=progress)
        log.info("store_backed_up", store=str(self.path), backup=str(target))

    def close(self) -> None:
        """Close all connections."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
