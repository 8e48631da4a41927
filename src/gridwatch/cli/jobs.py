"""`jobs`: Elasticsearch's anomaly-detection jobs over containers; their lives. Results are in `jobs_results`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridwatch.cli import jobs_apply, jobs_data, jobs_results, jobs_train
from gridwatch.cli._jobs import PANEL, Force, Json, Pattern, open_service, read_json, short_id
from gridwatch.cli._output import moment, print_json, print_table

if TYPE_CHECKING:
    from gridwatch.jobs.resources import Job
    from gridwatch.jobs.service import JobsService

__all__ = ["register"]

jobs_app = typer.Typer(
    no_args_is_help=True,
    help="Anomaly-detection jobs, in Elasticsearch's JSON, over the containers of the store. A job analyses; its "
    "datafeed (`gridwatch datafeeds`) brings it rows.",
    epilog="From nothing: gridwatch jobs put job.json; gridwatch jobs open ID; gridwatch datafeeds start FEED; "
    "gridwatch jobs results ID",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Of the job.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="JSON; - for stdin.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.add_typer(jobs_app, name="jobs", rich_help_panel=PANEL)


@jobs_app.command("list", epilog="Example: gridwatch jobs list 'web-*'")
def listing(pattern: Pattern = "_all", as_json: Json = False) -> None:
    """List jobs: state, datafeed, how much they have seen, and what is wrong with them. Groups name their jobs, too."""
    with open_service(make=False) as service:
        if as_json:
            print_json(service.job_stats(pattern))
            return
        jobs = service.resources.jobs(pattern)
        feeds = {feed.config.job_id: feed for feed in service.resources.datafeeds()}
    if not jobs:
        typer.echo("No jobs; `gridwatch jobs put FILE` or `gridwatch jobs apply` makes some.")
        return
    rows = []
    for job in jobs:
        feed = feeds.get(job.id)
        rows.append(
            (
                job.id,
                job.state,
                job.config.analysis_config.bucket_span,
                "; ".join(one.description() for one in job.config.detectors),
                "" if feed is None else f"{feed.id} ({feed.state})",
                job.counts.get("processed_record_count", 0),
                job.counts.get("bucket_count", 0),
                moment(job.analysed_to_ms),
                _wrong(job, feed.error or feed.reason if feed else None),
            )
        )
    print_table(
        ("job", "state", "span", "detectors", "datafeed", "rows", "buckets", "analysed to (UTC)", "what is wrong"), rows
    )


def _wrong(job: Job, feed: str | None) -> str:
    memory = str(job.size.get("memory_status", "ok"))
    return "; ".join(part for part in (job.reason, feed, "" if memory == "ok" else f"memory: {memory}") if part)


@jobs_app.command("show", epilog="Example: gridwatch jobs show event_rate --config > flows/jobs/event_rate.json")
def show(
    job_id: Id,
    config: Annotated[
        bool, typer.Option("--config", help="Print only the JSON that makes this job again, with its datafeed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one job: its config, how it fares, and its newest messages."""
    with open_service(make=False) as service:
        job = service.resources.job(job_id)
        feed = service.resources.datafeed_of(job_id)
        if config:
            print_json(_body(job, None if feed is None else feed.config.to_json()))
            return
        stats: dict[str, Any] = service.job_stats(job_id)["jobs"][0]
        messages = service.messages.of(job_id, newest=20)
        whole = service.jobs_json(job_id)["jobs"][0]
        fed = service.datafeed_stats(feed.id)["datafeeds"][0] if feed else None
    if as_json:
        print_json({"job": whole, "stats": stats, "datafeed_stats": fed, "messages": messages})
        return
    print_json(whole)
    counts, size = stats["data_counts"], stats["model_size_stats"]
    rows = [("state", stats["state"]), ("rows", f"{counts['processed_record_count']:,}")]
    rows += [("buckets", f"{counts['bucket_count']:,}"), ("analysed to (UTC)", moment(job.analysed_to_ms))]
    rows += [("models", f"{size['model_bytes']:,} bytes, {size['memory_status']}")]
    rows += [("a bucket takes", f"{stats['timing_stats']['average_bucket_processing_time_ms']:.2f} ms")]
    if job.config.model.type == "lstm":
        rows += [("model", _network(stats.get("network")))]
    if fed:
        rows += [
            ("datafeed", f"{fed['datafeed_id']}, {fed['state']}"),
            ("searched (UTC)", moment(feed.searched_ms if feed else None)),
        ]
        rows += [("last error", fed["last_error"]["message"])] if "last_error" in fed else []
    print_table(("", ""), rows)
    if messages:
        print_table(
            ("time (UTC)", "level", "message"),
            [(moment(one["timestamp"]), one["level"], one["message"]) for one in messages],
        )


