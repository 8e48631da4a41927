"""`compare`: detectors side by side on a dataset's own rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from gridwatch.cli._context import datasets, now_ms, settings, store
from gridwatch.cli._output import print_json, print_table, working
from gridwatch.cli.data import Json

if TYPE_CHECKING:
    from gridwatch.sources import Dataset

__all__ = ["register", "sides_table"]

_BOTH = ["auto", "lstm-fixed"]


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    example = "Example: gridwatch compare aapl_daily --detector auto --detector lstm --plot both.png"
    app.command(rich_help_panel="Models", epilog=example)(compare)


def compare(
    name: Annotated[str, typer.Argument(metavar="DATASET", help="Whose rows.")],
    detector: Annotated[
        list[str], typer.Option(help="A detector, as dataset files name it; may be given again.")
    ] = _BOTH,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw them, a panel each.")] = None,
    as_json: Json = False,
) -> None:
    """Show what detectors flag on the same rows, side by side. Nothing is written to the store or to MLflow.

    Each learns the dataset's training range and scores its scoring range by its own default threshold; the one that
    the dataset names by the dataset's.
    """
    from gridwatch.pipeline.compare import compare as run
    from gridwatch.pipeline.compare_plot import compare_plot

    found = settings(demo=True)
    [dataset] = datasets(found, [name])
    with store(found) as opened, working(f"compare {name}"):
        sides = run(dataset, opened, detector, now_ms=now_ms())
    if plot:
        zone = ZoneInfo(dataset.timezone)
        plot.write_bytes(compare_plot(sides, title=dataset.symbol, label=dataset.value, zone=zone))
    shown = [side.summary() for side in sides]
    if as_json:
        print_json(shown)
        return
    sides_table(dataset, shown)
    if plot:
        typer.echo(f"plot     {plot}")


def sides_table(dataset: Dataset, sides: Sequence[dict[str, Any]]) -> None:
    """Print what each detector flags, from their summaries."""
    print_table(
        ("detector", "looks at", "flags", "rows scored", "flagged", "share", "learnt in"),
        [
            (
                one["detector"],
                one["feature"],
                f"{one['rule']} >= {one['threshold']:.4g}",
                f"{one['scored']:,}",
                f"{one['anomalies']:,}",
                f"{one['share']:.2%}",
                f"{one['learn_s']:.1f} s",
            )
            for one in sides
        ],
        title=f"{dataset.symbol}: {dataset.value}, the same rows by each detector",
    )
