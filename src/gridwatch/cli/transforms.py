"""`transforms`: summaries of containers, kept up to date in another container, which jobs can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridwatch.cli._context import now_ms, settings, store
from gridwatch.cli._jobs import PANEL, Force, Json, Pattern, instant, read_json, say, server_runs_feeds, short_id
from gridwatch.cli._output import moment, print_json, print_table, progress
from gridwatch.errors import GridwatchError, JobsBusyError

if TYPE_CHECKING:
    from gridwatch.jobs.transform import Ran, Transform, TransformService

__all__ = ["register"]

_FOLLOW_S = 1.0

transforms_app = typer.Typer(
    no_args_is_help=True,
    help="Transforms, in Elasticsearch's JSON: rows of containers grouped by values and by time into another "
    "container, once or for ever. A job reads that one with summary_count_field_name.",
    epilog="From nothing: gridwatch transforms put by_action.json; gridwatch transforms start by_action",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Of the transform.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="JSON; - for stdin.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.add_typer(transforms_app, name="transforms", rich_help_panel=PANEL)


@contextmanager
def _service(*, make: bool = True) -> Iterator[TransformService]:
    from gridwatch.jobs.transform import TransformService

    with store(settings()) as opened:
        yield TransformService(opened, now_ms=now_ms, make=make)


@transforms_app.command("list", epilog="Example: gridwatch transforms list --json")
def listing(pattern: Pattern = "_all", as_json: Json = False) -> None:
    """List transforms: what they read and write, state, how far they are, and what is wrong."""
    with _service(make=False) as service:
        if as_json:
            stats = service.stats(pattern)
            print_json({"count": len(stats), "transforms": stats})
            return
        found = service.transforms.find(pattern)
    if not found:
        typer.echo("No transforms; `gridwatch transforms put FILE` or `gridwatch jobs apply` makes some.")
        return
    print_table(
        ("transform", "reads", "writes", "mode", "state", "checkpoint", "searched (UTC)", "what is wrong"),
        [
            (
                one.id,
                ", ".join(one.config.source.index_names),
                one.config.dest.index,
                "continuous" if one.config.continuous else "batch",
                one.state,
                one.checkpoint,
                moment(one.stats.get("searched_ms")),
                one.reason or one.stats.get("error") or "",
            )
            for one in found
        ],
    )


@transforms_app.command("show", epilog="Example: gridwatch transforms show by_action --json")
def show(transform_id: Id, as_json: Json = False) -> None:
    """Show one transform: its config and how it fares."""
    with _service(make=False) as service:
        config = service.transforms.get(transform_id).config.to_json()
        [stats] = service.stats(transform_id)
    print_json({"transform": config, "stats": stats} if as_json else {**config, "stats": stats})


@transforms_app.command("put", epilog="Example: gridwatch transforms put by_action.json")
def put(
    file: File,
    transform_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Its id.", show_default="its id, or the file's name")
    ] = None,
    defer: Annotated[
        bool, typer.Option("--defer", help="Look at containers and fields no sooner than at the start.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a transform, stopped, from the JSON of Elasticsearch's PUT."""
    raw = read_json(file)
    with _service() as service:
        one = service.put(raw, transform_id=short_id(transform_id, file, raw, "id"), defer_validation=defer)
    say(one.config.to_json(), f"transform {one.id} made; next: gridwatch transforms start {one.id}", as_json)


@transforms_app.command("update", epilog='Example: echo \'{"frequency": "5m"}\' | gridwatch transforms update ID -')
def update(transform_id: Id, file: File, as_json: Json = False) -> None:
    """Change a transform, also one that runs; what it groups by and works out stays the same."""
    raw = read_json(file)
    with _service() as service:
        one = service.update(transform_id, raw)
    say(one.config.to_json(), f"transform {transform_id} changed: {', '.join(sorted(raw))}", as_json)


