"""A pivot as SQL: groups and numbers worked out where the rows are, and the answers of several containers put together.

Sums, counts, minima and maxima of parts give those of the whole; averages are kept as sum and count until the end. How
many different values there are is asked apart: each group and value once, which GridDB also answers where a key is null
(COUNT(DISTINCT ...) it does not).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

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

__all__ = ["Kinds", "Opened", "pivoted"]

Ask: TypeAlias = Callable[[Sql], pa.Table]

_KEY = "gridwatch.key"
"""Beginning of the aliases that are grouped by: no column may have the same name."""
_SQL_TYPES = {
    FieldType.KEYWORD: "STRING", FieldType.BYTE: "BYTE", FieldType.SHORT: "SHORT", FieldType.INTEGER: "INTEGER",
    FieldType.LONG: "LONG", FieldType.FLOAT: "FLOAT", FieldType.DATE: "TIMESTAMP", FieldType.BOOLEAN: "BOOL",
}  # fmt: skip
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
        clock: An indexed time by which its rows can be read in parts, None where it has none.
    """

    container: str
    fields: Fields
    where: Sql
    clock: Sql | None = None


class Kinds:
    """The types of the fields of several containers, each as all that have it can be read.

    Args:
        sources: The containers.
    """

    def __init__(self, sources: Sequence[Opened]) -> None:
        self._sources = sources

    def of(self, field: str, path: str) -> FieldType:
        """Return the type of a field: its own, or one that holds whole numbers or numbers of several types.

        Raises:
            JobsValueError: No container has it, or their types have nothing in common.
        """
        kinds = {one.container: one.fields[field].type for one in self._sources if field in one.fields}
        if not kinds:
            near = sorted({near for source in self._sources for near in source.fields.near(field)})
            hint = f", did you mean {near[0]!r}?" if near else "."
            names = ", ".join(repr(source.container) for source in self._sources[:5])
            raise JobsValueError(
                f"no container of {names} has the field {field!r}{hint}", path=f"{path}.field", field=field
            )
        if len(set(kinds.values())) == 1:
            return next(iter(kinds.values()))
        if not all(kind.numeric for kind in kinds.values()):
            told = ", ".join(f"{kind} in {name!r}" for name, kind in kinds.items())
            raise JobsValueError(f"the field {field!r} has several types: {told}.", path=f"{path}.field", field=field)
        return FieldType.LONG if all(kind.whole for kind in kinds.values()) else FieldType.DOUBLE

    def null(self, field: str) -> Sql:
        """Return what a container without the field has for it."""
        return Sql(f"CAST(NULL AS {_SQL_TYPES.get(self.of(field, ''), 'DOUBLE')})")


def pivoted(ask: Ask, sources: Sequence[tuple[Opened, Sql]], pivot: Pivot, kinds: Kinds, *, now_ms: int) -> pa.Table:
    """Return the groups of some rows.

    Args:
        ask: Asks the store.
        sources: Containers, one at least, and which of their rows, beside their query. One may come several times,
            with different rows.
        pivot: What is worked out.
        kinds: Types of the fields.
        now_ms: What `now` in a filter means.

    Returns:
        One row for each group: a column `k0` and on for the groups, times as `timestamp[ms, UTC]`, `m0` and on for the
        numbers, and `n`, how many rows it is of.

    Raises:
        JobsValueError: A field has a type that does not fit.
        JobsError: A filter is wrong.
    """
    keys = [f"k{place}" for place in range(len(pivot.groups))]
    parts = [(place, op) for place, one in enumerate(pivot.measures) for op in _PARTS.get(one.kind, ())]
    names = [*(f"p{place}.{op}" for place, op in parts), "n"]
    asking = _Asking(pivot, kinds, now_ms)
    answers = [_answer(ask, asking.numbers(*one, parts), [*keys, *names]) for one in sources]
    found = pa.concat_tables(answers, promote_options="permissive")
    if len(answers) > 1:
        how = [(name, _MERGE[op]) for name, (_, op) in zip(names, parts, strict=False)] + [("n", "sum")]
        grouped = found.group_by(keys).aggregate(how)
        found = grouped.select([*keys, *(f"{name}_{kind}" for name, kind in how)]).rename_columns([*keys, *names])
    for place, measure in enumerate(pivot.measures):
        if measure.kind == "cardinality":
            found = found.append_column(f"p{place}", _cardinality(ask, sources, asking, measure, found))
    columns = {name: _times(group, found[name]) for name, group in zip(keys, pivot.groups, strict=True)}
    columns |= {f"m{place}": _number(place, measure, found) for place, measure in enumerate(pivot.measures)}
    return pa.table({**columns, "n": found["n"]})


