"""Targets for GridDB's own Grafana plugin 1.1.0, which sends TQL and can only choose columns where it writes the TQL.

It was made for Grafana 5.3 to 9.3 and is written in Angular, which Grafana 11 turns off and 12 has not. It runs in
the browser, so Grafana cannot alert on it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from gridwatch.grafana.queries import Buckets, Count, Kind, Newest, Query, Rows, where_of

__all__ = ["GridDBPlugin"]


class GridDBPlugin:
    """Grafana up to 11: griddb-datasource over the Web API's TQL."""

    folder: ClassVar[str] = "griddb"
    title: ClassVar[str] = "gridwatch (GridDB plugin)"
    tag: ClassVar[str] = "gdb"
    ref: ClassVar[dict[str, str]] = {"type": "griddb-datasource", "uid": "gridwatch-griddb"}

    def target(self, query: Query, ref_id: str) -> dict[str, Any]:
        """Return the target of a panel."""
        match query:
            case Buckets(container, columns, _):
                made = _sampled(container, [column for _, column in columns])
            case Rows(container, _, time, where, rows_max, ranged):
                condition = where_of(where, _in_range(time, query.time_field.kind) if ranged else "")
                made = _raw(f"SELECT * FROM {container}{condition} ORDER BY {time} DESC LIMIT {rows_max}", "$__col")
            case Count(container, time, kind, where):
                made = _raw(f"SELECT COUNT(*) FROM {container}{where_of(where, _in_range(time, kind))}", "count")
            case Newest(container):
                made = _raw(f"SELECT MAX(ts) FROM {container}", "newest")
        return {"refId": ref_id, "datasource": self.ref, **made}

    def annotation(self, container: str, pages: str, rows_max: int) -> dict[str, Any]:
        """Return the annotation of the anomalies of a container; the plugin's text is one column: why."""
        return {
            "container": container,
            "query": f"SELECT * FROM {container} WHERE $__timeFilter ORDER BY ts DESC LIMIT {rows_max}",
            "timeColumn": "ts",
            "textColumn": "explanation",
            "tagsColumn": "severity,detector",
            "isRegionsAnnotation": False,
        }


def _in_range(column: str, kind: Kind) -> str:
    if kind is Kind.TIME:
        return f"{column} >= $__timeFrom AND {column} <= $__timeTo"
    return f"{column} >= TO_EPOCH_MS($__timeFrom) AND {column} <= TO_EPOCH_MS($__timeTo)"


def _raw(statement: str, alias: str) -> dict[str, Any]:
    """Return a target in manual mode, as a table; the macros for a filter on time are not known there."""
    return {
        "rawQuery": True,
        "query": statement,
        "format": "table",
        "alias": alias,
        "griddbTimeColumn": {"text": "", "value": "", "fake": True},
        "griddbSelectedViewCols": [],
    }


def _sampled(container: str, columns: list[str]) -> dict[str, Any]:
    """Return a target in select-box mode that samples to the panel's width; without a limit, the server's applies."""
    return {
        "rawQuery": False,
        "query": "",
        "format": "time_series",
        "alias": "$__col",
        "griddbContainer": {"text": container, "value": container, "fake": False},
        "griddbSelectedContainerType": "TIME_SERIES",
        "griddbTimeColumn": {"text": "ts", "value": "ts", "fake": False},
        "griddbSelectedViewCols": columns,
        "griddbIsTimeSampling": True,
        "griddbWheres": [],
        "griddbLimit": None,
        "griddbOffset": None,
    }
