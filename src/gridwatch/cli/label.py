"""`label`: what people say of anomalies and ranges of time, which the detectors listen to from then on."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gridwatch.cli._context import now_ms, settings, store
from gridwatch.cli._output import moment, print_json, print_table
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.detectors.labels import Label
    from gridwatch.settings import Settings
    from gridwatch.sources import Dataset

__all__ = ["author_of", "known_datasets", "register"]

label_app = typer.Typer(
    no_args_is_help=True,
    help="Say what was right and what was wrong: alarms like it are raised or kept back accordingly, from then on.",
    epilog="Example: gridwatch label false 5f0c6f9be6d63f0ed1de7b2b2bb0d9a4 --note 'backup, every Sunday'",
)

Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="ANOMALY...", help="Ids as `gridwatch anomalies` lists them; with --from one dataset or series instead."
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="TIME", help="First time of the range, UTC: 2024-05-01, 2024-05-01T12:30, or with an offset."
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="TIME", help="Last time, included; a day alone means all of it. Default: that of --from."
    ),
]
Note = Annotated[str, typer.Option(metavar="TEXT", help="Why; for those who look at it later.")]
By = Annotated[str | None, typer.Option(metavar="NAME", help="Who says it.", show_default="your user name")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_PLACE = "Example: gridwatch label {0} aapl_daily --from 2013-01-24 --to 2013-01-25 --note '{1}'"


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.add_typer(label_app, name="label", rich_help_panel="Data")


@label_app.command("true", epilog=_PLACE.format("true", "results; nobody saw it"))
def true(
    targets: Targets,
    from_time: From = None,
    to_time: To = None,
    note: Note = "",
    by: By = None,
    as_json: Json = False,
) -> None:
    """Something was wrong there: a right alarm, or a range without one that should have had one.

    With an id, --from and --to may widen the range to all that was wrong.
    """
    _say("true", targets, from_time, to_time, note, by, as_json)


@label_app.command("false", epilog=_PLACE.format("false", "the sensor was cleaned"))
def false(
    targets: Targets,
    from_time: From = None,
    to_time: To = None,
    note: Note = "",
    by: By = None,
    as_json: Json = False,
) -> None:
    """Nothing was wrong there: a wrong alarm. Two of a kind, and alarms like them are no longer raised."""
    _say("false", targets, from_time, to_time, note, by, as_json)


@label_app.command("expected", epilog=_PLACE.format("expected", "stock split"))
def expected(
    targets: Targets,
    from_time: From = None,
    to_time: To = None,
    note: Note = "",
    by: By = None,
    as_json: Json = False,
) -> None:
    """Out of the ordinary, and known to be: maintenance, a holiday. No alarms in the range, which may lie ahead."""
    _say("expected", targets, from_time, to_time, note, by, as_json)


@label_app.command("list", epilog="Example: gridwatch label list aapl_daily --json")
def listing(
    name: Annotated[str | None, typer.Argument(metavar="[DATASET]", help="Only this dataset's or series'.")] = None,
    history: Annotated[bool, typer.Option("--history", help="Also those that were replaced or removed.")] = False,
    as_json: Json = False,
) -> None:
    """List labels, those said last first."""
    from gridwatch.pipeline.label_targets import series_of
    from gridwatch.pipeline.labels import list_labels

    found = settings(demo=True)
    with store(found) as opened:
        series = None if name is None else series_of(name, known_datasets(found), opened)[0]
        labels = list_labels(opened, series, history=history)
    if as_json:
        print_json([_plain(label) for label in labels])
    elif labels:
        _table(labels)
    else:
        typer.echo("No labels.")


@label_app.command("remove", epilog="Example: gridwatch label remove 5f0c6f9be6d63f0ed1de7b2b2bb0d9a4")
def remove(
    keys: Annotated[list[str], typer.Argument(metavar="ID...", help="Of the label, or of the anomaly it was said of.")],
    by: By = None,
    as_json: Json = False,
) -> None:
    """Take labels back. What they did until now stays as it was."""
    from gridwatch.pipeline.labels import remove_label

    with store(settings(demo=True)) as opened:
        _show([remove_label(opened, key, author=author_of(by), now_ms=now_ms()) for key in keys], as_json)


def _say(
    verdict: str,
    targets: list[str],
    from_time: str | None,
    to_time: str | None,
    note: str,
    by: str | None,
    as_json: bool,
) -> None:
    from gridwatch.pipeline.label_targets import target_of
    from gridwatch.pipeline.labels import say

    if (from_time or to_time) and len(targets) > 1:
        raise ConfigError(f"A range is said of one anomaly or series, and {len(targets)} are named; say one at a time.")
    found = settings(demo=True)
    with store(found) as opened:
        # All are looked up before the first is written, so that a wrong id leaves nothing half said.
        known = known_datasets(found)
        ahead = verdict == "expected"
        places = [target_of(name, opened, known, from_text=from_time, to_text=to_time, ahead=ahead) for name in targets]
        said = [say(opened, verdict, place, note=note, author=author_of(by), now_ms=now_ms()) for place in places]
    _show(said, as_json)


def known_datasets(found: Settings) -> list[Dataset]:
    """Return all datasets; none where there is no folder of them, for series may do without."""
    from gridwatch.sources import load_datasets

    return load_datasets(found.datasets_dir) if found.datasets_dir.is_dir() else []


def author_of(by: str | None) -> str:
    """Return the name of who says something: as given, else the user of the system.

    Raises:
        ConfigError: The system does not know.
    """
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise ConfigError("This system does not say who you are; say it with --by NAME.") from error


def _show(labels: list[Label], as_json: bool) -> None:
    if as_json:
        print_json([_plain(label) for label in labels])
    else:
        _table(labels)


def _plain(label: Label) -> dict[str, object]:
    """Return a label as its row is, the columns in order."""
    return {("label" if name == "verdict" else name): value for name, value in asdict(label).items()}


def _table(labels: list[Label]) -> None:
    print_table(
        ("series", "from (UTC)", "to", "label", "note", "by", "said (UTC)", "id"),
        [
            (
                label.series + (f" {label.partition}" if label.partition else ""),
                moment(label.from_ms),
                "" if label.to_ms == label.from_ms else moment(label.to_ms),
                label.verdict,
                label.note,
                label.author,
                moment(label.labelled_ms),
                label.id,
            )
            for label in labels
        ],
    )
