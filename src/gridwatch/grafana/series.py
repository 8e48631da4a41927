"""The panels of one dataset, in the order of its dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gridwatch.containers.catalog import DELIVERIES, TRAININGS, VALIDATIONS, anomaly_container, score_container
from gridwatch.grafana.panels import Grid, Source, oldest_first, override, row, stat, table, times, timeseries
from gridwatch.grafana.queries import Buckets, Count, Field, Kind, Newest, Rows

if TYPE_CHECKING:
    from gridwatch.sources import Dataset

__all__ = [
    "anomalies",
    "champion_age",
    "deliveries",
    "figures",
    "found",
    "ingestion_lag",
    "lines",
    "newest_validation",
    "quality",
    "training",
    "value_lines",
]

_DAY_MS = 86_400_000
_AGO = "dateTimeFromNow"
_INSTANT = "dateTimeAsIso"

_EDGE = {"custom.lineWidth": 0, "custom.showPoints": "never", "color": {"mode": "fixed", "fixedColor": "blue"}}


def ingestion_lag(dataset: Dataset, source: Source) -> dict[str, Any]:
    """Return how long ago the newest row was."""
    told = "Time since the newest row."
    query = Newest(dataset.container)
    return stat(source, "Ingestion lag", query, "newest", description=told, unit=_AGO, is_time=True)


def champion_age(dataset: Dataset, source: Source) -> dict[str, Any]:
    """Return how long ago the champion was trained."""
    query = _champion(dataset, Field("trained_ms", Kind.TIME_MS))
    return stat(source, "Champion trained", query, "trained_ms", unit=_AGO, is_time=True)


def newest_validation(dataset: Dataset, source: Source) -> dict[str, Any]:
    """Return how many expectations the newest validation found not met."""
    fields = (Field("run_ms", Kind.TIME_MS), Field("failed"))
    query = Rows(VALIDATIONS.name, fields, "run_ms", _of(dataset), rows_max=1, ranged=False)
    told = "Expectations that the newest validation found not met."
    return stat(source, "Newest validation", query, "failed", description=told, bad_from=1, texts={"0": "passed"})


def found(dataset: Dataset, source: Source) -> dict[str, Any]:
    """Return how many anomalies there are in the range."""
    query = Count(anomaly_container(dataset.symbol), "ts", Kind.TIME)
    return stat(source, "Anomalies in this range", query, "count")


def value_lines(dataset: Dataset, source: Source, title: str, *, band: bool, description: str) -> dict[str, Any]:
    """Return the dataset's value beside what was expected, with the band around it or without."""
    columns = [("AVG", "expected"), *([("MIN", "lower"), ("MAX", "upper")] if band else [])]
    overrides = [
        override("lower", _EDGE),
        override("upper", {**_EDGE, "custom.fillBelowTo": "lower", "custom.fillOpacity": 12}),
    ]
    dashed = override("expected", {"custom.lineStyle": {"dash": [10, 10], "fill": "dash"}})
    return timeseries(
        source,
        title,
        [
            Buckets(dataset.container, (("AVG", dataset.value),), _by_row(dataset)),
            Buckets(score_container(dataset.symbol), tuple(columns), _by_row(dataset)),
        ],
        description=description,
        gap_ms=_gap_ms(dataset),
        interval=_interval(dataset),
        overrides=[*(overrides if band else []), dashed],
    )


def figures(grid: Grid, dataset: Dataset, source: Source) -> None:
    """Add what is new and whether all is well."""
    newest = Newest(dataset.container)
    grid.add(stat(source, "Newest row", newest, "newest", unit=_INSTANT, is_time=True), 5, 4)
    grid.add(ingestion_lag(dataset, source), 4, 4)
    grid.add(found(dataset, source), 4, 4)
    grid.add(newest_validation(dataset, source), 4, 4)
    grid.add(champion_age(dataset, source), 4, 4)
    told = "Mean absolute error of the champion on the newest rows, kept from training."
    grid.add(stat(source, "Champion's error", _champion(dataset, Field("val_mae")), "val_mae", description=told), 3, 4)


