"""The store on a GridDB cluster: bulk rows, keys and blobs through its native Java client, SQL through JDBC."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import structlog

from gridwatch.containers._arrow import coerce
from gridwatch.containers._keys import key_rows
from gridwatch.containers._rules import check_info, merged
from gridwatch.containers.griddb_address import Cluster
from gridwatch.containers.griddb_columns import batches, kinds_of, rows_in, tables_out
from gridwatch.containers.griddb_errors import translated
from gridwatch.containers.griddb_pool import Pool
from gridwatch.containers.griddb_schema import from_java, to_java
from gridwatch.containers.griddb_series import TIME_MS_MAX, SeriesOperations, date_of
from gridwatch.containers.griddb_sql import Sql
from gridwatch.containers.jvm import java_class, start_jvm
from gridwatch.containers.schema import ColumnType, ContainerInfo, ContainerType
from gridwatch.containers.store import ROWS_MAX
from gridwatch.errors import ConfigError, ContainerNotFoundError, RangeTooLargeError, SchemaError

if TYPE_CHECKING:
    import pandas as pd

    from gridwatch.settings import GridDBSettings

__all__ = ["GridDBStore"]

log = structlog.get_logger(__name__)

_OPEN_S = 5
_KEYS = 10_000


class GridDBStore(SeriesOperations):
    """A database of a GridDB cluster; see `Store` for what each method promises.

    Args:
        cluster: Where it is.
        settings: User, password and patience.
        environ: Environment variables, for Java and the cache of jars; None for this process's own.

    Raises:
        ConfigError: No password is set.
        StoreError: The cluster does not answer or refuses the login, or this process was forked after the JVM's start.
        JavaError: There is no Java, or its jars cannot be had.
    """

    def __init__(
        self, cluster: Cluster, settings: GridDBSettings, *, url: str, environ: Mapping[str, str] | None = None
    ) -> None:
        if settings.password is None:
            raise ConfigError(f"The store {url!r} wants a password; set GRIDWATCH_GRIDDB__PASSWORD.", url=url)
        self.url = url
        self._cluster = cluster
        cluster.check_reachable()
        start_jvm(os.environ if environ is None else environ, heap_mib=settings.heap_mib)
        password = settings.password.get_secret_value()
        self._login = {"user": settings.user, "password": password, "applicationName": "gridwatch"}
        self._check_login()
        self._native = Pool(lambda: self._open(settings.timeout_s), lambda _: True)
        self._sql = Sql(cluster, settings.user, password, settings.timeout_s)
        # Also closes a store that is only dropped.
        self._finalizer = weakref.finalize(self, _close, self._native, self._sql)

    @classmethod
    def from_url(cls, url: str, settings: GridDBSettings, *, environ: Mapping[str, str] | None = None) -> Self:
        """Open the store at a `griddb://` URL; `griddb_address` tells its forms.

        Raises:
            ConfigError: The URL is wrong, or no password is set.
            StoreError: The cluster does not answer or refuses the login.
        """
        return cls(Cluster.from_url(url), settings, url=url, environ=environ)

    def _open(self, timeout_s: float) -> Any:
        properties = java_class("java.util.Properties")()
        found = self._cluster.native_properties() | self._login | {"failoverTimeout": str(max(1, round(timeout_s)))}
        for name, value in found.items():
            properties.setProperty(name, value)
        with translated(self._cluster.place):
            return java_class("com.toshiba.mwcloud.gs.GridStoreFactory").getInstance().getGridStore(properties)

    def _check_login(self) -> None:
        """The client itself would find out at the first call only, and after minutes."""
        store = self._open(_OPEN_S)
        with translated(self._cluster.place):
            store.getPartitionController().getPartitionCount()
            store.close()

    @contextmanager
    def _lent(self, what: str = "GridDB") -> Iterator[Any]:
        with self._native.take() as store, translated(self._cluster.place, what):
            yield store

    def put_container(self, info: ContainerInfo, *, modifiable: bool = False) -> ContainerInfo:
        """Make the container or check it; see `Store.put_container`."""
        check_info(info)
        with self._lent(f"Container {info.name!r}") as store:
            old = self._find(store, info.name)
            if old is None:
                return self._create(store, info)
            new = merged(old, info, modifiable=modifiable)
            if (new, new.indexes) != (old, old.indexes):
                self._change(store, old, new)
            return new

    def _create(self, store: Any, info: ContainerInfo) -> ContainerInfo:
        store.putContainer(info.name, to_java(info), False)
        container = store.getContainer(info.name)
        for name in info.indexes:
            container.createIndex(info.column(name).name)
        return self._known(store, info.name)

    @staticmethod
    def _change(store: Any, old: ContainerInfo, new: ContainerInfo) -> None:
        if len(new.columns) > len(old.columns):
            store.putContainer(old.name, to_java(new), True)
        container = store.getContainer(old.name)
        for name in new.indexes:
            if name not in old.indexes:
                container.createIndex(new.column(name).name)

    def _find(self, store: Any, name: str) -> ContainerInfo | None:
        found = store.getContainerInfo(name)
        return None if found is None else from_java(found)

    def _known(self, store: Any, name: str) -> ContainerInfo:
        info = self._find(store, name)
        if info is None:
            raise ContainerNotFoundError(f"No container {name!r} in store {self.url!r}.", container=name)
        return info

    def container(self, name: str) -> ContainerInfo | None:
        """Return the container, or None."""
        with self._lent(f"Container {name!r}") as store:
            return self._find(store, name)

    def containers(self) -> list[str]:
        """Return all container names, sorted."""
        rows = self._sql.query('SELECT TABLE_NAME FROM "#tables"', (), ROWS_MAX)
        return sorted(rows.column(0).to_pylist())

    def drop_container(self, name: str) -> None:
        """Drop the container, if there is one."""
        with self._lent(f"Container {name!r}") as store:
            if self._find(store, name) is not None:
                store.dropContainer(name)

    def put(self, name: str, rows: pa.Table | pd.DataFrame) -> int:
        """Upsert rows; see `Store.put`. More than one request of them is a transaction of its own."""
        with self._lent(f"Container {name!r}") as store:
            info = self._known(store, name)
            table = coerce(info, rows)
            kinds = [column.type for column in info.columns]
            cut = list(batches(table))
            container = store.getContainer(name)
            if len(cut) > 1:
                container.setAutoCommit(False)
            for batch in cut:
                rows_in(batch, kinds).put(container)
            if len(cut) > 1:
                container.commit()
        return int(table.num_rows)

    def put_many(self, rows: Mapping[str, pa.Table | pd.DataFrame]) -> int:
        """Upsert rows into several containers; all are checked first, then each is written all or none."""
        tables = {}
        with self._lent() as store:
            for name, table in rows.items():
                tables[name] = coerce(self._known(store, name), table)
        return sum(self.put(name, table) for name, table in tables.items())

    def get(self, name: str, keys: Sequence[Any]) -> pa.Table:
        """Return the rows with these keys, in their order."""
        with self._lent(f"Container {name!r}") as store:
            info = self._known(store, name)
            schema, numbers = info.arrow, kinds_of(info.columns)
            found = store.getContainerInfo(name)
            parts = []
            for batch, kinds in _key_batches(info, keys):
                rows = rows_in(batch, kinds).get(store, found)
                parts.append(tables_out(schema, numbers, range(len(numbers)), _once(rows), batch.num_rows))
        return pa.concat_tables(parts) if parts else schema.empty_table()

    def delete(self, name: str, keys: Sequence[Any]) -> int:
        """Delete the rows with these keys; return how many there were."""
        with self._lent(f"Container {name!r}") as store:
            info = self._known(store, name)
            found, container = store.getContainerInfo(name), store.getContainer(name)
            return sum(
                int(rows_in(batch, kinds).remove(store, found, container)) for batch, kinds in _key_batches(info, keys)
            )

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
        with self._lent(f"Container {name!r}") as store:
            info = self._known(store, name)
            chosen = [info.column(column) for column in columns] if columns is not None else list(info.columns)
            _check_range(info, start_ms, end_ms)
            schema = ContainerInfo(info.name, info.type, tuple(chosen)).arrow
            fields = [info.columns.index(column) for column in chosen]
            rows = _query(store.getContainer(name), info, start_ms, end_ms, rows_max).fetch()
            table = tables_out(schema, kinds_of(chosen), fields, lambda out, most: out.take(rows, most), rows_max)
        if table.num_rows > rows_max:
            raise RangeTooLargeError(
                f"Container {info.name!r} has more than {rows_max} rows in this range; ask for a shorter one or raise "
                "rows_max.",
                container=info.name,
                rows_max=rows_max,
            )
        return table

    def sql(self, statement: str, parameters: Sequence[Any] = (), *, rows_max: int = ROWS_MAX) -> pa.Table:
        """Run one SELECT in GridDB's SQL; see `Store.sql`."""
        return self._sql.query(statement, parameters, rows_max)

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement that changes something; see `Store.execute`."""
        return self._sql.execute(statement, parameters)

    def close(self) -> None:
        """Close all connections."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _close(native: Pool, sql: Sql) -> None:
    native.close()
    sql.close()