@dataclass(frozen=True, slots=True)
class _Asking:
    """How containers are asked."""

    pivot: Pivot
    kinds: Kinds
    now_ms: int

    def numbers(self, source: Opened, also: Sql, parts: Sequence[tuple[int, str]]) -> Sql:
        """Return the SQL: keys, parts of the numbers, and how many rows."""
        more = []
        for place, op in parts:
            content = self.content(self.pivot.measures[place], source)
            more.append(Sql(f"{op}({content.text})", content.parameters))
        return self._select(source, also, [*more, Sql("COUNT(*)")])

    def values(self, source: Opened, also: Sql, measure: Measure) -> Sql:
        """Return the SQL: keys, and each value once."""
        return self._select(source, also, [], self.content(measure, source))

    def distinct(self, source: Opened, also: Sql, measure: Measure) -> Sql:
        """Return the SQL: keys, and how many different values; no key may be null, GridDB refuses that here."""
        content = self.content(measure, source)
        also = sql.all_of([also, sql.compose("({} IS NOT NULL)", content)])
        return self._select(source, also, [sql.compose("COUNT(DISTINCT {})", content)])

    def content(self, measure: Measure, source: Opened) -> Sql:
        """Return what a number is worked out of, null for rows that it leaves out."""
        field = source.fields.get(measure.field)
        if measure.kind == "doc_count":
            found = Sql("1")
        elif field is None:
            found = self.kinds.null(measure.field)
        else:
            found = _value(measure, field)
        if measure.missing is not None:
            found = sql.compose("COALESCE({}, {})", found, sql.value(measure.missing))
        for one in measure.conditions:
            where = compile_query(one.query, source.fields, now_ms=self.now_ms, path=one.path).where
            found = sql.compose("CASE WHEN {} THEN {} END", where, found)
        return found

    def _select(self, source: Opened, also: Sql, more: Sequence[Sql], value: Sql | None = None) -> Sql:
        grouped = [self._key(group, source.fields) for group in self.pivot.groups]
        where = [source.where, also]
        where += [
            sql.compose("({} IS NOT NULL)", key)
            for key, group in zip(grouped, self.pivot.groups, strict=True)
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

    def _key(self, group: Group, fields: Fields) -> Sql:
        field = fields.get(group.field)
        found = self.kinds.null(group.field) if field is None else _plain(field)
        return found if group.buckets is None else group.buckets.sql(found)


def _plain(field: Field) -> Sql:
    # + 0.0 makes 0.0 of -0.0, which GridDB would group by itself.
    return sql.compose("({} + 0.0)", field.sql) if field.type.numeric and not field.type.whole else field.sql


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
        return field.sql if measure.kind == "value_count" else _plain(field)
    raise JobsValueError(
        f"[{measure.kind}] of the field {measure.field!r}, which is {field.type}, is not supported; value_count and "
        "cardinality take most types.",
        path=measure.path,
        field=measure.field,
    )


def _answer(ask: Ask, asked: Sql, names: Sequence[str]) -> pa.Table:
    table = ask(asked)
    return table.select(range(len(names))).rename_columns(list(names))


def _cardinality(
    ask: Ask, sources: Sequence[tuple[Opened, Sql]], asking: _Asking, measure: Measure, found: pa.Table
) -> pa.Array:
    """Return how many different values of a field each group of `found` has, int64."""
    keys = [f"k{place}" for place in range(len(asking.pivot.groups))]
    if len(sources) == 1 and not any(group.missing_bucket for group in asking.pivot.groups):
        counts = _answer(ask, asking.distinct(*sources[0], measure), [*keys, "count_all"])
    else:
        answers = [_answer(ask, asking.values(*one, measure), [*keys, "v"]) for one in sources]
        values = pa.concat_tables(answers, promote_options="permissive").group_by([*keys, "v"]).aggregate([])
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
