"""The dashboards: one for each dataset, and one with a line for each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gridwatch.containers.catalog import (
    DELIVERIES,
    TRAININGS,
    VALIDATIONS,
    anomaly_container,
    score_container,
)
from gridwatch.grafana.panels import Grid, Source, oldest_first, override, row, stat, table, times, timeseries
from gridwatch.grafana.queries import Buckets, Count, Field, Kind, Newest, Rows

if TYPE_CHECKING:
    from gridwatch.sources import Dataset

__all__ = ["overview", "series_dashboard", "uid_of"]

ANNOTATIONS_MAX = 2000
"""Most lines that one look at a series draws; the newest."""

_DAY_MS = 86_400_000
_AGO = "dateTimeFromNow"
_INSTANT = "dateTimeAsIso"

_EDGE = {"custom.lineWidth": 0, "custom.showPoints": "never", "color": {"mode": "fixed", "fixedColor": "blue"}}


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


def _links(source: Source, url: str, title: str) -> list[dict[str, Any]]:
    common = {"asDropdown": False, "icon": "external link", "includeVars": False, "tooltip": ""}
    return [
        {
            **common,
            "type": "dashboards",
            "title": "gridwatch",
            "tags": [f"gridwatch-{source.folder}"],
            "asDropdown": True,
            "keepTime": False,
            "targetBlank": False,
            "url": "",
        },
        {**common, "type": "link", "title": title, "url": url, "tags": [], "keepTime": False, "targetBlank": True},
    ]


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
    _figures(grid, dataset, source)
    _lines(grid, dataset, source)
    _anomalies(grid, dataset, source)
    _quality(grid, dataset, source)
    _training(grid, dataset, source)
    _deliveries(grid, dataset, source)
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


def _interval(dataset: Dataset) -> str:
    """Return the time between two rows as Grafana writes it."""
    for unit, size in (("d", _DAY_MS), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if dataset.interval_ms % size == 0:
            return f"{dataset.interval_ms // size}{unit}"
    return f"{dataset.interval_ms}ms"


def _gap_ms(dataset: Dataset) -> int:
    """Return how long a line may be bridged: nights, weekends and holidays of an exchange, else a few rows."""
    return 5 * _DAY_MS if dataset.calendar else 5 * dataset.interval_ms


def _of(dataset: Dataset) -> str:
    # A name holds no quote: letters, digits, _ and - only.
    return f"dataset = '{dataset.name}'"


def _champion(dataset: Dataset, *fields: Field) -> Rows:
    kept = (*fields, *([] if any(f.column == "trained_ms" for f in fields) else [Field("trained_ms", Kind.TIME_MS)]))
    return Rows(TRAININGS.name, kept, "trained_ms", f"{_of(dataset)} AND champion", rows_max=1, ranged=False)


def _validated(dataset: Dataset) -> Rows:
    fields = (Field("run_ms", Kind.TIME_MS), Field("failed"))
    return Rows(VALIDATIONS.name, fields, "run_ms", _of(dataset), rows_max=1, ranged=False)


def _found(dataset: Dataset) -> Count:
    return Count(anomaly_container(dataset.symbol), "ts", Kind.TIME)


def _figures(grid: Grid, dataset: Dataset, source: Source) -> None:
    ago = {"unit": _AGO, "is_time": True}
    lag = "Time of the newest row; how long ago that is, is the ingestion lag."
    grid.add(stat(source, "Newest row", Newest(dataset.container), "newest", unit=_INSTANT, is_time=True), 5, 4)
    grid.add(stat(source, "Ingestion lag", Newest(dataset.container), "newest", description=lag, **ago), 4, 4)
    grid.add(stat(source, "Anomalies in this range", _found(dataset), "count"), 4, 4)
    passed = {"0": "passed"}
    told = "Expectations that the newest validation found not met."
    grid.add(
        stat(source, "Newest validation", _validated(dataset), "failed", bad_from=1, texts=passed, description=told),
        4,
        4,
    )
    trained = Field("trained_ms", Kind.TIME_MS)
    grid.add(stat(source, "Champion trained", _champion(dataset, trained), "trained_ms", **ago), 4, 4)
    told = "Mean absolute error of the champion on the newest rows, kept from training."
    grid.add(stat(source, "Champion's error", _champion(dataset, Field("val_mae")), "val_mae", description=told), 3, 4)


def _lines(grid: Grid, dataset: Dataset, source: Source) -> None:
    scores = score_container(dataset.symbol)
    common: dict[str, Any] = {"gap_ms": _gap_ms(dataset), "interval": _interval(dataset)}
    band = [
        override("lower", _EDGE),
        override("upper", {**_EDGE, "custom.fillBelowTo": "lower", "custom.fillOpacity": 12}),
        override("expected", {"custom.lineStyle": {"dash": [10, 10], "fill": "dash"}}),
    ]
    grid.add(
        timeseries(
            source,
            f"{dataset.value} with its expected band",
            [
                Buckets(dataset.container, (("AVG", dataset.value),)),
                Buckets(scores, (("AVG", "expected"), ("MIN", "lower"), ("MAX", "upper"))),
            ],
            description="Red dashed lines are anomalies; their severity is in the text.",
            overrides=band,
            **common,
        ),
        24,
        11,
    )
    told = "Calibrated, 0 to 100."
    grid.add(
        timeseries(source, "Anomaly score", [Buckets(scores, (("MAX", "score"),))], description=told, **common), 12, 7
    )
    told = "The detector's raw error."
    grid.add(timeseries(source, "Loss", [Buckets(scores, (("MAX", "loss"),))], description=told, **common), 12, 7)


def _anomalies(grid: Grid, dataset: Dataset, source: Source) -> None:
    container = anomaly_container(dataset.symbol)
    fields = (
        Field("ts", Kind.TIME, "time", _INSTANT),
        Field("severity", Kind.TEXT),
        Field("actual"),
        Field("expected"),
        Field("lower"),
        Field("upper"),
        Field("score"),
        Field("p_value", title="p-value"),
        Field("detected_ms", Kind.TIME_MS, "detected", _INSTANT),
        Field("model_uri", Kind.TEXT, "model"),
        Field("id", Kind.TEXT),
    )
    link = {"title": "What led to it", "url": f"${{pages}}/anomalies/{container}/${{__value.raw}}", "targetBlank": True}
    grid.add(row("Anomalies"), 24, 1)
    grid.add(table(source, "Anomalies", Rows(container, fields, "ts"), fields, links=[("id", [link])]), 24, 9)


def _quality(grid: Grid, dataset: Dataset, source: Source) -> None:
    grid.add(row("Data quality and ingestion"), 24, 1)
    fields = (
        Field("run_ms", Kind.TIME_MS, "validated", _INSTANT),
        Field("success", Kind.BOOL, "passed"),
        Field("rows"),
        Field("expectations"),
        Field("failed"),
        Field("to_ms", Kind.TIME_MS, "newest row", _INSTANT),
        Field("failures", Kind.TEXT),
    )
    grid.add(
        table(source, "Validations", Rows(VALIDATIONS.name, fields, "run_ms", _of(dataset), ranged=False), fields),
        14,
        8,
    )
    lag = {
        "mode": "binary",
        "binary": {"left": "run_ms", "operator": "-", "right": "to_ms"},
        "alias": "lag",
        "replaceFields": False,
    }
    # As numbers, so that they can be subtracted; the time becomes one after that.
    behind = Rows(VALIDATIONS.name, (Field("run_ms"), Field("to_ms")), "run_ms", _of(dataset))
    grid.add(
        timeseries(
            source,
            "Ingestion lag at each validation",
            [behind],
            description="How far the newest row lay back when it was validated.",
            unit="ms",
            transformations=[{"id": "calculateField", "options": lag}, *_as_lines("run_ms", "lag")],
            points=True,
        ),
        10,
        8,
    )
    failed = Rows(VALIDATIONS.name, (Field("run_ms", Kind.TIME_MS), Field("failed")), "run_ms", _of(dataset))
    grid.add(
        timeseries(
            source,
            "Expectations not met at each validation",
            [failed],
            transformations=_as_lines("run_ms", "failed"),
            points=True,
        ),
        24,
        6,
    )


def _as_lines(time: str, *columns: str) -> list[dict[str, Any]]:
    """Return the transformations of rows that stand newest first and whose times may be plain numbers."""
    kept = {"id": "filterFieldsByName", "options": {"include": {"names": [time, *columns]}}}
    return [kept, times(time), oldest_first(time)]


def _training(grid: Grid, dataset: Dataset, source: Source) -> None:
    grid.add(row("Models"), 24, 1)
    fields = (
        Field("trained_ms", Kind.TIME_MS, "trained", _INSTANT),
        Field("model_version", Kind.TEXT, "version"),
        Field("champion", Kind.BOOL, "became champion"),
        Field("val_loss", title="loss"),
        Field("val_mae", title="error"),
        Field("champion_mae", title="champion's error"),
        Field("naive_mae", title="naive error"),
        Field("rows"),
        Field("run_id", Kind.TEXT, "run"),
    )
    grid.add(
        table(source, "Trainings", Rows(TRAININGS.name, fields, "trained_ms", _of(dataset), ranged=False), fields),
        14,
        8,
    )
    told = "Mean absolute errors on the newest rows: of the run, of the champion so far, of expecting the row before."
    for title, description, names in (
        ("Error by run", told, ("val_mae", "champion_mae", "naive_mae")),
        ("Loss by run", "Mean squared error on the newest rows, in standard deviations.", ("val_loss",)),
    ):
        kept = (Field("trained_ms", Kind.TIME_MS), *(Field(name) for name in names))
        grid.add(
            timeseries(
                source,
                title,
                [Rows(TRAININGS.name, kept, "trained_ms", _of(dataset))],
                description=description,
                transformations=_as_lines("trained_ms", *names),
                points=True,
            ),
            5,
            8,
        )


def _deliveries(grid: Grid, dataset: Dataset, source: Source) -> None:
    fields = (
        Field("last_ms", Kind.TIME_MS, "last try", _INSTANT),
        Field("status", Kind.TEXT),
        Field("attempts"),
        Field("recipients", Kind.TEXT),
        Field("error", Kind.TEXT),
        Field("anomaly_id", Kind.TEXT, "anomaly"),
    )
    where = f"container = '{anomaly_container(dataset.symbol)}'"
    grid.add(row("Notifications"), 24, 1)
    grid.add(table(source, "Deliveries", Rows(DELIVERIES.name, fields, "last_ms", where, ranged=False), fields), 24, 7)


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
    lines = timeseries(
        source,
        f"{dataset.symbol}: {dataset.value}",
        [
            Buckets(dataset.container, (("AVG", dataset.value),)),
            Buckets(score_container(dataset.symbol), (("AVG", "expected"),)),
        ],
        description=dataset.description,
        gap_ms=_gap_ms(dataset),
        interval=_interval(dataset),
    )
    # With its own range: a sample's rows lie years back.
    span = _range(dataset)
    url = f"/d/{uid_of(source, dataset.name)}?from={span['from']}&to={span['to']}"
    lines["links"] = [{"title": f"All of {dataset.name}", "url": url, "targetBlank": False}]
    ago = {"unit": _AGO, "is_time": True}
    grid.add(lines, 9, 6)
    grid.add(stat(source, "Ingestion lag", Newest(dataset.container), "newest", **ago), 4, 6)
    grid.add(stat(source, "Anomalies", _found(dataset), "count"), 3, 6)
    passed = {"0": "passed"}
    grid.add(stat(source, "Validation", _validated(dataset), "failed", bad_from=1, texts=passed), 4, 6)
    trained = Field("trained_ms", Kind.TIME_MS)
    grid.add(stat(source, "Champion trained", _champion(dataset, trained), "trained_ms", **ago), 4, 6)
