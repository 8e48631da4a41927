"""`jobs data`: rows of a file, posted to an open job without a datafeed."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from gridwatch.cli._jobs import Json, open_service
from gridwatch.cli._output import moment, print_json, progress
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.jobs.service import JobsService

__all__ = ["register"]

_ROWS = 20_000
"""Rows that are analysed and stored at once."""
_SHOWN = (
    ("processed_record_count", "rows"),
    ("invalid_date_count", "without a time that can be read"),
    ("out_of_order_timestamp_count", "too late to be counted"),
    ("missing_field_count", "missing fields"),
    ("bucket_count", "buckets"),
)


def register(app: typer.Typer) -> None:
    """Add the command to `jobs`."""
    app.command("data", epilog="Example: gridwatch jobs data event_rate access.ndjson")(data)


def data(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="Of the job, which has to be open.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV where its name says so, else JSON, one row a line; - for stdin.")
    ],
    interim: Annotated[
        bool, typer.Option("--interim", help="Also say what can be said of the bucket that is not complete yet.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Post rows to an open job that has no datafeed: to try a job on data that are in no container.

    Rows come in the order of time, which is written as the job's data_description says. What was taken is stored.
    """
    with open_service() as service:
        counts = _post(service, job_id, file)
        if interim:
            service.flush_job(job_id, calc_interim=True)
    if as_json:
        print_json(counts)
        return
    said = ", ".join(f"{counts[key]:,} {text}" for key, text in _SHOWN if counts.get(key) or text == "rows")
    newest = counts.get("latest_record_timestamp")
    typer.echo(f"job {job_id}: {said} so far" + (f", the newest of {moment(newest)} UTC" if newest else ""))


def _post(service: JobsService, job_id: str, file: Path) -> dict[str, Any]:
    from gridwatch.server.ml_api.posted import frame_of

    job = service.resources.job(job_id)
    counts, posted = job.counts, 0
    rows = _rows(file)
    with progress(f"{job_id}, rows") as shown:
        while batch := list(islice(rows, _ROWS)):
            frame, invalid = frame_of(job.config, batch)
            counts = service.post_data(job_id, frame, invalid_dates=invalid).counts
            posted += len(batch)
            shown(posted, None)
    return counts


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    """Give the rows of a file.

    Raises:
        ConfigError: It cannot be read, or a line is no row; the line is told.
    """
    if str(file) == "-":
        yield from _objects(sys.stdin, "stdin")
        return
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            yield from _cells(lines, str(file)) if file.suffix.lower() == ".csv" else _objects(lines, str(file))
    except OSError as error:
        raise ConfigError(f"Cannot read {str(file)!r}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{str(file)!r} is no UTF-8 text: {error.reason} at byte {error.start}.") from error


def _objects(lines: TextIO, named: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ConfigError(f"Line {number} of {named!r} is no JSON: {error.msg}; one object a line.") from error
        if not isinstance(row, dict):
            raise ConfigError(f"Line {number} of {named!r} is no object; one object a line.")
        yield row


def _cells(lines: TextIO, named: str) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(lines, strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise ConfigError(f"Line {reader.line_num} of {named!r} has another number of cells than its first.")
            # A cell without text is a value that is missing.
            yield {name: cell for name, cell in row.items() if cell != ""}
    except csv.Error as error:
        raise ConfigError(f"Line {reader.line_num} of {named!r} is no CSV: {error}.") from error
