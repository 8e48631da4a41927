"""Where a summary goes: its container, its rows, and its documents as Elasticsearch shows them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.errors import JobsValueError, SchemaError
from gridwatch.jobs.fields import FieldType, columns_of
from gridwatch.jobs.transform.pivot import Group, Measure, Pivot
from gridwatch.jobs.transform.scans import Kinds

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["Destination", "documents", "is_there"]

_COLUMNS = {
    FieldType.KEYWORD: ColumnType.STRING,
    FieldType.BYTE: ColumnType.INTEGER,
    FieldType.SHORT: ColumnType.INTEGER,
    FieldType.INTEGER: ColumnType.INTEGER,
    FieldType.LONG: ColumnType.LONG,
    FieldType.FLOAT: ColumnType.FLOAT,
    FieldType.DOUBLE: ColumnType.DOUBLE,
    FieldType.DATE: ColumnType.TIMESTAMP,
    FieldType.BOOLEAN: ColumnType.BOOL,
}
_KEYS = (ColumnType.STRING, ColumnType.INTEGER, ColumnType.LONG, ColumnType.TIMESTAMP)
"""Types that GridDB takes in a row key."""
_ID = "_id"
_SHOWN = {
    ColumnType.STRING: "keyword", ColumnType.INTEGER: "integer", ColumnType.LONG: "long", ColumnType.FLOAT: "float",
    ColumnType.DOUBLE: "double", ColumnType.TIMESTAMP: "date", ColumnType.BOOL: "boolean",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Destination:
    """The container of a summary.

    The row key is the groups, so that a group that is worked out again replaces itself. Where GridDB takes no key of
    their types, or one may be missing, the key is `_id`, made of the groups.

    Attributes:
        container: Its name.
        columns: Column by field, the groups first.
        keys: Names of the key's columns.
    """

    container: str
    columns: dict[str, Column]
    keys: tuple[str, ...]

    @classmethod
    def of(cls, container: str, pivot: Pivot, kinds: Kinds) -> Destination:
        """Return what a pivot's rows need.

        Raises:
            JobsValueError: A field does not exist or has no fit type, or two names would be one column.
        """
        types = {group.name: _group_type(group, kinds) for group in pivot.groups}
        plain = not any(group.missing_bucket for group in pivot.groups) and all(one in _KEYS for one in types.values())
        types |= {measure.name: _measure_type(measure, kinds) for measure in pivot.measures}
        names = columns_of(types)
        keyed = {group.name for group in pivot.groups} if plain else set()
        columns = {field: Column(names[field], kind, field not in keyed) for field, kind in types.items()}
        return cls(container, columns, tuple(names[group.name] for group in pivot.groups) if plain else (_ID,))

    def info(self) -> ContainerInfo:
        """Return the container as it is made, its times indexed."""
        columns = tuple(self.columns.values())
        if self.keys == (_ID,):
            columns = (Column(_ID, ColumnType.STRING, nullable=False), *columns)
        times = tuple(one.name for one in columns if one.type is ColumnType.TIMESTAMP and self.keys != (one.name,))
        return ContainerInfo(self.container, ContainerType.COLLECTION, columns, self.keys, indexes=times)

    def made(self, store: Store) -> tuple[Destination, bool]:
        """Make the container, or see that the one that is there takes the rows.

        Returns:
            The destination with the container's own key, and whether the container was made.

        Raises:
            JobsValueError: GridDB refuses its name or columns, or it is there and lacks a column, or has one of another
                type, or another row key.
        """
        try:
            there = store.container(self.container)
            if there is None:
                store.put_container(self.info())
                return self, True
        except SchemaError as error:
            raise JobsValueError(
                f"the container {self.container!r} cannot be made: {error}", path="dest.index"
            ) from error
        known = {column.name.lower(): column for column in there.columns}
        for field, column in self.columns.items():
            own = known.get(column.name.lower())
            if own is None or own.type is not column.type:
                has = "none" if own is None else own.type
                raise JobsValueError(
                    f"the container {self.container!r} is there already and has for the field {field!r} the column "
                    f"{column.name!r} of type {has}, needed is {column.type}; drop it or name another one.",
                    path="dest.index",
                )
        groups = {column.name.lower() for column in list(self.columns.values()) if not column.nullable}
        if {name.lower() for name in there.row_key} not in ([{_ID}, groups] if groups else [{_ID}]):
            raise JobsValueError(
                f"the container {self.container!r} is there already with the row key {list(there.row_key)}, needed is "
                f"{list(self.keys)}; drop it or name another one.",
                path="dest.index",
            )
        return Destination(self.container, self.columns, there.row_key), False

    def rows(self, pivot: Pivot, found: pa.Table) -> pa.Table:
        """Return what `pivoted` found as rows of the container."""
        sources = [f"k{place}" for place in range(len(pivot.groups))] + [
            f"m{place}" for place in range(len(pivot.measures))
        ]
        made = {
            column.name: found[source].cast(column.type.arrow)
            for source, column in zip(sources, self.columns.values(), strict=True)
        }
        if self.keys == (_ID,):
            keys = [made[column.name].to_pylist() for column in list(self.columns.values())[: len(pivot.groups)]]
            made = {_ID: pa.array([_id(key) for key in zip(*keys, strict=True)], pa.string()), **made}
        return pa.table(made)

    def mappings(self) -> dict[str, Any]:
        """Return the fields and types as Elasticsearch's mappings."""
        return {"properties": {field: {"type": _SHOWN[column.type]} for field, column in self.columns.items()}}


