"""`train`, `detect` and `models`."""

from __future__ import annotations

from typing import Annotated

import typer

from gridwatch.cli._context import datasets, now_ms, settings, store
from gridwatch.cli._output import progress
from gridwatch.cli.data import Json, Names, show_reports

__all__ = ["register"]

Force = Annotated[bool, typer.Option("--force", help="Go on although the validation failed.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    panel = "Models"
    app.command(rich_help_panel=panel, epilog="Example: gridwatch train aapl_daily")(train)
    app.command(rich_help_panel=panel, epilog="Example: gridwatch detect aapl_daily --json")(detect)


def train(names: Names = None, force: Force = False, as_json: Json = False) -> None:
    """Train a model for datasets; it becomes champion when it is better on the same rows."""
    from gridwatch.pipeline.train import train as run

    found = settings()
    opened = store(found)
    reports = []
    for dataset in datasets(found, names):
        with progress(f"train {dataset.name}") as shown:
            reports.append(run(dataset, opened, found, now_ms=now_ms(), force=force, progress=shown))
    show_reports(reports, as_json)


def detect(names: Names = None, force: Force = False, as_json: Json = False) -> None:
    """Score the rows that are new since the last time and write down the anomalies."""
    from gridwatch.pipeline.detect import detect as run

    found = settings()
    opened = store(found)
    reports = [run(dataset, opened, found, now_ms=now_ms(), force=force) for dataset in datasets(found, names)]
    show_reports(reports, as_json)
