"""`datafeeds`: what brings rows from containers to jobs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridwatch.cli._context import now_ms
from gridwatch.cli._jobs import (
    PANEL,
    Force,
    Json,
    Pattern,
    instant,
    open_service,
    read_json,
    say,
    server_runs_feeds,
    short_id,
)
from gridwatch.cli._output import moment, print_json, print_table, progress
from gridwatch.errors import GridwatchError, JobsBusyError, JobsConflictError

if TYPE_CHECKING:
    from gridwatch.jobs.resources import Datafeed
    from gridwatch.jobs.service import JobsService
    from gridwatch.jobs.service.feeds import Pass

__all__ = ["register"]

_FOLLOW_S = 1.0

datafeeds_app = typer.Typer(
    no_args_is_help=True,
    help="Datafeeds: each brings the rows of containers to one job, first all there are, then as they come.",
    epilog="Example: gridwatch datafeeds preview FEED; gridwatch datafeeds start FEED --open",
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
    with open_service(make=False) as service:
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
    with open_service(make=False) as service:
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
def update(
    feed_id: Id,
    file: File,
    running: Annotated[
        bool,
        typer.Option("--running", help="Also one that runs: it stops after the rows at hand, and goes on from there."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Change a stopped datafeed; null brings a default back. Its job stays the same."""
    raw = read_json(file)
    with open_service() as service:
        feed = service.update_datafeed(feed_id, raw, running=running)
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
    with open_service(make=False) as service:
        first, last = instant(start, "--start"), instant(end, "--end")
        if path.suffix == ".json" or what == "-":
            raw = read_json(path)
            is_job = isinstance(raw, dict) and "analysis_config" in raw
            given = {"job": raw} if is_job else {"datafeed": raw}
            found = service.preview_datafeed(**given, start_ms=first, end_ms=last)
        else:
            found = service.preview_datafeed(what, start_ms=first, end_ms=last)
    print_json(found[:rows])


@datafeeds_app.command("start", epilog="Example: gridwatch datafeeds start datafeed-event_rate --open")
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

    With --end it stops there and its job is closed. Without, it goes on as rows come, each `frequency`, until Ctrl-C
    stops it; where a server of `gridwatch up` runs datafeeds, that does it. Started again it goes on where it was, and
    no row is read twice or left out.
    """
    with open_service() as service:
        feed = service.resources.datafeed(feed_id)
        first, last = instant(start, "--start"), instant(end, "--end")
        if feed.state in {"started", "stopping"}:
            told = "has already been started" if feed.state == "started" else "is stopping"
            raise JobsConflictError(
                f"datafeed {feed_id} {told}. Where nobody is at work with it, since its process was killed, "
                f"`gridwatch datafeeds stop --force {feed_id}` and a start go on where it was.",
                datafeed_id=feed_id,
            )
        closed = open_job and service.resources.job(feed.config.job_id).state in {"closed", "failed", "opening"}
        if closed:
            service.open_job(feed.config.job_id)
        try:
            feed = service.start_datafeed(feed_id, start_ms=first, end_ms=last)
        except GridwatchError:
            if closed:
                service.close_job(feed.config.job_id)
            raise
        elsewhere = last is None and wait and server_runs_feeds()
        if not wait or elsewhere:
            by = "; the server that runs here reads its rows" if elsewhere else ""
            say({"started": True}, f"datafeed {feed_id} is started{by}", as_json)
            return
        try:
            _run_on(service, feed, as_json)
        except GridwatchError:
            # What was opened for this start alone is as it was before.
            if closed and service.resources.job(feed.config.job_id).state == "opened":
                service.close_job(feed.config.job_id)
            raise


def _run_on(service: JobsService, feed: Datafeed, as_json: bool) -> None:
    """Search until the feed's end or Ctrl-C; a search that fails when rows were read before is made again in time."""
    from gridwatch.cli.platform import stop_on_signals
    from gridwatch.jobs.service.due import due_ms

    read = False
    with stop_on_signals() as stop:
        while service.resources.datafeed(feed.id).state == "started":
            try:
                _one_search(service, feed, stop.is_set, as_json)
                read = True
            except JobsBusyError:
                # A server over the same store has begun before; it is waited for.
                stop.wait(_FOLLOW_S)
                continue
            except GridwatchError as error:
                if not read:
                    service.stop_datafeed(feed.id)
                    raise
                typer.echo(f"{feed.id}: {error} (tried again at the next search)", err=True)
            known = service.resources.datafeed(feed.id)
            due = due_ms(service.resources.job(feed.config.job_id).config, known)
            if known.state != "started" or stop.wait(max(due - now_ms(), 0) / 1000):
                break
        if not read and service.resources.datafeed(feed.id).state == "stopped":
            say(
                {"datafeed_id": feed.id, "done": True}, f"datafeed {feed.id} was run elsewhere, and is stopped", as_json
            )
        if stop.is_set() and service.resources.datafeed(feed.id).state == "started":
            service.stop_datafeed(feed.id)
            typer.echo(f"datafeed {feed.id} is stopped; its job {feed.config.job_id} is open", err=True)


