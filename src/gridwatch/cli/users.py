"""`users`: who may use the Web API of `gridwatch serve`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gridwatch.cli._context import settings
from gridwatch.cli._output import print_json, print_table
from gridwatch.errors import ConfigError

__all__ = ["register"]

users_app = typer.Typer(
    no_args_is_help=True,
    help="Users of the GridDB Web API that `gridwatch serve` answers. A running server knows a change at once.",
)


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    app.add_typer(users_app, name="users", rich_help_panel="Services, one at a time (`up` runs them all)")


@users_app.command("add", epilog="Example: gridwatch users add grafana --read-only < password.txt")
def add(
    name: Annotated[str, typer.Argument(help="1 to 64 of A-Z a-z 0-9 _ - . / =")],
    read_only: Annotated[bool, typer.Option("--read-only", help="May read, and change nothing.")] = False,
    admin: Annotated[bool, typer.Option("--admin", help="May also make users and give them rights, in SQL.")] = False,
) -> None:
    """Add a user, or give the one there a new password and rights. The password is asked for, or read from stdin."""
    from gridwatch.server.users import check_name, users_of

    if read_only and admin:
        raise ConfigError("--read-only and --admin exclude each other; choose one.")
    check_name(name)
    rights = "read" if read_only else "admin" if admin else "write"
    new = users_of(settings(running=False).home).add(name, _password(), rights=rights)
    typer.echo(f"{name} {'added' if new else 'changed'}: {_SHOWN[rights]}")


@users_app.command("list", epilog="Example: gridwatch users list --json")
def listing(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the users and what they may do."""
    from gridwatch.server.users import users_of

    found = users_of(settings(running=False).home).all()
    if as_json:
        print_json([{"name": user.name, "rights": user.rights} for user in found])
    elif found:
        print_table(["user", "may"], [[user.name, _SHOWN[user.rights]] for user in found])
    else:
        typer.echo("No users. `gridwatch users add NAME` makes one.")


@users_app.command("remove", epilog="Example: gridwatch users remove grafana")
def remove(name: Annotated[str, typer.Argument(help="As `gridwatch users list` shows it.")]) -> None:
    """Remove a user."""
    from gridwatch.server.users import users_of

    if not users_of(settings(running=False).home).remove(name):
        raise ConfigError(f"There is no user {name!r}; see `gridwatch users list`.")
    typer.echo(f"{name} removed")


_SHOWN = {"admin": "read, write, manage users", "write": "read and write", "read": "read", "none": "nothing"}


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    # One line, as `echo` or a file of secrets gives it.
    return sys.stdin.readline().rstrip("\r\n")
