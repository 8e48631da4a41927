"""The `gridwatch` command: each subcommand calls one function of the library."""

from gridwatch.cli.app import main

__all__ = ["main"]
