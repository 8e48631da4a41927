"""`datafeeds`: what brings rows from containers to jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridwatch.cli._jobs import PANEL, Force, Json, Pattern, instant, open_service, read_json, short_id
from gridwatch.cli._output import moment, print_json, print_table, progress

if TYPE_CHECKING:
    from gridwatch.jobs.resources import Datafeed
    from gridwatch.jobs.service import JobsService
    from gridwatch.jobs.service.feeds import Pass

__all__ = ["register"]

datafeeds_app = typer.Typer(
    no_args_is_help=True,
    help="Datafeeds: each brings the rows of containers to one job, first all there are, then as they come.",
    epilog="Example: gridwatch datafeeds preview FEED; gridwatch datafeeds start FEED --open --end now",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Of the datafeed.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="JSON; - for stdin.")]
Start = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="First time wanted: 2024-05-01T12:00, now-7d/d or epoch ms, UTC."),
]
End = Annotated[str | None, typer.Option(metavar="TIME", help="First time not wanted any more, written alike.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.add_typer(datafeeds_app, name="datafeeds", rich_help_panel=PANEL)


@datafeeds_app.command("list", epilog="Example: gridwatch datafeeds list --json")
def listing(pattern: Pattern = "_all", as_json: Json = False) -> None:
    """List datafeeds: job, containers, state, when they last searched, how far they are, and what is wrong."""
    with open_service() as service:
        if as_json:
            print_json(service.datafeed_stats(pattern))
            return
        feeds = service.resources.datafeeds(pattern)
    if not feeds:
        typer.echo("No datafeeds; `gridwatch datafeeds put FILE` or `gridwatch jobs apply` makes some.")
        return
    print_table(
        ("datafeed", "job", "reads", "state", "searched (UTC)", "fed to (UTC)", "what is wrong"),
        [
            (
                feed.id,
                feed.config.job_id,
                ", ".join(feed.config.index_names),
                feed.state,
                moment(feed.searched_ms),
                moment(feed.fed_to_ms),
                _wrong(feed),
            )
            for feed in feeds
        ],
    )


def _wrong(feed: Datafeed) -> str:
    if feed.error is None:
        return feed.reason or ""
    return f"{feed.error} ({feed.failures} times since {moment(feed.failing_since_ms)})"


@datafeeds_app.command("show", epilog="Example: gridwatch datafeeds show datafeed-event_rate")
def show(feed_id: Id, as_json: Json = False) -> None:
    """Show one datafeed: its config, defaults written out, and how it fares."""
    with open_service() as service:
        config = service.datafeeds_json(feed_id)["datafeeds"][0]
        stats: dict[str, Any] = service.datafeed_stats(feed_id)["datafeeds"][0]
    print_json({"datafeed": config, "stats": stats} if as_json else {**config, "stats": stats})


@datafeeds_app.command("put", epilog="Example: gridwatch datafeeds put datafeed-event_rate.json")
def put(
    file: File,
    feed_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Its id.", show_default="its datafeed_id, or the file's name"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a datafeed, stopped, for a job that is there, from the JSON of Elasticsearch's PUT."""
    raw = read_json(file)
    with open_service() as service:
        feed = service.put_datafeed(raw, datafeed_id=short_id(feed_id, file, raw, "datafeed_id"))
    if as_json:
        print_json(feed.config.to_json())
    else:
        typer.echo(f"datafeed {feed.id} made for job {feed.config.job_id}; next: gridwatch datafeeds preview {feed.id}")


@datafeeds_app.command("update", epilog='Example: echo \'{"frequency": "5m"}\' | gridwatch datafeeds update FEED -')
def update(feed_id: Id, file: File, as_json: Json = False) -> None:
    """Change a stopped datafeed; null brings a default back. Its job stays the same."""
    raw = read_json(file)
    with open_service() as service:
        feed = service.update_datafeed(feed_id, raw)
    if as_json:
        print_json(feed.config.to_json())
    else:
        typer.echo(f"datafeed {feed_id} changed: {', '.join(sorted(raw))}")


@datafeeds_app.command("delete", epilog="Example: gridwatch datafeeds delete datafeed-event_rate")
def delete(feed_id: Id, force: Force = False, as_json: Json = False) -> None:
    """Delete a stopped datafeed; its job stays, with all it has learnt."""
    with open_service() as service:
        service.delete_datafeed(feed_id, force=force)
    if as_json:
        print_json({"acknowledged": True})
    else:
        typer.echo(f"datafeed {feed_id} deleted")


