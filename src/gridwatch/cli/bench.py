"""`bench`: the comparisons in `benchmarks/`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from gridwatch.errors import ConfigError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command(rich_help_panel="Project", epilog="Example: gridwatch bench store scoring --json figures.json")(bench)


def bench(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Which; none: all.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write JSON to FILE.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table to FILE.")] = None,
) -> None:
    """Measure gridwatch beside what one would otherwise run."""
    root = Path(__file__).resolve().parents[3]
    if not (root / "benchmarks" / "__main__.py").is_file():
        raise ConfigError(
            "The benchmarks are part of the source tree, not of the installed package; run it in a clone."
        )
    files = {"--json": json_file, "--markdown": markdown}
    arguments = list(names or [])
    for option, file in files.items():
        arguments += [option, str(file.absolute())] if file else []
    done = subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=root, check=False)
    raise typer.Exit(done.returncode)
