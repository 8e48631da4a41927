"""`init` and `doctor`: a project folder of one's own, and whether everything it needs is there."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gridwatch.cli._context import settings
from gridwatch.cli._output import print_json, print_table
from gridwatch.cli._project import project_files
from gridwatch.errors import ConfigError

__all__ = ["lay_out", "register"]

_NAMED_MAX = 8


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.command(rich_help_panel="Begin here", epilog="Example: gridwatch init my-project")(init)
    app.command(rich_help_panel="Begin here", epilog="Example: gridwatch doctor --json")(doctor)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where; made when missing.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that differ.")] = False,
) -> None:
    """Lay out a project: datasets, expectation suites, flows, prefect.yaml and an example .env."""
    written = lay_out(folder, force=force)
    typer.echo(f"{len(written)} files written to {folder}" if written else f"{folder} has everything already")
    typer.echo(f"Next: cd {folder}; describe your series in flows/datasets/NAME.json; gridwatch doctor; gridwatch up")


def lay_out(folder: Path, *, force: bool = False) -> list[Path]:
    """Write the project's files and return those that were not there, or differed.

    Raises:
        ConfigError: Files of the same names differ and `force` is off (then nothing is written); or a write failed.
    """
    wanted = [(path.read_bytes(), folder / relative) for path, relative in project_files()]
    wanted.append((example_env().encode(), folder / ".env.example"))
    differing = [target for content, target in wanted if target.exists() and _differs(target, content)]
    if differing and not force:
        named = ", ".join(str(path.relative_to(folder)) for path in differing[:_NAMED_MAX])
        more = f" and {len(differing) - _NAMED_MAX} more" if len(differing) > _NAMED_MAX else ""
        raise ConfigError(f"{folder} has other files already: {named}{more}; --force overwrites them.")
    written = []
    for content, target in wanted:
        if target.exists() and not _differs(target, content):
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        except OSError as error:
            raise ConfigError(f"Cannot write {str(target)!r}: {error.strerror}.") from error
        written.append(target)
    return written


def _differs(path: Path, content: bytes) -> bool:
    return not path.is_file() or path.read_bytes() != content


def example_env() -> str:
    """Return an example `.env` that names every setting with its default, all commented out."""
    from pydantic import BaseModel

    from gridwatch.settings import Settings

    lines = ["# Settings of gridwatch; copy to .env and uncomment what you change. Keep secrets out of Git.", ""]

    def add(model: type[BaseModel], prefix: str) -> None:
        for name, field in model.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                lines.append(f"# {(kind.__doc__ or name).strip().splitlines()[0]}")
                add(kind, f"{prefix}{name.upper()}__")
                lines.append("")
                continue
            default = field.get_default(call_default_factory=True)
            value = "" if default is None or default == [] else str(default)
            if isinstance(default, list) and default:
                value = json.dumps(default)
            lines.append(f"#{prefix}{name.upper()}={value}  # {field.description}")

    add(Settings, "GRIDWATCH_")
    return "\n".join(lines).rstrip() + "\n"


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Tell what is configured, reachable and missing, and what to do; exit 1 when something configured is not there."""
    from gridwatch.cli._doctor import checkup

    checks = checkup(settings())
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        print_table(("", "what", "found", "what to do"), [(c.state, c.name, c.found, c.advice) for c in checks])
    if any(check.state == "bad" for check in checks):
        raise typer.Exit(1)
