"""`dlq`: the records that could not become rows, why, and how they get in after all."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridwatch.cli._context import now_ms, settings, store
from gridwatch.cli._dlq_pick import Lines, Picker, edit, fix_of, picker
from gridwatch.cli._dlq_view import Summary, difference, show_letter, show_summary
from gridwatch.cli._output import JARS, print_json, progress, progresses
from gridwatch.cli._terminal import one_line
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.settings import Settings
    from gridwatch.streaming.dead_letter_check import Acceptance
    from gridwatch.streaming.dead_letter_fix import Fix
    from gridwatch.streaming.dead_letter_replay import Change, Outgoing, ReplayReport
    from gridwatch.streaming.dead_letters import DeadLetter

__all__ = ["register"]

dlq_app = typer.Typer(
    no_args_is_help=True,
    help="Dead letters: records that could not become rows, of gridwatch's sink and of Kafka Connect alike.",
)

Within = Annotated[
    list[str] | None,
    typer.Option(
        "--in",
        metavar="TOPIC",
        help="Dead-letter topics to read; default: all that end in .dlq or that a connector names.",
    ),
]
Topics = Annotated[list[str] | None, typer.Option("--topic", help="Only records that were for this topic.")]
Reason = Annotated[str | None, typer.Option(help="Only reasons that this regular expression finds.")]
Since = Annotated[str | None, typer.Option(help="Only letters from then on: 30min, 2h, 3d, 2024-07-01T09:30Z.")]
Letters = Annotated[
    list[str] | None,
    typer.Argument(metavar="[LETTER]...", help="TOPIC/PARTITION/OFFSET, as `list` shows; none: by the options."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.add_typer(dlq_app, name="dlq", rich_help_panel="Data")


@contextmanager
def _kafka(found: Settings) -> Iterator[str]:
    from gridwatch.streaming import broker_for

    with ExitStack() as stack:
        with progress(JARS) as shown:
            bootstrap = stack.enter_context(broker_for(found, progress=shown))
        yield bootstrap


@dlq_app.command("list", epilog="Example: gridwatch dlq list --since 2h --reason 'not JSON'")
def listing(
    within: Within = None,
    topic: Topics = None,
    reason: Reason = None,
    since: Since = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that were replayed as well.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Most letters to show, the newest; all are counted.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count dead letters by topic and reason, and show the newest."""
    from gridwatch.streaming.dead_letter_marks import read_marks
    from gridwatch.streaming.dead_letter_reader import Repeats

    pick = picker(now_ms=now_ms(), within=within, topics=topic, reason=reason, since=since)
    found = settings()
    summary, repeats = Summary(limit), Repeats()
    with _kafka(found) as bootstrap, progress("read dead letters") as shown:
        replayed = read_marks(found, bootstrap)
        for letter in pick.letters(found, bootstrap, shown):
            if repeats.first(letter) is None:
                sent = letter.place in replayed
                summary.add(letter, sent, keep=everything or not sent)
    if as_json:
        print_json(summary.as_json())
    else:
        show_summary(summary)


@dlq_app.command("show", epilog="Example: gridwatch dlq show INTRADAY_AAPL.dlq/0/17")
def show(
    letters: Letters = None,
    within: Within = None,
    topic: Topics = None,
    reason: Reason = None,
    since: Since = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that were replayed as well.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Key, headers and value as base64.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, for `replay --from`; secrets are not masked.")
    ] = False,
) -> None:
    """Show dead letters wholly: where from, why, headers, key and value.

    Control characters are written out, and fields and headers that are named like secrets are masked.
    """
    pick = picker(now_ms=now_ms(), places=letters, within=within, topics=topic, reason=reason, since=since)
    if not letters and not (within or topic or reason or since or everything):
        raise ConfigError(
            "Which letters? Name them as `gridwatch dlq list` shows them, or use --topic, --reason, --all."
        )
    found = settings()
    with _kafka(found) as bootstrap:
        from gridwatch.streaming.dead_letter_marks import read_marks
        from gridwatch.streaming.dead_letter_text import document_of

        replayed = read_marks(found, bootstrap)
        count = 0
        for letter in pick.letters(found, bootstrap):
            sent = letter.place in replayed
            if sent and not (everything or letters):
                continue
            if as_json:
                sys.stdout.write(json.dumps(document_of(letter)) + "\n")
            else:
                typer.echo("\n" if count else "", nl=False)
                show_letter(letter, replayed=sent, raw=raw)
            count += 1
    if not count and not as_json:
        typer.echo("No dead letters.")


