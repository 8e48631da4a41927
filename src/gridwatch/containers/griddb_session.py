"""A GridDB cluster as a store sees it: its two clients, and containers looked up by name."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gridwatch.containers.griddb_address import Cluster
from gridwatch.containers.griddb_errors import translated
from gridwatch.containers.griddb_pool import Pool
from gridwatch.containers.griddb_schema import from_java
from gridwatch.containers.griddb_sql import Sql
from gridwatch.containers.jvm import check_process, java_class, start_jvm
from gridwatch.containers.schema import ContainerInfo
from gridwatch.errors import ConfigError, ContainerNotFoundError

if TYPE_CHECKING:
    from gridwatch.settings import GridDBSettings

__all__ = ["GridDBSession", "is_partitioned"]

_GS = "com.toshiba.mwcloud.gs"
_OPEN_S = 5.0


class GridDBSession:
    """The base of `GridDBStore`.

    Args:
        cluster: Where it is.
        settings: User, password and patience.
        url: What the store is called in messages.
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
        check_process()
        cluster.check_reachable()
        start_jvm(os.environ if environ is None else environ, heap_mib=settings.heap_mib)
        self.url = url
        self._cluster = cluster
        self._login = {
            "user": settings.user,
            "password": settings.password.get_secret_value(),
            "applicationName": "gridwatch",
        }
        self._check_login()
        self._native = Pool(lambda: self._open(settings.timeout_s), lambda _: True)
        self._sql = Sql(cluster, self._login, settings.timeout_s)
        # Also closes a store that is only dropped.
        self._finalizer = weakref.finalize(self, _close, self._native, self._sql)

    def _open(self, timeout_s: float) -> Any:
        properties = java_class("java.util.Properties")()
        found = self._cluster.native_properties() | self._login | {"failoverTimeout": str(max(1, round(timeout_s)))}
        for name, value in found.items():
            properties.setProperty(name, value)
        with translated(self._cluster.place):
            return java_class(f"{_GS}.GridStoreFactory").getInstance().getGridStore(properties)

    def _check_login(self) -> None:
        """Find out now, within seconds; the client itself would at the first call, and after minutes."""
        store = self._open(_OPEN_S)
        with translated(self._cluster.place):
            try:
                store.getPartitionController().getPartitionCount()
            finally:
                store.close()

    @contextmanager
    def _lent(self, what: str = "GridDB") -> Iterator[Any]:
        """Lend one of the native client's stores; its errors come as ours, beginning with `what`."""
        with self._native.take() as store, translated(self._cluster.place, what):
            yield store

    def _known(self, store: Any, name: str) -> tuple[ContainerInfo, Any]:
        """Return a container's schema and the native client's container."""
        found, container = store.getContainerInfo(name), store.getContainer(name)
        if found is None or container is None:
            raise ContainerNotFoundError(f"No container {name!r} in store {self.url!r}.", container=name)
        return from_java(found), container

    @cached_property
    def server_version(self) -> tuple[int, int]:
        """The server's version, such as (5, 9).

        Raises:
            StoreError: The cluster does not answer.
        """
        return self._sql.version()

    def close(self) -> None:
        """Close all connections."""
        self._finalizer()


def _close(native: Pool, sql: Sql) -> None:
    native.close()
    sql.close()


def is_partitioned(container: Any) -> bool:
    """Tell whether the native client's container is a partitioned table, for which it can do less."""
    return isinstance(container, java_class(f"{_GS}.partitioned.PartContainer"))
