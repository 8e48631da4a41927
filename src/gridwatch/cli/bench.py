"""`bench`: the comparisons in `benchmarks/`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from gridwatch.errors import ConfigError

__all__ = ["register"]

_EPILOG = "Examples: gridwatch bench store scoring --json figures.json; gridwatch bench scores nab --markdown scores.md"

_TOOLS = ("scores", "trials", "pictures")  # have arguments of their own, and are no comparisons


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    # What is not an option here may be one of the tools that have their own.
    own = {"ignore_unknown_options": True, "help_option_names": []}
    app.command(rich_help_panel="Project", epilog=_EPILOG, context_settings=own)(bench)


def bench(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Which; none: all. Or one of scores, trials and pictures, and its own."
        ),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write JSON to FILE.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table to FILE.")] = None,
) -> None:
    """Measure gridwatch beside what one would otherwise run.

    `scores DIR` says how good each detector is on labelled files, `trials DIR...` the same of variants of one, and
    `pictures` makes those of the docs; `gridwatch bench scores --help` names the options that one has.
    """
    own = (names or [""])[0] in _TOOLS
    if {"--help", "-h"} & set(names or []) and not own:
        typer.echo(context.get_help())
        return
    root = Path(__file__).resolve().parents[3]
    if not (root / "benchmarks" / "__main__.py").is_file():
        raise ConfigError(
            "The benchmarks are part of the source tree, not of the installed package; run it in a clone."
        )
    files = {"--json": json_file, "--markdown": markdown}
    arguments = list(names or [])
    for option, file in files.items():
        arguments += [option, str(file.absolute())] if file else []
    # Folders that are named are the caller's.
    path = os.pathsep.join(one for one in (str(root), os.environ.get("PYTHONPATH")) if one)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=None if own else root,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    raise typer.Exit(done.returncode)
