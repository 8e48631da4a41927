"""`backup` and `restore` of the embedded store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridwatch.cli._context import settings
from gridwatch.cli._output import print_json, progress
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["register"]

_PANEL = "Store"


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.command(rich_help_panel=_PANEL, epilog="Example: gridwatch backup backup.db")(backup)
    app.command(rich_help_panel=_PANEL, epilog="Example: gridwatch restore backup.db --yes")(restore)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a backup of this name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Copy the embedded store to a new file, and check the copy; others may go on reading and writing.

    Large objects are copied to the folder FILE.objects beside it. A backup that is replaced stays until the new one is
    whole.
    """
    from gridwatch.containers._object_files import ObjectFiles
    from gridwatch.containers.sqlite import SqliteStore

    with SqliteStore(_store_path(settings())) as store, progress(f"backup to {file}, bytes") as shown:
        store.backup(file, force=force, progress=shown)
    large = ObjectFiles.beside(file)
    sizes = large.sizes()
    if as_json:
        objects = {"folder": str(large.folder), "count": len(sizes), "bytes": sum(sizes.values())}
        print_json({"file": str(file), "bytes": file.stat().st_size, "objects": objects})
        return
    typer.echo(f"{file}: {file.stat().st_size:,} bytes, checked")
    if sizes:
        typer.echo(f"{large.folder}: {len(sizes):,} large objects, {sum(sizes.values()):,} bytes; keep both together")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup` wrote.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Go on although large objects of the backup are missing, and lose what an earlier restore kept.",
        ),
    ] = False,
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
    with progress(f"restore of {file}, bytes") as shown:
        kept = restore_store(file, target, force=force, progress=shown)
    typer.echo(f"{target} is as it was in {file}" + (f"; what was there before is {kept}" if kept else ""))


def _store_path(found: Settings) -> Path:
    if not found.store.startswith("sqlite:///"):
        raise ConfigError(f"The store at {found.store} is no file of gridwatch's; use its own backup.")
    return Path(found.store.removeprefix("sqlite:///")).absolute()