def is_there(store: Store, container: str) -> bool:
    """Whether there is a container of this name; of one that GridDB refuses there is none."""
    try:
        return store.container(container) is not None
    except SchemaError:
        return False


def documents(destination: Destination, rows: pa.Table, *, epoch: bool = False) -> list[dict[str, Any]]:
    """Return rows as documents: dotted names nested, times as text or epoch ms, missing values left out.

    >>> from gridwatch.containers import Column, ColumnType
    >>> kind = Destination("a", {"event.count": Column("event.count", ColumnType.LONG)}, ())
    >>> documents(kind, pa.table({"event.count": [2]}))
    [{'event': {'count': 2}}]
    """
    found: list[dict[str, Any]] = [{} for _ in range(rows.num_rows)]
    for field, column in destination.columns.items():
        *above, last = field.split(".")
        values = rows[column.name]
        if epoch and column.type is ColumnType.TIMESTAMP:
            values = values.cast(pa.int64())
        for document, value in zip(found, values.to_pylist(), strict=True):
            if value is None:
                continue
            here = document
            for part in above:
                here = here.setdefault(part, {})
            here[last] = _shown(value)
    return found


def _shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    return value


def _id(key: tuple[Any, ...]) -> str:
    parts = [_shown(one) for one in key]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _group_type(group: Group, kinds: Kinds) -> ColumnType:
    kind = kinds.of(group.field, group.path)
    if group.buckets is not None:
        if kind is not FieldType.DATE:
            raise JobsValueError(
                f"date_histogram needs a TIMESTAMP of milliseconds, and the field {group.field!r} is {kind}.",
                path=group.path,
            )
        return ColumnType.TIMESTAMP
    if kind not in _COLUMNS:
        raise JobsValueError(f"the field {group.field!r} is {kind}, which cannot be grouped by.", path=group.path)
    return _COLUMNS[kind]


def _measure_type(measure: Measure, kinds: Kinds) -> ColumnType:
    if measure.kind == "doc_count":
        return ColumnType.LONG
    kind = kinds.of(measure.field, measure.path)
    if measure.kind in {"value_count", "cardinality"}:
        return ColumnType.LONG
    if measure.kind in {"sum", "avg"} or measure.missing is not None:
        return ColumnType.DOUBLE
    # What else min and max cannot be of is told where the SQL is made.
    return _COLUMNS.get(kind, ColumnType.DOUBLE)
