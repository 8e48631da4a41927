"""The dashboards: one for each dataset, and one with a line for each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gridwatch.containers.catalog import anomaly_container
from gridwatch.grafana import series
from gridwatch.grafana.panels import Grid, Source

if TYPE_CHECKING:
    from gridwatch.sources import Dataset

__all__ = ["overview", "series_dashboard", "uid_of"]

ANNOTATIONS_MAX = 2000
"""Most lines that one look at a series draws; the newest."""

_DAY_MS = 86_400_000


def uid_of(source: Source, name: str) -> str:
    """Return the uid of a dashboard; Grafana takes at most 40 characters.

    >>> from gridwatch.grafana.infinity import Infinity
    >>> uid_of(Infinity(), "aapl_daily")
    'gridwatch-inf-aapl_daily'
    """
    uid = f"gridwatch-{source.tag}-{name}"
    return uid if len(uid) <= 40 else f"gridwatch-{source.tag}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _dashboard(source: Source, uid: str, title: str, panels: list[dict[str, Any]], **parts: Any) -> dict[str, Any]:
    return {
        "uid": uid,
        "title": title,
        "tags": ["gridwatch", f"gridwatch-{source.folder}"],
        "schemaVersion": 36,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "weekStart": "",
        **parts,
        "panels": panels,
    }


def _variables(pages: str) -> dict[str, Any]:
    chosen = {"text": pages, "value": pages, "selected": False}
    return {
        "list": [
            {
                "type": "constant",
                "name": "pages",
                "label": "gridwatch's pages",
                "hide": 2,
                "skipUrlSync": True,
                "query": pages,
                "current": chosen,
                "options": [chosen],
            }
        ]
    }


def _link(title: str, url: str, *, new_tab: bool) -> dict[str, Any]:
    return {
        "type": "link",
        "title": title,
        "url": url,
        "icon": "external link",
        "tooltip": "",
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
        "targetBlank": new_tab,
    }


def _links(source: Source, url: str, title: str) -> list[dict[str, Any]]:
    others = {"type": "dashboards", "tags": [f"gridwatch-{source.folder}"], "asDropdown": True}
    return [_link("gridwatch", "", new_tab=False) | others, _link(title, url, new_tab=True)]


def _annotations(source: Source, container: str) -> dict[str, Any]:
    """Return red lines, which Grafana draws dashed, at the anomalies of a container."""
    anomalies = {
        "name": "Anomalies",
        "datasource": source.ref,
        "enable": True,
        "hide": False,
        "iconColor": "red",
        **source.annotation(container, "${pages}", ANNOTATIONS_MAX),
    }
    return {"list": [anomalies]}


def series_dashboard(dataset: Dataset, source: Source, *, pages: str) -> dict[str, Any]:
    """Return the dashboard of one dataset.

    Args:
        dataset: Which.
        source: Data source of all its panels.
        pages: Address of gridwatch's own pages, without a slash at the end.
    """
    grid = Grid()
    for part in (
        series.figures,
        series.lines,
        series.anomalies,
        series.quality,
        series.training,
        series.deliveries,
    ):
        part(grid, dataset, source)
    url = f"${{pages}}/anomalies?symbol={quote(dataset.symbol, safe='')}"
    return _dashboard(
        source,
        uid_of(source, dataset.name),
        f"{dataset.symbol}: {dataset.name}",
        grid.panels,
        description=dataset.description,
        timezone=dataset.timezone,
        time=_range(dataset),
        refresh="" if _is_past(dataset) else "1m",
        templating=_variables(pages),
        links=_links(source, url, "Anomalies"),
        annotations=_annotations(source, anomaly_container(dataset.symbol)),
    )


def _is_past(dataset: Dataset) -> bool:
    """Tell whether the dataset's rows come to an end, as those of a packaged sample do."""
    return dataset.source.kind == "sample"


def _range(dataset: Dataset) -> dict[str, str]:
    """Return the range that a dashboard opens on: what is scored of a sample; else about 1500 rows up to now."""
    start_ms, end_ms = dataset.range_ms(dataset.scoring)
    if start_ms is not None and end_ms is not None:
        return {"from": str(start_ms), "to": str(end_ms)}
    days = next((days for days in (1, 2, 7, 30, 90, 365) if days * _DAY_MS >= 1500 * dataset.interval_ms), 5 * 365)
    return {"from": f"now-{days}d", "to": "now"}


def _common_range(datasets: Sequence[Dataset]) -> dict[str, str]:
    """Return the newest days; where only samples are watched, the time that these span."""
    spans = [_range(dataset) for dataset in datasets if dataset.enabled]
    if not spans or any(span["to"] == "now" for span in spans):
        return {"from": "now-30d", "to": "now"}
    return {
        "from": str(min(int(span["from"]) for span in spans)),
        "to": str(max(int(span["to"]) for span in spans)),
    }


def overview(datasets: Sequence[Dataset], source: Source, *, pages: str) -> dict[str, Any]:
    """Return the dashboard with a line of panels for each dataset.

    Args:
        datasets: Which, in order.
        source: Data source of all its panels.
        pages: Address of gridwatch's own pages, without a slash at the end.
    """
    grid = Grid()
    for dataset in datasets:
        _line(grid, dataset, source)
    return _dashboard(
        source,
        f"gridwatch-{source.tag}",
        "gridwatch",
        grid.panels,
        description="Every series that gridwatch watches, a line each.",
        timezone="utc",
        time=_common_range(datasets),
        refresh="1m",
        templating=_variables(pages),
        links=_links(source, "${pages}/anomalies", "Anomalies"),
        annotations={"list": []},
    )


def _line(grid: Grid, dataset: Dataset, source: Source) -> None:
    """Add the panels of one dataset: its lines, what is new, whether it is well."""
    title = f"{dataset.symbol}: {dataset.value}"
    lines = series.value_lines(dataset, source, title, band=False, description=dataset.description)
    # With its own range: a sample's rows lie years back.
    span = _range(dataset)
    url = f"/d/{uid_of(source, dataset.name)}?from={span['from']}&to={span['to']}"
    lines["links"] = [_link(f"All of {dataset.name}", url, new_tab=False)]
    grid.add(lines, 8, 6)
    for figure in (series.ingestion_lag, series.found, series.newest_validation, series.champion_age):
        grid.add(figure(dataset, source), 4, 6)