@datafeeds_app.command("preview", epilog="Example: gridwatch datafeeds preview flows/jobs/event_rate.json --rows 5")
def preview(
    what: Annotated[str, typer.Argument(metavar="ID|FILE", help="A datafeed's id, or a file of a datafeed or job.")],
    start: Start = None,
    end: End = None,
    rows: Annotated[int, typer.Option(min=1, max=1000, help="Most rows.")] = 1000,
) -> None:
    """Print what the job will see, as JSON: the first rows, with the time and the fields that the job needs, no others.

    A file of a job is previewed with the datafeed inside it, one of a datafeed with its job, which has to be there.
    """
    path = Path(what)
    with open_service() as service:
        first, last = instant(start, "--start"), instant(end, "--end")
        if path.suffix == ".json" or what == "-":
            raw = read_json(path)
            is_job = isinstance(raw, dict) and "analysis_config" in raw
            given = {"job": raw} if is_job else {"datafeed": raw}
            found = service.preview_datafeed(**given, start_ms=first, end_ms=last)
        else:
            found = service.preview_datafeed(what, start_ms=first, end_ms=last)
    print_json(found[:rows])


@datafeeds_app.command("start", epilog="Example: gridwatch datafeeds start datafeed-event_rate --open --end now")
def start(
    feed_id: Id,
    start: Start = None,
    end: End = None,
    open_job: Annotated[bool, typer.Option("--open", help="Open its job first.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Do the work here; else a server or the flow `datafeeds` does it.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Start a datafeed: all rows since --start (default: the earliest, or where the job has come to), in order.

    With --end it stops there and its job is closed. Without, it goes on as rows come, each `frequency`, until Ctrl-C,
    which stops it; started again it goes on where it was, and no row is read twice or left out.
    """
    with open_service() as service:
        feed = service.resources.datafeed(feed_id)
        first, last = instant(start, "--start"), instant(end, "--end")
        if open_job:
            service.open_job(feed.config.job_id)
        feed = service.start_datafeed(feed_id, start_ms=first, end_ms=last)
        if not wait:
            _say({"started": True, "node": ""}, f"datafeed {feed_id} is started", as_json)
            return
        _run_on(service, feed, as_json)


def _run_on(service: JobsService, feed: Datafeed, as_json: bool) -> None:
    """Do pass after pass until the feed's end or Ctrl-C."""
    from gridwatch.cli.platform import stop_on_signals

    job = service.resources.job(feed.config.job_id).config
    every_s = feed.config.frequency_ms(job.bucket_span_ms) / 1000
    with stop_on_signals() as stop:
        while True:
            done = one_pass(service, feed.id, job.bucket_span_ms)
            _tell(feed.id, done, as_json)
            if done.done or stop.wait(every_s) or service.resources.datafeed(feed.id).state != "started":
                break
        if stop.is_set() and service.stop_datafeed(feed.id).state == "stopped":
            typer.echo(f"datafeed {feed.id} is stopped; its job {job.job_id} is open and goes on from here", err=True)


def one_pass(service: JobsService, feed_id: str, span_ms: int) -> Pass:
    """Do one pass of a started datafeed, with a bar in buckets on a terminal."""
    first: list[int] = []
    with progress(f"{feed_id}, buckets") as shown:

        def moved(at_ms: int, end_ms: int) -> None:
            first[:] = first or [at_ms]
            shown((at_ms - first[0]) // span_ms, max(end_ms - first[0], 0) // span_ms)

        return service.run_datafeed(feed_id, progress=moved)


def _tell(feed_id: str, done: Pass, as_json: bool) -> None:
    body = {
        "datafeed_id": feed_id,
        "rows": done.rows,
        "buckets": done.buckets,
        "records": done.records,
        "fed_to": done.fed_to_ms,
        "done": done.done,
    }
    end = "; it is stopped and its job closed" if done.done else ""
    to = f", up to {moment(done.fed_to_ms)} UTC" if done.fed_to_ms is not None else ""
    _say(body, f"{feed_id}: {done.rows:,} rows, {done.buckets:,} buckets, {done.records:,} records{to}{end}", as_json)


@datafeeds_app.command("stop", epilog="Example: gridwatch datafeeds stop _all")
def stop(
    pattern: Pattern,
    close_job: Annotated[bool, typer.Option("--close-job", help="Also close their jobs.")] = False,
    as_json: Json = False,
) -> None:
    """Stop datafeeds after the rows at hand; those that are stopped stay so."""
    with open_service() as service:
        feeds = service.stop_datafeeds(pattern, close_job=close_job)
    if as_json:
        print_json({"stopped": True, "datafeeds": [feed.id for feed in feeds]})
    else:
        typer.echo("\n".join(f"datafeed {feed.id} is {feed.state}" for feed in feeds) or "No datafeeds.")


def _say(body: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        print_json(body)
    else:
        typer.echo(text)
