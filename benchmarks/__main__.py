"""`python -m benchmarks [NAME...] [--json FILE]`: run the comparisons, print a table."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figure import Figure
from gridwatch.errors import GridwatchError

NAMES = (
    "store",
    "artifacts",
    "scoring",
    "detectors",
    "cold_start",
    "training",
    "ingest",
    "connect",
    "alerts",
    "pages",
    "jobs",
    "bursts",
    "networks",
    "griddb",
)


HEADINGS = ("figure", "amount", "seconds", "rate", "beside", "seconds ", "ratio", "aim", "note")


def _rows(figures: Sequence[Figure]) -> list[tuple[str, ...]]:
    return [
        (
            figure.name,
            f"{figure.amount:,} {figure.unit}",
            f"{figure.seconds:.3f}",
            f"{figure.rate:,.0f}/s",
            figure.baseline,
            "" if figure.baseline_seconds is None else f"{figure.baseline_seconds:.3f}",
            "" if figure.ratio is None else f"{figure.ratio:.1f}x",
            "" if figure.aim is None else (f"{figure.aim:g}x" if figure.ratio is not None else f"{figure.aim:g} s"),
            figure.note,
        )
        for figure in figures
    ]


def _table(figures: Sequence[Figure]) -> Table:
    table = Table(title="gridwatch benchmarks")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in {"figure", "beside", "note"} else "right")
    for row in _rows(figures):
        table.add_row(*row)
    return table


def _markdown(figures: Sequence[Figure]) -> str:
    rows = [HEADINGS, ("---",) * len(HEADINGS), *_rows(figures)]
    return "".join(f"| {' | '.join(cell.strip() for cell in row)} |\n" for row in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named benchmarks, or all; return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in {
        "trials",
        "scores",
        "pictures",
    }:  # have arguments of their own, and are no comparisons
        return int(importlib.import_module(f"benchmarks.{arguments[0]}").main(arguments[1:]))
    parser = argparse.ArgumentParser(
        prog="gridwatch bench",
        description=__doc__,
        epilog="`scores DIR`: how good each detector is on labelled files; `trials DIR...`: variants of one; "
        "`pictures`: those of the docs; each has its own --help",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (all when none is named)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to FILE as Markdown")
    parser.add_argument("--rows", type=int, metavar="N", help="rows of each comparison that counts rows, for all named")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    console = Console(width=None if sys.stdout.isatty() else 160)
    figures: list[Figure] = []
    for name in options.names or NAMES:
        with Console(stderr=True).status(f"{name} ..."):
            module: Any = importlib.import_module(f"benchmarks.{name}")
            if options.rows is not None and hasattr(module, "ROWS"):
                module.ROWS = max(1, options.rows)
            figures.extend(module.run())
    console.print(_table(figures))
    if options.json:
        machine = {"python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()}
        report = {"machine": machine, "figures": [figure.as_dict() for figure in figures]}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(_markdown(figures), encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GridwatchError as error:
        sys.exit(f"error: {error}")
