"""`replay`: the numbers of anomalies computed again from the stored bytes and rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gridwatch.cli._context import artifacts_of, datasets, now_ms, settings, store
from gridwatch.cli._output import moment, print_json, print_table, progress
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.provenance import Replay

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command(rich_help_panel="Data", epilog="Example: gridwatch replay --all --dataset aapl_daily")(replay)


def replay(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="As `gridwatch anomalies` lists them; the first six digits will do."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All anomalies.")] = False,
    dataset: Annotated[str | None, typer.Option(metavar="NAME", help="With --all: only this dataset's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every number.")] = False,
) -> None:
    """Compute anomalies again from the stored model and rows, and hold every number against the row, bit by bit.

    Labels count as they were when the row was scored. A job's anomalies are found again by a fresh analysis of the rows
    that its datafeed reads. Exits with 1 when a number differs or an anomaly cannot be computed again.
    """
    from gridwatch.provenance import find_subject, subjects
    from gridwatch.provenance import replay as replayed

    if bool(ids) == every or (dataset and not every):
        raise ConfigError("Name the anomalies to replay, or --all with or without --dataset, and not both.")
    found = settings(demo=True)
    symbol = datasets(found, [dataset])[0].symbol if dataset else None
    with artifacts_of(found), store(found) as opened, progress("replaying") as shown:
        wanted = subjects(opened, symbol) if every else [find_subject(opened, key) for key in ids or []]
        done = replayed(opened, found, wanted, now_ms=now_ms(), progress=shown)
    if as_json:
        print_json([_plain(one) for one in done])
    elif done:
        _tables(done)
    else:
        typer.echo("No anomalies.")
    if any(one.verdict != "bit-equal" for one in done):
        raise typer.Exit(1)


def _plain(one: Replay) -> dict[str, object]:
    return {**asdict(one), "columns": [{**asdict(column), "equal": column.equal} for column in one.columns]}


def _tables(done: list[Replay]) -> None:
    print_table(
        ("anomaly", "time (UTC)", "detector", "verdict", "how"),
        [(one.id[:12], moment(one.ts_ms), one.detector, one.verdict, one.text) for one in done],
    )
    for one in done:
        if one.differing:
            print_table(
                ("column", "stored", "computed again"),
                [(column.column, repr(column.stored), repr(column.again)) for column in one.differing],
                title=f"{one.id}: what differs",
            )
    equal = sum(one.verdict == "bit-equal" for one in done)
    typer.echo(f"{equal} of {len(done)} bit-equal.")
