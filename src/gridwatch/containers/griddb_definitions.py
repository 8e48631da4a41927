"""Containers of a GridDB cluster made, looked up, changed and dropped; `GridDBStore` takes it from here."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from gridwatch.containers._ddl import add_column_sql, create_index_sql, create_table_sql, partitioning_of
from gridwatch.containers._literals import name_sql
from gridwatch.containers._rules import check_info, merged
from gridwatch.containers.griddb_schema import from_java, to_java
from gridwatch.containers.griddb_session import GridDBSession, is_partitioned
from gridwatch.containers.jvm import java_class
from gridwatch.containers.schema import ContainerInfo, Index, Partitioning
from gridwatch.containers.store import ROWS_MAX
from gridwatch.errors import ContainerExistsError

__all__ = ["Definitions"]

_TABLES = 'SELECT * FROM "#tables" WHERE TABLE_NAME = ?'


class Definitions(GridDBSession):
    """The methods of `Store` that define containers; see there for what each promises."""

    def put_container(self, info: ContainerInfo, *, modifiable: bool = False) -> ContainerInfo:
        """Make the container or check it; see `Store.put_container`."""
        check_info(info)
        with self._lent(f"Container {info.name!r}") as store:
            old = self._find(store, info.name)
            if old is None:
                self._create(store, info)
                # What another process made meanwhile counts, as GridDB keeps it.
                old = self._find(store, info.name) or info
            new = merged(old, info, modifiable=modifiable)
            if (new, new.indexes, new.named_indexes) != (old, old.indexes, old.named_indexes):
                self._change(store, old, new)
            return new

    def _create(self, store: Any, info: ContainerInfo) -> None:
        if info.partitioning is None:
            store.putContainer(info.name, to_java(info), False)
        else:
            # The native client knows no partitions. Where another process was quicker, its table is looked at next.
            with suppress(ContainerExistsError):
                self._sql.execute(create_table_sql(info), ())

    def _change(self, store: Any, old: ContainerInfo, new: ContainerInfo) -> None:
        added = new.columns[len(old.columns) :]
        if added and new.partitioning is None:
            store.putContainer(old.name, to_java(new), True)
        elif added:
            for column in added:
                self._sql.execute(add_column_sql(old.name, column), ())
        named = {index.columns for index in new.named_indexes}
        indexes = [Index((name,)) for name in new.indexes if name not in old.indexes and (name,) not in named]
        # A key has an index without one being made.
        indexes = [index for index in indexes if index.columns != new.row_key]
        indexes += [index for index in new.named_indexes if index not in old.named_indexes]
        container = store.getContainer(old.name)
        for index in indexes:
            if new.partitioning is not None:
                self._sql.execute(create_index_sql(old.name, index), ())
                continue
            made = java_class("com.toshiba.mwcloud.gs.IndexInfo")()
            made.setType(java_class("com.toshiba.mwcloud.gs.IndexType").TREE)
            made.setColumnNameList(java_class("java.util.ArrayList")([new.column(name).name for name in index.columns]))
            if index.name:
                made.setName(index.name)
            container.createIndex(made)

    def _find(self, store: Any, name: str) -> ContainerInfo | None:
        """Return the container; a view is none."""
        found, container = store.getContainerInfo(name), store.getContainer(name)
        if found is None or container is None:
            return None
        info = from_java(found)
        return replace(info, partitioning=self._partitioning(info.name)) if is_partitioned(container) else info

    def _partitioning(self, name: str) -> Partitioning | None:
        rows = self._sql.query(_TABLES, (name,), 1).to_pylist()
        return partitioning_of(rows[0]) if rows else None

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
            info = self._find(store, name)
            if info is None:
                return
            if info.partitioning is None:
                store.dropContainer(info.name)
            else:
                self._sql.execute(f"DROP TABLE IF EXISTS {name_sql(info.name)}", ())
