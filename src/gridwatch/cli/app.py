"""The root command: global options, how errors are told, and the groups of subcommands.

Nothing heavy is imported here or at the top of a command's module: `gridwatch --help` answers at once.
"""

from __future__ import annotations

import errno
import sys
import traceback
from typing import Annotated, NoReturn

import structlog
import typer

from gridwatch.cli import (
    alerts,
    anomalies,
    artifacts,
    bench,
    compare,
    connect,
    copy,
    data,
    datafeeds,
    demo,
    dlq,
    evaluate,
    explain,
    grafana,
    jobs,
    label,
    login,
    model,
    platform,
    project,
    replay,
    samples,
    services,
    store,
    synthesize,
    transforms,
    triggers,
    upkeep,
    users,
)
from gridwatch.cli._context import state
from gridwatch.cli._logging import configure
from gridwatch.errors import ConfigError, GridwatchError

__all__ = ["app", "main"]

_OF_DISKS = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some space, or have your quota raised",
    errno.EROFS: "Mount it so that it can be written to, or set GRIDWATCH_HOME to another one",
}
"""What to do when a disk does not take what a command writes."""

_EPILOG = (
    "Begin with [bold]gridwatch demo[/bold]. For your own data: [bold]gridwatch init my-project[/bold], then "
    "[bold]gridwatch up[/bold] there."
)

app = typer.Typer(
    name="gridwatch",
    help="Finds anomalies in time series that live in GridDB, and tells people.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gridwatch {version('gridwatch')}")
        raise typer.Exit


@app.callback()
def root(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log everything, and show tracebacks.")] = False,
    version: Annotated[  # its callback does the work
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Finds anomalies in time series that live in GridDB, and tells people."""
    state.verbose = verbose
    configure("DEBUG" if verbose else None)


for module in (
    demo,
    platform,
    project,
    data,
    dlq,
    model,
    compare,
    evaluate,
    synthesize,
    artifacts,
    anomalies,
    alerts,
    label,
    explain,
    replay,
    jobs,
    datafeeds,
    transforms,
    samples,
    services,
    connect,
    triggers,
    users,
    login,
    store,
    upkeep,
    copy,
    grafana,
    bench,
):
    module.register(app)


def main() -> None:
    """Run the command line and exit: 0 fine, 1 failed, 2 wrongly asked or configured."""
    try:
        app()
    except GridwatchError as error:
        _say(str(error))
        if state.verbose:
            traceback.print_exc()
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        advice = _OF_DISKS.get(error.errno or 0)
        if advice is None:
            _crashed(error)
        # Nobody's mistake, and a traceback says nothing of it that helps.
        where = f" ({error.filename})" if error.filename else ""
        _say(f"The disk says: {error.strerror}{where}. {advice}, and run this again.")
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  # the edge of the process: logged in full, told in one line
        _crashed(error)


def _crashed(error: Exception) -> NoReturn:
    log = state.crash_log(traceback.format_exc())
    structlog.get_logger(__name__).debug("crashed", exc_info=True)
    _say(f"{type(error).__name__}: {error}" + (f" (traceback in {log})" if log else ""))
    if state.verbose:
        traceback.print_exc()
    sys.exit(1)


def _say(message: str) -> None:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
