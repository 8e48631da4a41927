"""A pivot as SQL: groups and numbers worked out where the rows are, and the answers of several containers put together.

Sums, counts, minima and maxima of parts give those of the whole; averages are kept as sum and count until the end. How
many different values there are is asked apart: each group and value once, which GridDB also answers where a key is null
(COUNT(DISTINCT ...) it does not).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gridwatch.errors import JobsValueError
from gridwatch.jobs import sql
from gridwatch.jobs.fields import Field, Fields, FieldType
from gridwatch.jobs.query import compile_query
from gridwatch.jobs.sql import Sql
from gridwatch.jobs.transform.pivot import Group, Measure, Pivot

if TYPE_CHECKING:
    from gridwatch.containers import Store

__all__ = ["Opened", "pivoted"]

_KEY = "gridwatch.key"
"""Beginning of the aliases that are grouped by: no column may have the same name."""
_PARTS = {"sum": ("SUM",), "avg": ("SUM", "COUNT"), "min": ("MIN",), "max": ("MAX",), "value_count": ("COUNT",),
          "doc_count": ("COUNT",)}  # fmt: skip
_MERGE = {"SUM": "sum", "COUNT": "sum", "MIN": "min", "MAX": "max"}


@dataclass(frozen=True, slots=True)
class Opened:
    """One container of a transform.

    Attributes:
        container: Its name.
        fields: Its fields, runtime fields included.
        where: Which rows the query wants.
    """

    container: str
    fields: Fields
    where: Sql


def pivoted(store: Store, sources: Sequence[tuple[Opened, Sql]], pivot: Pivot, *, now_ms: int) -> pa.Table:
    """Return the groups of some rows.

    Args:
        store: Any backend.
        sources: Containers, and which of their rows, beside their query.
        pivot: What is worked out.
        now_ms: What `now` in a filter means.

    Returns:
        One row for each group: a column `k0` and on for the groups, times as `timestamp[ms, UTC]`, and `m0` and on for
        the numbers.

    Raises:
        JobsValueError: A field has a type that does not fit.
        JobsError: A filter is wrong.
    """
    keys = [f"k{place}" for place in range(len(pivot.groups))]
    parts = [(place, op) for place, one in enumerate(pivot.measures) for op in _PARTS.get(one.kind, ())]
    names = [f"p{place}.{op}" for place, op in parts]
    answers = [_answer(store, _scan(source, also, pivot, parts, now_ms), [*keys, *names]) for source, also in sources]
    found = pa.concat_tables(answers, promote_options="permissive")
    if len(answers) > 1:
        how = [(name, _MERGE[op]) for name, (_, op) in zip(names, parts, strict=True)]
        grouped = found.group_by(keys).aggregate(how)
        found = grouped.select([*keys, *(f"{name}_{kind}" for name, kind in how)]).rename_columns([*keys, *names])
    for place, measure in enumerate(pivot.measures):
        if measure.kind == "cardinality":
            found = found.append_column(f"p{place}", _cardinality(store, sources, pivot, measure, found, now_ms))
    columns = {name: _times(group, found[name]) for name, group in zip(keys, pivot.groups, strict=True)}
    columns |= {f"m{place}": _number(place, measure, found) for place, measure in enumerate(pivot.measures)}
    return pa.table(columns)


def _scan(source: Opened, also: Sql, pivot: Pivot, parts: Sequence[tuple[int, str]], now_ms: int) -> Sql:
    more = []
    for place, op in parts:
        content = _content(pivot.measures[place], source, now_ms)
        more.append(Sql(f"{op}({content.text})", content.parameters))
    return _select(source, also, pivot.groups, more or [Sql("COUNT(*)")])


def _select(source: Opened, also: Sql, groups: Sequence[Group], more: Sequence[Sql], value: Sql | None = None) -> Sql:
    grouped = [_key(group, source.fields) for group in groups]
    where = [source.where, also]
    where += [
        sql.compose("({} IS NOT NULL)", key)
        for key, group in zip(grouped, groups, strict=True)
        if not group.missing_bucket
    ]
    if value is not None:
        grouped.append(value)
        where.append(sql.compose("({} IS NOT NULL)", value))
    names = [sql.name(f"{_KEY}{place}") for place in range(len(grouped))]
    listed = [sql.compose("{} AS {}", one, name) for one, name in zip(grouped, names, strict=True)]
    listed += [sql.compose("{} AS {}", one, sql.name(f"gridwatch.part{place}")) for place, one in enumerate(more)]
    return sql.compose(
        "SELECT {} FROM {} WHERE {} GROUP BY {}",
        sql.joined(", ", listed),
        sql.name(source.container),
        sql.all_of(where),
        sql.joined(", ", names),
    )


def _key(group: Group, fields: Fields) -> Sql:
    found = fields.get(group.field)
    if found is None:
        return Sql("CAST(NULL AS LONG)") if group.buckets is not None else Sql("CAST(NULL AS STRING)")
    return found.sql if group.buckets is None else group.buckets.sql(found.sql)


def _content(measure: Measure, source: Opened, now_ms: int) -> Sql:
    """Return what a number is worked out of, null for rows that it leaves out."""
    field = source.fields.get(measure.field)
    if measure.kind == "doc_count":
        found = Sql("1")
    elif field is None:
        found = Sql("CAST(NULL AS DOUBLE)")
    else:
        found = _value(measure, field)
    if measure.missing is not None:
        found = sql.compose("COALESCE({}, {})", found, sql.value(measure.missing))
    for one in measure.conditions:
        where = compile_query(one.query, source.fields, now_ms=now_ms, path=one.path).where
        found = sql.compose("CASE WHEN {} THEN {} END", where, found)
    return found


def _value(measure: Measure, field: Field) -> Sql:
    if measure.kind in {"sum", "avg"}:
        if field.type is FieldType.BOOLEAN:
            return sql.compose("CASE WHEN {} THEN 1.0 WHEN NOT {} THEN 0.0 END", field.sql, field.sql)
        if field.type.numeric:
            return sql.compose("CAST({} AS DOUBLE)", field.sql)
    elif measure.kind in {"min", "max"}:
        if field.type.numeric and measure.missing is not None:
            return sql.compose("CAST({} AS DOUBLE)", field.sql)
        if field.type.numeric or (field.type is FieldType.DATE and measure.missing is None):
            return field.sql
    elif field.type not in {FieldType.BINARY, FieldType.UNREADABLE}:
        return field.sql
    raise JobsValueError(
        f"[{measure.kind}] of the field {measure.field!r}, which is {field.type}, is not supported; value_count and "
        "cardinality take most types.",
        path=measure.path,
        field=measure.field,
    )


def _answer(store: Store, asked: Sql, names: Sequence[str]) -> pa.Table:
    table = store.sql(asked.text, asked.parameters)
    return table.select(range(len(names))).rename_columns(list(names))


def _cardinality(
    store: Store, sources: Sequence[tuple[Opened, Sql]], pivot: Pivot, measure: Measure, found: pa.Table, now_ms: int
) -> pa.Array:
    """Return how many different values of a field each group of `found` has, int64."""
    keys = [f"k{place}" for place in range(len(pivot.groups))]
    answers = [
        _answer(
            store,
            _select(source, also, pivot.groups, [Sql("COUNT(*)")], _content(measure, source, now_ms)),
            [*keys, "v"],
        )
        for source, also in sources
    ]
    values = pa.concat_tables(answers, promote_options="permissive")
    if len(answers) > 1:
        values = values.group_by([*keys, "v"]).aggregate([])
    counts = values.group_by(keys).aggregate([([], "count_all")])
    # pandas takes null keys to be equal, which Arrow's join does not.
    left = found.select(keys).to_pandas(types_mapper=pd.ArrowDtype)
    right = counts.to_pandas(types_mapper=pd.ArrowDtype)
    joined = left.merge(right, on=keys, how="left")["count_all"]
    return pa.array(joined.fillna(0).to_numpy(np.int64))


def _times(group: Group, column: Any) -> Any:
    """Return the numbers of buckets as their beginnings; other keys as they are."""
    if group.buckets is None:
        return column
    numbers = column.cast(pa.int64()).combine_chunks()
    begins = group.buckets.begins(numbers.fill_null(0).to_numpy(zero_copy_only=False))
    found = pa.array(begins, pa.int64(), mask=np.asarray(numbers.is_null()))
    return found.cast(pa.timestamp("ms", "UTC"))


def _number(place: int, measure: Measure, found: pa.Table) -> Any:
    if measure.kind == "cardinality":
        return found[f"p{place}"]
    first = found[f"p{place}.{_PARTS[measure.kind][0]}"]
    if measure.kind == "avg":
        counts = found[f"p{place}.COUNT"].cast(pa.float64())
        return pc.divide(first.cast(pa.float64()), pc.if_else(pc.equal(counts, 0.0), None, counts))
    if measure.kind == "sum":
        return pc.fill_null(first.cast(pa.float64()), 0.0)
    return first
