"""Lines of a log that are nothing but moments: a container for tests of when jobs and datafeeds do something."""

from __future__ import annotations

from gridwatch.containers.schema import Column, ColumnType, ContainerInfo, ContainerType

__all__ = ["LOGS"]

LOGS = ContainerInfo(
    "logs", ContainerType.COLLECTION,
    (Column("id", ColumnType.LONG, nullable=False), Column("timestamp", ColumnType.TIMESTAMP)), ("id",),
)  # fmt: skip
