"""Fields as SQL for buckets and metrics: numbers as DOUBLE, times as epoch ms, null where a container has no field."""

from __future__ import annotations

from gridwatch.errors import JobsValueError
from gridwatch.jobs import sql
from gridwatch.jobs.aggregations.tree import Key, Metric
from gridwatch.jobs.fields import Field, Fields, FieldType
from gridwatch.jobs.sql import Sql

__all__ = ["key_sql", "metric_sql"]

_NULL_NUMBER = Sql("CAST(NULL AS DOUBLE)")
_NULL_TEXT = Sql("CAST(NULL AS STRING)")


def metric_sql(metric: Metric, fields: Fields) -> Sql:
    """Return what a metric is worked out of, null for rows that it leaves out.

    Raises:
        JobsValueError: The field has a type that the metric cannot be of.
    """
    field = fields.get(metric.field)
    if metric.kind in {"value_count", "cardinality"}:
        # How many there are can be told of times that cannot be reckoned with.
        counted = field is not None and metric.kind == "value_count" and field.type.time
        return _NULL_TEXT if field is None else field.sql if counted else _readable(field, metric.path)
    found = _NULL_NUMBER if field is None else _number(metric, field)
    return found if metric.missing is None else sql.compose("COALESCE({}, {})", found, sql.value(metric.missing))


def key_sql(key: Key, fields: Fields) -> Sql:
    """Return what rows are grouped by, null for rows without a value.

    Raises:
        JobsValueError: The field has a type that cannot be grouped by, or `missing` is no value of it.
    """
    field = fields.get(key.field)
    text = field is None or field.type is FieldType.KEYWORD
    found = _NULL_TEXT if field is None else _readable(field, key.path)
    if key.missing is None:
        return found
    fits = field is None or (isinstance(key.missing, str) if text else field.type.numeric)
    if not fits or (not text and isinstance(key.missing, str)):
        raise JobsValueError(
            f"[missing] is {key.missing!r}, and the field {key.field!r} is {field.type if field else 'absent'}.",
            path=f"{key.path}.terms.missing",
            value=key.missing,
        )
    return sql.compose("COALESCE({}, {})", found, sql.value(key.missing if not text else str(key.missing)))


def _number(metric: Metric, field: Field) -> Sql:
    if field.type.numeric:
        # + 0.0 makes 0.0 of -0.0, which GridDB would group by itself.
        return sql.compose("(CAST({} AS DOUBLE) + 0.0)", field.sql)
    if field.type is FieldType.DATE:
        return sql.compose("CAST(TO_EPOCH_MS({}) AS DOUBLE)", field.sql)
    if field.type is FieldType.BOOLEAN:
        return sql.compose("CASE WHEN {} THEN 1.0 WHEN NOT {} THEN 0.0 END", field.sql, field.sql)
    if field.type is FieldType.DATE_NANOS:
        raise _nanos(field, metric.path)
    raise JobsValueError(
        f"[{metric.kind}] needs numbers, and the field {metric.field!r} is {field.type}; value_count and cardinality "
        "take any type.",
        path=metric.path,
        value=metric.field,
    )


def _readable(field: Field, path: str) -> Sql:
    if field.type in {FieldType.BINARY, FieldType.UNREADABLE}:
        raise JobsValueError(
            f"the field {field.name!r} is {field.type}, which cannot be aggregated.", path=path, value=field.name
        )
    if field.type is FieldType.DATE_NANOS:
        raise _nanos(field, path)
    if field.type is FieldType.DATE:
        return sql.compose("TO_EPOCH_MS({})", field.sql)
    return field.sql if field.type.whole or not field.type.numeric else sql.compose("({} + 0.0)", field.sql)


def _nanos(field: Field, path: str) -> JobsValueError:
    return JobsValueError(
        f"the field {field.name!r} is a TIMESTAMP of micro- or nanoseconds, which can be the time field and nothing "
        "else; make it TIMESTAMP(3).",
        path=path,
        value=field.name,
    )
