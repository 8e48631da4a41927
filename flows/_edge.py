"""What the flows take from their surroundings: settings, clock, dataset names, the run they are part of."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

# Read when Prefect is imported, for flows that are run by hand: no telemetry, gridwatch's log lines in the run's log,
# and time for the ephemeral server, which on a busy machine needs more than Prefect's 20 s.
for _name, _value in {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "gridwatch",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600",
}.items():
    os.environ.setdefault(_name, _value)

import structlog  # noqa: E402  # after the environment
from prefect.runtime import flow_run  # noqa: E402

from gridwatch.errors import (  # noqa: E402
    JavaError,
    MissingServiceError,
    SourceError,
    StoreBusyError,
    StreamError,
    TrackingError,
)
from gridwatch.settings import Settings, load_settings  # noqa: E402
from gridwatch.sources import Dataset, load_datasets  # noqa: E402
from gridwatch.supervisor.platform import with_addresses  # noqa: E402
from gridwatch.supervisor.state import read_state  # noqa: E402

if TYPE_CHECKING:
    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun

__all__ = ["artifact_key", "chosen", "dataset", "now_ms", "root_run_id", "run_name", "settings", "worth_retrying"]

_PASSING = (JavaError, MissingServiceError, OSError, SourceError, StoreBusyError, StreamError, TrackingError)
RETRY_DELAYS_S = [2.0, 10.0, 60.0]

# Through the standard library, so that gridwatch's events show in the run's log in Prefect's UI as well.
logging.getLogger("gridwatch").setLevel(logging.INFO)
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)


def now_ms() -> int:
    """Return the time, UTC epoch ms."""
    return time.time_ns() // 1_000_000


def settings() -> Settings:
    """Return the settings, with the addresses of a running `gridwatch up` where they name none; logs as they say."""
    found = load_settings()
    logging.getLogger("gridwatch").setLevel(found.log_level or logging.INFO)
    up = read_state(found.home)
    return with_addresses(found, up.addresses) if up and up.alive else found


def chosen(
    names: list[str] | None,
    stage: Literal["ingest", "detect", "train"],
    cron: str | None = None,
    timezone: str | None = None,
) -> list[str]:
    """Return the names of the datasets to work on.

    Args:
        names: These; None: all that are enabled.
        stage: Which line of their schedule counts.
        cron: Only those that have this line there; a schedule in prefect.yaml passes its own.
        timezone: Only those whose schedule is in this zone; likewise.
    """
    every = load_datasets(settings().datasets_dir, names, disabled=False)
    return [
        one.name
        for one in every
        if cron in {None, getattr(one.schedule, stage)} and timezone in {None, one.schedule.timezone}
    ]


def dataset(name: str) -> Dataset:
    """Return one dataset."""
    return load_datasets(settings().datasets_dir, [name])[0]


def root_run_id() -> str | None:
    """Return the id of the outermost flow run: what rows name as where they come from."""
    found = flow_run.root_flow_run_id or flow_run.id
    return str(found) if found else None


def run_name() -> str:
    """Return the name of the flow run that begins: its flow, its datasets or datafeeds, and the time (UTC)."""
    given = flow_run.parameters
    names = " ".join(given.get("datasets") or given.get("datafeeds") or []) or (
        "scheduled" if given.get("cron") else "all"
    )
    return f"{flow_run.flow_name} {names} {datetime.fromtimestamp(now_ms() / 1000, UTC):%Y-%m-%d %H:%M}"


def artifact_key(*words: str) -> str:
    """Return a key as Prefect wants them: lower case letters, digits and dashes."""
    return "-".join(words).lower().replace("_", "-")


def worth_retrying(_task: Task[..., object], _run: TaskRun, state: State[object]) -> bool:
    """Whether a failed task may succeed when tried again: when a service was away or busy, not when data are wrong."""
    return isinstance(state.result(raise_on_failure=False), _PASSING)
