"""The store on a GridDB cluster: bulk rows, keys and blobs through its native Java client, SQL through JDBC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from gridwatch.containers._arrow import coerce
from gridwatch.containers._key_sql import condition, in_order
from gridwatch.containers._keys import key_rows, moment_of
from gridwatch.containers._literals import name_sql
from gridwatch.containers._rules import check_count, check_range
from gridwatch.containers.griddb_address import Cluster
from gridwatch.containers.griddb_columns import batches, kinds_of, listed, rows_in
from gridwatch.containers.griddb_definitions import Definitions
from gridwatch.containers.griddb_errors import MEMORY_LIMIT, is_old_rows_error, translated
from gridwatch.containers.griddb_schema import to_java
from gridwatch.containers.griddb_series import SeriesOperations, date_of, fetched
from gridwatch.containers.griddb_session import is_partitioned
from gridwatch.containers.griddb_triggers import Triggers
from gridwatch.containers.schema import TIMESTAMP_MS_MAX, Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.containers.store import ROWS_MAX
from gridwatch.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd

    from gridwatch.settings import GridDBSettings

__all__ = ["GridDBStore"]

_KEYS = 5_000
_SQL_KEYS = 200
_PAGE = 500_000
"""Rows of a time series that are asked for at once."""


class GridDBStore(Definitions, SeriesOperations, Triggers):
    """A database of a GridDB cluster; see `Store` for what each method promises, `GridDBSession` for the arguments."""

    atomic_updates = False
    groups_by_sorting = False

    @classmethod
    def from_url(cls, url: str, settings: GridDBSettings, *, environ: Mapping[str, str] | None = None) -> Self:
        """Open the store at a `griddb://` URL; `griddb_address` tells its forms.

        Raises:
            ConfigError: The URL is wrong, or no password is set.
            StoreError: The cluster does not answer or refuses the login.
        """
        return cls(Cluster.from_url(url), settings, url=url, environ=environ)

    def put(self, name: str, rows: pa.Table | pd.DataFrame) -> int:
        """Upsert rows; see `Store.put`.

        Rows that need several requests are one transaction. On a partitioned table, which has none, a failure may
        leave some of them written; putting them again is safe.
        """
        with self._lent(f"Container {name!r}") as store:
            info, container = self._known(store, name)
            table = _fitted(info, rows)
            _put(container, info, table)
        return int(table.num_rows)

    def put_many(self, rows: Mapping[str, pa.Table | pd.DataFrame]) -> int:
        """Upsert rows into several containers: all are checked first, then each container's are written all or none."""
        with self._lent() as store:
            found = {name: self._known(store, name) for name in rows}
            tables = {name: _fitted(found[name][0], table) for name, table in rows.items()}
            for name, table in tables.items():
                _put(found[name][1], found[name][0], table)
        return sum(int(table.num_rows) for table in tables.values())

    def get(self, name: str, keys: Sequence[Any]) -> pa.Table:
        """Return the rows with these keys, in their order."""
        info: ContainerInfo | None = None
        try:
            with self._lent(f"Container {name!r}") as store:
                info, _ = self._known(store, name)
                numbers, java = kinds_of(info), to_java(info)
                parts = []
                waiting = list(_key_batches(info, keys))
                while waiting:
                    batch, kinds = waiting.pop(0)
                    try:
                        with translated(self._cluster.place, f"Container {name!r}"):
                            rows = rows_in(batch, kinds).get(store, java)
                    except StoreError as error:
                        half = batch.num_rows // 2
                        if error.code != MEMORY_LIMIT or not half:
                            raise
                        # Large blobs: the server holds an answer in memory.
                        waiting[:0] = [(batch.slice(0, half), kinds), (batch.slice(half), kinds)]
                        continue
                    parts.append(listed(info.arrow, numbers, rows))
        except StoreError as error:
            if info is None or not is_old_rows_error(error):
                raise
            return self._get_by_sql(info, keys)
        return pa.concat_tables(parts) if parts else info.arrow.empty_table()

    def _get_by_sql(self, info: ContainerInfo, keys: Sequence[Any]) -> pa.Table:
        """As `get`, for rows that the native client cannot read (see `is_old_rows_error`)."""
        wanted = key_rows(info, keys)
        parts = [info.arrow.empty_table()]
        for start in range(0, len(wanted), _SQL_KEYS):
            part = wanted[start : start + _SQL_KEYS]
            statement = f"SELECT * FROM {name_sql(info.name)} WHERE {condition(info, part)}"
            parts.append(self._sql.query(statement, (), len(part)).cast(info.arrow))
        return in_order(info, pa.concat_tables(parts), wanted)

    def delete(self, name: str, keys: Sequence[Any]) -> int:
        """Delete the rows with these keys; return how many there were."""
        with self._lent(f"Container {name!r}") as store:
            info, container = self._known(store, name)
            java, cut = to_java(info), list(_key_batches(info, keys))
            return sum(int(rows_in(batch, kinds).remove(store, java, container)) for batch, kinds in cut)

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
        info: ContainerInfo | None = None
        try:
            with self._lent(f"Container {name!r}") as store:
                info, container = self._known(store, name)
                chosen = [info.column(column) for column in columns] if columns is not None else list(info.columns)
                check_range(info, start_ms, end_ms)
                table = None
                if not is_partitioned(container):
                    table = self._read_native(container, info, chosen, start_ms, end_ms, rows_max)
        except StoreError as error:
            # SQL reads both: old rows, and a collection that is too much for one answer.
            if info is None or (not is_old_rows_error(error) and error.code != MEMORY_LIMIT):
                raise
            table = None
        if table is None:
            table = self._read_by_sql(info, chosen, start_ms, end_ms, rows_max)
        check_count(info, table, rows_max)
        return table

    def _read_native(
        self,
        container: Any,
        info: ContainerInfo,
        chosen: Sequence[Column],
        start_ms: int | None,
        end_ms: int | None,
        rows_max: int,
    ) -> pa.Table:
        """As `read`, a time series page by page: the server holds an answer in memory, 128 MiB unless set otherwise."""
        if info.type is not ContainerType.TIME_SERIES:
            order = f" order by {', '.join(name_sql(name) for name in info.row_key)}" if info.row_key else ""
            return fetched(container.query(f"select *{order}"), info, chosen, rows_max)
        key = info.columns[0]
        needed = list(chosen) if key in chosen else [*chosen, key]
        at, end = max(0, start_ms or 0), TIMESTAMP_MS_MAX if end_ms is None else min(end_ms, TIMESTAMP_MS_MAX)
        page, left, parts = _PAGE, rows_max + 1, []
        while left and at <= end:
            wanted = min(page, left)
            try:
                with translated(self._cluster.place, f"Container {info.name!r}"):
                    part = fetched(container.query(date_of(at), date_of(end)), info, needed, wanted - 1)
            except StoreError as error:
                if error.code != MEMORY_LIMIT or page == 1:
                    raise
                page = max(1, page // 8)
                continue
            parts.append(part.select(range(len(chosen))))
            left -= part.num_rows
            if part.num_rows < wanted:
                break
            at = part.column(needed.index(key))[-1].cast(pa.int64()).as_py() + 1
        schema = ContainerInfo(info.name, info.type, tuple(chosen)).arrow
        return pa.concat_tables(parts) if parts else schema.empty_table()

    def _read_by_sql(
        self, info: ContainerInfo, chosen: Sequence[Column], start_ms: int | None, end_ms: int | None, rows_max: int
    ) -> pa.Table:
        """As `read`, for partitioned tables and for rows that the native client cannot read."""
        words = [f"SELECT {', '.join(name_sql(column.name) for column in chosen)} FROM {name_sql(info.name)}"]
        bounds = [(">=", start_ms), ("<=", end_ms)]
        given = [
            (sign, moment_of(bound)) for sign, bound in bounds if bound is not None and 0 <= bound <= TIMESTAMP_MS_MAX
        ]
        if given:
            words.append(f"WHERE {' AND '.join(f'{name_sql(info.columns[0].name)} {sign} ?' for sign, _ in given)}")
        if info.row_key:
            words.append(f"ORDER BY {', '.join(name_sql(name) for name in info.row_key)}")
        words.append(f"LIMIT {rows_max + 1}")
        table = self._sql.query(" ".join(words), [bound for _, bound in given], rows_max + 1)
        return table.cast(ContainerInfo(info.name, info.type, tuple(chosen)).arrow)

    def sql(self, statement: str, parameters: Sequence[Any] = (), *, rows_max: int = ROWS_MAX) -> pa.Table:
        """Run one SELECT in GridDB's SQL; see `Store.sql`."""
        return self._sql.query(statement, parameters, rows_max)

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement that changes something; see `Store.execute`."""
        return self._sql.execute(statement, parameters)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _fitted(info: ContainerInfo, rows: pa.Table | pd.DataFrame) -> pa.Table:
    kinds_of(info)
    return coerce(info, rows)


def _put(container: Any, info: ContainerInfo, table: pa.Table) -> None:
    cut = list(batches(table))
    kinds = [column.type for column in info.columns]
    together = len(cut) > 1 and not is_partitioned(container)
    if together:
        container.setAutoCommit(False)
    for batch in cut:
        rows_in(batch, kinds).put(container)
    if together:
        container.commit()


def _key_batches(info: ContainerInfo, keys: Sequence[Any]) -> Iterator[tuple[pa.RecordBatch, list[ColumnType]]]:
    """Yield the keys as columns, in batches of what one request carries."""
    columns = [info.column(name) for name in info.row_key]
    kinds = [column.type for column in columns]
    rows = key_rows(info, keys)
    for start in range(0, len(rows), _KEYS):
        values = zip(*rows[start : start + _KEYS], strict=True)
        arrays = [pa.array(value, kind.arrow) for value, kind in zip(values, kinds, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, list(info.row_key)), kinds
