"""Real small children: Python processes that live, answer, die or refuse to die."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridwatch.supervisor import BackOff, Service, Supervisor
from gridwatch.supervisor.process import Command, marked, stop_groups
from gridwatch.supervisor.state import run_dir

SLEEPER = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
)

Make = Callable[..., Service]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home folder; what still carries its mark at the end is a failure, and killed."""
    yield tmp_path
    left = marked(str(run_dir(tmp_path)))
    stop_groups(left, 0)
    assert left == []


def python(name: str, code: str, **options: object) -> Service:
    """A service that runs a line of Python."""
    return Service(name, lambda: Command((sys.executable, "-c", code)), **options)  # type: ignore[arg-type]


def quick(services: list[Service], home: Path, **options: object) -> Supervisor:
    """A supervisor that starts again at once, twice at most."""
    back_off = BackOff(first_s=0.05, most_s=0.1, restarts_max=2)
    return Supervisor(services, home, {}, back_off=back_off, **options)  # type: ignore[arg-type]
