"""`copy`: containers from one store to another, whatever their backends."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridwatch.cli._context import settings
from gridwatch.cli._output import print_json, print_table, progress, seconds
from gridwatch.errors import ConfigError

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["register"]

_EPILOG = "Example: gridwatch copy sqlite:///.gridwatch/store.db griddb+https://cloud1.griddb.com/mycluster/mydb"
_FROM = "Store to copy from: sqlite:///path, griddb://host:port/cluster/db or griddb+https://host/cluster/db."
_TO = "Store to copy to, in one of these forms."


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command(rich_help_panel="Store", epilog=_EPILOG)(copy)


def copy(
    source_url: Annotated[str, typer.Argument(metavar="FROM", help=_FROM)],
    target_url: Annotated[str, typer.Argument(metavar="TO", help=_TO)],
    names: Annotated[list[str] | None, typer.Argument(metavar="CONTAINER", help="Containers; none: all.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Put rows over rows of the target with the same key that differ.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Copy containers from one store to another, with their indexes and partitions, and verify every one.

    Run it again after it was interrupted: it goes on where it was. Rows that the target has already are compared, not
    sent again; a container with another schema, and rows that differ, are refused. Stop what writes to the source
    first (gridwatch down).

    The login of both is GRIDWATCH_GRIDDB__USER and __PASSWORD; where the target has another one, set
    GRIDWATCH_TARGET__USER and __PASSWORD.
    """
    from gridwatch.containers import open_store
    from gridwatch.containers.copy import copy_store

    found = settings(running=False)
    _refuse_missing_file(source_url)
    began_s = time.monotonic()
    with (
        open_store(source_url, settings=found) as source,
        open_store(target_url, settings=_of_target(found)) as target,
        progress("copy") as shown,
    ):
        copied = copy_store(source, target, names or None, overwrite=overwrite, progress=shown)
    took_s = time.monotonic() - began_s
    if as_json:
        print_json(
            {"from": source.url, "to": target.url, "seconds": took_s, "containers": [asdict(one) for one in copied]}
        )
        return
    if not copied:
        typer.echo(f"{source.url} has no containers.")
        return
    print_table(
        ["container", "rows", "of them copied now", "checksum"],
        [(one.container, one.rows, one.copied, one.checksum) for one in copied],
    )
    rows, sent = sum(one.rows for one in copied), sum(one.copied for one in copied)
    typer.echo(f"{len(copied)} containers are the same in both, {rows:,} rows; {sent:,} copied in {seconds(took_s)}.")


def _of_target(found: Settings) -> Settings:
    """Return the settings with the target's login in place of the source's."""
    login = {name: getattr(found.target, name) for name in ("user", "password")}
    given = {name: value for name, value in login.items() if value is not None}
    return found.model_copy(update={"griddb": found.griddb.model_copy(update=given)})


def _refuse_missing_file(url: str) -> None:
    """A store file is made when it is opened, which is not wanted of a source that is misspelt."""
    path = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not path.is_file():
        raise ConfigError(f"There is no store to copy from at {os.fspath(path.absolute())!r}.")
