"""What the commands of jobs, datafeeds and transforms share: the service, JSON files, points in time."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridwatch.cli._context import now_ms, settings, store
from gridwatch.cli._output import print_json
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.jobs.service import JobsService

__all__ = [
    "PANEL",
    "Force",
    "Json",
    "Pattern",
    "instant",
    "open_service",
    "read_json",
    "say",
    "server_runs_feeds",
    "short_id",
    "told",
]

PANEL = "Jobs (Elasticsearch's JSON)"

Json = Annotated[bool, typer.Option("--json", help="Print JSON, as the REST API answers it.")]
Force = Annotated[bool, typer.Option("--force", help="Also while it runs; it is stopped first.")]
Pattern = Annotated[str, typer.Argument(metavar="ID", help="Ids, several by comma, * for any text, _all for all.")]


@contextmanager
def open_service(*, make: bool = True) -> Iterator[JobsService]:
    """Give the jobs of the store that the settings name.

    Args:
        make: Whether containers of jobs are made when missing.
    """
    from gridwatch.jobs.service import JobsService

    found = settings()
    with store(found) as opened:
        yield JobsService(opened, now_ms=now_ms, threads=found.jobs.analysis_threads, make=make, settings=found)


def read_json(path: Path) -> Any:
    """Return the JSON of a file, `-` for what comes in on stdin.

    Raises:
        ConfigError: It cannot be read, or is no JSON; the place is told.
    """
    named = "stdin" if str(path) == "-" else repr(str(path))
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise ConfigError(f"Cannot read {named}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{named} is no UTF-8 text: {error.reason} at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"{named} is no JSON: {error.msg} in line {error.lineno}, column {error.colno}.") from error


def short_id(given: str | None, path: Path, raw: object, key: str) -> str | None:
    """Return the id that a file's resource has: the one given, else that of its body, else the file's name.

    Returns:
        None where the body says it by itself.
    """
    if given is not None:
        return given
    if isinstance(raw, dict) and raw.get(key):
        return None
    return None if str(path) == "-" else path.stem


def instant(text: str | None, option: str) -> int | None:
    """Return a point in time, UTC epoch ms: a date, date maths such as `now-7d/d`, or epoch ms.

    Raises:
        JobsValueError: It is neither; names the option.
    """
    if text is None:
        return None
    from gridwatch.errors import JobsValueError
    from gridwatch.jobs.date_math import instant_ms

    try:
        return instant_ms(text, now_ms=now_ms())
    except JobsValueError as error:
        raise JobsValueError(error.reason, path=option, allowed=error.allowed, value=text) from error


def say(body: dict[str, Any], text: str, as_json: bool) -> None:
    """Print what was done, as JSON or as a line."""
    if as_json:
        print_json(body)
    else:
        typer.echo(text)


def server_runs_feeds() -> bool:
    """Whether `gridwatch up` is up with a server that runs datafeeds and transforms."""
    from gridwatch.supervisor.state import read_state

    found = settings(running=False)
    up = read_state(found.home)
    server = up is not None and up.alive and any(one.name == "server" and one.alive for one in up.services)
    return server and found.jobs.run_feeds


def told(value: object) -> str:
    """Return a number for people, in five digits."""
    return f"{value:.5g}" if isinstance(value, float) else "" if value is None else str(value)
