"""`up`, `down` and `status`: the platform as one thing."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridwatch.cli._connect_report import connect_report, failures, show_connectors
from gridwatch.cli._context import project_dir, settings
from gridwatch.cli._output import JARS, print_json, print_table, progress, seconds
from gridwatch.errors import GridwatchError

if TYPE_CHECKING:
    from gridwatch.cli._jobs_report import JobsReport
    from gridwatch.settings import Settings
    from gridwatch.supervisor import PlatformState

__all__ = ["changes", "register", "stop_on_signals"]

_UP_TIMEOUT_S = 480.0


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    panel = "Platform"
    app.command(rich_help_panel=panel, epilog="Example: gridwatch up; later: gridwatch down")(up)
    app.command(rich_help_panel=panel, epilog="Example: gridwatch down")(down)
    app.command(rich_help_panel=panel, epilog="Example: gridwatch status --json")(status)


def up(
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay here, until Ctrl-C; else it runs in the background.")
    ] = False,
    deploy: Annotated[bool, typer.Option(help="Register the deployments of prefect.yaml.")] = True,
) -> None:
    """Start what the platform needs: broker, sink or Kafka Connect, MLflow, Prefect, trigger handler, relay.

    Kafka, MLflow, Prefect or a handler whose address is set are used, and not started.
    """
    found = settings(running=False)
    if foreground:
        _run(deploy)
        return
    from gridwatch.supervisor import State, plan, start_detached, wait_settled

    with progress(JARS) as shown:
        plan(found, project=project_dir(), deploy=deploy, progress=shown)
    pid = start_detached(found.home, *([] if deploy else ["--no-deploy"]))
    state = wait_settled(found.home, pid, _UP_TIMEOUT_S, changes())
    _table(state)
    if any(service.state in {State.FAILED, State.BLOCKED} for service in state.services):
        raise typer.Exit(1)


def _run(deploy: bool) -> None:
    from gridwatch.supervisor import Supervisor, hold, plan
    from gridwatch.supervisor.daemon import sweep

    found = settings(running=False)
    with hold(found.home):
        sweep(found.home)
        with progress(JARS) as shown:
            platform = plan(found, project=project_dir(), deploy=deploy, progress=shown)
        supervisor = Supervisor(platform.services, found.home, platform.addresses)
        with stop_on_signals() as stop:
            supervisor.run(stop)


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that SIGINT, SIGTERM and SIGHUP set; the old handlers come back afterwards."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def changes() -> Callable[[PlatformState], None]:
    """Return a function that prints a line to stderr for each service whose state changed since the last call."""
    seen: dict[str, str] = {}
    began = time.monotonic()

    def changed(state: PlatformState) -> None:
        for service in state.services:
            if seen.get(service.name) != service.state and service.state != "waiting":
                seen[service.name] = service.state
                text = f"{time.monotonic() - began:6.1f} s  {service.name:<8} {service.state}"
                typer.echo(text + (f"  {service.error}" if service.error else ""), err=True)

    return changed


def down() -> None:
    """Stop the platform, and whatever a killed one left behind."""
    from gridwatch.supervisor import down as stop

    running, left = stop(settings(running=False).home)
    what = "stopped" if running else "was not running"
    typer.echo(f"gridwatch {what}" + (f"; {left} processes were left over and are gone now" if left else ""))


def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show each service and each connector: state, address, restarts, log; exit 1 when one of them is not well.

    So it is with jobs, datafeeds and transforms: those that failed are named.
    """
    from gridwatch.supervisor import State, read_state

    found = settings(running=False)
    home = found.home
    state = read_state(home)
    connect = _connect_report(state) if state is not None and state.alive else None
    jobs = _jobs_report(found) if state is not None else None
    if as_json:
        plain = _plain(state) if state else {"running": False, "services": []}
        more = {"connect": connect, "jobs": None if jobs is None else asdict(jobs)}
        print_json({**plain, **{name: value for name, value in more.items() if value is not None}})
    elif state is None:
        typer.echo(f"Nothing was ever started in {home}; `gridwatch up` does.")
    else:
        _table(state)
        if connect is not None:
            show_connectors(connect)
        if jobs is not None:
            typer.echo(f"{jobs.jobs} jobs, {jobs.opened} open; {jobs.started} datafeeds and transforms started")
            for who, why in jobs.wrong:
                typer.echo(f"{who}: {why}")
    if (
        state is None
        or (jobs is not None and jobs.wrong)
        or not state.alive
        or any(s.state in {State.FAILED, State.BLOCKED, State.BACKOFF} for s in state.services)
        or (connect is not None and (connect["error"] is not None or failures(connect)))
    ):
        raise typer.Exit(1)


def _connect_report(state: PlatformState) -> dict[str, Any] | None:
    """Return what there is to say about Kafka Connect; None where `up` runs without."""
    if not any(service.name == "connect" for service in state.services):
        return None
    return connect_report(settings(), timeout_s=5)


def _jobs_report(found: Settings) -> JobsReport | None:
    """Return what there is to say about jobs; that the store cannot be read is something."""
    from gridwatch.cli._jobs_report import JobsReport, jobs_report

    try:
        return jobs_report(found)
    except GridwatchError as error:
        return JobsReport(0, 0, 0, [("store", " ".join(str(error).split()))])


def _plain(state: PlatformState) -> dict[str, object]:
    now_s = time.time()
    services = [
        {**asdict(service), "alive": service.alive, "uptime_s": now_s - (service.started or now_s)}
        for service in state.services
    ]
    return {"running": state.alive, "pid": state.pid, "addresses": state.addresses, "services": services}


def _table(state: PlatformState) -> None:
    now_s = time.time()
    rows = []
    for service in state.services:
        # A supervisor that was killed leaves its last word behind; what counts is whether the process is there.
        shown = service.state if state.alive or not service.pid else ("orphaned" if service.alive else "stopped")
        uptime = seconds(now_s - service.started) if service.alive and service.started else ""
        rows.append(
            (service.name, shown, service.address, service.pid, uptime, service.restarts, service.error or service.log)
        )
    print_table(("service", "state", "address", "pid", "uptime", "restarts", "log, or what is wrong"), rows)
    if not state.alive:
        typer.echo("The platform is not running; `gridwatch up` starts it, `gridwatch down` clears what is left.")