def _one_search(service: JobsService, feed: Datafeed, stopped: Callable[[], bool], as_json: bool) -> None:
    span_ms = service.resources.job(feed.config.job_id).config.bucket_span_ms
    first: list[int] = []
    with progress(f"{feed.id}, buckets") as shown:

        def moved(at_ms: int, end_ms: int) -> None:
            first[:] = first or [at_ms]
            shown((at_ms - first[0]) // span_ms, max(end_ms - first[0], 0) // span_ms)

        done = service.run_datafeed(feed.id, progress=moved, stopped=stopped)
    say(_json_of(feed.id, done), _told(feed.id, done), as_json)


def _json_of(feed_id: str, done: Pass | None, error: str = "") -> dict[str, Any]:
    body: dict[str, Any] = {"datafeed_id": feed_id}
    if done is not None:
        body |= {"rows": done.rows, "buckets": done.buckets, "records": done.records, "fed_to": done.fed_to_ms}
        body["done"] = done.done
    return body | ({"error": error} if error else {})


def _told(feed_id: str, done: Pass | None, error: str = "") -> str:
    if done is None:
        return f"{feed_id}: {error or 'somebody else is at it'}"
    end = "; it is stopped and its job closed" if done.done else ""
    to = f", up to {moment(done.fed_to_ms)} UTC" if done.fed_to_ms is not None else ""
    return f"{feed_id}: {done.rows:,} rows, {done.buckets:,} buckets, {done.records:,} records{to}{end}"


@datafeeds_app.command("run", epilog="Example: gridwatch datafeeds run --json")
def run(as_json: Json = False) -> None:
    """Search once with each started datafeed that is due; exit 1 when one fails. For cron and the like.

    A server and the flow `datafeeds` do the same by themselves; several may, each datafeed is read by one at a time.
    """
    from gridwatch.jobs.service import Runner

    with open_service() as service:
        runner = Runner(service.store, lambda: service, now_ms=now_ms)
        ended = [runner.run_one(one) for one in runner.due()]
    if as_json:
        print_json([_json_of(one.datafeed_id, one.done, one.error) for one in ended])
    else:
        typer.echo("\n".join(_told(one.datafeed_id, one.done, one.error) for one in ended) or "No datafeed is due.")
    if any(one.error for one in ended):
        raise typer.Exit(1)


@datafeeds_app.command("stop", epilog="Example: gridwatch datafeeds stop _all")
def stop(
    pattern: Pattern,
    close_job: Annotated[bool, typer.Option("--close-job", help="Also close their jobs.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Do not wait for whoever is at work with them.")] = False,
    as_json: Json = False,
) -> None:
    """Stop datafeeds; those that are stopped stay so.

    What is at work stores the rows at hand first: the datafeed is `stopping` meanwhile, for 20 seconds at most.
    """
    with open_service() as service:
        feeds = service.stop_datafeeds(pattern, force=force, close_job=close_job)
    if as_json:
        print_json({"stopped": True, "datafeeds": [feed.id for feed in feeds]})
    else:
        typer.echo("\n".join(f"datafeed {feed.id} is {feed.state}" for feed in feeds) or "No datafeeds.")
