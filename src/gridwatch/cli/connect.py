"""`connect`: Kafka Connect with gridwatch's sink connector, in place of the Python sink."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridwatch.cli._connect import own_workers, start_in_background, with_store_url
from gridwatch.cli._connect_report import connect_report, failures, show_connectors
from gridwatch.cli._context import datasets, settings
from gridwatch.cli._output import JARS, print_json, progress, working
from gridwatch.cli.platform import stop_on_signals
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.settings import Settings
    from gridwatch.streaming.connect_apply import Change, Connector

__all__ = ["connect_app", "register"]

connect_app = typer.Typer(
    no_args_is_help=True,
    help="Kafka Connect with gridwatch's GridDB sink, in place of the Python sink. `gridwatch up` runs it too "
    "where GRIDWATCH_CONNECT__ENABLED=true; these commands run it alone and look after its connectors, JSON files "
    "in GRIDWATCH_CONNECT__CONNECTORS_DIR. GRIDWATCH_CONNECT__URL names a cluster of your own instead.",
)

_WORKERS_HELP = "How many workers; more than one wants GRIDWATCH_CONNECT__MODE=distributed."


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.add_typer(connect_app, name="connect", rich_help_panel="Services, one at a time (`up` runs them all)")


@connect_app.command("up", epilog="Example: gridwatch connect up; later: gridwatch connect down")
def connect_up(
    workers: Annotated[int, typer.Option(min=1, max=32, help=_WORKERS_HELP)] = 1,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay here, until Ctrl-C; else it runs in the background.")
    ] = False,
) -> None:
    """Start a Connect worker, apply the connectors of the folder, and restart what fails.

    A broker is started where none is set or runs. The embedded store is reached through `gridwatch serve`.
    """
    from gridwatch.streaming.connect_running import read_running

    found = with_store_url(_unattached(settings()))
    if foreground:
        _run(found, workers)
        return
    if (running := read_running(found.home)) is not None and running.alive:
        typer.echo(f"Kafka Connect runs already, at {running.url or 'an address it has yet to choose'}.")
        return
    _topics(found)  # what is wrong in a dataset's file is told here, not in a log
    with progress(JARS) as shown:
        if found.connect.url is None:
            _prepare_jars(shown)
    with working("Kafka Connect starts"):
        running = start_in_background(found.home, ["--workers", str(workers)], dict(os.environ))
    typer.echo(f"Kafka Connect answers at {running.url}; `gridwatch connect status` shows its connectors.")


def _unattached(found: Settings) -> Settings:
    """Return the settings without the address of the worker that `gridwatch up` has announced: this will be it."""
    told = found.connect.model_copy(update={"url": settings(running=False).connect.url})
    return found.model_copy(update={"connect": told})


def _prepare_jars(shown: Any) -> None:
    from gridwatch.java.connector import build_connector

    build_connector(os.environ, progress=shown)


def _run(found: Settings, workers: int) -> None:
    from gridwatch.streaming.connect import ConnectWorker
    from gridwatch.streaming.connect_running import hold
    from gridwatch.streaming.connect_service import ConnectService, wanted_connectors

    topics = _topics(found)
    with hold(found.home) as ready, stop_on_signals() as stop:
        own: list[ConnectWorker] = []
        if found.connect.url is None:
            bootstrap = _bootstrap(found)
            own = [ConnectWorker(found, bootstrap, number=number) for number in range(1, workers + 1)]
        service = ConnectService(found, own, lambda: wanted_connectors(found, topics=topics))

        def told(url: str) -> None:
            ready(url)
            typer.echo(f"Kafka Connect answers at {url}; Ctrl-C ends it.", err=True)

        service.run(stop, ready=told)


def _bootstrap(found: Settings) -> str:
    if found.kafka.bootstrap_servers:
        return found.kafka.bootstrap_servers
    from gridwatch.streaming import Broker

    return Broker(found).start()


def _topics(found: Settings) -> str:
    from gridwatch.sources import topics_pattern

    return topics_pattern([dataset.container for dataset in datasets(found, None)])


@connect_app.command("build", epilog="Example: gridwatch connect build --out /opt/kafka/plugins")
def connect_build(
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Lay the plugin here, for workers of your own; else in the cache."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Build the connector, where that has not been done yet, and say where it is.

    It needs no JDK: jars and compiler come from Maven Central, once. The folder it names is for a worker's plugin.path;
    `gridwatch connect up` and `gridwatch up` build and use it by themselves.
    """
    from gridwatch.java.connector import CONNECTOR_CLASS, PLUGIN, build_connector

    with progress(JARS) as shown:
        plugin_path = build_connector(os.environ, out=out, progress=shown).absolute()
    if as_json:
        jars = sorted(path.name for path in (plugin_path / PLUGIN).iterdir())
        print_json({"plugin_path": plugin_path, "class": CONNECTOR_CLASS, "plugin": PLUGIN, "jars": jars})
    else:
        typer.echo(f"{CONNECTOR_CLASS} is in {plugin_path / PLUGIN}; a worker's configuration names the folder above:")
        typer.echo(f"plugin.path={plugin_path}")


