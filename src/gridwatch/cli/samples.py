"""`samples`: data like Kibana's samples, to try jobs on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from gridwatch.cli._context import settings, store
from gridwatch.cli._jobs import PANEL, Json, instant
from gridwatch.cli._output import moment, print_json, print_table, progress

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command(rich_help_panel=PANEL, epilog="Example: gridwatch samples kibana_sample_data_logs --days 28")(samples)


def samples(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[CONTAINER]...", help="Which.", show_default="all three")
    ] = None,
    days: Annotated[int, typer.Option(min=14, max=3660, help="How many days.")] = 28,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="First day: a date or now-28d/d.", show_default="2024-02-05")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same rows.")] = 1,
    as_json: Json = False,
) -> None:
    """Write sample data into the store, to try jobs on: web logs, orders and events, as Kibana's samples are.

    kibana_sample_data_logs, kibana_sample_data_ecommerce and security_events. What is odd in them was put there, and
    is listed: a job should find it. Written again, nothing changes; flows/jobs/examples has jobs for them.
    """
    from gridwatch.sources.kibana_samples import CONTAINERS, START_MS, write_samples

    begins = instant(start, "--start")
    with store(settings()) as opened, progress("rows") as shown:
        put = write_samples(
            opened,
            seed=seed,
            start_ms=START_MS if begins is None else begins,
            days=days,
            names=names or CONTAINERS,
            progress=lambda _name, done, total: shown(done, total),
        )
    if as_json:
        print_json({"containers": list(names or CONTAINERS), "anomalies": [asdict(one) for one in put]})
        return
    print_table(
        ("container", "from (UTC)", "to (UTC)", "what was put there", "whose"),
        [
            (
                one.container,
                moment(one.start_ms),
                moment(one.end_ms),
                one.told,
                ", ".join(f"{name}={value}" for name, value in one.entities.items()),
            )
            for one in put
        ],
    )
    typer.echo("Next: gridwatch jobs apply flows/jobs/examples")
