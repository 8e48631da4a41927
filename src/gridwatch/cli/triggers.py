"""`triggers`: GridDB 4.x's own triggers on anomaly containers, in place of the relay's looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, urlsplit, urlunsplit

import typer

from gridwatch.cli._context import settings, store
from gridwatch.cli._output import print_json, print_table
from gridwatch.errors import ConfigError, SqlRefusedError

if TYPE_CHECKING:
    from gridwatch.containers import Store
    from gridwatch.containers.griddb import GridDBStore
    from gridwatch.settings import Settings

__all__ = ["register"]

NAME = "gridwatch"
_COLUMNS = ("id",)

triggers_app = typer.Typer(
    no_args_is_help=True,
    help="Triggers of a GridDB 4.x cluster, which call the handler for each anomaly. 5.x, GridDB Cloud and the "
    "embedded store have none: there the relay (`gridwatch up`, `gridwatch relay`) sees to every mail.",
)


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.add_typer(triggers_app, name="triggers", rich_help_panel="Services, one at a time (`up` runs them all)")


@triggers_app.command("install", epilog="Example: gridwatch triggers install")
def install(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Register the trigger on every anomaly container, and again after new ones were made.

    It calls GRIDWATCH_ALERTS__HANDLER_URL, with GRIDWATCH_ALERTS__TOKEN as the last part of its path, which the handler
    takes from GRIDWATCH_ALERTS__TRIGGER_ADDRESSES only. The relay stays useful beside it: GridDB calls each trigger
    once, and never again when the handler was away. Without a token anyone who reaches the handler can have mails sent:
    a warning says so.
    """
    from gridwatch.containers.griddb_triggers import NO_TRIGGERS

    found = settings()
    with store(found) as opened:
        names = _anomalies(opened)
        url = _url(found)
        done: list[str] = []
        why = _no_triggers(opened)
        if why is None:
            try:
                for name in names:
                    _cluster(opened).put_trigger(name, NAME, url, _COLUMNS)
                    done.append(name)
            except SqlRefusedError as error:
                if error.code != NO_TRIGGERS:
                    raise
                why = f"[{NO_TRIGGERS}] this server has no triggers (GridDB 5.x)"
        warnings = [] if why is not None else _warnings(found, opened.url)
    for warning in warnings:
        typer.echo(f"Warning: {warning}", err=True)
    if as_json:
        shown = {"native": why is None, "reason": why, "installed": done, "url": _redacted(url)}
        print_json(shown | {"warnings": warnings})
    elif why is not None:
        typer.echo(
            f"Nothing to install: {why}. The relay calls the handler instead: `gridwatch up` or `gridwatch relay`."
        )
    elif not done:
        typer.echo("There are no anomaly containers yet. Detect first (`gridwatch detect`), then run this again.")
    else:
        typer.echo(f"{len(done)} trigger(s) call {_redacted(url)}: {', '.join(done)}.")


@triggers_app.command("list", epilog="Example: gridwatch triggers list --json")
def listing(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the triggers of all anomaly containers; secrets in their URLs are not shown."""
    with store(settings()) as opened:
        why = _no_triggers(opened)
        rows = (
            []
            if why
            else [
                {"container": name, "trigger": trigger, "url": _redacted(url)}
                for name in _anomalies(opened)
                for trigger, url in _cluster(opened).triggers(name).items()
            ]
        )
    if as_json:
        print_json(rows)
    elif rows:
        print_table(["container", "trigger", "calls"], [list(row.values()) for row in rows])
    else:
        typer.echo(f"No triggers: {why or 'none is installed, or the server (GridDB 5.x) has none'}.")


@triggers_app.command("remove", epilog="Example: gridwatch triggers remove")
def remove() -> None:
    """Remove gridwatch's triggers from all anomaly containers."""
    removed: list[str] = []
    with store(settings()) as opened:
        if _no_triggers(opened) is None:
            cluster = _cluster(opened)
            for name in _anomalies(opened):
                if cluster.drop_trigger(name, NAME):
                    removed.append(name)
    typer.echo(f"Removed from {', '.join(removed)}." if removed else "There was none.")


def _anomalies(opened: Store) -> list[str]:
    from gridwatch.alerts.anomalies import anomaly_containers

    return anomaly_containers(opened)


def _no_triggers(opened: Store) -> str | None:
    """Say why a store can have no triggers; None for a cluster, whose version decides."""
    scheme = urlsplit(opened.url).scheme
    if scheme == "sqlite":
        return "the embedded store has no triggers of its own"
    if scheme != "griddb":
        return "GridDB's Web API cannot register triggers"
    return None


def _cluster(opened: Store) -> GridDBStore:
    from gridwatch.containers.griddb import GridDBStore

    # `_no_triggers` has been asked: its URL is that of a cluster.
    assert isinstance(opened, GridDBStore)  # noqa: S101
    return opened


def _url(found: Settings) -> str:
    """The handler's URL with the token as the last part of its path: GridDB sends no headers of ours.

    Raises:
        ConfigError: It is https://, which GridDB cannot call, or a handler that others can reach has no token.
    """
    from gridwatch.alerts.address import handler_url
    from gridwatch.alerts.sendgrid import is_loopback

    parts = urlsplit(handler_url(found))
    if parts.scheme != "http":
        raise ConfigError("GridDB's triggers call http:// only; set GRIDWATCH_ALERTS__HANDLER_URL to such a URL.")
    token = found.alerts.token
    if token is None:
        if not is_loopback(parts.hostname):
            raise ConfigError(
                f"The handler at {parts.hostname} is called from another machine and wants a token; set "
                "GRIDWATCH_ALERTS__TOKEN for it and for this command."
            )
        return urlunsplit(parts)
    path = f"{parts.path.rstrip('/')}/{quote(token.get_secret_value(), safe='')}"
    return urlunsplit(parts._replace(path=path))


def _warnings(found: Settings, store_url: str) -> list[str]:
    """Say what is likely not meant: a handler that anyone on its machine may call, one that no node can call."""
    from gridwatch.alerts.address import handler_url
    from gridwatch.alerts.sendgrid import is_loopback

    handler = urlsplit(handler_url(found)).hostname
    warnings = []
    if found.alerts.token is None:
        warnings.append(
            f"GRIDWATCH_ALERTS__TOKEN is not set, so anyone who reaches the handler at {handler} can have mails sent; "
            "set it for the handler and for this command, then install again."
        )
    nodes = [node.rpartition(":")[0] or node for node in urlsplit(store_url).netloc.split(",") if node]
    away = [node for node in nodes if not is_loopback(node)]
    if is_loopback(handler) and away:
        warnings.append(
            f"GridDB runs on {', '.join(away)} and is told to call {handler}, which is itself there; set "
            "GRIDWATCH_ALERTS__HANDLER_URL to this machine's own address, then install again."
        )
    return warnings


def _redacted(url: str) -> str:
    """A trigger's URL without what may be a secret: the rest of the path behind /trigger, user, query.

    >>> _redacted("http://10.0.0.5:8090/trigger/s3cret?token=s3cret")
    'http://10.0.0.5:8090/trigger/***?***'
    """
    parts = urlsplit(url)
    head, mark, rest = parts.path.partition("/trigger")
    path = f"{head}{mark}{'/***' if rest.strip('/') else ''}" if mark else "/***"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{path}{'?***' if parts.query else ''}"
