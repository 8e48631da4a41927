"""GridDB's container model over many backends: `open_store(url)` returns a `Store`."""

from gridwatch.containers.schema import (
    INTEGRAL,
    PLAIN_TYPES,
    TIMESTAMP_MS_MAX,
    Column,
    ColumnType,
    ContainerInfo,
    ContainerType,
    Index,
    Partitioning,
)
from gridwatch.containers.store import ROWS_MAX, Store, open_store

__all__ = [
    "INTEGRAL",
    "PLAIN_TYPES",
    "ROWS_MAX",
    "TIMESTAMP_MS_MAX",
    "Column",
    "ColumnType",
    "ContainerInfo",
    "ContainerType",
    "Index",
    "Partitioning",
    "Store",
    "open_store",
]