def lines(grid: Grid, dataset: Dataset, source: Source) -> None:
    """Add the value with its band, the scores and the loss."""
    told = "Red dashed lines are anomalies; their severity is in the text."
    title = f"{dataset.value} with its expected band"
    grid.add(value_lines(dataset, source, title, band=True, description=told), 24, 11)
    for title, column, told in (
        ("Anomaly score", "score", "Calibrated, 0 to 100: how rare each row is by itself."),
        ("Segment score", "segment_score", "0 to 100, high through the whole of what is odd; `auto` alone has it."),
        ("Loss", "loss", "The detector's raw error."),
    ):
        query = Buckets(score_container(dataset.symbol), (("MAX", column),), _by_row(dataset))
        gap_ms, interval = _gap_ms(dataset), _interval(dataset)
        grid.add(timeseries(source, title, [query], description=told, gap_ms=gap_ms, interval=interval), 8, 7)


def anomalies(grid: Grid, dataset: Dataset, source: Source) -> None:
    """Add the anomalies of the range, each with a link to its page."""
    container = anomaly_container(dataset.symbol)
    fields = (
        Field("ts", Kind.TIME, "time", _INSTANT),
        Field("severity", Kind.TEXT),
        Field("actual"),
        Field("expected"),
        Field("lower"),
        Field("upper"),
        Field("anomaly_score", title="alarm score"),
        Field("score"),
        Field("p_value", title="p-value"),
        Field("driver", Kind.TEXT, "driven by"),
        Field("explanation", Kind.TEXT, "why"),
        Field("detected_ms", Kind.TIME_MS, "detected", _INSTANT),
        Field("model_uri", Kind.TEXT, "model"),
        Field("id", Kind.TEXT),
    )
    link = {"title": "What led to it", "url": f"${{pages}}/anomalies/{container}/${{__value.raw}}", "targetBlank": True}
    grid.add(row("Anomalies"), 24, 1)
    grid.add(table(source, "Anomalies", Rows(container, fields, "ts"), fields, links=[("id", [link])]), 24, 9)


def quality(grid: Grid, dataset: Dataset, source: Source) -> None:
    """Add validations, and what they say of ingestion."""
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


def training(grid: Grid, dataset: Dataset, source: Source) -> None:
    """Add what the trainings say of the models."""
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


def deliveries(grid: Grid, dataset: Dataset, source: Source) -> None:
    """Add the notifications of anomalies of the dataset."""
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


def _as_lines(time: str, *columns: str) -> list[dict[str, Any]]:
    """Return the transformations of rows that stand newest first and whose times may be plain numbers."""
    kept = {"id": "filterFieldsByName", "options": {"include": {"names": [time, *columns]}}}
    return [kept, times(time), oldest_first(time)]


def _champion(dataset: Dataset, *fields: Field) -> Rows:
    kept = (*fields, *([] if any(f.column == "trained_ms" for f in fields) else [Field("trained_ms", Kind.TIME_MS)]))
    return Rows(TRAININGS.name, kept, "trained_ms", f"{_of(dataset)} AND champion", rows_max=1, ranged=False)


def _of(dataset: Dataset) -> str:
    # A name holds no quote: letters, digits, _ and - only.
    return f"dataset = '{dataset.name}'"


def _interval(dataset: Dataset) -> str:
    """Return the time between two rows as Grafana writes it."""
    for unit, size in (("d", _DAY_MS), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if dataset.interval_ms % size == 0:
            return f"{dataset.interval_ms // size}{unit}"
    return f"{dataset.interval_ms}ms"


def _by_row(dataset: Dataset) -> bool:
    """Tell whether points keep the time of their row: days begin at midnight UTC, a daily bar in its own zone."""
    return dataset.interval_ms >= _DAY_MS


def _gap_ms(dataset: Dataset) -> int:
    """Return how long a line may be bridged: nights, weekends and holidays of an exchange, else a few rows."""
    return 5 * _DAY_MS if dataset.calendar else 5 * dataset.interval_ms
