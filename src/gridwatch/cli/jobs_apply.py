"""`jobs apply`: what files in Git say, made so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridwatch.cli._jobs import Json, open_service
from gridwatch.cli._output import print_json
from gridwatch.cli._terminal import one_line

if TYPE_CHECKING:
    from gridwatch.jobs.files import Plan, Step

__all__ = ["register"]

_DIR = Path("flows/jobs")
_SIGNS = {"create": "+", "update": "~", "recreate": "!", "delete": "-", "none": "=", "refuse": "x"}
_DONE = {"create": "made", "update": "changed", "recreate": "made anew", "delete": "deleted", "none": "as it is"}
_SHOWN_MAX = 120


def register(app: typer.Typer) -> None:
    """Add the command to `jobs`."""
    app.command("apply", epilog="Example: gridwatch jobs apply --dry-run; gridwatch jobs apply")(apply)


def apply(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...", help="Files, or folders of *.json (not what is below them).", show_default="flows/jobs"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    recreate: Annotated[
        bool,
        typer.Option(
            "--recreate", help="Delete and make anew what cannot change in place; what a job has learnt is lost."
        ),
    ] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Delete jobs and datafeeds that no file names.")] = False,
    as_json: Json = False,
) -> None:
    """Make jobs, datafeeds and transforms as the files of a folder in Git say. Again, it changes nothing.

    A file holds one resource, in the form of Elasticsearch's PUT; its id is in it, or is the file's name. What differs
    is told value by value. All files are checked before anything is changed, and if one is refused, nothing is: exit
    status 1. What the files do not name is left alone, without --prune. Nothing is opened or started.
    """
    from gridwatch.jobs.files import plan, read_resources

    resources = read_resources(paths or [_DIR])
    with open_service(make=not dry_run) as service:
        planned = plan(service, resources, recreate=recreate, prune=prune)
        applied = not dry_run and not planned.refused
        if applied:
            planned.apply(service)
    if as_json:
        print_json({"applied": applied, "steps": [step.to_json() for step in planned.steps]})
    else:
        _show(planned, dry_run=dry_run)
    if planned.refused:
        raise typer.Exit(1)


def _show(planned: Plan, *, dry_run: bool) -> None:
    for step in planned.steps:
        for line in _lines(step):
            typer.echo(line)
    counts = [f"{planned.count(action)} {text}" for action, text in _DONE.items() if planned.count(action)]
    said = ", ".join(counts) or "no files"
    if planned.refused:
        said = f"{len(planned.refused)} refused, so nothing was changed; else " + (", ".join(counts) or "nothing")
    elif dry_run:
        said = f"would be {said}; nothing was changed" if counts else said
    typer.echo(said)


def _lines(step: Step) -> list[str]:
    word = "refused" if step.action == "refuse" else _DONE[step.action]
    where = "" if step.file is None else f"  {step.file}"
    lines = [f"{_SIGNS[step.action]} {step.kind} {step.id}: {word}{where}"]
    lines += [f"    {one.path}: {_value(one.old)} -> {_value(one.new)}" for one in step.changes]
    lines += [f"    because {one_line(step.reason)}"] if step.reason else []
    return [*lines, *(f"    beware: {one_line(warning)}" for warning in step.warnings)]


def _value(value: Any) -> str:
    if value is None:
        return "(none)"
    text = one_line(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."
