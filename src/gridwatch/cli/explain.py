"""`explain`: everything that led to an anomaly, each link checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gridwatch.cli._context import artifacts_of, settings, store
from gridwatch.cli._output import moment, print_json, print_table, progress

if TYPE_CHECKING:
    from gridwatch.provenance import Chain

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command(rich_help_panel="Data", epilog="Example: gridwatch explain 5f0c6f9b --strict")(explain)


def explain(
    anomaly: Annotated[
        str,
        typer.Argument(metavar="ID", help="As `gridwatch anomalies` lists it; its first six digits or more will do."),
    ],
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 when a link has changed or is missing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show all that led to an anomaly, each link checked: rows and model bytes are hashed again, runs looked up.

    A link is ok, changed (it is there, but not what it was), missing, unreachable (its service does not answer now),
    not configured, or not recorded (there was none, or an older gridwatch did not write it down).
    """
    from gridwatch.provenance import explain as explained

    found = settings(demo=True)
    with artifacts_of(found), store(found) as opened, progress("checking") as shown:
        chain = explained(opened, found, anomaly, progress=shown)
    if as_json:
        print_json(_plain(chain))
    else:
        _table(chain)
    if strict and not chain.sound:
        raise typer.Exit(1)


def _plain(chain: Chain) -> dict[str, object]:
    from dataclasses import asdict

    return {**asdict(chain), "sound": chain.sound}


def _table(chain: Chain) -> None:
    title = f"{chain.series} {moment(chain.ts_ms)} UTC, {chain.detector}, {chain.severity or 'no severity'}"
    print_table(
        ("link", "check", "what was found"),
        [(link.name, link.status.value, link.text) for link in chain.links],
        title=title,
    )
    if chain.explanation:
        typer.echo(chain.explanation)
    typer.echo("Sound: nothing has changed or is missing." if chain.sound else "Not sound: see the links above.")
