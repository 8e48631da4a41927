"""Targets for the Infinity data source, which sends SQL to the Web API and reads its answer by position.

Its backend fills in `${__timeFrom}` and `${__timeTo}`, here as epoch ms: its ISO form drops trailing zeros
(12:00:00.5Z), which GridDB's TIMESTAMP() refuses. Grafana itself fills in `${__interval_ms}` before.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from gridwatch.grafana.queries import Buckets, Count, Field, Kind, Newest, Query, Rows, where_of

__all__ = ["Infinity", "alert_model", "request"]

_COLUMN_TYPES = {
    Kind.NUMBER: "number",
    Kind.TEXT: "string",
    Kind.BOOL: "boolean",
    Kind.TIME: "timestamp",
    Kind.TIME_MS: "timestamp_epoch",
}

_FROM, _TO = "${__timeFrom}", "${__timeTo}"


class Infinity:
    """Current Grafana: yesoreyeram-infinity-datasource over the Web API's SQL."""

    folder: ClassVar[str] = "infinity"
    title: ClassVar[str] = "gridwatch"
    tag: ClassVar[str] = "inf"
    ref: ClassVar[dict[str, str]] = {"type": "yesoreyeram-infinity-datasource", "uid": "gridwatch-infinity"}

    def target(self, query: Query, ref_id: str) -> dict[str, Any]:
        """Return the target of a panel."""
        statement, fields = statement_of(query)
        return {"refId": ref_id, "datasource": self.ref, **request(statement, fields)}

    def annotation(self, container: str, pages: str, rows_max: int) -> dict[str, Any]:
        """Return the annotation of the anomalies of a container: a red line each, its severity and why in the text."""
        link = f'<a href="{pages}/anomalies/{container}/'
        said = "COALESCE(' ' || \"explanation\", '')"
        text = f"""\"severity" || ' anomaly.' || {said} || ' {link}' || "id" || '" target="_blank">More</a>'"""
        statement = (
            f'SELECT "ts", {text}, "severity" || \',\' || "detector" FROM "{container}" '
            f'WHERE {_in_range("ts", Kind.TIME)} ORDER BY "ts" DESC LIMIT {rows_max}'
        )
        fields = (Field("time", Kind.TIME), Field("text", Kind.TEXT), Field("tags", Kind.TEXT))
        return {"target": {"refId": "Anno", **request(statement, fields)}}


def statement_of(query: Query) -> tuple[str, tuple[Field, ...]]:
    """Return the SQL of a query, and the columns of its answer in order."""
    match query:
        case Buckets(container, columns, by_row):
            # No alias may have the name of a column (240009); the answer is read by position anyway.
            chosen = ", ".join(f'{aggregate}("{column}")' for aggregate, column in columns)
            time = 'MIN("ts")' if by_row else '"ts"'
            statement = (
                f'SELECT {time}, {chosen} FROM "{container}" WHERE {_in_range("ts", Kind.TIME)} '
                f'GROUP BY RANGE("ts") EVERY(${{__interval_ms}}, MILLISECOND){" FILL(NONE)" if by_row else ""}'
            )
            return statement, (Field("ts", Kind.TIME), *(Field(column) for _, column in columns))
        case Rows(container, fields, time, where, rows_max, ranged):
            condition = where_of(where, _in_range(time, query.time_field.kind) if ranged else "")
            statement = f'SELECT {", ".join(_quoted(field) for field in fields)} FROM "{container}"'
            return f'{statement}{condition} ORDER BY "{time}" DESC LIMIT {rows_max}', fields
        case Count(container, time, kind, where):
            return f'SELECT COUNT(*) FROM "{container}"{where_of(where, _in_range(time, kind))}', (Field("count"),)
        case Newest(container):
            return f'SELECT TO_EPOCH_MS(MAX("ts")) FROM "{container}"', (Field("newest", Kind.TIME_MS),)


def _quoted(field: Field) -> str:
    return f'"{field.column}"'


def _in_range(column: str, kind: Kind) -> str:
    if kind is Kind.TIME:
        return f'"{column}" >= TO_TIMESTAMP_MS({_FROM}) AND "{column}" <= TO_TIMESTAMP_MS({_TO})'
    return f'"{column}" >= {_FROM} AND "{column}" <= {_TO}'


def request(statement: str, fields: tuple[Field, ...]) -> dict[str, Any]:
    """Return what the plugin is to send and how it is to read the answer: rows as arrays, columns by position."""
    return {
        "type": "json",
        "source": "url",
        "parser": "backend",
        "format": "table",
        "url": "/sql",
        "url_options": {
            "method": "POST",
            "data": json.dumps([{"stmt": statement}]),
            "body_type": "raw",
            "body_content_type": "application/json",
            "headers": [],
            "params": [],
        },
        "root_selector": "0.results",
        "columns": [
            {"selector": str(place), "text": field.column, "type": _COLUMN_TYPES[field.kind]}
            for place, field in enumerate(fields)
        ],
        "filters": [],
        "computed_columns": [],
        "global_query_id": "",
    }


def alert_model(statement: str, fields: tuple[Field, ...], ref_id: str) -> dict[str, Any]:
    """Return the model of an alert's query; Grafana's backend fills in no macro there, the plugin's does."""
    return {"refId": ref_id, "intervalMs": 60_000, "maxDataPoints": 1000, **request(statement, fields)}
