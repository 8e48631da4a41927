"""`demo`: real prices through the whole platform, from nothing to a mail in the inbox."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridwatch.cli._context import settings
from gridwatch.cli._demo_prices import datasets_of
from gridwatch.cli._output import JARS, progress
from gridwatch.cli._project import shipped
from gridwatch.cli.platform import stop_on_signals
from gridwatch.errors import GridwatchError, MissingServiceError

if TYPE_CHECKING:
    from gridwatch.cli._demo_stages import Timeline
    from gridwatch.settings import Settings
    from gridwatch.supervisor import Platform, Supervisor

__all__ = ["register"]

_DATASET = "aapl_daily"
_NEEDED = ("kafka", "sink", "mlflow", "prefect", "server", "relay")
_LATER = ("worker", "deploy")
_UP_TIMEOUT_S = 480.0
_FLOW_TIMEOUT_S = 1800.0
_KEPT = {"run", "cache"}


def register(app: typer.Typer) -> None:
    """Add the command to the root command."""
    app.command(rich_help_panel="Begin here", epilog="Example: gridwatch demo --exit")(demo)


def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="Stop everything at the end; without it only so off a terminal.")
    ] = False,
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Your own bars of US shares instead: files SYMBOL_*.csv with timestamp,open,high,low,close,volume.",
        ),
    ] = None,
) -> None:
    """Find the 2005 split in Apple's real share prices: Kafka, validation, scores, anomaly, mail. Starts from nothing.

    Ends with `auto` and the LSTM with a fixed threshold side by side on the same rows.

    Keeps its own state apart, in `demo` of the home folder, and begins anew each time.
    """
    from gridwatch.cli._demo_stages import Timeline
    from gridwatch.supervisor import Supervisor, hold
    from gridwatch.supervisor.daemon import sweep

    found = settings(running=False)
    home = found.home / "demo"
    with hold(home), stop_on_signals() as stop:
        sweep(home)
        timeline = Timeline(typer.echo)
        timeline.line(f"gridwatch demo: everything from nothing, state in {home}")
        platform = _prepare(found, home, prices)
        supervisor = Supervisor(platform.services, home, platform.addresses, hold_back=_LATER)
        names = sorted(path.stem for path in platform.settings.datasets_dir.glob("*.json"))
        with _supervised(supervisor), _flow(platform, names) as flow:
            with _status(timeline):
                if not _watch(supervisor, platform, flow, timeline, stop):
                    raise KeyboardInterrupt
            _tell(platform, timeline, names)
            if not leave and sys.stdout.isatty():
                supervisor.release(*_LATER)
                _next(home)
                typer.echo("Everything stays up until Ctrl-C.")
                stop.wait()
            typer.echo("Stopping what was started ...")
        timeline.line(f"all stopped; the data stay in {platform.settings.store}")
        if leave or not sys.stdout.isatty():
            _next(home)


@contextmanager
def _status(timeline: Timeline) -> Iterator[None]:
    """On a terminal, show below the lines what is being waited for."""
    if not sys.stdout.isatty():
        yield
        return
    from rich.console import Console

    console = Console()
    with console.status("starting") as shown:
        timeline.say = lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)
        timeline.doing = shown.update
        yield
    timeline.say, timeline.doing = typer.echo, lambda _text: None


def _prepare(found: Settings, home: Path, prices: Path | None) -> Platform:
    """Clear the state of the last demo and plan a platform that uses nothing but its own services."""
    from gridwatch.supervisor import plan

    for old in home.iterdir():
        if old.name not in _KEPT:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    (home / "run" / "state.json").unlink(missing_ok=True)
    project = shipped()
    packaged = json.loads((project / "flows" / "datasets" / f"{_DATASET}.json").read_text(encoding="utf-8"))
    # With a real SendGrid key the mail should reach a real person.
    packaged["recipients"] = found.alerts.recipients or packaged["recipients"]
    (home / "datasets").mkdir()
    for dataset in datasets_of(prices, packaged["recipients"]) if prices else [packaged]:
        (home / "datasets" / f"{dataset['name']}.json").write_text(json.dumps(dataset), encoding="utf-8")
    default = type(found).model_fields
    own = found.model_copy(
        update={
            "home": home,
            "store_url": None,
            "datasets_dir": home / "datasets",
            "expectations_dir": project / "expectations",
            "server": found.server.model_copy(update={"host": "127.0.0.1", "port": 0}),
            "alerts": found.alerts.model_copy(update={"handler_url": None}),
            **{name: default[name].get_default(call_default_factory=True) for name in ("kafka", "mlflow", "prefect")},
        }
    )
    with progress(JARS) as shown:
        return plan(own, project=project, progress=shown)


@contextmanager
def _supervised(supervisor: Supervisor) -> Iterator[None]:
    """Run the supervisor beside; all its services are stopped at the end, however it ends."""
    stop = threading.Event()
    thread = threading.Thread(target=supervisor.run, args=(stop,), name="supervisor")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def _flow(platform: Platform, names: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start the process of the flow, which imports what it needs and then waits for a line."""
    from gridwatch.supervisor.process import MARKER, child_environ, stop_groups
    from gridwatch.supervisor.state import run_dir

    home = platform.settings.home
    (home / "logs").mkdir(exist_ok=True)
    argv = [sys.executable, "-m", "gridwatch.cli._demo_child", str(shipped() / "flows" / "run_all.py"), *names]
    with (home / "logs" / "flow.log").open("ab") as log:
        child = subprocess.Popen(
            argv,
            env=child_environ({**platform.env, MARKER: str(run_dir(home))}),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield child
    finally:
        if child.poll() is None:
            stop_groups([child.pid], 5)
        child.wait()
        if child.stdin:
            child.stdin.close()


def _watch(
    supervisor: Supervisor,
    platform: Platform,
    flow: subprocess.Popen[bytes],
    timeline: Timeline,
    stop: threading.Event,
) -> bool:
    """Wait for the services, start the flow, wait for its end; False when told to stop meanwhile.

    Raises:
        MissingServiceError: A service was given up or did not come.
        GridwatchError: The flow failed.
    """
    from gridwatch.supervisor import State

    api, began_s, running = platform.addresses["prefect"], time.monotonic(), False
    log = platform.settings.home / "logs" / "flow.log"
    while not stop.wait(0.2):
        if not running:
            timeline.services(supervisor)
        states = {name: supervisor.service(name) for name in _NEEDED}
        late = time.monotonic() - began_s > (_FLOW_TIMEOUT_S if running else _UP_TIMEOUT_S)
        for name, shown in states.items():
            gone = shown.state in {State.FAILED, State.BLOCKED, State.STOPPED}
            if gone or (late and not running and shown.state is not State.RUNNING):
                why = shown.error or ("it is gone" if gone else f"not up within {_UP_TIMEOUT_S:g} s")
                raise MissingServiceError(f"{name} is {shown.state}: {why}; its log is {shown.log}.")
        if late and running:
            raise GridwatchError(f"The flow did not end within {_FLOW_TIMEOUT_S:g} s; its log is {log}.")
        if not running and all(shown.state is State.RUNNING for shown in states.values()):
            running, began_s = True, time.monotonic()
            timeline.line("the platform is up; the flow begins")
            threading.Thread(target=_import_ahead, daemon=True).start()
            if flow.stdin:
                flow.stdin.write(b"go\n")
                flow.stdin.flush()
        ended = flow.poll()
        if running:
            timeline.stages(api)
        if (timeline.completed and timeline.compared(platform.settings.home)) or ended == 0:
            return True
        if ended:
            raise GridwatchError(f"The flow failed (status {ended}); its log is {log}. {_tail(log)}")
    return False


def _import_ahead() -> None:
    """Import what the end needs while the flow works in its own process."""
    from matplotlib import figure  # noqa: F401

    from gridwatch.alerts import plot  # noqa: F401
    from gridwatch.containers import sqlite  # noqa: F401


def _tail(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f"It ends: {lines[-1][:500]}" if lines else "It is empty."


def _tell(platform: Platform, timeline: Timeline, names: list[str]) -> None:
    """Print what was found and where to look."""
    from gridwatch.cli._demo_result import collect, mlflow_page
    from gridwatch.cli.compare import sides_table
    from gridwatch.sources import load_datasets

    timeline.line("done")
    base = platform.addresses["handler"].removesuffix("/trigger")
    prefect = platform.addresses["prefect"].removesuffix("/api")
    for dataset in load_datasets(platform.settings.datasets_dir, names):
        result = collect(platform.settings, dataset)
        result.table()
        typer.echo(result.verdict() if dataset.name == _DATASET else result.summary())
        for sentence in result.why():
            typer.echo(f"  {sentence}")
        sides_table(dataset, result.sides)
        typer.echo(f"  plot     {result.plot}")
        typer.echo(f"  both     {result.sides_plot}")
        row = result.shown
        if row and platform.settings.sendgrid.api_key:
            typer.echo(f"  mail     {row['mail']}")
        elif row:
            typer.echo(f"  mail     {base}/inbox/{row['mail_id']}")
        if row:
            typer.echo(f"  model    {mlflow_page(platform.addresses['mlflow'], row['run_id'])}")
            typer.echo(f"  flow     {prefect}/runs/flow-run/{row['flow_run_id']}")
    typer.echo(f"  pages    {base}/overview  (`gridwatch login` signs in, to label)\n")


def _next(home: Path) -> None:
    # In a clone there is no `gridwatch` on the path, but the script that runs it.
    word = "gridwatch" if shutil.which("gridwatch") else "./gridwatch"
    # Other commands show the demo's data until there are data of one's own.
    prefix = f"GRIDWATCH_HOME={home} " if (home.parent / "store.db").exists() else ""
    typer.echo(
        "What to do next:\n"
        f"  {prefix}{word} anomalies --json\n"
        "      the same rows with their whole provenance, for scripts\n"
        f"  {prefix}{word} replay --all\n"
        "      their numbers computed again from the stored model and rows; `explain ID` checks all that led to one\n"
        f"  {word} init my-project\n"
        "      a project of your own: describe your series in flows/datasets/, then, from there:\n"
        f"  {word} up\n"
        "      the platform in the background, everything on schedule"
    )
