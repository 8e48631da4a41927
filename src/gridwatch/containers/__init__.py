"""GridDB's container model over many backends: `open_store(url)` returns a `Store`."""

from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.containers.store import ROWS_MAX, Store, open_store

__all__ = ["ROWS_MAX", "Column", "ColumnType", "ContainerInfo", "ContainerType", "Store", "open_store"]
