"""Grafana's panels as dicts; `Grid` gives them their places and ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from gridwatch.grafana.queries import Field, Query

__all__ = [
    "COLUMNS",
    "Grid",
    "Source",
    "oldest_first",
    "only",
    "override",
    "row",
    "stat",
    "table",
    "times",
    "timeseries",
]

COLUMNS = 24
"""Grafana's grid is this wide."""

_RED, _GREEN, _ORANGE = "red", "green", "orange"


class Source(Protocol):
    """A data source: how it is asked, and where its dashboards go."""

    folder: ClassVar[str]
    title: ClassVar[str]
    tag: ClassVar[str]
    ref: ClassVar[dict[str, str]]

    def target(self, query: Query, ref_id: str) -> dict[str, Any]:
        """Return the target of a panel."""

    def annotation(self, container: str, pages: str, rows_max: int) -> dict[str, Any]:
        """Return what is the data source's own in an annotation of the anomalies of a container."""


class Grid:
    """Places panels from left to right and top to bottom, and numbers them."""

    def __init__(self) -> None:
        self.panels: list[dict[str, Any]] = []
        self._x = self._y = self._height = 0

    def add(self, panel: dict[str, Any], width: int, height: int) -> None:
        """Put a panel next to the last one, or below where it does not fit."""
        if self._x + width > COLUMNS:
            self._x, self._y, self._height = 0, self._y + self._height, 0
        place = {"x": self._x, "y": self._y, "w": width, "h": height}
        self.panels.append({"id": len(self.panels) + 1, **panel, "gridPos": place})
        self._x, self._height = self._x + width, max(self._height, height)


def _panel(
    kind: str, title: str, source: Source, queries: Sequence[Query], description: str, **parts: Any
) -> dict[str, Any]:
    targets = [source.target(query, chr(ord("A") + place)) for place, query in enumerate(queries)]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": source.ref,
        "targets": targets,
        **parts,
    }


def row(title: str) -> dict[str, Any]:
    """Return a heading."""
    return {"type": "row", "title": title, "collapsed": False, "panels": []}


def timeseries(
    source: Source,
    title: str,
    queries: Sequence[Query],
    *,
    description: str = "",
    unit: str = "short",
    gap_ms: int = 0,
    interval: str = "",
    overrides: Sequence[dict[str, Any]] = (),
    transformations: Sequence[dict[str, Any]] = (),
    points: bool = False,
) -> dict[str, Any]:
    """Return lines over time.

    Args:
        source: Data source.
        title: Heading.
        queries: A target each.
        description: Shown on the heading's sign.
        unit: Grafana's unit of the values.
        gap_ms: Nulls over at most this time are bridged.
        interval: Shortest time between two points, such as `30m`; the width decides beyond it.
        overrides: Of single fields.
        transformations: Of the frames.
        points: Whether rows stand for themselves, so that each shows.
    """
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 0,
        "showPoints": "always" if points else "auto",
        "pointSize": 6 if points else 4,
        "spanNulls": gap_ms or False,
    }
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    return _panel(
        "timeseries",
        title,
        source,
        queries,
        description,
        fieldConfig={"defaults": {"unit": unit, "custom": custom}, "overrides": list(overrides)},
        options=options,
        transformations=list(transformations),
        **({"interval": interval} if interval else {}),
    )


def stat(
    source: Source,
    title: str,
    query: Query,
    field: str,
    *,
    description: str = "",
    unit: str = "short",
    is_time: bool = False,
    bad_from: float | None = None,
    texts: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return one figure.

    Args:
        source: Data source.
        title: Heading.
        query: Gives one row.
        field: Which of its fields is shown.
        description: Shown on the heading's sign.
        unit: Grafana's unit.
        is_time: Whether it is an instant.
        bad_from: The figure is red from here on.
        texts: Shown in place of values.
    """
    steps: list[dict[str, Any]] = [{"color": _GREEN if bad_from is not None else "text", "value": None}]
    if bad_from is not None:
        steps.append({"color": _RED, "value": bad_from})
    mappings = [{"type": "value", "options": {value: {"text": text} for value, text in (texts or {}).items()}}]
    defaults = {
        "unit": unit,
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": mappings if texts else [],
        "noValue": "none",
    }
    return _panel(
        "stat",
        title,
        source,
        [query],
        description,
        fieldConfig={"defaults": defaults, "overrides": []},
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": f"/^{field}$/", "values": False},
            "colorMode": "value",
            "graphMode": "none",
            "textMode": "value",
        },
        transformations=[times(field)] if is_time else [],
    )


def table(
    source: Source,
    title: str,
    query: Query,
    fields: Sequence[Field],
    *,
    description: str = "",
    links: Sequence[Any] = (),
) -> dict[str, Any]:
    """Return rows.

    Args:
        source: Data source.
        title: Heading.
        query: Gives the rows.
        fields: What is shown, in order.
        description: Shown on the heading's sign.
        links: Title of a field, and the links on its cells.
    """
    overrides = [override(field.shown, {"unit": field.unit}) for field in fields if field.unit]
    overrides += [override(title, {"links": list(found)}) for title, found in links]
    return _panel(
        "table",
        title,
        source,
        [query],
        description,
        fieldConfig={"defaults": {"custom": {"filterable": True}}, "overrides": overrides},
        options={"showHeader": True, "footer": {"show": False, "reducer": []}},
        transformations=only(fields),
    )


def override(title: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Return the override of one field."""
    return {
        "matcher": {"id": "byName", "options": title},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def only(fields: Sequence[Field]) -> list[dict[str, Any]]:
    """Return the transformations that keep these fields, in this order and under their titles."""
    organized = {
        "excludeByName": {},
        "indexByName": {field.column: place for place, field in enumerate(fields)},
        "renameByName": {field.column: field.shown for field in fields if field.shown != field.column},
    }
    return [
        {"id": "filterFieldsByName", "options": {"include": {"names": [field.column for field in fields]}}},
        {"id": "organize", "options": organized},
    ]


def times(*columns: str) -> dict[str, Any]:
    """Return the transformation that reads fields as instants, be they epoch ms, text, or instants already."""
    return {
        "id": "convertFieldType",
        "options": {
            "fields": {},
            "conversions": [{"targetField": column, "destinationType": "time"} for column in columns],
        },
    }


def oldest_first(column: str) -> dict[str, Any]:
    """Return the transformation that puts the oldest row first, as lines need it."""
    return {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": column, "desc": False}]}}
