"""Tables for people, JSON for scripts, progress on a terminal only."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

__all__ = [
    "JARS",
    "Progress",
    "cell",
    "moment",
    "print_json",
    "print_table",
    "progress",
    "progresses",
    "seconds",
    "working",
]

Progress = Callable[[int, "int | None"], None]

JARS = "Java parts, the first time only"
"""Label of the bar of what happens once a machine: jars are downloaded, and the connector is built."""


def print_json(value: Any) -> None:
    """Print a value as JSON; dataclasses become objects, anything else unknown its text."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> None:
    """Print a table; numbers stand to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for place, heading in enumerate(headings):
        numbers = all(isinstance(row[place], (int, float)) for row in rows)
        table.add_column(heading, justify="right" if rows and numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    # Off a terminal nothing may be cut at 80 columns. Cells may hold what others wrote: it is text and no markup.
    Console(width=None if sys.stdout.isatty() else 200, markup=False, emoji=False).print(table)


def moment(ms: int | None) -> str:
    """Return epoch ms as UTC text; the time of day only where there is one."""
    if ms is None:
        return ""
    when = datetime.fromtimestamp(ms / 1000, UTC)
    return f"{when:%Y-%m-%d %H:%M:%S}"


def cell(key: str, value: Any) -> str:
    """Return the value of a report for people; `key` tells times (`..._ms`) from counts.

    >>> cell("from_ms", 0), cell("rows", 1234), cell("loss", 0.123456789), cell("why", ["a", "b"]), cell("x", None)
    ('1970-01-01 00:00:00', '1,234', '0.12346', 'a; b', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return moment(value) if key.endswith("_ms") else f"{value:,}"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, (list, tuple)):
        return "; ".join(str(one) for one in value)
    return str(value)


def seconds(value: float) -> str:
    """Return a duration for people.

    >>> seconds(3.14), seconds(75), seconds(7300), seconds(200000)
    ('3.1 s', '1 min 15 s', '2 h 1 min', '2 d 7 h')
    """
    if value < 60:
        return f"{value:.1f} s"
    whole = int(value)
    for size, unit, rest_size, rest_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // rest_size} {rest_unit}"
    return f"{whole} s"


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """Show a bar on a terminal; off it, nothing. The callable takes (done, total or None)."""
    with progresses(label) as (shown,):
        yield shown


@contextmanager
def progresses(*labels: str) -> Iterator[tuple[Progress, ...]]:
    """Show bars on a terminal, each from when it is first told something on; the first one at once. Off it, nothing."""
    if not sys.stderr.isatty():
        yield tuple((lambda _done, _total: None) for _ in labels)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks = [bar.add_task(label, total=None, visible=place == 0) for place, label in enumerate(labels)]
        yield tuple(
            lambda done, total, task=task: bar.update(task, completed=done, total=total, visible=True)  # type: ignore[misc]
            for task in tasks
        )


@contextmanager
def working(label: str) -> Iterator[None]:
    """Show on a terminal that something is going on whose length is not known; off it, nothing."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(label):
        yield
