"""CREATE TABLE, CREATE INDEX and ALTER TABLE for a container's schema, in GridDB's SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridwatch.containers._literals import literal, name_sql
from gridwatch.containers.schema import Column, ContainerInfo, ContainerType, Index, Partitioning

__all__ = ["add_column_sql", "create_index_sql", "create_table_sql", "in_sql", "partitioning_of"]


def in_sql(info: ContainerInfo) -> bool:
    """Tell whether SQL can make this container and read all of its columns: it has neither arrays nor geometry."""
    return not any(column.type.element or column.type == "GEOMETRY" for column in info.columns)


def create_table_sql(info: ContainerInfo) -> str:
    """Return CREATE TABLE for a container without its indexes."""
    key = {name.lower() for name in info.row_key}
    parts = [_column_sql(column, is_key=column.name.lower() in key) for column in info.columns]
    if info.row_key:
        parts.append(f"PRIMARY KEY ({', '.join(name_sql(name) for name in info.row_key)})")
    words = [f"CREATE TABLE {name_sql(info.name)} ({', '.join(parts)})"]
    if info.type is ContainerType.TIME_SERIES:
        words.append("USING TIMESERIES")
    if info.partitioning is not None:
        words += _partitioning_sql(info.partitioning)
    return " ".join(words)


def _column_sql(column: Column, *, is_key: bool) -> str:
    return f"{name_sql(column.name)} {column.type.value}{'' if column.nullable or is_key else ' NOT NULL'}"


def _partitioning_sql(how: Partitioning) -> list[str]:
    words = []
    if how.expiration:
        unit = literal(how.expiration_unit)
        words.append(
            f"WITH (expiration_type='PARTITION', expiration_time={how.expiration}, expiration_time_unit={unit})"
        )
    column = name_sql(how.column)
    if not how.interval:
        return [*words, f"PARTITION BY HASH ({column}) PARTITIONS {how.hash_count}"]
    width = f"{how.interval}, {how.interval_unit}" if how.interval_unit else str(how.interval)
    words.append(f"PARTITION BY RANGE ({column}) EVERY ({width})")
    if how.hash_count:
        words.append(f"SUBPARTITION BY HASH ({name_sql(how.sub_column)}) SUBPARTITIONS {how.hash_count}")
    return words


def partitioning_of(row: Mapping[str, Any]) -> Partitioning | None:
    """Return how a table is spread, as its row of the meta table `#tables` tells; None when it is not."""
    kind = row.get("PARTITION_TYPE")
    if not kind:
        return None
    sub = row.get("SUBPARTITION_TYPE") == "HASH"
    by_hash = kind == "HASH"
    return Partitioning(
        column=row["PARTITION_COLUMN"],
        hash_count=int(row["PARTITION_DIVISION_COUNT" if by_hash else "SUBPARTITION_DIVISION_COUNT"] or 0),
        interval=0 if by_hash else int(row["PARTITION_INTERVAL_VALUE"]),
        interval_unit="" if by_hash else row["PARTITION_INTERVAL_UNIT"] or "",
        sub_column=row["SUBPARTITION_COLUMN"] if sub else "",
        expiration=int(row.get("EXPIRATION_TIME") or 0) if row.get("EXPIRATION_TYPE") == "PARTITION" else 0,
        expiration_unit=row.get("EXPIRATION_TIME_UNIT") or "DAY",
    )


def create_index_sql(container: str, index: Index) -> str:
    """Return CREATE INDEX; an index without a name gets one of its columns' names."""
    columns = ", ".join(name_sql(name) for name in index.columns)
    name = index.name or f"idx_{'_'.join(index.columns)}"
    return f"CREATE INDEX {name_sql(name)} ON {name_sql(container)} ({columns})"


def add_column_sql(container: str, column: Column) -> str:
    """Return ALTER TABLE for one column at the end."""
    return f"ALTER TABLE {name_sql(container)} ADD COLUMN {_column_sql(column, is_key=False)}"
