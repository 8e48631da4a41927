"""`train`, `detect` and `models`."""

from __future__ import annotations

from typing import Annotated

import typer

from gridwatch.cli._context import datasets, now_ms, settings, store
from gridwatch.cli._output import moment, print_json, print_table, progress, working
from gridwatch.cli.data import Json, Names, show_reports

__all__ = ["register"]

Force = Annotated[bool, typer.Option("--force", help="Go on although the validation failed.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    panel = "Models"
    app.command(rich_help_panel=panel, epilog="Example: gridwatch train aapl_daily")(train)
    app.command(rich_help_panel=panel, epilog="Example: gridwatch detect aapl_daily --json")(detect)
    app.command(rich_help_panel=panel, epilog="Example: gridwatch models aapl_daily --json")(models)


def train(names: Names = None, force: Force = False, as_json: Json = False) -> None:
    """Train the detectors of datasets; each becomes champion after a comparison on the same rows."""
    from gridwatch.pipeline.train import train as run

    found = settings()
    opened = store(found)
    reports = []
    for dataset in datasets(found, names):
        with progress(f"train {dataset.name}") as shown:
            reports.append(run(dataset, opened, found, now_ms=now_ms(), force=force, progress=shown))
    show_reports(reports, as_json)


def models(names: Names = None, as_json: Json = False) -> None:
    """List the versions of each dataset's model, newest first, with their figures; * marks the champion."""
    from gridwatch.tracking import model_versions

    found = settings(demo=True)
    rows = [row for dataset in datasets(found, names) for row in model_versions(found, dataset.model_name)]
    if as_json:
        print_json(rows)
        return
    if not rows:
        typer.echo("No models yet; `gridwatch train` makes one.")
        return
    shown = ("val_mae", "champion_mae", "naive_mae", "anomaly_rate")
    print_table(
        ("model", "version", "champion", "detector", "made (UTC)", *shown, "run"),
        [
            (
                row["model"],
                row["version"],
                "*" if row["champion"] else "",
                row["detector"] or "",
                moment(row["made_ms"]),
                *(_figure(row["metrics"].get(name)) for name in shown),
                row["run_id"],
            )
            for row in rows
        ],
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def detect(names: Names = None, force: Force = False, as_json: Json = False) -> None:
    """Score the rows that are new since the last time and write down the anomalies."""
    from gridwatch.pipeline.detect import detect as run

    found = settings()
    opened = store(found)
    reports = []
    for dataset in datasets(found, names):
        with working(f"detect {dataset.name}"):
            reports.append(run(dataset, opened, found, now_ms=now_ms(), force=force))
    show_reports(reports, as_json)
