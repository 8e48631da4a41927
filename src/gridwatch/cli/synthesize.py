"""`synthesize`: made-up labelled series with known faults, to judge a detector on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from gridwatch.cli._output import print_json, print_table

__all__ = ["register"]

_EPILOG = "Example: gridwatch synthesize made --seed 7, then gridwatch evaluate made --no-track"


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command(rich_help_panel="Models", epilog=_EPILOG)(synthesize)


def synthesize(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="New folder; gets the layout that evaluate reads.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same series.")] = 1,
    series: Annotated[int, typer.Option(min=1, help="How many.")] = 44,
    rows: Annotated[int, typer.Option(min=1, help="Rows of each, or at most of a FILE.csv.")] = 4032,
    base: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE.csv",
            help="Ordinary series to put faults in; --list names them.",
            show_default="all kinds",
        ),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Kind of fault; --list names them.", show_default="all kinds"),
    ] = None,
    clean: Annotated[float, typer.Option(min=0, max=1, help="Share of series without a fault.")] = 0.15,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    show: Annotated[bool, typer.Option("--list", help="List bases and faults, and make nothing.")] = False,
) -> None:
    """Make series with known faults at known places, to judge a detector on data that nobody tuned it to.

    Ordinary series are made up by kind, or cut from your own CSV (timestamp,value); each gets none to three faults.
    labels/combined_windows.json says where, labels/faults.json also what and how strong.
    """
    from gridwatch.sources.labelled import read_unlabelled
    from gridwatch.sources.synthetic import make_series, write_series
    from gridwatch.sources.synthetic_bases import BASES
    from gridwatch.sources.synthetic_faults import FAULTS

    if show:
        print_table(("base", "what it is like"), [(name, one.about) for name, one in BASES.items()])
        print_table(("fault", "what it is"), [(name, one.about) for name, one in FAULTS.items()])
        return
    if folder is None:
        raise typer.BadParameter("name the folder to write, or ask for --list", param_hint="DIR")
    bases = base or []
    real = [read_unlabelled(Path(name)) for name in bases if name.endswith(".csv")]
    made = make_series(
        seed,
        series,
        rows=rows,
        bases=[name for name in bases if not name.endswith(".csv")],
        faults=fault or [],
        real=real,
        clean_share=clean,
    )
    write_series(folder, made)
    kinds = Counter(put.kind for one in made for put in one.faults)
    total = sum(len(one.series) for one in made)
    if json_output:
        print_json({"folder": str(folder), "seed": seed, "series": len(made), "rows": total, "faults": dict(kinds)})
        return
    typer.echo(f"{folder}: {len(made)} series, {total:,} rows, {sum(kinds.values())} faults, seed {seed}")
    print_table(("fault", "times"), sorted(kinds.items()))
    typer.echo(f"Judge a detector on them: gridwatch evaluate {folder}")