def _network(network: dict[str, Any] | None) -> str:
    if network is None:
        return "lstm, not trained yet: the usual model judges"
    return f"lstm {network.get('model_uri', '')}, trained on buckets up to {moment(network['to_ms'])} UTC"


def _body(job: Job, feed: dict[str, Any] | None) -> dict[str, Any]:
    """Return what a PUT takes to make the same job."""
    body = job.config.to_json()
    return body if feed is None else {**body, "datafeed_config": feed}


@jobs_app.command("put", epilog="Example: gridwatch jobs put event_rate.json --id event_rate")
def put(
    file: File,
    job_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Its id.", show_default="its job_id, or the file's name")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a job, closed, from the JSON of Elasticsearch's PUT; with a datafeed_config inside, its datafeed as well."""
    raw = read_json(file)
    with open_service() as service:
        job = service.put_job(raw, job_id=short_id(job_id, file, raw, "job_id"))
        _done(service, job.id, as_json, f"job {job.id} made; next: gridwatch jobs open {job.id}")


@jobs_app.command("validate", epilog="Example: gridwatch jobs validate event_rate.json")
def validate(file: File, as_json: Json = False) -> None:
    """Tell whether a job's JSON is right, with its datafeed's against the containers; nothing is made."""
    raw = read_json(file)
    with open_service(make=False) as service:
        config = service.validate_job(raw)
        rows = None
        if config.datafeed_config is not None:
            rows = len(service.preview_datafeed(job=raw))
    if as_json:
        print_json({"acknowledged": True, "preview_rows": rows})
    else:
        seen = "" if rows is None else f"; its datafeed finds {'no rows yet' if not rows else 'rows'}"
        typer.echo(f"{file} is right{seen}")


@jobs_app.command("update", epilog='Example: echo \'{"description": "web"}\' | gridwatch jobs update event_rate -')
def update(job_id: Id, file: File, as_json: Json = False) -> None:
    """Change what may change of a job: description, groups, limits, model plot; null brings a default back."""
    raw = read_json(file)
    with open_service() as service:
        service.update_job(job_id, raw)
        _done(service, job_id, as_json, f"job {job_id} changed: {', '.join(sorted(raw))}")


@jobs_app.command("open", epilog="Example: gridwatch jobs open event_rate")
def open_(pattern: Pattern, as_json: Json = False) -> None:
    """Open jobs: only an open job takes rows. One that is open stays so."""
    with open_service() as service:
        jobs = service.open_jobs(pattern)
        _states(jobs, as_json)


@jobs_app.command("close", epilog="Example: gridwatch jobs close event_rate")
def close(pattern: Pattern, force: Force = False, as_json: Json = False) -> None:
    """Close jobs: what they have learnt is kept, and nothing more is taken. Refused while their datafeeds run."""
    with open_service() as service:
        jobs = service.close_jobs(pattern, force=force)
        _states(jobs, as_json)


@jobs_app.command("reset", epilog="Example: gridwatch jobs reset event_rate")
def reset(job_id: Id, as_json: Json = False) -> None:
    """Bring a closed job back to its beginning: what it has learnt and found goes, its config stays."""
    with open_service() as service:
        service.reset_job(job_id)
        _done(service, job_id, as_json, f"job {job_id} is as new")


@jobs_app.command("delete", epilog="Example: gridwatch jobs delete event_rate")
def delete(job_id: Id, force: Force = False, as_json: Json = False) -> None:
    """Delete a closed job with its datafeed, results and messages. Rows of ANOMALY_<job> stay, as all anomalies do."""
    with open_service() as service:
        service.delete_job(job_id, force=force)
    if as_json:
        print_json({"acknowledged": True})
    else:
        typer.echo(f"job {job_id} deleted")


def _states(jobs: list[Job], as_json: bool) -> None:
    if as_json:
        print_json({"jobs": [{"job_id": job.id, "state": job.state} for job in jobs]})
        return
    for job in jobs:
        typer.echo(f"job {job.id} is {job.state}")
    if not jobs:
        typer.echo("No jobs.")


def _done(service: JobsService, job_id: str, as_json: bool, text: str) -> None:
    if as_json:
        print_json(service.jobs_json(job_id)["jobs"][0])
    else:
        typer.echo(text)


# Last, so that `--help` names what comes first in a job's life first.
jobs_data.register(jobs_app)
jobs_train.register(jobs_app)
jobs_results.register(jobs_app)
jobs_apply.register(jobs_app)