@transforms_app.command("delete", epilog="Example: gridwatch transforms delete by_action")
def delete(
    transform_id: Id,
    force: Force = False,
    dest: Annotated[
        bool, typer.Option("--dest", help="Drop the container that it wrote, too, where it has made it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Delete a transform that does not run; what it has written stays, without --dest."""
    with _service() as service:
        service.delete(transform_id, force=force, delete_dest_index=dest)
    say({"acknowledged": True}, f"transform {transform_id} deleted", as_json)


@transforms_app.command("reset", epilog="Example: gridwatch transforms reset by_action")
def reset(transform_id: Id, force: Force = False, as_json: Json = False) -> None:
    """Bring a transform back to its beginning; the container that it wrote is dropped, where it has made it."""
    with _service() as service:
        service.reset(transform_id, force=force)
    say({"acknowledged": True}, f"transform {transform_id} is as new", as_json)


@transforms_app.command("preview", epilog="Example: gridwatch transforms preview by_action.json --rows 5")
def preview(
    what: Annotated[str, typer.Argument(metavar="ID|FILE", help="A transform's id, or the file of one.")],
    rows: Annotated[int, typer.Option(min=1, max=1000, help="Most rows.")] = 100,
) -> None:
    """Print what a transform would write, as JSON: its first documents."""
    with _service(make=False) as service:
        if Path(what).suffix == ".json" or what == "-":
            found = service.preview(read_json(Path(what)))
        else:
            found = service.preview(transform_id=what)
    print_json(found["preview"][:rows])


@transforms_app.command("start", epilog="Example: gridwatch transforms start by_action")
def start(
    transform_id: Id,
    from_time: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Of a continuous one: first time that is read, by its sync field."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Do the work here; else a server or the flow `datafeeds` does it.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Start a transform: all rows there are, and a continuous one goes on with those that come, until Ctrl-C.

    Ctrl-C stops it; started again it goes on where it was. A continuous one is left to the server of `gridwatch up`
    where that runs.
    """
    with _service() as service:
        one = service.start(transform_id, from_ms=instant(from_time, "--from"))
        elsewhere = wait and one.config.continuous and server_runs_feeds()
        if wait and not elsewhere:
            _run_on(service, one, as_json)
            return
    by = "; the server that runs here does its work" if elsewhere else ""
    say({"acknowledged": True}, f"transform {transform_id} is started{by}", as_json)


def _run_on(service: TransformService, one: Transform, as_json: bool) -> None:
    """Run a transform to its end or, if it has none, again and again until Ctrl-C."""
    from gridwatch.cli.platform import stop_on_signals

    done = False
    with stop_on_signals() as stop:
        while service.transforms.get(one.id).state == "started":
            try:
                with progress(f"{one.id}, rows") as shown:
                    ran = service.run(one.id, progress=lambda read, _written: shown(read, None), stopped=stop.is_set)
            except JobsBusyError:
                # A server over the same store has begun before; it is waited for.
                stop.wait(_FOLLOW_S)
                continue
            except GridwatchError:
                service.stop(one.id, force=True)
                raise
            say(*_told(ran), as_json)
            done = ran.done
            if done or stop.wait(one.config.frequency_ms / 1000):
                break
        if stop.is_set() and not done:
            service.stop(one.id, force=True)
            typer.echo(f"transform {one.id} is stopped, and goes on from here when it is started again", err=True)


def _told(ran: Ran) -> tuple[dict[str, Any], str]:
    body = {
        "id": ran.transform_id,
        "read": ran.read,
        "written": ran.written,
        "checkpoint": ran.checkpoint,
        "done": ran.done,
        "error": ran.error,
    }
    if ran.error:
        return body, f"{ran.transform_id}: {ran.error}"
    return body, f"{ran.transform_id}: {ran.read:,} rows read, {ran.written:,} written, checkpoint {ran.checkpoint}"


@transforms_app.command("run", epilog="Example: gridwatch transforms run")
def run(as_json: Json = False) -> None:
    """Run each started transform whose time has come, once; exit 1 when one fails. For cron and the like."""
    with _service() as service:
        ended = service.run_due()
        # One that somebody else is at has not failed.
        failed = any(one.error and service.transforms.get(one.transform_id).stats.get("failures") for one in ended)
    if as_json:
        print_json([_told(one)[0] for one in ended])
    else:
        typer.echo("\n".join(_told(one)[1] for one in ended) or "No transform is due.")
    if failed:
        raise typer.Exit(1)


@transforms_app.command("stop", epilog="Example: gridwatch transforms stop _all")
def stop(pattern: Pattern, force: Force = False, as_json: Json = False) -> None:
    """Stop transforms after the piece at hand; those that are stopped stay so. With --force also failed ones."""
    with _service() as service:
        found = service.stop(pattern, force=force)
    ids = [one.id for one in found]
    say({"acknowledged": True, "transforms": ids}, "\n".join(f"transform {one} is stopped" for one in ids), as_json)