@dlq_app.command("replay", epilog="Example: gridwatch dlq replay --topic INTRADAY_AAPL --rename Close=close --dry-run")
def replay(
    letters: Letters = None,
    within: Within = None,
    topic: Topics = None,
    reason: Reason = None,
    since: Since = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Set a field; VALUE is JSON, or else text.")
    ] = None,
    drops: Annotated[list[str] | None, typer.Option("--drop", metavar="FIELD", help="Leave a field out.")] = None,
    renames: Annotated[
        list[str] | None, typer.Option("--rename", metavar="OLD=NEW", help="Give a field another name.")
    ] = None,
    time_pattern: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Read times as text so, such as '%d.%m.%Y %H:%M'.")
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Zone of times that name none, such as America/New_York.")
    ] = None,
    time_field: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="Fields with times as text; default: ts.")
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="TOPIC", help="Send to this topic instead of their own.")] = None,
    by_editor: Annotated[bool, typer.Option("--edit", help="Change them as lines of JSON in $EDITOR first.")] = False,
    file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Send the letters of this file as it has them.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing; show what changes, and whether it would be a row now.")
    ] = False,
    only_accepted: Annotated[
        bool, typer.Option("--only-accepted", help="Send only what would be a row now; the rest stays.")
    ] = False,
    container: Annotated[
        str | None, typer.Option(help="Container for these tests, where it is not named as the topic.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Send what was replayed before as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --dry-run one object a letter.")] = False,
) -> None:
    """Send dead letters to their topics again, as they came or changed; each only once.

    With no letters and no options to choose them: all. What was sent is remembered in the topic gridwatch.dlq-replays.
    A record that still is no row comes back as a new letter.
    """
    if by_editor and file is not None:
        raise ConfigError("--edit and --from exclude each other.")
    if file is not None and letters:
        raise ConfigError("--from names the letters itself; give none beside it.")
    pick = picker(now_ms=now_ms(), places=letters, within=within, topics=topic, reason=reason, since=since)
    fix = fix_of(sets, drops, renames, time_field, time_pattern, time_zone)
    found = settings()
    with ExitStack() as stack:
        bootstrap = stack.enter_context(_kafka(found))
        lines = Lines(file) if file is not None else None
        if by_editor:
            lines = edit(_waiting(found, bootstrap, pick, again), os.environ.get("VISUAL") or os.environ.get("EDITOR"))
            if lines is None:
                typer.echo("Nothing to replay.")
                return
        if lines is not None:
            pick = Picker(places=lines.places)
        acceptance = _acceptance(stack, found, container) if dry_run or only_accepted else None
        change = _change(fix, lines, to)
        if dry_run and acceptance is not None:
            _dry_run(_waiting(found, bootstrap, pick, again), change, acceptance, found, bootstrap, as_json)
            return
        report = _send(found, bootstrap, pick, _only(change, acceptance) if only_accepted else change, again)
    _tell(report, as_json)


def _acceptance(stack: ExitStack, found: Settings, container: str | None) -> Acceptance:
    from gridwatch.streaming.dead_letter_check import Acceptance

    return Acceptance(stack.enter_context(store(found)), container=container)


def _waiting(found: Settings, bootstrap: str, pick: Picker, again: bool) -> Iterator[DeadLetter]:
    """Give the letters that a replay would send."""
    from gridwatch.streaming.dead_letter_marks import Replayed, read_marks
    from gridwatch.streaming.dead_letter_reader import Repeats

    replayed, repeats = Replayed() if again else read_marks(found, bootstrap), Repeats()
    for letter in pick.letters(found, bootstrap):
        if repeats.first(letter) is None and letter.place not in replayed:
            yield letter


def _change(fix: Fix, lines: Lines | None, to: str | None) -> Change:
    from dataclasses import replace

    from gridwatch.streaming.dead_letter_text import changed

    def change(record: Outgoing) -> Outgoing:
        if lines is not None:
            record = changed(record, lines[record.letter.place])
        if fix:
            record = replace(record, value=fix.apply(record.value))
        return replace(record, topic=to) if to else record

    return change


def _only(change: Change, acceptance: Acceptance | None) -> Change:
    from gridwatch.streaming.values import RecordError

    def only(record: Outgoing) -> Outgoing:
        record = change(record)
        refusal = acceptance.refusal(record.topic, record.value) if acceptance is not None else None
        if refusal is not None:
            raise RecordError(refusal)
        return record

    return only


def _send(found: Settings, bootstrap: str, pick: Picker, change: Change, again: bool) -> ReplayReport:
    from gridwatch.streaming.dead_letter_replay import Replay

    with progresses("read dead letters", "records sent") as (read, sent), Replay(found, bootstrap) as replaying:
        letters = pick.letters(found, bootstrap, read)
        return replaying.run(letters, change, again=again, on_sent=lambda count: sent(count, None))


def _tell(report: ReplayReport, as_json: bool) -> None:
    kept = [{"letter": str(place), "reason": reason} for place, reason in report.reasons]
    if as_json:
        print_json({"sent": report.sent, "repeated": report.repeated, "kept": report.kept, "reasons": kept})
    else:
        for one in kept:
            typer.echo(f"kept {one['letter']}: {one_line(one['reason'])}", err=True)
        typer.echo(f"{report.sent} sent again" + (f", {report.kept} kept back" if report.kept else "") + ".")
    if report.kept:
        raise typer.Exit(1)


def _dry_run(
    letters: Iterator[DeadLetter],
    change: Change,
    acceptance: Acceptance,
    found: Settings,
    bootstrap: str,
    as_json: bool,
) -> None:
    from gridwatch.streaming.dead_letter_reader import Fetcher, letter_consumer
    from gridwatch.streaming.dead_letter_replay import prepared
    from gridwatch.streaming.values import RecordError

    count = accepted = 0
    with letter_consumer(found, bootstrap) as consumer, closing(letters):  # type: ignore[type-var]
        fetcher = Fetcher(consumer)
        for letter in letters:
            lines: list[str] = []
            try:
                record = prepared(fetcher, letter, change)
                lines = difference(record)
                refusal = acceptance.refusal(record.topic, record.value)
            except RecordError as error:
                refusal = str(error)
            count += 1
            accepted += refusal is None
            if as_json:
                told = {"letter": str(letter.place), "accepted": refusal is None, "reason": refusal, "diff": lines}
                sys.stdout.write(json.dumps(told) + "\n")
            else:
                typer.echo(f"{letter.place}: " + ("a row now" if refusal is None else f"no row: {one_line(refusal)}"))
                for line in lines:
                    typer.echo(f"    {line}")
    if not as_json:
        typer.echo(f"{count} would be sent, {accepted} of them are rows now; nothing was sent.")
