"""`gridwatch grafana`: write Grafana's provisioning and dashboards, or tell whether they are up to date."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gridwatch.cli._context import settings
from gridwatch.cli._output import print_json

__all__ = ["register"]

_OUT = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the files.")]
_PAGES = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Address of gridwatch's pages for links; unset: GRIDWATCH_ALERTS__PUBLIC_URL."),
]
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_FOLDER = Path("grafana")


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(
        help="Grafana's provisioning and dashboards, made from the datasets (docs/grafana.md).", no_args_is_help=True
    )
    group.command(epilog="Example: gridwatch grafana build --out /etc/gridwatch/grafana")(build)
    group.command(epilog="Example: gridwatch grafana check --json")(check)
    app.add_typer(group, name="grafana", rich_help_panel="Project")


def build(out: _OUT = _FOLDER, pages: _PAGES = None, as_json: _JSON = False) -> None:
    """Write data sources, alert rules and a dashboard for each dataset; dashboards of datasets that are gone go too."""
    from gridwatch.grafana import write

    touched = [str(path) for path in write(_files(pages), out)]
    if as_json:
        print_json({"folder": str(out), "touched": touched})
    else:
        typer.echo(f"{len(touched)} files changed in {out}" if touched else f"{out} is up to date")


def check(out: _OUT = _FOLDER, pages: _PAGES = None, as_json: _JSON = False) -> None:
    """Tell whether the files are what `build` would write; exit 1 when they are not."""
    from gridwatch.grafana import compare

    drift = compare(_files(pages), out)
    if as_json:
        print_json({"folder": str(out), "up_to_date": not drift, **asdict(drift)})
    else:
        for what, names in asdict(drift).items():
            for name in names:
                typer.echo(f"{what}: {out / name}")
        typer.echo(f"{out} differs; run `gridwatch grafana build`" if drift else f"{out} is up to date")
    if drift:
        raise typer.Exit(1)


def _files(pages: str | None) -> dict[str, str]:
    from gridwatch.grafana import PAGES
    from gridwatch.grafana import build as build_files
    from gridwatch.sources import load_datasets

    found = settings(running=False)
    return build_files(load_datasets(found.datasets_dir), pages=pages or found.alerts.public_url or PAGES)