@connect_app.command("down", epilog="Example: gridwatch connect down")
def connect_down() -> None:
    """Stop the workers, and the process that looks after them; what has been applied is remembered."""
    from gridwatch.streaming.connect_running import stop_running

    found = settings()
    _refuse_when_supervised(found)
    running = stop_running(found.home)
    stopped = sum(worker.stop() for worker in own_workers(found))
    typer.echo("stopped" if running or stopped else "was not running")
    _tell_broker(found)


def _tell_broker(found: Settings) -> None:
    from gridwatch.streaming import Broker
    from gridwatch.supervisor import read_state

    up = read_state(found.home)
    if (up is None or not up.alive) and Broker(found).kept and Broker(found).healthy():
        typer.echo("The broker stays; `gridwatch kafka stop` stops it.")


def _refuse_when_supervised(found: Settings) -> None:
    from gridwatch.supervisor import read_state

    up = read_state(found.home)
    if up is not None and up.alive and any(service.name == "connect" and service.alive for service in up.services):
        raise ConfigError(
            "This Kafka Connect is a part of `gridwatch up`, which would start it again: `gridwatch down`."
        )


@connect_app.command("status", epilog="Example: gridwatch connect status --json")
def connect_status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the connectors and their tasks, restarts, and why one fails; exit 1 when something does not run."""
    found = settings()
    report = connect_report(found)
    if as_json:
        print_json(report)
    else:
        show_connectors(report)
    if report["error"] is not None or failures(report):
        raise typer.Exit(1)


@connect_app.command("apply", epilog="Example: gridwatch connect apply kafka_connect/connectors --dry-run")
def connect_apply(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE_OR_DIR...", help="JSON files, or folders of them.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Bring connectors about as their files say; what is so already is left alone.

    Connect checks each one first, and none is touched when one of them is wrong. A file is Connect's own
    {"name": ..., "config": {...}}. A sink without topics gets those of the datasets; secrets are written as
    ${env:GRIDWATCH_GRIDDB__PASSWORD}, or ${file:PATH:KEY} with a file in the home folder's connect/secrets.
    """
    from gridwatch.streaming.connect_apply import apply, compare, completed, find_connect, read_connectors

    found = settings()
    read = read_connectors(paths)
    topics = _topics(found) if any(_wants_topics(one) for one in read) else None
    wanted = [completed(one, topics=topics, replication=found.kafka.replication_factor) for one in read]
    connect = find_connect(found)
    changes = compare(connect.api, wanted) if dry_run else apply(connect, wanted)
    if as_json:
        print_json([{**asdict(change), "applied": not dry_run} for change in changes])
    else:
        for change in changes:
            _show_change(change, dry_run=dry_run)
    if any(change.wrong for change in changes):
        raise typer.Exit(1)


def _wants_topics(connector: Connector) -> bool:
    return not {"topics", "topics.regex"} & connector.config.keys()


def _show_change(change: Change, *, dry_run: bool) -> None:
    done = {"create": "would be made" if dry_run else "made", "update": "would change" if dry_run else "changed"}
    typer.echo(f"{change.name}: {done.get(change.action, 'is so already')}")
    for key, (before, after) in change.keys.items():
        if before is not None:
            typer.echo(f"  - {key} = {before}")
        if after is not None:
            typer.echo(f"  + {key} = {after}")
    for wrong in change.wrong:
        typer.echo(f"  ! {wrong}")


@connect_app.command("restart", epilog="Example: gridwatch connect restart gridwatch-sink")
def connect_restart(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Which; none: all.")] = None,
    everything: Annotated[bool, typer.Option("--all-tasks", help="Also what runs; else only what has failed.")] = False,
) -> None:
    """Restart failed connectors and tasks, with all their chances again."""
    from gridwatch.streaming.connect_apply import find_connect

    api = find_connect(settings()).api
    there = api.names()
    unknown = sorted(set(names or ()) - set(there))
    if unknown:
        raise ConfigError(f"There is no connector {unknown[0]!r}; there are {', '.join(there) or 'none'}.")
    for name in names or there:
        status = api.status(name)
        if everything or (status is not None and status.failed):
            api.restart(name, only_failed=not everything)
            typer.echo(f"{name}: restarted")
        else:
            typer.echo(f"{name}: nothing has failed")


@connect_app.command("delete", epilog="Example: gridwatch connect delete gridwatch-sink --yes")
def connect_delete(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a connector. Its place in the topics (consumer group connect-NAME) stays: made again, it goes on there."""
    from gridwatch.streaming.connect_apply import delete, find_connect

    if not yes:
        typer.confirm(f"Delete the connector {name}?", abort=True)
    if not delete(find_connect(settings()), name):
        raise ConfigError(f"There is no connector {name!r}.")
    typer.echo(f"{name}: deleted")
