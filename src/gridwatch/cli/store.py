"""`backup` and `restore` of the embedded store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridwatch.cli._context import settings
from gridwatch.cli._output import working
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["register"]

_PANEL = "Store"


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.command(rich_help_panel=_PANEL, epilog="Example: gridwatch backup backup.db")(backup)
    app.command(rich_help_panel=_PANEL, epilog="Example: gridwatch restore backup.db --yes")(restore)


def backup(file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")]) -> None:
    """Copy the embedded store to a new file; others may go on reading and writing."""
    from gridwatch.containers._object_files import ObjectFiles
    from gridwatch.containers.sqlite import SqliteStore

    with SqliteStore(_store_path(settings())) as store, working(f"backup to {file}"):
        store.backup(file)
    typer.echo(f"{file}: {file.stat().st_size:,} bytes")
    large = ObjectFiles.beside(file)
    if sizes := large.sizes():
        typer.echo(f"{large.folder}: {len(sizes):,} large objects, {sum(sizes.values()):,} bytes; keep both together")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup` wrote.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Put a backup in the store's place; the platform must be down. The store that was there is kept beside it."""
    from gridwatch.containers.restore import restore_store
    from gridwatch.supervisor.state import read_state

    found = settings(running=False)
    up = read_state(found.home)
    if up and up.alive:
        raise ConfigError("The platform is running and uses the store; stop it first with `gridwatch down`.")
    target = _store_path(found)
    if not yes:
        typer.confirm(f"Replace {target} by {file}?", abort=True)
    kept = restore_store(file, target)
    typer.echo(f"{target} is as it was in {file}" + (f"; what was there before is {kept}" if kept else ""))


def _store_path(found: Settings) -> Path:
    if not found.store.startswith("sqlite:///"):
        raise ConfigError(f"The store at {found.store} is no file of gridwatch's; use its own backup.")
    return Path(found.store.removeprefix("sqlite:///")).absolute()
