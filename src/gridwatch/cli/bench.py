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
) -> None:
    """Measure gridwatch beside what one would otherwise run."""
    root = Path(__file__).resolve().parents[3]
    if not (root / "benchmarks" / "__main__.py").is_file():
        raise ConfigError(
            "The benchmarks are part of the source tree, not of the installed package; run it in a clone."
        )
    arguments = [*(names or []), *(["--json", str(json_file.absolute())] if json_file else [])]
    done = subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=root, check=False)
    raise typer.Exit(done.returncode)