def _key_batches(info: ContainerInfo, keys: Sequence[Any]) -> Iterator[tuple[pa.RecordBatch, list[ColumnType]]]:
    """Yield the keys as columns, in batches of what one request carries."""
    columns = [info.column(name) for name in info.row_key]
    kinds = [column.type for column in columns]
    rows = key_rows(info, keys)
    for start in range(0, len(rows), _KEYS):
        values = zip(*rows[start : start + _KEYS], strict=True)
        arrays = [pa.array(value, kind.arrow) for value, kind in zip(values, kinds, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, list(info.row_key)), kinds


def _once(rows: Any) -> Callable[[Any, int], int]:
    """Let a `RowsOut` take a list of rows, and nothing the second time."""
    left = [rows]
    return lambda out, _: int(out.take(left.pop())) if left else 0


def _check_range(info: ContainerInfo, start_ms: int | None, end_ms: int | None) -> None:
    if (start_ms, end_ms) != (None, None) and info.type is not ContainerType.TIME_SERIES:
        raise SchemaError(f"Container {info.name!r} is a collection; only a time series has a range of time.")
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        msg = f"start_ms must not be above end_ms, got {start_ms} and {end_ms}."
        raise ValueError(msg)


def _query(container: Any, info: ContainerInfo, start_ms: int | None, end_ms: int | None, rows_max: int) -> Any:
    import jpype

    if info.type is ContainerType.TIME_SERIES:
        start, end = max(0, start_ms or 0), TIME_MS_MAX if end_ms is None else min(end_ms, TIME_MS_MAX)
        query = container.query(date_of(start), date_of(end))
    else:
        order = f" order by {', '.join(info.row_key)}" if info.row_key else ""
        query = container.query(f"select *{order}")
    query.setFetchOption(java_class("com.toshiba.mwcloud.gs.FetchOption").LIMIT, jpype.JLong(rows_max + 1))
    return query
