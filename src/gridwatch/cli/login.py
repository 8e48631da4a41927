"""`login`: a one-time link that signs in a browser of this machine."""

from __future__ import annotations

import getpass
import webbrowser
from typing import Annotated

import typer

from gridwatch.cli._context import now_ms, settings
from gridwatch.cli._output import print_json
from gridwatch.errors import ConfigError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command(
        rich_help_panel="Services, one at a time (`up` runs them all)",
        epilog="Example: gridwatch login --by anna --open",
    )(login)


def login(
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who signs labels and changes.", show_default="your user name")
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser at once.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a link that signs in to gridwatch's pages, once and within ten minutes, in a browser of this machine.

    The server of `gridwatch up`, `gridwatch serve` or the demo has to run.
    """
    from gridwatch.alerts.address import handler_url, is_served
    from gridwatch.server.pages.login_links import LINK_MS, make_link
    from gridwatch.server.users import check_name

    found = settings()
    if not is_served(found):
        # A server over a store that is still empty takes its own links alone, and not the demo's.
        found = settings(demo=True)
    author = _author() if by is None else by
    check_name(author)
    own = found.model_copy(update={"alerts": found.alerts.model_copy(update={"handler_url": None})})
    word = make_link(found.home, author, now_ms=now_ms())
    url = f"{handler_url(own).removesuffix('/trigger')}/login/{word}"
    if as_json:
        print_json({"url": url, "name": author, "minutes": LINK_MS // 60_000})
    else:
        typer.echo(url)
    if open_it:
        webbrowser.open(url)


def _author() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise ConfigError("This system does not say who you are; say it with --by NAME.") from error
