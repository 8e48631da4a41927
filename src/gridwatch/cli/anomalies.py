"""`anomalies`: what was found, as a table or as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from gridwatch.cli._context import datasets, settings, store
from gridwatch.cli._output import print_json, print_table

__all__ = ["register"]


class Severity(StrEnum):
    """From the least to the worst."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command(rich_help_panel="Data", epilog="Example: gridwatch anomalies aapl_daily --severity high --why")(
        anomalies
    )


def anomalies(
    name: Annotated[str | None, typer.Argument(metavar="[DATASET]", help="Only this dataset's.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only from this time on, UTC.")
    ] = None,
    severity: Annotated[Severity | None, typer.Option(help="Only this bad or worse.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most rows.")] = 100,
    why: Annotated[
        bool, typer.Option("--why", help="Also say of each what stood out, and what would have been normal.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the whole provenance.")] = False,
) -> None:
    """List anomalies, newest first, with what became of their mails and what people said (`gridwatch label`)."""
    from gridwatch.alerts.anomalies import list_anomalies

    found = settings(demo=True)
    symbol = datasets(found, [name])[0].symbol if name else None
    with store(found) as opened:
        rows = list_anomalies(
            opened,
            symbol=symbol,
            since_ms=None if since is None else int(since.replace(tzinfo=UTC).timestamp() * 1000),
            severity=None if severity is None else severity.value,
            limit=limit,
        )
    if as_json:
        print_json(rows)
    elif rows:
        print_table(
            ("series", "time (UTC)", "actual", "expected", "score", "severity", "driven by", "mail", "label", "id"),
            [
                (
                    row["series"],
                    row["time"],
                    f"{row['actual']:.6g}",
                    f"{row['expected']:.6g}",
                    "" if row["severity_score"] is None else f"{row['severity_score']:.2f}",
                    row["severity"],
                    row.get("driver") or "",
                    row["mail"],
                    row["label"] or "",
                    row["id"],
                )
                for row in rows
            ],
        )
        for row in rows if why else ():
            typer.echo(f"{row['series']} {row['time']}: {row.get('explanation') or 'nothing is written down.'}")
    else:
        typer.echo("No anomalies.")
