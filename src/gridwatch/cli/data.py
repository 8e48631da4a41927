"""`load`, `ingest` and `validate`: rows into the store, and whether they are fit to be learnt from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from gridwatch.cli._context import datasets, now_ms, settings, store
from gridwatch.cli._output import JARS, cell, print_json, print_table, progresses, working

__all__ = ["Json", "Names", "register", "show_reports"]

_COLUMNS_MAX = 9

Names = Annotated[list[str] | None, typer.Argument(metavar="[DATASET]...", help="Dataset names; none: all.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    panel = "Data"
    app.command(rich_help_panel=panel, epilog="Example: gridwatch load aapl_daily")(load)
    app.command(rich_help_panel=panel, epilog="Example: gridwatch ingest aapl_daily --json")(ingest)
    app.command(rich_help_panel=panel, epilog="Example: gridwatch validate aapl_daily")(validate)


def load(
    names: Names = None,
    months: Annotated[int | None, typer.Option(min=1, help="Months of history; default: as the dataset says.")] = None,
    as_json: Json = False,
) -> None:
    """Load the history of datasets through Kafka into the store; goes on where it stopped."""
    from gridwatch.pipeline.load import load_batch

    found = settings()
    opened = store(found)
    reports = []
    for dataset in datasets(found, names):
        with progresses(f"load {dataset.name}", JARS) as (shown, fetching):
            reports.append(
                load_batch(
                    dataset, opened, found, now_ms=now_ms(), months=months, progress=shown, jars_progress=fetching
                )
            )
    show_reports(reports, as_json)


def ingest(names: Names = None, as_json: Json = False) -> None:
    """Bring in the newest rows of datasets."""
    from gridwatch.pipeline.ingest import ingest_daily

    found = settings()
    opened = store(found)
    reports = []
    for dataset in datasets(found, names):
        with progresses(f"ingest {dataset.name}", JARS) as (shown, fetching):
            reports.append(
                ingest_daily(dataset, opened, found, now_ms=now_ms(), progress=shown, jars_progress=fetching)
            )
    show_reports(reports, as_json)


def validate(names: Names = None, as_json: Json = False) -> None:
    """Hold the rows of datasets against their expectations; exit 1 when one fails."""
    from gridwatch.pipeline.validate import validate as run

    found = settings()
    opened = store(found)
    reports = []
    for dataset in datasets(found, names):
        with working(f"validate {dataset.name}"):
            reports.append(run(dataset, opened, found, now_ms=now_ms()))
    show_reports(reports, as_json)
    if not all(report.success for report in reports):
        raise typer.Exit(1)


def show_reports(reports: list[Any], as_json: bool) -> None:
    """Print what each dataset's run reported, as a table or as JSON."""
    rows = [asdict(report) for report in reports]
    if as_json:
        print_json(rows)
        return
    for row, report in zip(rows, reports, strict=True):
        if hasattr(report, "reasons") and "failures" in row:
            row["failures"] = report.reasons
    shown = [{_label(key): cell(key, value) for key, value in row.items() if key != "markdown"} for row in rows]
    if not shown:
        typer.echo("No datasets.")
    elif len(shown[0]) <= _COLUMNS_MAX:
        print_table(list(shown[0]), [list(row.values()) for row in shown])
    else:
        # Too wide for a table: one line a figure, one column a dataset.
        print_table(["", *(row.pop("dataset") for row in shown)], [(key, *(r[key] for r in shown)) for key in shown[0]])


def _label(key: str) -> str:
    return f"{key.removesuffix('_ms')} (UTC)" if key.endswith("_ms") else key.replace("_", " ")
