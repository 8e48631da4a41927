"""`serve`, `relay`, `sink` and `kafka`: single services in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from gridwatch.cli._context import datasets, now_ms, settings, store
from gridwatch.cli.platform import stop_on_signals

__all__ = ["register"]

_TOPICS = r"^INTRADAY_[A-Za-z0-9_]+$"

kafka_app = typer.Typer(help="gridwatch's own Kafka broker, and the records that could not be read.")


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
) -> None:
    """Serve the trigger handler, the inbox and the pages."""
    from gridwatch.server.run import serve as run

    def ready(url: str) -> None:
        typer.echo(f"gridwatch serves at {url}; Ctrl-C ends it.", err=True)

    found = settings()
    wanted = {key: value for key, value in (("port", port), ("host", host)) if value is not None}
    found = found.model_copy(update={"server": found.server.model_copy(update=wanted)})
    with store(found) as opened, stop_on_signals() as stop:
        run(found, opened, clock=now_ms, on_ready=ready, stop=stop)


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
    from gridwatch.streaming import Sink, broker_for, ensure_topics

    found = settings()
    topics = [dataset.container for dataset in datasets(found, names)]
    with broker_for(found) as bootstrap, store(found) as opened, stop_on_signals() as stop:
        ensure_topics(found, bootstrap, topics)
        # By pattern, so that a dataset which is added later needs no restart.
        wanted = {"topics": topics} if names else {"pattern": _TOPICS}
        Sink(found, bootstrap, opened, **wanted).run(stop)
