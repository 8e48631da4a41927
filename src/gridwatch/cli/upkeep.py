"""`upkeep`: what has been kept as long as retention says goes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gridwatch.cli._context import now_ms, settings
from gridwatch.cli._context import store as open_it
from gridwatch.cli._output import moment, print_json, print_table, progress

if TYPE_CHECKING:
    from gridwatch.upkeep import UpkeepReport

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command(rich_help_panel="Store", epilog="Example: gridwatch upkeep --dry-run")(upkeep)


def upkeep(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Delete what is older than its retention, in pieces, and give the space back; others may go on working.

    How long things are kept say `retention` in a dataset's file and the settings `GRIDWATCH_RETENTION__...`; without
    either, for ever. What is not scored or not told yet, what labels learn from and what the model goes on from stays,
    however old it is. `gridwatch up` does this once, its Prefect deployment `upkeep` each night.
    """
    from gridwatch.sources import load_datasets
    from gridwatch.upkeep import run_upkeep

    found = settings()
    datasets = load_datasets(found.datasets_dir)
    with open_it(found) as opened, progress("rows deleted") as shown:
        report = run_upkeep(opened, found, datasets, clock=now_ms, dry_run=dry_run, progress=shown)
    if as_json:
        print_json({**asdict(report), "rows": report.rows})
    else:
        _show(report)


def _show(report: UpkeepReport) -> None:
    if report.note:
        typer.echo(f"Nothing done: {report.note}.")
        return
    if not report.sweeps:
        typer.echo("Nothing has a retention: everything is kept. See docs/operations.md#retention.")
        return
    what = "would go" if report.dry_run else "deleted"
    print_table(
        ("container", "what", "days", "kept from", what, "stay", "since they are needed"),
        [
            (one.container, one.kind, one.days, moment(one.before_ms), one.rows, one.kept, "; ".join(one.needed_by))
            for one in report.sweeps
        ],
    )
    freed = f"; {report.freed_bytes:,} bytes given back" if report.freed_bytes else ""
    typer.echo(f"{report.rows:,} rows {what}{freed}")
