"""`jobs results`: what jobs have found."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridwatch.cli._jobs import Json, instant, open_service, told
from gridwatch.cli._output import moment, print_json, print_table
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.jobs.results import Wanted
    from gridwatch.jobs.service import JobsService

__all__ = ["register"]


class Kind(StrEnum):
    """What can be asked for."""

    RECORDS = "records"
    BUCKETS = "buckets"
    INFLUENCERS = "influencers"
    OVERALL = "overall"


_SCORES = {
    Kind.RECORDS: "record_score",
    Kind.BUCKETS: "anomaly_score",
    Kind.INFLUENCERS: "influencer_score",
    Kind.OVERALL: "overall_score",
}
_DRAWN_MAX = 10_000
_SEVERITIES = ((75.0, "critical"), (50.0, "major"), (25.0, "minor"), (3.0, "warning"))
"""Elasticsearch's names of scores."""


def register(app: typer.Typer) -> None:
    """Add the command to `jobs`."""
    app.command("results", epilog="Example: gridwatch jobs results event_rate --score 25 --plot rate.png")(results)


def results(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="Of the job; for overall also several, by comma or *.")],
    kind: Annotated[Kind, typer.Argument(help="What is wanted.")] = Kind.RECORDS,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="First bucket: a date, now-7d/d, epoch ms.")] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="First bucket not wanted any more.")] = None,
    score: Annotated[float, typer.Option(min=0, max=100, help="Least score.")] = 0.0,
    by_time: Annotated[bool, typer.Option("--by-time", help="Oldest first; else the worst first.")] = False,
    interim: Annotated[bool, typer.Option(help="Also what may still change.")] = True,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most results.")] = 20,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the scores of buckets, and the worst records, as a PNG.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a job has found, the worst first.

    Records are single values out of the ordinary: what was there (actual) and what would have been normal (typical).
    Buckets say how unusual a time was in all, influencers who may be to blame, overall several jobs together.
    """
    from gridwatch.jobs.results import Wanted

    wanted = Wanted(
        instant(start, "--start"),
        instant(end, "--end"),
        score_min=score,
        interim=interim,
        sort="ts" if by_time or kind is Kind.OVERALL else _SCORES[kind],
        descending=not by_time and kind is not Kind.OVERALL,
        size=limit,
    )
    with open_service(make=False) as service:
        found = _found(service, job_id, kind, wanted)
        if plot is not None:
            _draw(service, job_id, wanted, plot)
    if as_json:
        print_json(found)
        return
    rows = found["overall_buckets" if kind is Kind.OVERALL else kind.value]
    if not rows:
        typer.echo("Nothing found" + (f" with a score of {score:g} or more." if score else "."))
        return
    headings, line = _TABLES[kind]
    print_table(headings, [line(row) for row in rows])
    if found["count"] > len(rows):
        typer.echo(f"{len(rows)} of {found['count']:,}; more with --limit.")


def _found(service: JobsService, job_id: str, kind: Kind, wanted: Wanted) -> dict[str, Any]:
    if kind is Kind.RECORDS:
        return service.records(job_id, wanted)
    if kind is Kind.BUCKETS:
        return service.buckets(job_id, wanted)
    if kind is Kind.INFLUENCERS:
        return service.influencers(job_id, wanted)
    found = service.overall_buckets(
        job_id,
        overall_score=wanted.score_min,
        start_ms=wanted.start_ms,
        end_ms=wanted.end_ms,
        exclude_interim=not wanted.interim,
    )
    found["overall_buckets"] = found["overall_buckets"][: wanted.size]
    return found


def _draw(service: JobsService, job_id: str, wanted: Wanted, file: Path) -> None:
    from gridwatch.cli._jobs_plot import results_plot

    job = service.resources.job(job_id)
    whole = replace(wanted, sort="ts", descending=False, score_min=0.0, size=_DRAWN_MAX)
    buckets = [
        (one["timestamp"], one["anomaly_score"], severity(one["anomaly_score"]))
        for one in service.buckets(job_id, whole)["buckets"]
    ]
    worst = replace(wanted, sort="record_score", descending=True, size=_DRAWN_MAX)
    records = [
        (one["timestamp"], one["record_score"], severity(one["record_score"]), " ".join(filter(None, _whose(one))))
        for one in service.records(job_id, worst)["records"]
    ]
    drawn = results_plot(job.config.description or job.id, buckets, records)
    try:
        file.write_bytes(drawn)
    except OSError as error:
        raise ConfigError(f"Cannot write {str(file)!r}: {error.strerror}.") from error
    typer.echo(f"drawn: {file}", err=True)


def severity(score: float) -> str:
    """Return Elasticsearch's name of a score from 0 to 100.

    >>> severity(80.0), severity(25.0), severity(1.0)
    ('critical', 'minor', '')
    """
    return next((name for least, name in _SEVERITIES if score >= least), "")


def _whose(row: dict[str, Any]) -> tuple[str, str]:
    """Return what a record is of, and whose."""
    what = row["function"] + (f"({row['field_name']})" if row.get("field_name") else "")
    apart = row.get("partition_fields") or []
    entities = [f"{one['name']}={one['value']}" for one in apart]
    if not apart and row.get("partition_field_name"):
        entities.append(f"{row['partition_field_name']}={row['partition_field_value']}")
    if row.get("by_field_name"):
        entities.append(f"{row['by_field_name']}={row['by_field_value']}")
    return what, ", ".join(entities)


def _record(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        moment(row["timestamp"]),
        *_scored(row, "record_score"),
        *_whose(row),
        "; ".join(told(one) for one in row["actual"]),
        "; ".join(told(one) for one in row["typical"]),
        "; ".join(
            f"{one['influencer_field_name']}={','.join(one['influencer_field_values'])}" for one in row["influencers"]
        ),
    )


def _scored(row: dict[str, Any], key: str) -> tuple[str, str]:
    return f"{row[key]:.1f}", severity(row[key]) + (" (interim)" if row["is_interim"] else "")


def _bucket(row: dict[str, Any]) -> tuple[object, ...]:
    blamed = [
        f"{one['influencer_field_name']} {one['anomaly_score']:.1f}"
        for one in row["bucket_influencers"]
        if one["influencer_field_name"] != "bucket_time"
    ]
    return moment(row["timestamp"]), *_scored(row, "anomaly_score"), row["event_count"], ", ".join(blamed)


def _influencer(row: dict[str, Any]) -> tuple[object, ...]:
    who = f"{row['influencer_field_name']}={row['influencer_field_value']}"
    return moment(row["timestamp"]), *_scored(row, "influencer_score"), who


def _overall(row: dict[str, Any]) -> tuple[object, ...]:
    each = ", ".join(f"{one['job_id']} {one['max_anomaly_score']:.1f}" for one in row["jobs"])
    return moment(row["timestamp"]), *_scored(row, "overall_score"), each


_TIME = ("time (UTC)", "score", "severity")
_TABLES = {
    Kind.RECORDS: ((*_TIME, "of", "partition", "actual", "typical", "influencers"), _record),
    Kind.BUCKETS: ((*_TIME, "rows", "influencers"), _bucket),
    Kind.INFLUENCERS: ((*_TIME, "influencer"), _influencer),
    Kind.OVERALL: ((*_TIME, "jobs"), _overall),
}
