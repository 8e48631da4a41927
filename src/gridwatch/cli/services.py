"""`serve`, `relay`, `sink` and `kafka`: single services in the foreground."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from gridwatch.cli._context import datasets, now_ms, settings, store
from gridwatch.cli._output import JARS, progress
from gridwatch.cli.platform import stop_on_signals
from gridwatch.errors import ConfigError, StreamError

__all__ = ["register"]

kafka_app = typer.Typer(no_args_is_help=True, help="gridwatch's own Kafka broker.")


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    panel = "Services, one at a time (`up` runs them all)"
    app.command(rich_help_panel=panel, epilog="Example: gridwatch serve --port 8090")(serve)
    app.command(rich_help_panel=panel, epilog="Example: gridwatch relay")(relay)
    app.command(rich_help_panel=panel, epilog="Example: gridwatch sink")(sink)
    app.add_typer(kafka_app, name="kafka", rich_help_panel=panel)


def serve(
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0: a free one.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to bind.")] = None,
    insecure_http: Annotated[
        bool | None,
        typer.Option(
            "--insecure-http", help="Let other machines log in to the Web API without TLS.", show_default=False
        ),
    ] = None,
) -> None:
    """Serve GridDB's Web API and Elasticsearch's `_ml` and `_transform` over the store, the trigger handler, the pages.

    On loopback this machine needs no user; other machines need one (`gridwatch users add`), and a TLS proxy in front.
    Started datafeeds and transforms run beside it, unless GRIDWATCH_JOBS__RUN_FEEDS is false.
    """
    from gridwatch.server.run import serve as run

    def ready(url: str) -> None:
        typer.echo(f"gridwatch serves at {url}; Ctrl-C ends it.", err=True)

    found = settings()
    given = {"port": port, "host": host, "insecure_http": insecure_http}
    wanted = {key: value for key, value in given.items() if value is not None}
    found = found.model_copy(update={"server": found.server.model_copy(update=wanted)})
    with store(found) as opened, stop_on_signals() as stop:
        busy = run(found, opened, clock=now_ms, on_ready=ready, stop=stop)
        if busy:
            _end_now(f"{busy} requests or datafeeds were still at work and are cut off.")


def _end_now(message: str) -> None:
    """End the process under its threads, before anything waits for them; the store keeps what was committed."""
    typer.echo(message, err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def relay() -> None:
    """Tail the anomaly containers and tell the trigger handler of each new row."""
    from gridwatch.alerts.relay import Relay

    found = settings()
    with store(found) as opened, stop_on_signals() as stop:
        Relay(opened, found, clock=now_ms).run(stop)


def sink(
    names: Annotated[list[str] | None, typer.Argument(metavar="[DATASET]...", help="Whose topics; none: all.")] = None,
) -> None:
    """Write the rows that come in over Kafka into the store."""
    from gridwatch.sources import topics_pattern
    from gridwatch.streaming import Sink, broker_for, ensure_topics

    found = settings()
    topics = [dataset.container for dataset in datasets(found, names)]
    with broker_for(found) as bootstrap, store(found) as opened, stop_on_signals() as stop:
        ensure_topics(found, bootstrap, topics)
        # By pattern, so that a dataset which is added later needs no restart, unless it names its own container.
        wanted = {"topics": topics} if names else {"pattern": topics_pattern(topics)}
        Sink(found, bootstrap, opened, **wanted).run(stop)


@kafka_app.command("start", epilog="Example: gridwatch kafka start")
def kafka_start() -> None:
    """Run gridwatch's own broker in the foreground, until Ctrl-C."""
    from gridwatch.streaming import Broker

    with progress(JARS) as shown:
        broker = Broker(settings(running=False), progress=shown)
        address = broker.start()
    typer.echo(f"Kafka answers at {address}; its log is {broker.log_file}. Ctrl-C ends it.", err=True)
    with stop_on_signals() as stop:
        while not stop.wait(2):
            if not broker.healthy():
                raise StreamError(f"The broker at {address} has ended; its log is {broker.log_file}.")
    broker.stop()


@kafka_app.command("stop", epilog="Example: gridwatch kafka stop")
def kafka_stop() -> None:
    """Stop gridwatch's own broker, wherever it was started."""
    from gridwatch.streaming import Broker

    typer.echo("stopped" if Broker(settings(running=False)).stop() else "was not running")


@kafka_app.command("lock", hidden=True, epilog="Example: gridwatch kafka lock")
def kafka_lock(
    environment: Annotated[str, typer.Argument(help="kafka, griddb or ecj.")] = "kafka",
    out: Annotated[Path | None, typer.Option(help="Another file than the one that gridwatch reads.")] = None,
) -> None:
    """Resolve jars anew and write their lock file. For those who work on gridwatch."""
    from gridwatch.java.jars import ENVIRONMENTS, lock_jars

    if environment not in ENVIRONMENTS:
        raise ConfigError(f"No jars {environment!r}; there are {', '.join(ENVIRONMENTS)}.")
    with progress(JARS) as shown:
        path = lock_jars(environment, path=out, progress=shown)
    typer.echo(str(path))
