"""`alerts`: what became of the mails, the dead ones once more, a test of the ways out, and snoozes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridwatch.cli._context import now_ms, settings, store
from gridwatch.cli._output import moment, print_json, print_table
from gridwatch.cli.anomalies import Severity
from gridwatch.cli.label import author_of, known_datasets
from gridwatch.errors import ConfigError, DeliveryError

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["register"]

alerts_app = typer.Typer(
    no_args_is_help=True,
    help="Mails and webhooks: what went out, what waits and why, and who wants to be left alone for a while.",
    epilog="Example: gridwatch alerts list --status dead",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.add_typer(alerts_app, name="alerts", rich_help_panel="Data")


@alerts_app.command("list", epilog="Example: gridwatch alerts list --status pending --json")
def listing(
    status: Annotated[
        str | None, typer.Option(metavar="STATE", help="Only these: pending, sending, sent, dead, skipped.")
    ] = None,
    series: Annotated[str | None, typer.Option(metavar="DATASET", help="Only this dataset's or series'.")] = None,
    channel: Annotated[str | None, typer.Option(help="Only `email` or `webhook`.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most rows.")] = 100,
    as_json: Json = False,
) -> None:
    """List deliveries, the last that was worked on first: sent, waiting and why, or given up."""
    from gridwatch.alerts.deliveries import list_deliveries

    found = settings(demo=True)
    with store(found) as opened:
        of = None if series is None else _series(series, found, opened)
        rows = list_deliveries(opened, status=status, series=of, channel=channel, limit=limit)
    if as_json:
        print_json(rows)
    elif rows:
        print_table(
            ("last (UTC)", "series", "anomaly (UTC)", "severity", "channel", "state", "tries", "to", "why", "id"),
            [
                (
                    moment(row["last_ms"]),
                    row["series"],
                    moment(row["ts_ms"]),
                    row["severity"],
                    row["channel"],
                    row["status"],
                    row["attempts"] or 0,
                    row["recipients"],
                    _why(row),
                    row["anomaly_id"],
                )
                for row in rows
            ],
        )
    else:
        typer.echo("No deliveries.")


def _why(row: dict[str, Any]) -> str:
    if row["status"] == "pending" and row["held"] and not row["error"]:
        return f"{row['held']}, until {moment(row['next_ms'])}"
    if row["status"] == "sent":
        told = "in a digest" if row["digest"] else ""
        return f"{told}{', ' if told else ''}may have come twice" if row["possible_duplicate"] else told
    return row["error"] or ""


@alerts_app.command("retry", epilog="Example: gridwatch alerts retry --all")
def retry(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Of anomalies, or keys of deliveries.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are dead.")] = False,
    as_json: Json = False,
) -> None:
    """Give dead deliveries their tries back, once the cause is cured; the relay sends them then."""
    from gridwatch.alerts.deliveries import revive

    if bool(ids) == everything:
        raise ConfigError("Name the deliveries to try again, or say --all; `gridwatch alerts list --status dead`.")
    with store(settings()) as opened:
        count = revive(opened, ids or None, now_ms=now_ms())
    if as_json:
        print_json({"revived": count})
    else:
        typer.echo(f"{count} to be tried again." if count else "None is dead.")


@alerts_app.command("test", epilog="Example: gridwatch alerts test --to me@example.com")
def send_test(
    to: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="Who gets it, instead of the recipients of the settings."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send a mail that says it is a test, and a test message to the webhook, where there is one.

    Without a SendGrid key the mail goes to the local inbox, which `gridwatch serve` or `gridwatch up` has to run.
    """
    from gridwatch.alerts.address import handler_url
    from gridwatch.alerts.trial import try_channels
    from gridwatch.recipients import wants

    found = settings()
    people = [wants(one)[0] for one in to or found.alerts.recipients]
    if not people:
        raise ConfigError("Nobody to send it to: say --to ADDRESS, or set GRIDWATCH_ALERTS__RECIPIENTS.")
    inbox_url = handler_url(found).removesuffix("/trigger")
    tried = try_channels(found, people, inbox_url=inbox_url, clock=now_ms)
    if as_json:
        print_json(tried)
    else:
        for one in tried:
            said = f"accepted as {one['message_id'] or '(no id)'}" if one["ok"] else "not taken"
            typer.echo(f"{one['channel']} to {one['to']}, through {one['through']}: {said}.")
    failed = [one["error"] for one in tried if not one["ok"]]
    if failed:
        raise DeliveryError(" ".join(failed), permanent=True, retry_after_s=None, status=None)


@alerts_app.command("snooze", epilog="Example: gridwatch alerts snooze aapl_daily --for 2h --note maintenance")
def snooze(
    series: Annotated[str | None, typer.Argument(metavar="[DATASET]", help="Dataset or series.")] = None,
    length: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="How long: 90m, 2h, 1d12h; up to a year.")
    ] = None,
    up_to: Annotated[Severity, typer.Option(help="Hold back what is so bad or less; worse is mailed.")] = (
        Severity.CRITICAL
    ),
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why.")] = "",
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who says it.", show_default="your user name")] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the snoozes that last still.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="End it now.")] = False,
    as_json: Json = False,
) -> None:
    """Hold back the mails of a series for a while; what came meanwhile is one digest at the end. Webhooks go on."""
    from gridwatch.alerts.snoozes import Snooze, duration_ms, list_snoozes, remove_snooze
    from gridwatch.alerts.snoozes import snooze as hold_back

    if listed + remove + (length is not None) != 1 or (series is None) != listed:
        raise ConfigError("Say what to do: `snooze SERIES --for 2h`, `snooze SERIES --remove` or `snooze --list`.")
    found, at_ms = settings(demo=listed), now_ms()
    shown: list[Snooze]
    with store(found) as opened:
        if series is None:
            shown = list_snoozes(opened, now_ms=at_ms)
        elif remove:
            shown = [remove_snooze(opened, _series(series, found, opened), now_ms=at_ms)]
        else:
            shown = [
                hold_back(
                    opened,
                    _series(series, found, opened),
                    until_ms=at_ms + duration_ms(length or ""),
                    now_ms=at_ms,
                    author=author_of(by),
                    up_to=up_to.value,
                    note=note,
                )
            ]
    if as_json:
        print_json([asdict(one) for one in shown])
    elif remove:
        typer.echo(f"{shown[0].series} is no longer snoozed; what waited goes out as a digest.")
    elif shown:
        print_table(
            ("series", "until (UTC)", "up to", "note", "by", "said (UTC)"),
            [(one.series, moment(one.until_ms), one.up_to, one.note, one.author, moment(one.said_ms)) for one in shown],
        )
    else:
        typer.echo("No snoozes.")


def _series(name: str, found: Settings, opened: Any) -> str:
    from gridwatch.pipeline.label_targets import series_of

    return series_of(name, known_datasets(found), opened)[0]
